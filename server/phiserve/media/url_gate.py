"""Decides which URLs are fetched from the web.

A URL is judged before its host is looked up, and so is every redirect.
"""

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from unicodedata import normalize

from yarl import URL

from phiserve.errors import ForbiddenUrl, StartupError
from phiserve.media.addresses import is_public

MAX_URL_CHARACTERS = 8192
MAX_AUTHORITY_CHARACTERS = 260
"""Maximum length of host and port, as they are and in Unicode's compatible form (NFKC, up to 18 characters
for one). Longer ones can't be right, and IDNA needs half a second for some of them."""

_AUTHORITY = re.compile(r"[^/?#]*//([^/?#]*)")
_FORBIDDEN = re.compile(r"[\\\x00-\x1f\x7f]")
_LABEL = r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST_NAME = re.compile(rf"(?=.{{1,253}}\.?$){_LABEL}(\.{_LABEL})*\.?", re.ASCII)
"""Each label matches in one way only: a nested quantifier would try them all, on the event loop."""
_ENTRY = re.compile(r"(\*\.)?([^\s/?#@:*%\\\[\]]+)")
"""An entry of the setting `image_hosts`, other than `*`."""

_LOCAL_NAMES = ("localhost", "localhost.localdomain")
"""These and all names below them lead to this host itself, by standard (RFC 6761) and by custom; no
resolver is asked."""

_NUMERIC_LABEL = re.compile(r"(0x[0-9a-f]*|[0-9]+)", re.ASCII)

_HOST_FAULT = "this server does not fetch images from that host; send the image as a data URL"


def check_length(text: str) -> None:
    """Raises ForbiddenUrl for a URL that is too long to be parsed."""
    if len(text) > MAX_URL_CHARACTERS:
        raise ForbiddenUrl(f"the URL is longer than {MAX_URL_CHARACTERS} characters")


def parse_url(text: str) -> URL:
    """Parse a URL with yarl, in bounded time. Raises ValueError for an invalid or too long one."""
    authority = _AUTHORITY.match(text)
    if len(text) > MAX_URL_CHARACTERS or (authority and _is_long(authority[1])):
        raise ValueError
    return URL(text)


@dataclass(frozen=True, slots=True)
class UrlGate:
    """Hosts that images may come from: `images.example.com`, `*.example.com` (any host below it) or `*`.

    The same parser (yarl, aiohttp's own) judges a URL and connects to it, so that the two can't read it
    differently; it reads the names of `hosts` too. Raises StartupError, naming the setting and the entry, for
    one that no URL's host can match.
    """

    hosts: tuple[str, ...] = ()
    ports: tuple[int, ...] = (80, 443)
    is_public: Callable[[str], bool] = is_public

    def __post_init__(self) -> None:
        object.__setattr__(self, "hosts", tuple(map(self._rule, self.hosts)))

    def check(self, text: str) -> URL:
        """The URL to connect to. Raises ForbiddenUrl; its message repeats nothing of the URL."""
        return self._checked(_parsed(text))

    def check_redirect(self, origin: URL, location: str) -> URL:
        """Where `origin` redirects to, judged like any URL. Raises ForbiddenUrl."""
        return self._checked(origin.join(_parsed(location)))

    def _checked(self, url: URL) -> URL:
        if fault := self._fault(url):
            raise ForbiddenUrl(fault)
        return url.with_fragment(None)

    def _fault(self, url: URL) -> str | None:
        host = url.raw_host or ""
        if url.scheme not in ("http", "https"):
            return "the URL leads to something else than http or https"
        if url.raw_user is not None or url.raw_password is not None:
            return "URLs with a user name or password are not fetched"
        if url.port not in self.ports:
            return f"only the ports {' and '.join(map(str, self.ports))} are fetched from"
        if fault := self._host_fault(host):
            return fault
        return None if self._allows(host.rstrip(".")) else _HOST_FAULT

    def _host_fault(self, host: str) -> str | None:
        """Why nothing is fetched from a host, whatever `hosts` allows, or None."""
        if _is_literal(host):
            return None if self.is_public(host) else _HOST_FAULT
        name = host.rstrip(".")
        if not _HOST_NAME.fullmatch(host) or _NUMERIC_LABEL.fullmatch(name.rpartition(".")[2]):
            return "the URL has no valid host name"
        return _HOST_FAULT if any(f".{name}".endswith(f".{local}") for local in _LOCAL_NAMES) else None

    def _allows(self, host: str) -> bool:
        return any(
            rule in ("*", host) or (rule.startswith("*.") and host.endswith(rule[1:])) for rule in self.hosts
        )

    def _rule(self, entry: str) -> str:
        """An entry of `hosts`, its name in the form that yarl gives a URL's host. Raises StartupError."""
        if entry == "*":
            return entry
        if parts := _ENTRY.fullmatch(entry):
            below = "a." if parts[1] else ""  # the shortest host of those below
            with suppress(ValueError):
                host = parse_url(f"http://{below}{parts[2]}/").raw_host or ""
                if self._host_fault(host) is None:
                    return (parts[1] or "") + host.removeprefix(below).rstrip(".")
        raise StartupError(
            f"Setting image_hosts: nothing is ever fetched from {entry!r}; "
            "it takes names of public hosts, *.names or *"
        )


def _parsed(text: str) -> URL:
    """The URL of a request or a redirect, still to be judged. Raises ForbiddenUrl."""
    check_length(text)
    if _FORBIDDEN.search(text):
        raise ForbiddenUrl("the URL has backslashes or control characters in it")
    try:
        return parse_url(text)
    except ValueError:
        raise ForbiddenUrl("this is not a valid URL") from None


def _is_long(authority: str) -> bool:
    return (
        len(authority) > MAX_AUTHORITY_CHARACTERS
        or len(normalize("NFKC", authority)) > MAX_AUTHORITY_CHARACTERS
    )


def _is_literal(host: str) -> bool:
    """Whether `host` is an IP address without a zone; one with a zone (`%eth0`) is no valid name either."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return "%" not in host

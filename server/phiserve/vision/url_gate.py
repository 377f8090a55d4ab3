"""Which web addresses are fetched at all: a URL is judged here before anything is resolved, and so is every redirect."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address

from yarl import URL

from phiserve.errors import InvalidRequest
from phiserve.vision.addresses import is_public

MAX_URL_CHARACTERS = 8192
_FORBIDDEN = re.compile(r"[\\\x00-\x1f\x7f]")
_LABEL = r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST_NAME = re.compile(rf"(?=.{{1,253}}\.?$){_LABEL}(\.{_LABEL})*\.?", re.ASCII)
"""Each label in one way only: a nested quantifier would try them all, on the event loop."""
_NUMERIC_LABEL = re.compile(r"(0x[0-9a-f]*|[0-9]+)", re.ASCII)


class ForbiddenUrl(InvalidRequest):
    """The URL leads where this server does not go."""

    default_code = "invalid_image_url"


@dataclass(frozen=True, slots=True)
class UrlGate:
    """Hosts that pictures may come from: `images.example.com`, `*.example.com` (any host below it) or `*`.

    The same parser (yarl, aiohttp's own) judges a URL and connects to it, so that the two can't read it differently.
    """

    hosts: tuple[str, ...] = ()
    ports: tuple[int, ...] = (80, 443)
    is_public: Callable[[str], bool] = is_public

    def check(self, text: str, param: str) -> URL:
        """The URL to connect to. Raises ForbiddenUrl; its message repeats nothing of the URL."""
        return self._checked(self._parsed(text, param), param)

    def check_redirect(self, origin: URL, location: str, param: str) -> URL:
        """Where `origin` redirects to, judged like any URL. Raises ForbiddenUrl."""
        return self._checked(origin.join(self._parsed(location, param)), param)

    def _parsed(self, text: str, param: str) -> URL:
        if len(text) > MAX_URL_CHARACTERS:
            raise ForbiddenUrl(f"{param}: the URL is longer than {MAX_URL_CHARACTERS} characters", param=param)
        if _FORBIDDEN.search(text):
            raise ForbiddenUrl(f"{param}: the URL has backslashes or control characters in it", param=param)
        try:
            return URL(text)
        except ValueError:
            raise ForbiddenUrl(f"{param}: this is not a valid URL", param=param) from None

    def _checked(self, url: URL, param: str) -> URL:
        if fault := self._fault(url):
            raise ForbiddenUrl(f"{param}: {fault}", param=param)
        return url.with_fragment(None)

    def _fault(self, url: URL) -> str | None:
        host = url.raw_host or ""
        if url.scheme not in ("http", "https"):
            return "the URL leads to something else than http or https"
        if url.raw_user is not None or url.raw_password is not None:
            return "URLs with a user name or password are not fetched"
        if url.port not in self.ports:
            return f"only the ports {' and '.join(map(str, self.ports))} are fetched from"
        if _is_literal(host):
            return None if self._allows(host) and self.is_public(host) else _HOST_FAULT
        if not _HOST_NAME.fullmatch(host) or _NUMERIC_LABEL.fullmatch(host.rstrip(".").rpartition(".")[2]):
            return "the URL has no valid host name"
        return None if self._allows(host.rstrip(".")) else _HOST_FAULT

    def _allows(self, host: str) -> bool:
        return any(
            rule in ("*", host) or (rule.startswith("*.") and host.endswith(rule[1:])) for rule in map(str.lower, self.hosts)
        )


_HOST_FAULT = "this server does not fetch pictures from that host; send the picture as a data URL"


def _is_literal(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True

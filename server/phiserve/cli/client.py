"""The openai client for an address, and what answers at that address.

That may be nothing, a server to talk to, or something else.
"""

import os
import queue
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from typing import TypeVar
from urllib.parse import urlsplit

import openai

from phiserve.cli.failures import reason_of
from phiserve.errors import StartupError

DEFAULT_URL = "http://127.0.0.1:8000/v1"
LOOK_TIMEOUT_S = 3.0
"""Seconds that a running server may take to list its models, from the first packet to the last."""

_URL = re.compile(r"https?://[!-~]+", re.IGNORECASE)


_Http = TypeVar("_Http")


class NothingListens(StartupError):
    """Nothing listens at the address."""


def client_for(url: str) -> openai.OpenAI:
    """Make a client for the server at `url`, which may lack its scheme and its path.

    It uses the environment's proxies, but never on the way to this machine itself. Raises StartupError.
    """
    address = _completed(url)
    key = _key()
    if _is_here(address):
        http = openai.DefaultHttpxClient(trust_env=False, verify=ssl.create_default_context())
    else:
        http = _of_the_environment(openai.DefaultHttpxClient)
    return openai.OpenAI(base_url=address, api_key=key, max_retries=0, http_client=http)


def async_client_for(url: str) -> openai.AsyncOpenAI:
    """As `client_for`, for many requests at once."""
    address = _completed(url)
    key = _key()
    if _is_here(address):
        http = openai.DefaultAsyncHttpxClient(trust_env=False, verify=ssl.create_default_context())
    else:
        http = _of_the_environment(openai.DefaultAsyncHttpxClient)
    return openai.AsyncOpenAI(base_url=address, api_key=key, max_retries=0, http_client=http)


def _key() -> str:
    key = os.environ.get("PHISERVE_API_KEY") or "none"
    if not (key.isascii() and key.isprintable()):
        raise StartupError("PHISERVE_API_KEY holds characters that no request can carry")
    return key


def _of_the_environment(make: Callable[[], _Http]) -> _Http:
    try:
        return make()
    except Exception as error:  # of many kinds: an unknown scheme, a missing package or file, no URL at all
        reason = " ".join(str(error).split())
        raise StartupError(f"The environment's proxies or certificates cannot be used: {reason}") from None


def served_models(client: openai.OpenAI) -> list[str]:
    """Names of the models that a server serves, at least one.

    Returns or raises within `LOOK_TIMEOUT_S`. Raises NothingListens where the connection is refused, and
    StartupError for other failures.
    """
    url = str(client.base_url).rstrip("/")
    found: queue.SimpleQueue[list[str] | Exception] = queue.SimpleQueue()

    def look() -> None:
        """Put the server's models, or why there are none, into the queue."""
        try:
            found.put(_look(client, url))
        except Exception as error:  # raised again by whoever waits
            found.put(error)

    # The client's own timeout begins anew with every packet. A daemon, since a thread that waits can't be
    # ended.
    threading.Thread(target=look, daemon=True).start()
    try:
        outcome = found.get(timeout=LOOK_TIMEOUT_S)
    except queue.Empty:
        outcome = _silence(url)
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def text_at(client: openai.OpenAI, path: str) -> str:
    """What a server says at a path beside `/v1`, as at `/metrics`.

    Raises StartupError where it can't be asked, openai.APIStatusError where its answer is an error.
    """
    url = str(client.base_url).rstrip("/")
    try:
        return client.with_options(timeout=LOOK_TIMEOUT_S).get(url.removesuffix("/v1") + path, cast_to=str)
    except openai.APITimeoutError:
        raise _silence(url) from None
    except openai.APIConnectionError as error:
        raise _why_not_connected(url, error) from None
    except openai.AuthenticationError:
        raise _no_key(url) from None


def _look(client: openai.OpenAI, url: str) -> list[str]:
    try:
        listed = client.with_options(timeout=LOOK_TIMEOUT_S).models.list().data
        models = [model.id for model in listed if isinstance(model.id, str)]
    except openai.APITimeoutError:
        raise _silence(url) from None
    except openai.APIConnectionError as error:
        raise _why_not_connected(url, error) from None
    except openai.AuthenticationError:
        raise _no_key(url) from None
    except (openai.APIError, AttributeError, TypeError, ValueError):  # what is not OpenAI's JSON
        models = []
    if not models:
        raise _stranger(url)
    return models


def _why_not_connected(url: str, error: BaseException) -> StartupError:
    for cause in _causes(error):
        match cause:
            case ConnectionRefusedError():
                return NothingListens(f"No server answers at {url}")
            case ssl.SSLError():
                return StartupError(
                    f"What answers at {url} does not speak TLS as it should: {cause.reason or cause}"
                )
            case socket.gaierror():
                return StartupError(f"There is no host as in {url}")
            case ConnectionError():
                return _stranger(url)
            case OSError():
                return StartupError(f"No server answers at {url}: {reason_of(cause)}")
    return _stranger(url)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _stranger(url: str) -> StartupError:
    return StartupError(f"What answers at {url} is not an OpenAI-compatible server")


def _no_key(url: str) -> StartupError:
    return StartupError(f"The server at {url} asks for a key: set PHISERVE_API_KEY")


def _silence(url: str) -> StartupError:
    return StartupError(f"What listens at {url} does not answer within {LOOK_TIMEOUT_S:g} s")


def _completed(url: str) -> str:
    """Complete an address with scheme and path, as a server's banner shows it.

    Raises StartupError for what is not an address.
    """
    address = url if "://" in url else f"http://{url}"
    try:
        parts = urlsplit(address)
        valid = _URL.fullmatch(address) is not None and parts.hostname and parts.port != 0
    except ValueError:
        valid = False
    if not valid:
        raise StartupError(f"{url!r} is not the address of a server, as {DEFAULT_URL} is")
    return address if parts.path.strip("/") else f"{address.rstrip('/')}/v1"


def _is_here(address: str) -> bool:
    host = (urlsplit(address).hostname or "").rstrip(".")
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        ip = ip_address(host)
    except ValueError:
        return False
    mapped = getattr(ip, "ipv4_mapped", None) or ip
    return mapped.is_loopback or mapped.is_unspecified

"""URLs are judged before anything is resolved; what can be read in two ways is refused."""

import pytest
from yarl import URL

from phiserve.errors import ForbiddenUrl, StartupError
from phiserve.media import url_gate as module
from phiserve.media.url_gate import UrlGate

GATE = UrlGate(("images.example.com", "*.cdn.example.org", "8.8.8.8"))
ANY = UrlGate(("*",))


@pytest.mark.parametrize(
    ("text", "connects_to"),
    [
        ("https://images.example.com/a.png", "https://images.example.com/a.png"),
        ("HTTPS://IMAGES.EXAMPLE.COM/a.png", "https://images.example.com/a.png"),
        ("http://images.example.com", "http://images.example.com/"),
        ("http://images.example.com:80/a", "http://images.example.com/a"),
        ("https://images.example.com./a b.png?x=1#frag", "https://images.example.com./a%20b.png?x=1"),
        ("https://a.cdn.example.org/", "https://a.cdn.example.org/"),
        ("https://a.b.cdn.example.org/", "https://a.b.cdn.example.org/"),
        ("https://8.8.8.8/x", "https://8.8.8.8/x"),
        ("https://images.example.com/?@evil.example/", "https://images.example.com/?@evil.example/"),
    ],
)
def test_allowed(text: str, connects_to: str) -> None:
    """Hosts of the list, in any case, with a final dot, on the ports of http and https."""
    assert str(GATE.check(text).with_path(URL(connects_to).path, keep_query=True)) == connects_to


@pytest.mark.parametrize(
    "text",
    [
        "https://example.com/",
        "https://evil-images.example.com/",
        "https://images.example.com.evil.example/",
        "https://cdn.example.org/",
        "https://xcdn.example.org/",
        "https://evil.example/?images.example.com",
        "https://evil.example/#images.example.com",
        "https://8.8.4.4/",
        "https://127.0.0.1/",
    ],
)
def test_other_hosts(text: str) -> None:
    """Hosts beside the list are refused, however like they look."""
    with pytest.raises(ForbiddenUrl, match=r"^this server does not fetch"):
        GATE.check(text)


@pytest.mark.parametrize(
    "text",
    [
        "https://images.example.com@evil.example/",
        "https://user:secret@images.example.com/",
        "https://images.example.com\\@evil.example/",
        "https://evil.example\\.images.example.com/",
        "https:\\\\images.example.com/",
        "https://images.example.com:22/",
        "https://images.example.com:0/",
        "https://images.example.com:99999/",
        "https://images.example.com:80:443/",
        "https://images.exam\tple.com/",
        "https://images.example.com/\r\nHost: evil",
        "https://images.example.com /",
        "https://%69mages.example.com/",
        "https:///a",
        "https:images.example.com",
        "//images.example.com/a",
        "ftp://images.example.com/a",
        "gopher://images.example.com/a",
        "https://[::1/",
        "https://" + "a" * 9000,
        "https://" + "a" * 250 + "!/",
        "https://" + "a." * 120 + "!/",
        "https://" + "a" * 64 + ".example/",
        "https://images..com/",
        "https://[2606:4700::1111%25eth0]/",
    ],
)
def test_refused_even_where_any_host_is_allowed(text: str) -> None:
    """User names, backslashes, control characters, other ports and schemes, what is no URL."""
    for gate in (GATE, ANY):
        with pytest.raises(ForbiddenUrl) as caught:
            gate.check(text)
        assert (caught.value.status, caught.value.code) == (400, "invalid_image_url")
        assert "example" not in caught.value.message
        assert "secret" not in caught.value.message


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "10.0.0.1",
        "169.254.169.254",
        "0.0.0.0",  # noqa: S104 - an address to refuse, not to listen on
        "127.1",
        "0177.0.0.1",
        "0x7f.0.0.1",
        "0x7f000001",
        "2130706433",
        "017700000001",
        "127.0.0.1.",
        "127。0。0。1",
        "1.2.3",
        "foo.0x1",
        "foo.1",
        "256.256.256.256",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::7f00:1]",
        "[fd00::1]",
        "[fe80::1%25eth0]",
    ],
)
def test_inside_addresses_in_any_spelling(host: str) -> None:
    """Octal, decimal, hexadecimal, short, mapped, full-width: none passes where any host is allowed."""
    with pytest.raises(ForbiddenUrl):
        ANY.check(f"http://{host}/latest/meta-data")


@pytest.mark.parametrize(
    ("entry", "host"),
    [
        ("BÜCHER.example", "bücher.example"),
        ("bücher.example", "BÜCHER.EXAMPLE."),
        ("xn--BCHER-kva.example", "bücher.example"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("Images.Example.", "images.example"),
        ("images。example", "images.example"),
        ("*.BÜCHER.example.", "a.b.bücher.example"),
        ("*.Example", "images.example."),
        ("\uff49mages.example", "images.example"),
        ("8.8.8.8", "8.8.8.8"),
    ],
)
def test_entries_are_read_like_urls(entry: str, host: str) -> None:
    """Capitals, letters beyond ASCII, other full stops, a final dot: what is equal in a URL is equal in the
    settings.
    """
    UrlGate((entry,)).check(f"https://{host}/")
    with pytest.raises(ForbiddenUrl):
        UrlGate((entry,)).check("https://elsewhere.test/")


@pytest.mark.parametrize(
    "entry",
    [
        "",
        " ",
        ".",
        "*.",
        "**",
        "*.*",
        "*example",
        "a.*.example",
        "images..example",
        "a b.example",
        "-a.example",
        "https://images.example",
        "images.example/",
        "images.example:443",
        "user@images.example",
        "images.example?",
        "#",
        "images%2eexample",
        "images\\example",
        "images.example\n",
        "[8.8.8.8]",
        "a" * 64 + ".example",
        "a." * 127 + "a",
        "127.0.0.1",
        "10.0.0.1",
        "169.254.169.254",
        "::1",
        "[::1]",
        "2130706433",
        "0x7f.1",
        "*.8.8.8.8",
        "8.8.8.8.",
        "localhost",
        "LOCALHOST.",
        "*.localhost",
        "a.localhost",
        "localhost.localdomain",
        "\ufdfa" * 200,
    ],
)
def test_entries_that_never_match(entry: str) -> None:
    """Told at start-up, by the setting's name and the entry's own text; a typing mistake does not just refuse
    for ever.
    """
    with pytest.raises(StartupError) as caught:
        UrlGate(("images.example", entry))
    assert "image_hosts" in str(caught.value)
    assert repr(entry) in str(caught.value)


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LocalHost.",
        "a.localhost",
        "localhost.localdomain",
        "localhost.localdomain.",
        "\uff4cocalhost",
    ],
)
def test_local_names(host: str) -> None:
    """Names of this host itself are refused as names: no resolver has a say, and no machine's /etc/hosts."""
    with pytest.raises(ForbiddenUrl, match="does not fetch images from that host"):
        ANY.check(f"http://{host}/")
    ANY.check("http://notlocalhost/")
    ANY.check("http://localhost.example/")


@pytest.mark.parametrize(
    "authority", ["\ufdfa" * 8000, "\ufdfa" * 200, "a." * 131, "ü." * 200 + "example:443", "a@" * 131]
)
@pytest.mark.parametrize("beginning", ["http://", "//", "HTTPS://"])
def test_long_hosts_are_not_read(authority: str, beginning: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some take half a second to turn into ASCII, so they are refused before anyone tries; long paths are
    fine.
    """
    ANY.check("http://a.example/" + "\ufdfa//" * 1000)
    monkeypatch.setattr(module, "URL", None)
    with pytest.raises(ForbiddenUrl, match="not a valid URL"):
        ANY.check(beginning + authority + "/a")


def test_any_host() -> None:
    """`*` allows every name and every public address."""
    for host in ("example.com", "8.8.8.8", "[2606:4700::1111]", "xn--bcher-kva.example"):
        ANY.check(f"https://{host}/")


@pytest.mark.parametrize(
    ("location", "leads_to"),
    [
        ("/b", "https://images.example.com/b"),
        ("b", "https://images.example.com/a/b"),
        ("//x.cdn.example.org/b", "https://x.cdn.example.org/b"),
        ("http://x.cdn.example.org/b", "http://x.cdn.example.org/b"),
    ],
)
def test_redirects(location: str, leads_to: str) -> None:
    """Relative or absolute, a redirect is a URL like any."""
    assert str(GATE.check_redirect(URL("https://images.example.com/a/"), location)) == leads_to


@pytest.mark.parametrize(
    "location",
    [
        "//127.0.0.1/",
        "http://evil.example/",
        "\\\\evil.example",
        "file:///etc/passwd",
        "http://a@images.example.com/",
    ],
)
def test_redirects_elsewhere(location: str) -> None:
    """A redirect does not lead where a URL may not."""
    with pytest.raises(ForbiddenUrl):
        GATE.check_redirect(URL("https://images.example.com/a/"), location)

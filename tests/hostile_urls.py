"""URLs that must not be fetched, however they are written, by what they try."""

INSIDE = [
    "http://127.0.0.1/",
    "http://127.1/",
    "http://127.0.1/",
    "http://2130706433/",
    "http://0x7f000001/",
    "http://0x7f.1/",
    "http://017700000001/",
    "http://0177.0.0.1/",
    "http://127.0.0.1./",
    "http://127。0。0。1/",
    "http://\uff11\uff12\uff17.0.0.1/",
    "http://0/",
    "http://0.0.0.0/",
    "http://10.0.0.1/",
    "http://172.16.0.1/",
    "http://192.168.0.1/",
    "http://100.64.0.1/",
    "http://169.254.169.254/latest/meta-data/",
    "http://[fd00:ec2::254]/",
    "http://168.63.129.16/",
    "http://192.0.0.192/",
    "http://224.0.0.1/",
    "http://255.255.255.255/",
    "http://198.18.0.1/",
    "http://192.0.2.1/",
    "http://240.0.0.1/",
    "http://[::1]/",
    "http://[::]/",
    "http://[::ffff:127.0.0.1]/",
    "http://[::ffff:7f00:1]/",
    "http://[::127.0.0.1]/",
    "http://[64:ff9b::7f00:1]/",
    "http://[2002:7f00:1::]/",
    "http://[fe80::1%25lo]/",
    "http://[fc00::1]/",
    "http://[ff02::1]/",
    "http://localhost/",
    "http://LOCALHOST/",
    "https://localhost/",
]
"""Addresses of the host, its network and its cloud, in any spelling, and names that lead there."""

MISREAD = [
    "http://a@127.0.0.1/",
    "http://example.com@127.0.0.1/",
    "http://user:secret@example.com/",
    "http://example.com:80@127.0.0.1/",
    "http://127.0.0.1\\@example.com/",
    "http://example.com\\.127.0.0.1/",
    "http:\\\\127.0.0.1/",
    "http://127.0.0.1 /",
    "http://exam\tple.com/",
    "http://example.com/\r\nHost: 127.0.0.1",
    "http://example.com\0.evil/",
    "http://[::1/",
    "http:///127.0.0.1/",
    "http:127.0.0.1",
    "//127.0.0.1/",
    "http://",
    "http://?",
    "http://#",
    "http://%31%32%37.0.0.1/",
    "http://" + "a." * 200 + "example/",
    "http://" + "a" * 64 + ".example/",
    "http://example.com/" + "a" * 9000,
]
"""URLs that two parsers read in two ways, and some that none should."""

PORTS = [
    "http://127.0.0.1:22/",
    "http://example.com:22/",
    "http://example.com:6379/",
    "https://example.com:8443/",
    "http://example.com:0/",
    "http://example.com:65536/",
    "http://example.com:80:443/",
]
"""Ports of other services."""

SCHEMES = [
    "ftp://example.com/a.png",
    "gopher://127.0.0.1:6379/_INFO",
    "dict://127.0.0.1:11211/stat",
    "ldap://127.0.0.1/",
    "tftp://127.0.0.1/",
    "ws://127.0.0.1/",
    "blob:http://127.0.0.1/",
    "javascript:alert(1)",
    "about:blank",
    "unix:///run/docker.sock",
    "jar:http://127.0.0.1!/",
    "s3://bucket/key",
    "gs://bucket/key",
    "netdoc:///etc/passwd",
    "php://filter/resource=/etc/passwd",
    "/etc/passwd",
    "etc/passwd",
    "",
    "data:text/html,hello",
    "data:image/png,hello",
    "data:,",
    "data:",
]
"""Schemes that are none of the four, and `data:` URLs without base64."""

FILES = [
    "file:///etc/passwd",
    "file:///etc/./passwd",
    "file:///proc/self/environ",
    "file:///proc/self/mem",
    "file:///dev/zero",
    "file://localhost/etc/passwd",
    "file://example.com/etc/passwd",
    "file:/etc/passwd",
    "file:etc/passwd",
    "file:///",
    "file://",
    "file:///etc/passwd%00.png",
    "file:///%2e%2e/etc/passwd",
    "file:///etc/passwd?a.png",
    "file:///etc/passwd#a.png",
]
"""Files of the host."""

FILES_BY_THE_FOLDER = [
    "/../../../../../../etc/passwd",
    "/%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
    "/link",
    "/pipe",
    "/",
    "/none.png",
]
"""The same, reached by way of the folder that images are read from: behind its path. `link` leads out, `pipe`
is empty."""

KINDS = {
    "what is inside": INSIDE,
    "what can be misread": MISREAD,
    "other ports": PORTS,
    "other schemes": SCHEMES,
    "files": FILES,
    "files by way of the folder": FILES_BY_THE_FOLDER,
}

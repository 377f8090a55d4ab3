"""Only addresses of the public internet are public, however they are written."""

import pytest

from phiserve.media.addresses import is_public

PUBLIC = [
    "8.8.8.8",
    "93.184.216.34",
    "2606:2800:220:1:248:1893:25c8:1946",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
]
NOT_PUBLIC = {
    "unspecified": ["0.0.0.0", "0.1.2.3", "::"],  # noqa: S104 - an address to refuse, not to listen on
    "loopback": ["127.0.0.1", "127.255.255.254", "::1"],
    "private": [
        "10.0.0.1",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "fd00::1",
        "fd00:ec2::254",
        "fc00::1",
    ],
    "link-local": ["169.254.169.254", "169.254.0.1", "fe80::1", "fe80::1%eth0"],
    "shared": ["100.64.0.1", "100.100.100.200", "100.127.255.255"],
    "protocol": [
        "192.0.0.1",
        "192.0.0.192",
        "192.0.2.1",
        "198.18.0.1",
        "198.51.100.1",
        "203.0.113.1",
        "2001:db8::1",
        "100::1",
    ],
    "multicast": ["224.0.0.1", "239.255.255.255", "233.252.0.1", "ff02::1", "ff0e::1"],
    "reserved": ["240.0.0.1", "255.255.255.255", "4000::1", "5f00::1"],
    "site-local": ["fec0::1"],
    "host services": ["168.63.129.16", "192.88.99.1"],
    "mapped": ["::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:a9fe:a9fe"],
    "compatible": ["::127.0.0.1", "::8.8.8.8"],
    "NAT64": ["64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::808:808"],
    "6to4 and Teredo": ["2002:7f00:1::", "2002:808:808::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2"],
    "documentation": ["3fff::1", "2001:20::1"],
}


@pytest.mark.parametrize("address", PUBLIC)
def test_public(address: str) -> None:
    """Hosts of the internet, also where IPv6 carries their IPv4 address."""
    assert is_public(address)


@pytest.mark.parametrize("address", [address for addresses in NOT_PUBLIC.values() for address in addresses])
def test_not_public(address: str) -> None:
    """Everything that leads back inside, to many, or nowhere."""
    assert not is_public(address)


@pytest.mark.parametrize("text", ["", "localhost", "0177.0.0.1", "2130706433", "127.1", "0x7f.0.0.1"])
def test_not_an_address(text: str) -> None:
    """Spellings that a resolver never returns are no addresses."""
    with pytest.raises(ValueError, match="address"):
        is_public(text)

"""Tells the addresses of the public internet, which images may be fetched from, from all others."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

_GLOBAL_UNICAST = IPv6Network("2000::/3")
"""The IPv6 addresses that IANA has given out for the public internet."""

_NOT_HOSTS_V6 = (
    IPv6Network("2001::/23"),  # protocol assignments; Teredo carries an IPv4 destination inside (RFC 4380)
    IPv6Network("2002::/16"),  # 6to4 carries one too (RFC 3056)
    IPv6Network("3fff::/20"),  # documentation (RFC 9637)
)
"""Networks in the public range that hold no public hosts. Python's tables list some of them, depending on
its version."""

_NAT64 = IPv6Network("64:ff9b::/96")
"""RFC 6052: on a network with NAT64, every IPv4 host resolves to this prefix followed by its address."""

_NOT_HOSTS_V4 = (
    IPv4Network("168.63.129.16/32"),  # Azure's address of the host itself, public by its number only
    IPv4Network("192.0.0.0/24"),  # protocol assignments (RFC 6890); metadata service of Oracle's cloud
    IPv4Network("192.88.99.0/24"),  # 6to4 relays (RFC 7526)
)
"""Networks that are not the public internet, although some versions of Python take them for public."""


def is_public(address: str) -> bool:
    """Whether `address` belongs to a host of the public internet.

    `address` is an IP address as a resolver returns it; a zone (`%eth0`) is ignored. Raises ValueError if it
    is no IP address.
    """
    parsed = ip_address(address.partition("%")[0])
    return _is_public_v4(parsed) if isinstance(parsed, IPv4Address) else _is_public_v6(parsed)


def _is_public_v4(address: IPv4Address) -> bool:
    if any(address in network for network in _NOT_HOSTS_V4):
        return False
    return address.is_global and not address.is_multicast


def _is_public_v6(address: IPv6Address) -> bool:
    if address.ipv4_mapped is not None:
        return _is_public_v4(address.ipv4_mapped)
    if address in _NAT64:
        return _is_public_v4(IPv4Address(int(address) & 0xFFFFFFFF))
    return (
        address in _GLOBAL_UNICAST
        and address.is_global
        and not any(address in network for network in _NOT_HOSTS_V6)
    )

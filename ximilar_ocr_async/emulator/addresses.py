"""IP addresses: an address in, whose it is out, the same on every version of Python.

The properties of `ipaddress` differ between versions, and none of them knows the addresses of
clouds.
"""

from ipaddress import ip_address, ip_network

_LOOPBACK = ip_network("127.0.0.0/8"), ip_network("::1")

_UNICAST = ip_network("0.0.0.0/0"), ip_network("2000::/3")
"""What public addresses are taken from. All other IPv6 addresses belong to a link, a site, a group
or nobody, or stand for IPv4 addresses. Source: IANA's IPv6 address space, read in 2026-11."""

_SPECIAL = tuple(
    map(
        ip_network,
        (
            "0.0.0.0/8",  # this host
            "10.0.0.0/8",  # private
            "100.64.0.0/10",  # shared, with the metadata of Alibaba Cloud
            "127.0.0.0/8",  # loopback
            "168.63.129.16/32",  # the metadata of Azure
            "169.254.0.0/16",  # link-local, with the metadata of most clouds
            "172.16.0.0/12",  # private
            "192.0.0.0/24",  # protocols, with the metadata of Oracle Cloud
            "192.0.2.0/24",  # documentation
            "192.88.99.0/24",  # relays of 6to4
            "192.168.0.0/16",  # private
            "198.18.0.0/15",  # benchmarks
            "198.51.100.0/24",  # documentation
            "203.0.113.0/24",  # documentation
            "224.0.0.0/4",  # multicast
            "240.0.0.0/4",  # reserved, with broadcast
            "2001::/23",  # protocols, with Teredo, which stands for IPv4 addresses
            "2001:db8::/32",  # documentation
            "2002::/16",  # 6to4, which stands for IPv4 addresses
            "3fff::/20",  # documentation
        ),
    )
)
"""The rest of what is not public. Source: IANA's registries of special-purpose addresses, read in
2026-11; the clouds' own documentation."""


def is_public(address: str) -> bool:
    """Return whether *address* belongs to somebody on the public internet."""
    parsed = ip_address(address)
    is_unicast = any(parsed in network for network in _UNICAST)
    return is_unicast and not any(parsed in network for network in _SPECIAL)


def is_loopback(address: str) -> bool:
    """Return whether *address* is this machine's own, from 127.0.0.0/8 or ::1."""
    parsed = ip_address(address)
    return any(parsed in network for network in _LOOPBACK)

"""Addresses: public ones are told from all others, on every version of Python."""

from ipaddress import IPv4Address, IPv6Address, ip_network

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ximilar_ocr_async.emulator.addresses import is_loopback, is_public

PRIVATE = [*map(IPv4Address, ("10.0.0.1", "127.0.0.1", "169.254.169.254", "192.168.1.1"))]

NOT_PUBLIC = {
    "this host": ["0.0.0.0", "0.1.2.3", "::"],
    "loopback": ["127.0.0.1", "127.255.255.254", "::1"],
    "private": ["10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.0.1", "fc00::1", "fdff::1"],
    "shared": ["100.64.0.1", "100.127.255.255"],
    "link": ["169.254.0.1", "fe80::1", "febf::1", "fe80::1%1"],
    "site": ["fec0::1", "feff::1"],
    "multicast": ["224.0.0.1", "224.0.0.251", "239.255.255.250", "ff02::1", "ff0e::1", "ff3e::1"],
    "reserved": ["240.0.0.1", "255.255.255.255", "4000::1", "5f00::1", "8000::1", "fbff::1"],
    "benchmarks": ["198.18.0.1", "198.19.255.255", "2001:2::1"],
    "documentation": ["192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1", "3fff::1"],
    "protocols": ["192.0.0.1", "192.88.99.1", "2001::1", "2001:10::1", "2001:1ff::1", "100::1"],
    "clouds": [
        "169.254.169.254",  # most of them
        "169.254.170.2",  # containers of AWS
        "fd00:ec2::254",  # AWS
        "fd20:ce::254",  # Google
        "fd00:c1::a9fe:a9fe",  # Oracle
        "fd00:42::42",  # Scaleway
        "100.100.100.200",  # Alibaba
        "168.63.129.16",  # Azure
        "192.0.0.192",  # Oracle
    ],
    "mapped": ["::ffff:8.8.8.8", "::ffff:127.0.0.1", "::8.8.8.8", "::ffff:0:8.8.8.8"],
    "translated": ["64:ff9b::8.8.8.8", "64:ff9b::7f00:1", "64:ff9b:1::a00:1"],
    "tunnelled": ["2002:808:808::1", "2002:7f00:1::1", "2001:0:4136:e378:8000:63bf:80ff:fffe"],
}
"""Addresses of each kind that is not public."""

PUBLIC = [
    *("1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.1", "100.63.255.255", "100.128.0.1"),
    *("126.255.255.255", "128.0.0.1", "168.63.129.15", "168.63.129.17", "169.253.255.255"),
    *("172.15.255.255", "172.32.0.1", "192.0.1.1", "192.167.255.255", "198.17.255.255"),
    *("198.20.0.1", "223.255.255.255", "2001:200::1", "2001:4860:4860::8888", "2003::1"),
    *("2400:cb00::1", "2606:4700::1111", "2a00:1450::1", "2c0f::1", "3ffe::1"),
]
"""Public addresses, some of them beside those that are not."""

EMBEDDINGS = [
    lambda v4: IPv6Address(int(v4)),
    lambda v4: IPv6Address(f"::ffff:{v4}"),
    lambda v4: IPv6Address(f"64:ff9b::{v4}"),
    lambda v4: IPv6Address(int(IPv6Address("2002::1")) + (int(v4) << 80)),
    lambda v4: IPv6Address(int(IPv6Address("2001::")) + (~int(v4) & 0xFFFFFFFF)),
]
"""Ways to write an IPv4 address as an IPv6 address: mapped ones, NAT64, 6to4, Teredo."""

ADDRESSES = st.ip_addresses() | st.ip_addresses(network=ip_network("2000::/3"))


@pytest.mark.parametrize("kind", NOT_PUBLIC)
def test_what_is_not_public_is_told(kind: str) -> None:
    """Addresses of no host, of few, or of clouds for their own machines are not public."""
    assert [address for address in NOT_PUBLIC[kind] if is_public(address)] == []


@pytest.mark.parametrize("address", PUBLIC)
def test_all_else_is_public(address: str) -> None:
    """What belongs to somebody on the internet is public, up to the edges of what does not."""
    assert is_public(address)


@given(v4=st.ip_addresses(v=4) | st.sampled_from(PRIVATE), embed=st.sampled_from(EMBEDDINGS))
def test_an_address_in_an_address_is_not_public(v4: IPv4Address, embed: object) -> None:
    """What stands for an IPv4 address could lead to a private one, so it is refused."""
    assert callable(embed)
    assert not is_public(str(embed(v4)))


@given(address=ADDRESSES)
@example(address=IPv6Address("fec0::1"))
def test_nothing_is_public_that_python_knows_to_be_special(
    address: IPv4Address | IPv6Address,
) -> None:
    """No version of Python knows a special address that counts as public."""
    is_special = (
        not address.is_global
        or address.is_private
        or address.is_multicast
        or address.is_reserved
        or address.is_link_local
    )
    assert not (is_special and is_public(str(address)))


@pytest.mark.parametrize(
    "address, expected",
    [
        ("127.0.0.1", True),
        ("127.255.255.255", True),
        ("::1", True),
        ("126.255.255.255", False),
        ("128.0.0.1", False),
        ("0.0.0.0", False),
        ("::", False),
        ("::2", False),
        ("::ffff:127.0.0.1", False),
        ("::7f00:1", False),
    ],
)
def test_loopback_is_this_machine(address: str, expected: bool) -> None:
    """Only the loopback addresses themselves are; what stands for one differs by Python."""
    assert is_loopback(address) is expected

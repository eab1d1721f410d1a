"""The networks that an API key may be used from, in CIDR form (`203.0.113.0/24`, `2001:db8::/32`)."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

from app.core.errors import Invalid

MOST = 20
_LONGEST = 64  # characters of one network; the longest real one has 43


def parse_networks(text: str) -> list[str]:
    """Networks from what a person typed, one a line or with commas between; a lone address is a network of one.

    Raises Invalid, naming the entry that is wrong and how to write it.
    """
    entries = text.replace(",", " ").split()
    if len(entries) > MOST:
        raise Invalid("key.networks", f"A key has at most {MOST} networks; these are {len(entries)}.")
    return list(dict.fromkeys(_network(entry) for entry in entries))


def _network(entry: str) -> str:
    shown = f"“{entry[:_LONGEST]}”"
    try:
        if "%" in entry:  # a zone means something only on the machine that it was written on
            raise ValueError
        network = ip_network(entry[: _LONGEST + 1], strict=False)
    except ValueError:
        raise _wrong(f"{shown} is not a network. Write 203.0.113.0/24, 2001:db8::/32 or one address.") from None
    if isinstance(network, IPv6Network) and network.network_address.ipv4_mapped is not None:
        raise _wrong(f"Write {shown} as an IPv4 network, such as 203.0.113.0/24.")
    address = entry.partition("/")[0]
    if ip_address(address) != network.network_address:
        raise _wrong(f"{shown} is an address inside a network. Write {network} for the network, or {address} alone.")
    return str(network)


def _wrong(words: str) -> Invalid:
    return Invalid("key.networks", words)


def admits(networks: Iterable[str], address: str) -> bool:
    """Whether a key with these networks may be used from an address; no networks mean any address."""
    allowed = [ip_network(network) for network in networks]
    if not allowed:
        return True
    found = _address(address)
    return found is not None and any(found in network for network in allowed)


def _address(text: str) -> IPv4Address | IPv6Address | None:
    """The address of a connection; an IPv4 one that came through an IPv6 socket is an IPv4 one."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address

"""The header in which a TCP balancer says whose connection it brings (haproxy, "The PROXY protocol", sections 2.1 and 2.2)."""

import re
from ipaddress import IPv4Address, IPv6Address

_V1 = b"PROXY "
_V1_SHORTEST = len(b"PROXY UNKNOWN\r\n")
_V1_LONGEST = 107
_V2 = b"\r\n\r\n\x00\r\nQUIT\n"
_V2_FIXED = 16
_V2_LONGEST = 4096
"""Bytes of addresses and additions (TLVs) after the fixed part; the longest address block has 216."""
_V2_ADDRESSES = {0x00: 0, 0x11: 12, 0x21: 36, 0x31: 216}
"""How long the addresses are, by family and transport: unspecified, and streams over IPv4, IPv6 and Unix sockets."""
_PORT = re.compile(r"0|[1-9][0-9]{0,4}")
_GROUPS = re.compile(r"[0-9A-Fa-f:.]+")


class ProxyHeaderError(Exception):
    """What came first on a balancer's connection is no such header; the text says why, and quotes nothing."""


def bytes_missing(received: bytes) -> int:
    """Return how many bytes a header still has at least, 0 when it is complete; raises `ProxyHeaderError`.

    Whoever reads no more than that leaves what follows the header, a TLS handshake say, for whoever reads next.
    """
    if _V1.startswith(received):
        return _V1_SHORTEST - len(received)
    if received.startswith(_V1):
        return _line_missing(received)
    if received[: len(_V2)] == _V2[: len(received)]:
        return _block_missing(received) if len(received) >= _V2_FIXED else _V2_FIXED - len(received)
    raise ProxyHeaderError("it does not begin as one")


def source_address(header: bytes) -> str | None:
    """Return the address that a complete header names as the connection's source.

    None where it names none that matters: the connection is the balancer's own (a health check), or came to it over
    something that has no IP address. Raises `ProxyHeaderError`.
    """
    return _source_in_line(header) if header.startswith(_V1) else _source_in_block(header)


def _line_missing(received: bytes) -> int:
    _, end, rest = received.partition(b"\r")
    missing = 1 - len(rest) if end else max(2, _V1_SHORTEST - len(received))
    if rest not in {b"", b"\n"} or len(received) + missing > _V1_LONGEST:
        raise ProxyHeaderError("its line does not end where it must")
    return missing


def _block_missing(received: bytes) -> int:
    length = int.from_bytes(received[14:16], "big")
    if length > _V2_LONGEST:
        raise ProxyHeaderError("it is too long")
    return max(_V2_FIXED + length - len(received), 0)


def _source_in_line(header: bytes) -> str | None:
    try:
        words = header.decode("ascii").removesuffix("\r\n").split(" ")
    except UnicodeDecodeError:
        raise ProxyHeaderError("it has other characters than ASCII") from None
    if words[1] == "UNKNOWN":
        return None
    if len(words) != 6 or words[1] not in {"TCP4", "TCP6"}:
        raise ProxyHeaderError("its line is no PROXY line")
    if any(_PORT.fullmatch(port) is None or int(port) > 65_535 for port in words[4:]):
        raise ProxyHeaderError("it has a port that is none")
    family = IPv4Address if words[1] == "TCP4" else IPv6Address
    try:
        source, _ = (family(word) for word in words[2:4] if _GROUPS.fullmatch(word))
    except ValueError:
        raise ProxyHeaderError("it has an address that is none") from None
    return _plain(source)


def _source_in_block(header: bytes) -> str | None:
    version, command = header[12] >> 4, header[12] & 0xF
    if version != 2 or command > 1:
        raise ProxyHeaderError("it is of another version or command")
    if command == 0:
        return None
    length = _V2_ADDRESSES.get(header[13])
    if length is None:
        raise ProxyHeaderError("it is of another family or transport")
    if len(header) < _V2_FIXED + length:
        raise ProxyHeaderError("it is shorter than its addresses")
    if length == 12:
        return str(IPv4Address(header[16:20]))
    return _plain(IPv6Address(header[16:32])) if length == 36 else None


def _plain(address: IPv4Address | IPv6Address) -> str:
    """Write an address; one of IPv4 in the form of IPv6 as the IPv4 address that it is."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return str(mapped or address)

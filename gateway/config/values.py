"""Readers of single values: sizes, durations, rates, addresses, URLs, organisation numbers."""

import re
from collections.abc import Callable, Collection
from datetime import date, datetime
from enum import StrEnum
from ipaddress import ip_address, ip_network
from typing import TypeVar
from urllib.parse import SplitResult, urlsplit

from yaml import Node

from gateway.config.model import Address, Network
from gateway.config.yaml_nodes import FLOAT, INT, STR, is_unused, quoted
from gateway.config.yaml_reader import Read, Reader
from gateway.model import Rate

D = TypeVar("D", date, datetime)

_SIZE = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,6})?) ?(B|kB|MB|KiB|MiB)")
_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?) ?(ms|s|m|h|d|y)")
_PERCENT = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,6})?) ?%")
_RATE = re.compile(r"([0-9]{1,9})/(s|m|h)")
_BYTE_RATE = re.compile(_SIZE.pattern + _RATE.pattern.removeprefix("([0-9]{1,9})"))
_ADDRESS = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+)):([0-9]{1,5})")
_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::[0-9]{1,5})?")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(?::[0-9]{2})?(Z|[+-][0-9]{2}:[0-9]{2})?")
_ENV = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]*\}")

_BYTES = {"B": 1, "kB": 1_000, "MB": 1_000_000, "KiB": 1_024, "MiB": 1_048_576}
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "y": 365 * 86_400.0}
_ORGNR_WEIGHTS = (3, 2, 7, 6, 5, 4, 3, 2)


E = TypeVar("E", bound=StrEnum)


def one_of(what: str, words: type[E]) -> Callable[[Reader, Node], E | None]:
    """Make a reader of one of a few words; `what` names the kind of word."""

    def read(reader: Reader, node: Node) -> E | None:
        word = reader.choice(node, what, list(words))
        return words(word) if word in set(words) else None

    return read


def word(what: str, *words: str) -> Read:
    """Make a reader of one of a few words; `what` names the kind of word."""
    return lambda reader, node: reader.choice(node, what, words)


def is_word(meant: str, what: str, *words: str) -> Read:
    """Make a reader of one of a few words, which tells whether it is `meant`."""

    def read(reader: Reader, node: Node) -> bool | None:
        found = reader.choice(node, what, words)
        return None if found is None else found == meant

    return read


def words(what: str, options: Collection[str]) -> Callable[[Reader, Node], tuple[str, ...]]:
    """Make a reader of a list of a few words; `what` names the kind of word."""

    def read(reader: Reader, node: Node) -> tuple[str, ...]:
        found = (reader.choice(item, what, options) for item in reader.items(node))
        return tuple(one for one in found if one is not None)

    return read


def size(reader: Reader, node: Node) -> int | None:
    """Read a size such as 1MB, in bytes; at least one."""
    if found := _match(node, _SIZE):
        count = int(float(found[1]) * _BYTES[found[2]])
        if count >= 1:
            return count
    reader.unexpected(node, "a size such as 1MB (units B, kB, MB, KiB, MiB)")
    return None


def count(reader: Reader, node: Node) -> int | None:
    """Read a number of things, at least one."""
    text = reader.identifier(node, "a number")
    if text is None or re.fullmatch("[1-9][0-9]{0,5}", text):
        return None if text is None else int(text)
    reader.error(node, f"expected a number from 1 to 999999, found {quoted(text)}")
    return None


def duration(reader: Reader, node: Node) -> float | None:
    """Read a duration such as 90s, in seconds; more than zero, and a year has 365 days."""
    if _match(node, _DURATION) and (time := seconds(node.value)) is not None:
        return time
    reader.unexpected(node, "a duration such as 90s (units ms, s, m, h, d, y)")
    return None


def seconds(text: str) -> float | None:
    """Return a duration such as 90s in seconds; None for what is none, and for one of no time at all."""
    found = _DURATION.fullmatch(text)
    return (float(found[1]) * _SECONDS[found[2]] or None) if found else None


def moment(reader: Reader, node: Node) -> datetime | None:
    """Read a time with its offset from UTC."""
    found = _match(node, _TIME)
    if found is None or (time := _iso(datetime, found[0])) is None:
        reader.unexpected(node, "a time such as 2026-12-01T06:00:00+01:00")
        return None
    if found[1] is None:
        text = "needs an offset, as +01:00: without one nobody can tell which hour is meant when summer time ends"
        reader.error(node, f"{quoted(found[0])} {text}")
        return None
    return time


def day(reader: Reader, node: Node) -> date | None:
    """Read a date."""
    found = _match(node, _DATE)
    read = _iso(date, found[0]) if found else None
    if read is None:
        reader.unexpected(node, "a date such as 2027-12-31")
    return read


def percent(reader: Reader, node: Node) -> float | None:
    """Read a part of a whole such as 25%, as a number up to 1; more than zero."""
    if (found := _match(node, _PERCENT)) and 0 < (part := float(found[1]) / 100) <= 1:
        return part
    reader.unexpected(node, "a part such as 25%, more than 0% and at most 100%")
    return None


def rate(reader: Reader, node: Node) -> Rate | None:
    """Read a rate such as 50/s; at least one."""
    if (found := _match(node, _RATE)) and (count := int(found[1])) >= 1:
        return Rate(count, _SECONDS[found[2]])
    reader.unexpected(node, "a rate such as 50/s (per s, m or h)")
    return None


def byte_rate(reader: Reader, node: Node) -> Rate | None:
    """Read how many bytes in a time, such as 2MB/s; at least one."""
    if (found := _match(node, _BYTE_RATE)) and (count := int(float(found[1]) * _BYTES[found[2]])) >= 1:
        return Rate(count, _SECONDS[found[3]])
    reader.unexpected(node, "bytes in a time such as 2MB/s (units B, kB, MB, KiB, MiB; per s, m or h)")
    return None


def address(reader: Reader, node: Node) -> Address | None:
    """Read HOST:PORT; the brackets of an IPv6 address are taken off."""
    if (found := _match(node, _ADDRESS)) and (port := int(found[3])) <= 65535:
        return Address(found[1] or found[2], port)
    reader.unexpected(node, "HOST:PORT such as 127.0.0.1:8080")
    return None


def network(reader: Reader, node: Node) -> Network | None:
    """Read an IP address, or a network of them; all there are is none."""
    text = reader.text(node)
    try:
        found = ip_network(text or "")
    except ValueError:
        found = None
    if found is not None and found.prefixlen:
        return found
    if text is not None:
        reader.unexpected(node, "an IP address, or a network such as 10.0.0.0/28")
    return None


def networks(reader: Reader, node: Node) -> tuple[Network, ...]:
    """Read a list of addresses or networks."""
    return tuple(found for item in reader.items(node) if (found := network(reader, item)) is not None)


def ledger_url(reader: Reader, node: Node) -> str | None:
    """Read the URL of a ledger: a SQLite file, or a PostgreSQL server."""
    text = reader.text(node)
    if text is None or text.startswith(("sqlite:///", "postgresql://")):
        return text
    reader.error(node, "expected sqlite:///FILE or postgresql://...")
    return None


def host(reader: Reader, node: Node) -> str | None:
    """Read a name to send as Host, with or without a port."""
    if found := _match(node, _HOST):
        return found[0]
    reader.unexpected(node, '"pass" or a host name')
    return None


def issuer(reader: Reader, node: Node) -> str | None:
    """Read the token service's URL exactly as tokens have it; a path is allowed."""
    return _url(reader, node)[0]


def public_url(reader: Reader, node: Node) -> str | None:
    """Read the URL that senders call; a path that is taken off on the way is part of it, a final slash is not."""
    text = None if is_unused(node) else _url(reader, node)[0]
    return text.rstrip("/") if text else None


def origin(reader: Reader, node: Node) -> str | None:
    """Read a server's URL: scheme, host and port, without a path; a final slash is taken off."""
    text, parts = _url(reader, node)
    if text is None or parts is None:
        return None
    if parts.path not in {"", "/"}:
        reader.error(node, f"{quoted(text)} may not have a path: the gateway sets the path of every request")
        return None
    return text.rstrip("/")


def key_source(reader: Reader, node: Node) -> str | None:
    """Read a path or ${ENV_NAME}, kept as text."""
    text = reader.text(node)
    if text is not None and "${" in text and not _ENV.fullmatch(text):
        reader.error(node, "expected a path, or ${ENV_NAME} alone")
        return None
    return text


def orgnr(reader: Reader, node: Node) -> str | None:
    """Read nine digits; a wrong check digit is a warning, because test numbers of NHN have one."""
    text = reader.identifier(node)
    if text is None:
        return None
    if not re.fullmatch("[0-9]{9}", text):
        reader.error(node, f"expected an organisation number of nine digits, found {quoted(text)}")
        return None
    if not has_check_digit(text):
        reader.warn(node, f"the organisation number {text} has a wrong check digit")
    return text


def has_check_digit(number: str) -> bool:
    """Tell whether the ninth digit of an organisation number follows from the others (modulus 11)."""
    total = sum(weight * int(digit) for weight, digit in zip(_ORGNR_WEIGHTS, number, strict=False))
    return int(number[8]) == (11 - total % 11) % 11


def is_loopback(name: str) -> bool:
    """Tell whether a host is this machine itself: 127.0.0.0/8, ::1 or localhost."""
    if name.lower() == "localhost":
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def _url(reader: Reader, node: Node) -> tuple[str | None, SplitResult | None]:
    text = reader.text(node)
    if text is None:
        return None, None
    try:
        parts = urlsplit(text)
        trouble = _url_trouble(text, parts)
    except ValueError:
        trouble = "not a URL such as https://host:port"
    if trouble:
        reader.error(node, trouble)
        return None, None
    return text, parts


def _url_trouble(text: str, parts: SplitResult) -> str | None:
    """Say what is wrong with a URL; a password is never quoted."""
    if parts.username is not None or parts.password is not None:
        return "the URL may not hold a user name or password"
    shown = quoted(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        return f"{shown} is not a URL such as https://host:port"
    if "?" in text or "#" in text:
        return f"{shown} may not have a query or fragment"
    if not _HOST.fullmatch(parts.netloc) or not re.fullmatch(r"[!-~]+", text):
        return f"{shown} is not a URL such as https://host:port"
    if parts.port == 0:
        return f"{shown} may not have port 0"
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        return f"{shown} must be https: only loopback may be http"
    return None


def _iso(kind: type[D], text: str) -> D | None:
    try:
        return kind.fromisoformat(text)
    except ValueError:
        return None


def _match(node: Node, pattern: re.Pattern[str]) -> re.Match[str] | None:
    return pattern.fullmatch(node.value) if node.tag in {STR, INT, FLOAT} else None

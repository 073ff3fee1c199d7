"""The fields of a route beside its cells and its mode: which say something with a mode, and how people write their values; pure.

The wizard for cutovers and the form for overrides have the same; route_fields.html draws them.
"""

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from gateway.config.model import Config
from gateway.config.route_keys import POLICY_KEYS
from gateway.model import Mode
from gateway.routing.route import KINDS, WORDS, Policies, ValueKind, line_of

DECIMAL = re.compile(r"[0-9]{1,6}(?:[.,][0-9]{1,6})?")
_PERCENT = re.compile(rf"({DECIMAL.pattern}) ?%?")
_SPAN = re.compile(r"([0-9]{1,9}(?:[.,][0-9]{1,6})?) ?(s|min|t|h|d|d\u00f8gn)?")
_UNITS = {"s": 1, "min": 60, "t": 3600, "h": 3600, "d": 86_400, "d\u00f8gn": 86_400, None: 3600}
"""Seconds of each; what has no unit is hours."""
_USUAL = Policies()
SENDERS = ("always", "never")
"""Lists of senders, which are ticked and not written."""
_ORDER = ("share", "always", "never", "sample", "on_outage", "unclear", "answer", "acknowledge_within")
"""What people decide about first."""
NAMES = ("text", *_ORDER, *(name for name in KINDS if name not in _ORDER))
"""Every field; `text` is what a closed route tells the sender."""


def modes_of(name: str) -> tuple[str, ...]:
    """Return the modes with which a field says something."""
    return (Mode.CLOSED.value,) if name == "text" else tuple(each.value for each in POLICY_KEYS[name].modes)


def fields_of(mode: str) -> tuple[str, ...]:
    """Return the fields of a mode."""
    return tuple(name for name in NAMES if mode in modes_of(name))


def senders(config: Config, municipality: str = "") -> list[tuple[str, str]]:
    """Return the senders that may be ticked, with what they are called: those that serve a municipality, where one is chosen."""
    serving = [one for one in config.senders if not municipality or one.serves(municipality)]
    names = {key: vendor.name for key, vendor in config.vendors.items()}
    return [(one.key, f"{one.key} ({names[one.vendor]})") for one in sorted(serving, key=lambda one: one.key)]


def shown(name: str, value: Any) -> tuple[str, ...]:
    """Return a value as its field has it; nothing of None, and of what is usual."""
    if value is None or value == getattr(_USUAL, name, None):
        return ()
    match KINDS.get(name):
        case ValueKind.PART:
            return (hundredths(value),)
        case ValueKind.SECONDS:
            hours = number(value / 3600)
            return (hours if _seconds(hours) == value else f"{number(value)} s",)
        case ValueKind.LIST | ValueKind.ENTRIES:
            return tuple(value) if name in SENDERS else ("\n".join(map(line_of, value)),)
        case ValueKind.FLAG:
            return ("yes",) if value else ()
        case _:
            return (str(value),)


def wrong(name: str, given: Sequence[str]) -> str:
    """Return the key of the text that says what is wrong with a field; empty where nothing is."""
    value, kind = next(iter(given), "").strip(), KINDS.get(name)
    if not value:
        return ""
    if kind is ValueKind.PART and not (_PERCENT.fullmatch(value) and 0 < part(value) <= 1):
        return "wrong_part"
    if kind is ValueKind.SECONDS and not _SPAN.fullmatch(value):
        return "wrong_hours"
    return "wrong_choice" if kind is ValueKind.WORD and value not in WORDS[name] else ""


def meant(name: str, given: Sequence[str]) -> Any:
    """Return the value of a field with which nothing is wrong: parts of 1, seconds, lists, words; None where it is empty, or as usual."""
    kind, value = KINDS.get(name), next(iter(given), "").strip()
    if kind in (ValueKind.LIST, ValueKind.ENTRIES):
        return tuple(filter(None, (line.strip() for each in given for line in each.splitlines()))) or None
    if not value:
        return None
    match kind:
        case ValueKind.PART:
            return part(value)
        case ValueKind.SECONDS:
            return _seconds(value)
        case ValueKind.FLAG:
            return True
        case ValueKind.WORD:
            # Of words one is always chosen.
            return None if value == getattr(_USUAL, name) else value
        case _:
            return value


def hundredths(value: float) -> str:
    """Return a part of 1 in hundredths, as people write it."""
    return number(Decimal(repr(value)) * 100)


def part(text: str) -> float:
    """Return hundredths as a part of 1, without what binary numbers add."""
    return float(Decimal(text.rstrip(" %").replace(",", ".")) / 100)


def _seconds(text: str) -> float:
    found = _SPAN.fullmatch(text)
    return float(Decimal(found[1].replace(",", ".")) * _UNITS[found[2]]) if found else 0.0


def number(value: float | Decimal) -> str:
    """Return a number as people write it."""
    return f"{value:.6f}".rstrip("0").rstrip(".").replace(".", ",")

"""Norwegian national identity numbers: which kind a number is, by its form and check digits alone.

Sources: Skatteetaten on fødselsnummer and D-nummer and "Nytt fødselsnummer 2032" (the first check digit then accepts four
remainders), NHN on felles hjelpenummer (first digit 8 or 9), on its own synthetic series (month + 65) and Skatteetaten on
Tenor's (month + 80). Sex and age are never derived.
"""

from enum import StrEnum
from operator import mul

_WEIGHTS_1 = (3, 7, 6, 1, 8, 9, 4, 5, 2, 1)
_WEIGHTS_2 = (5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1)
_REMAINDERS_1 = (0, 1, 2, 3)
_VALUES = bytes(max(0, byte - ord("0")) for byte in range(256))
"""Of each digit as a character."""
_LEAP_DAY = 29
_DAYS = (31, _LEAP_DAY, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


class Kind(StrEnum):
    """What the form of a number tells; a D-number (day + 40) is of the kind that its month says."""

    ORDINARY = "ordinary"
    FH = "fh"
    PLUS_40 = "plus-40"
    """H-number of a hospital, or a synthetic number of NAV."""
    PLUS_65 = "plus-65"
    """Synthetic, NHN."""
    PLUS_80 = "plus-80"
    """Synthetic, Skatteetaten (Tenor)."""


TEST_KINDS = frozenset({Kind.PLUS_40, Kind.PLUS_65, Kind.PLUS_80})
"""JFT's test environment takes synthetic numbers alone (NHN's page of 2026-01-05)."""
PRODUCTION_KINDS = frozenset({Kind.ORDINARY})
"""Production takes real numbers alone: ordinary ones and D-numbers, as hospitals' own are nobody's national number."""


def kind_of(number: str) -> Kind | None:
    """Return the kind of an eleven-digit number, or None when form, date or check digits are wrong."""
    if len(number) != 11 or not (number.isascii() and number.isdigit()):
        return None
    digits = number.encode().translate(_VALUES)
    if sum(map(mul, _WEIGHTS_1, digits)) % 11 not in _REMAINDERS_1:
        return None
    if sum(map(mul, _WEIGHTS_2, digits)) % 11:
        return None
    if number[0] in "89":
        return Kind.FH
    return _kind_by_date(int(number[0:2]), int(number[2:4]), int(number[4:6]))


def _kind_by_date(day: int, month: int, year: int) -> Kind | None:
    """Return the series of a date; a year of two digits may be a leap year in one century or another where four divides it."""
    born = day - 40 if day > 40 else day
    for kind, added in ((Kind.ORDINARY, 0), (Kind.PLUS_40, 40), (Kind.PLUS_65, 65), (Kind.PLUS_80, 80)):
        if 1 <= month - added <= 12:
            longest = _DAYS[month - added - 1]
            last = longest - 1 if longest == _LEAP_DAY and year % 4 else longest
            return kind if 1 <= born <= last else None
    return None

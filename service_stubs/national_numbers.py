"""Norwegian national numbers: check digits and whether a number is synthetic."""

import enum
import re
from datetime import date

FNR = "urn:oid:2.16.578.1.12.4.1.4.1"
DNR = "urn:oid:2.16.578.1.12.4.1.4.2"
FHN = "urn:oid:2.16.578.1.12.4.1.4.3"
SYSTEMS = frozenset({FNR, DNR, FHN})

_FIRST_WEIGHTS = (3, 7, 6, 1, 8, 9, 4, 5, 2, 1)
_SECOND_WEIGHTS = (5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1)
_FIRST_REMAINDERS = (0, 1, 2, 3)
_SYNTHETIC_MONTH_OFFSETS = (40, 65, 80)
_ELEVEN_DIGITS = re.compile(r"[0-9]{11}")


class Kind(enum.Enum):
    """The population a national number belongs to."""

    REAL = "real"
    SYNTHETIC = "synthetic"


def has_valid_check_digits(number: str) -> bool:
    """Tell whether `number` is eleven digits that pass modulus 11.

    The first check digit accepts remainders 0 to 3: Skatteetaten, "Nytt fødselsnummer 2032".
    """
    if not _ELEVEN_DIGITS.fullmatch(number):
        return False
    return _remainder(number, _FIRST_WEIGHTS) in _FIRST_REMAINDERS and _remainder(number, _SECOND_WEIGHTS) == 0


def kind_of(number: str) -> Kind | None:
    """Return the kind of a fødselsnummer or D-nummer, None if it is neither.

    Synthetic series add to the month: 80 Skatteetaten (Tenor), 65 NHN (SyntPop), 40 NAV. A D-nummer adds 40 to the day.
    """
    if not has_valid_check_digits(number):
        return None
    day, month = int(number[:2]), int(number[2:4])
    if not (1 <= day <= 31 or 41 <= day <= 71):
        return None
    if 1 <= month <= 12:
        return Kind.REAL
    if any(1 <= month - offset <= 12 for offset in _SYNTHETIC_MONTH_OFFSETS):
        return Kind.SYNTHETIC
    return None


def complete(nine_digits: str) -> str:
    """Append the two check digits, or raise ValueError if these nine digits have none."""
    for first in "0123456789":
        if _remainder(nine_digits + first, _FIRST_WEIGHTS) == 0:
            for second in "0123456789":
                if _remainder(nine_digits + first + second, _SECOND_WEIGHTS) == 0:
                    return nine_digits + first + second
    raise ValueError("these nine digits have no check digits")


def number_for(born: date, serial: int, month_offset: int = 80) -> str:
    """Make the first national number at or after `serial` for a birth date; synthetic unless the offset is 0."""
    day_month_year = f"{born.day:02d}{born.month + month_offset:02d}{born.year % 100:02d}"
    for candidate in range(serial, 1000):
        try:
            return complete(f"{day_month_year}{candidate:03d}")
        except ValueError:
            continue
    raise ValueError("no serial number left")


def _remainder(number: str, weights: tuple[int, ...]) -> int:
    return sum(int(digit) * weight for digit, weight in zip(number, weights, strict=False)) % 11

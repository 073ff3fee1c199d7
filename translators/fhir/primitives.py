"""What a value of each primitive type of FHIR R4 looks like (hl7.org/fhir/R4/datatypes.html), and is called when it does not.

The expressions are HL7's own, but that a day is one of its month, that `urn:uuid:` and `urn:oid:` are followed by one (RFC
4122, in small letters, and RFC 3061), and that a canonical URL is absolute or a fragment.
"""

import binascii
import re
from collections.abc import Callable, Mapping
from typing import Final

_YEAR = r"(?!0000)[0-9]{4}"
_DAY = (
    r"(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-9])"
)
_TIME = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:(?:[0-5][0-9]|60)(?:\.[0-9]+)?"
_ZONE = r"(?:Z|[+-](?:(?:0[0-9]|1[0-3]):[0-5][0-9]|14:00))"

_DATE = re.compile(rf"{_YEAR}(?:-(?:{_DAY}|0[1-9]|1[0-2]))?")
_DATE_TIME = re.compile(rf"{_YEAR}(?:-(?:(?:{_DAY})(?:T{_TIME}{_ZONE})?|0[1-9]|1[0-2]))?")
_INSTANT = re.compile(rf"{_YEAR}-(?:{_DAY})T{_TIME}{_ZONE}")
_LEAP_DAY = "-02-29"

_UUID_FORM = r"urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_OID_FORM = r"urn:oid:[0-2](?:\.(?:0|[1-9][0-9]*))+"
_NAMED = rf"{_UUID_FORM}|{_OID_FORM}"
is_uri = re.compile(rf"{_NAMED}|(?!urn:(?:uuid|oid):)\S+").fullmatch
"""Whether this is a `uri`: no blanks, and what it says that it is where it is a UUID or OID."""
is_absolute = re.compile(rf"{_NAMED}|(?!urn:(?:uuid|oid):)[A-Za-z][A-Za-z0-9+.-]*:\S+").fullmatch
"""Whether this is a `uri` with a scheme, which needs no base (RFC 3986)."""
is_canonical = re.compile(rf"{_NAMED}|(?!urn:(?:uuid|oid):)(?:[A-Za-z][A-Za-z0-9+.-]*:|#)\S+").fullmatch
"""Whether this is a `canonical`: an absolute URI, perhaps with a version, or a fragment of the resource."""
_LARGEST_INTEGER = 2**31 - 1

Matcher = Callable[[str], object]
"""Returns something true for a value that is right."""


def is_date(text: str) -> bool:
    """Whether this is a `date`: a year, a month of it or a day of that."""
    return _DATE.fullmatch(text) is not None and (_LEAP_DAY not in text or _is_leap(text))


def is_date_time(text: str) -> bool:
    """Whether this is a `dateTime`: a date, or a time with its offset on a day."""
    return _DATE_TIME.fullmatch(text) is not None and (_LEAP_DAY not in text or _is_leap(text))


def is_instant(text: str) -> bool:
    """Whether this is an `instant`: a day, a time to the second at least, and its offset."""
    return _INSTANT.fullmatch(text) is not None and (_LEAP_DAY not in text or _is_leap(text))


def is_base64(text: str) -> bool:
    """Whether this is base64 (RFC 4648) with any blanks, and holds something."""
    try:
        return bool(binascii.a2b_base64("".join(text.split()), strict_mode=True))
    except ValueError:
        return False


def _is_leap(text: str) -> bool:
    year = int(text[:4])
    return text[4:10] != _LEAP_DAY or (year % 4 == 0 and (year % 100 != 0 or year % 400 == 0))


def _is_integer(text: str, lowest: int) -> bool:
    return len(text) <= 11 and lowest <= int(text) <= _LARGEST_INTEGER


def _is_int(text: str) -> bool:
    return _INTEGER.fullmatch(text) is not None and _is_integer(text, -_LARGEST_INTEGER - 1)


def _is_unsigned(text: str) -> bool:
    return _UNSIGNED.fullmatch(text) is not None and _is_integer(text, 0)


def _is_positive(text: str) -> bool:
    return _UNSIGNED.fullmatch(text) is not None and _is_integer(text, 1)


_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]*)")
_UNSIGNED = re.compile(r"0|[1-9][0-9]*")

TEXTS: Final[Mapping[str, Matcher]] = {
    "base64Binary": is_base64,
    "canonical": is_canonical,
    "code": re.compile(r"\S+(?: \S+)*").fullmatch,
    "date": is_date,
    "dateTime": is_date_time,
    "id": re.compile(r"[A-Za-z0-9.-]{1,64}").fullmatch,
    "instant": is_instant,
    "oid": re.compile(_OID_FORM).fullmatch,
    "time": re.compile(_TIME).fullmatch,
    "uri": is_uri,
    "url": is_uri,
    "uuid": re.compile(_UUID_FORM).fullmatch,
}
"""What the primitives that JSON writes as texts are held to; `string`, `markdown` and `xhtml` are texts of any kind."""
NUMBERS: Final[Mapping[str, Matcher]] = {
    "decimal": re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?").fullmatch,
    "integer": _is_int,
    "positiveInt": _is_positive,
    "unsignedInt": _is_unsigned,
}
"""Likewise those that JSON writes as numbers, by their digits."""
FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
"""Characters that no text of XML may hold (XML 1.0, section 2.2), and so none of FHIR's."""

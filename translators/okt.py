"""OKT (oversikt kommunale tjenester): its answer about one person, as the prototype v0.3.0 documents it.

All that is known of OKT's JSON stands here. It is read strictly: an element that is not documented, or of another type, refuses
the whole answer by its path, since a service that is only half understood must not be told of. Empty texts and null are absent.
Source: NHN, OKT prototype (OktEvent, OktMessage), and HL7 Norway's FHIR-hackathon-2025-okt-ig.
"""

import re
from typing import NoReturn

from translators.contract import Number, Reason, Refused, Tree
from translators.fhir.json_codec import decode
from translators.fhir.primitives import is_date
from translators.places import printable_name
from translators.services import Extent, Service

MOST_SERVICES = 500
"""Far more than any person has."""
_LONGEST = 10_000
"""Characters of a text."""
_EVENT = frozenset({"personIdentifier", "oktMessages"})
_CODE = frozenset({"iplosCodeValue", "iplosCodeLevel", "iplosParentCode", "iplosCodeDescription"})
_MESSAGE = frozenset(
    {"startDate", "endDate", "iplosCode", "needsCaption", "serviceDescription", "serviceLevel", "stayType"}
    | {"temporaryCessation", "weeklyExtent"}
)
_STATUS = frozenset({"personIdentifier", "oktStatus"})
_IPLOS_CODE = re.compile(r"0*([1-9][0-9]?)", re.ASCII)
_CONTROL = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_HOURS = r"(?P<hours>[0-9]{1,4}(?:[.,][0-9]{1,3})?)\s*(?:timer|time|t|h)\.?"
_MINUTES = r"(?P<minutes>[0-9]{1,5}(?:[.,][0-9]{1,3})?)\s*(?:minutter|minutt|min|m)\.?"
_EXTENTS = tuple(re.compile(rf"\s*{one}\s*", re.ASCII | re.IGNORECASE) for one in (_HOURS, _MINUTES))
_HOURS_AND_MINUTES = re.compile(
    r"\s*([0-9]{1,4})\s*(?:timer|time|t|h)\.?(?:\s+og)?\s*([0-9]{1,5})\s*(?:minutter|minutt|min|m)\.?\s*",
    re.ASCII | re.IGNORECASE,
)


def services_of(body: bytes, number: str) -> tuple[Service, ...]:
    """Return the services that an OktEvent tells of the person with this national number.

    Raises `Refused`, with a path and no value, for anything that is not an OktEvent about that person.
    """
    event = _fields(decode(body), "OktEvent", _EVENT)
    _check_person(event, "OktEvent", number)
    messages = event.get("oktMessages")
    if not isinstance(messages, list) or len(messages) > MOST_SERVICES:
        _refuse("OktEvent.oktMessages", f"a list of at most {MOST_SERVICES} is expected")
    return tuple(_service(one, f"OktEvent.oktMessages[{index}]") for index, one in enumerate(messages))


def active_services(body: bytes, number: str) -> int:
    """Return how many active services an OktStatus tells of; 0 means none, or a person that OKT does not know.

    Raises `Refused` as `services_of` does.
    """
    status = _fields(decode(body), "OktStatus", _STATUS)
    _check_person(status, "OktStatus", number)
    count = status.get("oktStatus")
    if not isinstance(count, Number) or not count.text.isdigit():
        _refuse("OktStatus.oktStatus", "a number of services is expected")
    return int(count.text[:9])


def _service(tree: Tree, path: str) -> Service:
    fields = _fields(tree, path, _MESSAGE)
    code = _fields(fields.get("iplosCode"), f"{path}.iplosCode", _CODE)
    value = _text(code, "iplosCodeValue", f"{path}.iplosCode") or ""
    found = _IPLOS_CODE.fullmatch(value.strip())
    if found is None:
        _refuse(f"{path}.iplosCode.iplosCodeValue", "a code of IPLOS is expected, a number of at most two digits")
    for name in ("iplosCodeLevel", "iplosParentCode"):
        # What the code says already, of its place among the others.
        _text(code, name, f"{path}.iplosCode")
    start, end = _date(fields, "startDate", path), _date(fields, "endDate", path)
    if start is None:
        _refuse(f"{path}.startDate", "a date is expected")
    if end is not None and end < start:
        _refuse(f"{path}.endDate", "the service ends before it begins")
    extent = _text(fields, "weeklyExtent", path)
    return Service(
        iplos=int(found[1]),
        name=_text(code, "iplosCodeDescription", f"{path}.iplosCode"),
        start=start,
        end=end,
        ceased=_flag(fields, "temporaryCessation", path),
        place=_text(fields, "serviceLevel", path),
        description=_text(fields, "serviceDescription", path),
        stay=_text(fields, "stayType", path),
        extent=extent_of(extent) if extent is not None else None,
        needs_caption=_flag(fields, "needsCaption", path),
    )


def extent_of(text: str) -> Extent:
    """Read a weekly extent, as `15 timer`, `1,5 timer`, `15 minutter` or `1 time 30 minutter`; any other is kept as text alone."""
    if (both := _HOURS_AND_MINUTES.fullmatch(text)) is not None:
        return Extent(text, str(int(both[1]) * 60 + int(both[2])), "min")
    for pattern, unit in zip(_EXTENTS, ("h", "min"), strict=True):
        if (found := pattern.fullmatch(text)) is not None:
            whole, _, part = found[1].replace(",", ".").partition(".")
            return Extent(text, whole.lstrip("0") or "0" if not part else f"{whole.lstrip('0') or '0'}.{part}", unit)
    return Extent(text)


def _check_person(fields: dict[str, Tree], path: str, number: str) -> None:
    if fields.get("personIdentifier") != number:
        _refuse(f"{path}.personIdentifier", "another person than was asked about")


def _fields(tree: Tree, path: str, known: frozenset[str]) -> dict[str, Tree]:
    if not isinstance(tree, dict):
        _refuse(path, "an object is expected")
    for name in tree:
        if name not in known:
            _refuse(f"{path}.{printable_name(name)}", "not documented")
    return tree


def _text(fields: dict[str, Tree], name: str, path: str) -> str | None:
    value = fields.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or len(value) > _LONGEST or _CONTROL.search(value):
        _refuse(f"{path}.{name}", f"a text of at most {_LONGEST} characters is expected")
    return value if value.strip() else None


def _date(fields: dict[str, Tree], name: str, path: str) -> str | None:
    text = _text(fields, name, path)
    if text is None:
        return None
    if len(text) != len("YYYY-MM-DD") or not is_date(text):
        _refuse(f"{path}.{name}", "a date (YYYY-MM-DD) is expected")
    return text


def _flag(fields: dict[str, Tree], name: str, path: str) -> bool:
    value = fields.get(name)
    is_absent = value is None or (isinstance(value, str) and not value.strip())
    if not is_absent and not isinstance(value, bool):
        _refuse(f"{path}.{name}", "true or false is expected")
    return value is True


def _refuse(path: str, text: str) -> NoReturn:
    raise Refused(Reason.FORMAT, text, path)

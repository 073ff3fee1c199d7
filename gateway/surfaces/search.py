"""What a retrieval asks for, alike on every surface, and how strictly its parameters are read.

A parameter that were left out silently would be a filter that is not applied, and so show other patients' data: what is not
known is refused by its name. No value is ever repeated.
"""

import re
from collections.abc import Collection, Sequence
from datetime import date, datetime
from urllib.parse import unquote_to_bytes

from msgspec import Struct

from gateway.errors import Failure, Fault
from gateway.model import Information, RequestHead
from translators.contract import Tree
from translators.fhir.corrections import corrected
from translators.fhir.invariants import objects


class PatientKey(Struct, frozen=True):
    """Whom a search is about; never shown."""

    system: str | None
    """None: bare, taken to be a national number."""
    value: str

    def __repr__(self) -> str:
        """Show nothing that may identify a patient."""
        return "PatientKey(...)"


class DateBound(Struct, frozen=True):
    """One end of the time that a search is about."""

    prefix: str
    """`ge` or `le`."""
    instant: str
    """As the sender wrote it."""


class Search(Struct, frozen=True, kw_only=True):
    """One retrieval: a search, or in STU3 also a read of one resource by its id."""

    kind: str
    """The FHIR type that is asked for."""
    information: Information
    patient: PatientKey | None = None
    """None: every patient with a service behind the service codes, a list search."""
    service_codes: tuple[str, ...] = ()
    """In upper case."""
    dates: tuple[DateBound, ...] = ()
    id: str | None = None
    """STU3: of the one resource that is read."""
    name: str | None = None
    """STU3: a part of the patient's name."""
    types: tuple[str, ...] = ()
    """STU3: types of the resource, `system|code` or a bare code; what names a service is in `service_codes`."""
    categories: tuple[str, ...] = ()
    """STU3: likewise."""

    def __repr__(self) -> str:
        """Show nothing that may identify a patient."""
        return f"Search({self.kind}, {self.information}, {','.join(self.service_codes)})"


Parameters = dict[str, list[str]]
"""The values of each parameter, in their order."""

MOST_BYTES = 16 * 1024
"""Of a form: a search has a handful of parameters."""
UNUSABLE = "Journalsystemet ga et svar som ikke kan brukes, prøv igjen senere"
"""What a sender is told where a record system's answer is not what its contract says."""
API_KEY = "subscription-key"
"""What older clients of VKP have in their URLs: it is no parameter of a search, and nobody looks at it."""
_NAME = re.compile(r"[A-Za-z_$][A-Za-z_$.:-]{0,63}")
_FORM = re.compile(rb"(?:[!-$&-<>-~]|[ \t]|%[0-9A-Fa-f]{2})*")
_CODE = re.compile(r"[A-Z0-9]{1,16}")
_DATE = re.compile(r"[0-9]{4}(?:-[0-9]{2}(?:-[0-9]{2})?)?")
_INSTANT = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})T([0-9]{2}:[0-9]{2}(?::[0-9]{2})?)(?:\.[0-9]{1,9})?(Z|[+ -][0-9]{2}:[0-9]{2})?"
)
_PREFIXES = ("ge", "le")


def parameters(head: RequestHead, body: bytes) -> Parameters:
    """Return what a search names in its query and, of a POST, in its form; raises `Failure` for what is neither.

    Content-Type is not looked at: senders write anything there.
    """
    if head.method not in {"GET", "POST"}:
        raise Failure(Fault.BAD_REQUEST, "A search is sent with GET or POST")
    query = head.target.partition("?")[2].partition("#")[0].encode("utf-8", "surrogateescape")
    found: Parameters = {}
    for text, what in ((query, "query"), (body.strip(), "body")):
        for name, value in _pairs(text, what):
            if name != API_KEY:
                found.setdefault(name, []).append(value)
    return found


def _pairs(text: bytes, what: str) -> list[tuple[str, str]]:
    pairs = []
    for part in text.split(b"&") if text else ():
        written, separator, value = part.partition(b"=")
        if not part:
            continue
        name = _decoded(written)
        meaning = _decoded(value)
        if not separator or name is None or meaning is None or _NAME.fullmatch(name) is None:
            raise Failure(Fault.MALFORMED, f"The {what} is not a form (application/x-www-form-urlencoded)")
        pairs.append((name, meaning))
    return pairs


def _decoded(text: bytes) -> str | None:
    if _FORM.fullmatch(text) is None:
        return None
    try:
        return unquote_to_bytes(text.replace(b"+", b" ")).decode()
    except UnicodeDecodeError:
        return None


def only(found: Parameters, kind: str, names: Collection[str]) -> None:
    """Raise `Failure` for a parameter that the search has not, by its name, and for one of another kind twice than `date`."""
    for name, values in found.items():
        if name not in names:
            raise Failure(Fault.PARAMETERS, f"A search for {kind} has no parameter {name}")
        if len(values) > 1 and name != "date":
            raise Failure(Fault.PARAMETERS, f"The parameter {name} stands there more than once")


def patient_key(text: str, name: str) -> PatientKey:
    """Return whom a parameter names: a bare number, or one with its system; raises `Failure`."""
    system, separator, value = text.strip().rpartition("|")
    if "," in text:
        raise Failure(Fault.PARAMETERS, f"The parameter {name} names more than one patient")
    if not value.strip() or (separator and not system.strip()):
        raise Failure(Fault.PATIENT, f"The parameter {name} names no patient")
    older = corrected("Identifier", "system", system.strip())
    return PatientKey(older.value if older is not None else system.strip() or None, value.strip())


def date_bounds(values: Sequence[str]) -> tuple[DateBound, ...]:
    """Return the ends that `date` names, one of each prefix at most; raises `Failure`."""
    found: dict[str, DateBound] = {}
    for text in values:
        prefix, instant = text[:2], text[2:]
        if prefix not in _PREFIXES or not _is_date(instant):
            raise Failure(Fault.MALFORMED, "The parameter date is not ge or le with a date or time of FHIR")
        if prefix in found:
            raise Failure(Fault.PARAMETERS, f"The parameter date stands there more than once with {prefix}")
        # In a form a plus that is not escaped is read as a blank; nothing else can be meant there.
        found[prefix] = DateBound(prefix, instant.replace(" ", "+"))
    return tuple(found.values())


def _is_date(text: str) -> bool:
    try:
        if _DATE.fullmatch(text):
            date.fromisoformat(f"{text}-01-01"[:10])
            return True
        if found := _INSTANT.fullmatch(text):
            datetime.fromisoformat(f"{found[1]}T{found[2]}{(found[3] or '').replace(' ', '+')}")
            return True
    except ValueError:
        return False
    return False


def service_codes(head: RequestHead) -> tuple[str, ...]:
    """Return what the field ServiceCodes names, in upper case; nothing where it is missing. Raises `Failure`."""
    named = b",".join(head.values(b"servicecodes")).decode("latin-1").upper().split(",")
    codes = tuple(dict.fromkeys(code for each in named if (code := each.strip())))
    if not all(_CODE.fullmatch(code) for code in codes):
        raise Failure(Fault.NO_NEED, "ServiceCodes is not a list of codes with commas between them")
    return codes


def is_called(patient: Tree, wanted: str) -> bool:
    """Whether a word of a name begins so, whatever its letter case (FHIR R4 and STU3, search.html#string)."""
    begins, parts = wanted.casefold(), list[Tree]()
    for name in objects(patient.get("name") if isinstance(patient, dict) else None):
        for part in ("text", "family", "given", "prefix", "suffix"):
            value = name.get(part)
            parts += value if isinstance(value, list) else [value]
    words = (word for part in parts if isinstance(part, str) for word in (part, *part.split()))
    return any(word.casefold().startswith(begins) for word in words)


def is_chosen(search: Search, resource: dict[str, Tree]) -> bool:
    """Whether a resource has the id and the name that a search asks for, for which VKP's R4 searches have no parameter."""
    if search.id is not None and resource.get("id") != search.id:
        return False
    return search.name is None or is_called(resource, search.name)

"""VKP's STU3 retrieval: searches and reads, and their answers in XML or JSON.

The parameters are those of VKP's CapabilityStatement of 2019. `type.text` names services as the field ServiceCodes does on the R4
interface; STU3 senders do not know that field, so nobody is refused for leaving it out.
"""

import re
from urllib.parse import parse_qs, unquote

from gateway.errors import Failure, Fault
from gateway.model import RequestHead
from gateway.surfaces.base import Form, Found, Operation
from gateway.surfaces.search import (
    UNUSABLE,
    Parameters,
    PatientKey,
    Search,
    date_bounds,
    is_chosen,
    only,
    parameters,
    patient_key,
    service_codes,
)
from gateway.surfaces.vkp_r4 import LISTS, searchset
from translators.contract import Reason, Refused, Tree
from translators.fhir.invariants import objects
from translators.fhir.shapes import EVERY_VALUE, shape_fault, without_nothing
from translators.note import LOINC
from translators.places import spelled
from translators.stu3.answers import expressed
from translators.stu3.composition import CLASSES

FORMAT = "_format"
"""In which form an answer is wanted (FHIR STU3, http.html#mime-type)."""
_PARAMETERS = {
    "Patient": ("identifier", "name"),
    "EpisodeOfCare": ("patient", "type.text", "type"),
    "CarePlan": ("patient", "subject", "date"),
    "Composition": ("subject", "type", "category", "date"),
}
_PATIENT = {
    "Patient": ("identifier",),
    "EpisodeOfCare": ("patient",),
    "CarePlan": ("patient", "subject"),
    "Composition": ("subject",),
}

_PARTS_OF_A_READ = 5
_ID = re.compile(r"[A-Za-z0-9.-]{1,64}", re.ASCII)
_LONGEST = 256
"""Characters of a name, or of a type."""
_EVERY_NOTE = ("11488-4", "34133-9")
"""The type that VKP's notes have in STU3, and the one that they have in R4; a plan of measures has its class there (`3`)."""


def search(head: RequestHead, body: bytes, operation: Operation) -> Search:
    """Return what a search or a read asks for; raises `Failure` for what VKP documents no meaning of."""
    kind, information, resource_id = operation.kind, operation.information, _id_of(head)
    if information is None:
        raise Failure(Fault.UNRECOGNISED, "No search is served at this address")
    named = parameters(head, body)
    _check_form(head, named)
    codes = service_codes(head)
    if resource_id is not None:
        only(named, f"one {kind}", (FORMAT,))
        return Search(kind=kind, information=information, service_codes=codes, id=resource_id)
    only(named, kind, (*_PARAMETERS[kind], FORMAT))
    patient = _patient(named, kind)
    if patient is None and kind not in LISTS:
        raise Failure(Fault.PARAMETERS, f"A search for {kind} needs the parameter {_PATIENT[kind][0]}")
    return Search(
        kind=kind,
        information=information,
        patient=patient,
        service_codes=_codes(named, codes) if kind == "EpisodeOfCare" else codes,
        dates=date_bounds([bound for text in named.get("date", ()) for bound in _bounds(text)]),
        name=_text(named, "name"),
        types=_tokens(named, "type") if kind == "Composition" else (),
        categories=_tokens(named, "category"),
    )


def _id_of(head: RequestHead) -> str | None:
    """Return the id that a read has as the last part of its path, in the letter case that it came with."""
    parts = [part for part in unquote(head.target.partition("?")[0].partition("#")[0]).split("/") if part]
    if len(parts) < _PARTS_OF_A_READ or parts[-1].lower() == "_search":
        return None
    if _ID.fullmatch(parts[-1]) is None:
        raise Failure(Fault.MALFORMED, "The path ends with no id of FHIR")
    return parts[-1]


def _check_form(head: RequestHead, named: Parameters) -> None:
    """Raise `Failure` where `_format` asks for a form that is none of VKP's two, or stands where an error could not follow it."""
    if FORMAT not in named:
        return
    if FORMAT not in parse_qs(head.target.partition("?")[2]):
        raise Failure(Fault.PARAMETERS, f"The parameter {FORMAT} belongs to the address")
    text = named[FORMAT][0].partition(";")[0].strip().lower().replace(" ", "+")
    if text.rpartition("/")[2].removeprefix("fhir+") not in ("json", "xml"):
        raise Failure(Fault.MALFORMED, f"The parameter {FORMAT} is neither xml nor json")


def form_of(head: RequestHead | None) -> Form:
    """Return in which form a retrieval is answered: as `_format` or Accept says, JSON where neither does."""
    if head is None:
        return Form.JSON
    asked = parse_qs(head.target.partition("?")[2]).get(FORMAT, [""])[0] or b",".join(head.values(b"accept")).decode(
        "latin-1"
    )
    first = asked.partition(",")[0].lower()
    return Form.XML if "xml" in first else Form.JSON


def answered(search: Search, resources: tuple[Found, ...]) -> dict[str, Tree]:
    """Return what answers a search: a searchset, or of a read the resource itself; raises `Failure`.

    What the inner language's searches have no parameter for is looked at here, so no filter is left out.
    """
    chosen = tuple(
        one for one in resources if one.resource.get("resourceType") != search.kind or _is_meant(search, one.resource)
    )
    told = tuple(one._replace(resource=_expressed(one.resource)) for one in chosen)
    if search.id is None:
        return searchset(search, told)
    found = next((one.resource for one in told if one.resource.get("resourceType") == search.kind), None)
    if found is None:
        raise Failure(Fault.UNRECOGNISED, "There is no such resource", text="Ressursen finnes ikke")
    return found


def _expressed(resource: dict[str, Tree]) -> dict[str, Tree]:
    """Return a resource as STU3 has it; raises `Failure`, of which that for what R4 does not have either may pass."""
    resource = without_nothing(resource)
    try:
        return expressed(resource)
    except Refused as refused:
        told = str(refused) if refused.reason is Reason.FORMAT else None
        if told is None and (fault := shape_fault(resource, EVERY_VALUE)) is not None:
            told = f"{spelled(resource, fault.path)}: {fault.text}"
        if told is not None:
            raise Failure(Fault.NO_ANSWER, f"The answer is no FHIR R4: {told}", text=UNUSABLE) from None
        raise Failure(Fault.NOT_SUPPORTED, f"The answer cannot be told in STU3: {refused}") from None


def _patient(named: Parameters, kind: str) -> PatientKey | None:
    given = [name for name in _PATIENT[kind] if name in named]
    if len(given) > 1:
        raise Failure(Fault.PARAMETERS, f"The parameters {' and '.join(given)} say the same")
    return patient_key(named[given[0]][0], given[0]) if given else None


def _codes(named: Parameters, header: tuple[str, ...]) -> tuple[str, ...]:
    """Return the services that `type.text` names, or `type`, as VKP's example has it; else those of the field."""
    given = [name for name in ("type.text", "type") if name in named]
    if len(given) > 1:
        raise Failure(Fault.PARAMETERS, "The parameters type.text and type say the same")
    if not given:
        return header
    codes = tuple(dict.fromkeys(code.strip().upper() for code in named[given[0]][0].split(",") if code.strip()))
    if not codes or not all(code.isalnum() and code.isascii() and len(code) <= 16 for code in codes):
        raise Failure(Fault.NO_NEED, f"The parameter {given[0]} is not a list of ServiceCodes with commas between them")
    if header and not set(codes) <= set(header):
        raise Failure(Fault.NO_NEED, f"The parameter {given[0]} names a service that the field ServiceCodes does not")
    return codes


def _bounds(text: str) -> tuple[str, ...]:
    """Return the two ends of a date without a prefix, which means all of it."""
    return (f"ge{text}", f"le{text}") if text[:1].isdigit() else (text,)


def _text(named: Parameters, name: str) -> str | None:
    if name not in named:
        return None
    text = named[name][0].strip()
    if not text or len(text) > _LONGEST:
        raise Failure(Fault.MALFORMED, f"The parameter {name} is empty or too long")
    return text


def _tokens(named: Parameters, name: str) -> tuple[str, ...]:
    text = _text(named, name)
    return tuple(one.strip() for one in text.split(",")) if text is not None else ()


def _is_meant(search: Search, resource: dict[str, Tree]) -> bool:
    if not is_chosen(search, resource):
        return False
    types = list(objects(resource.get("type")))
    classes = [*objects(resource.get("category")), *types]
    return _is_of_type(search.types, types) and (
        not search.categories or any(_has_code(classes, token) for token in search.categories)
    )


def _is_of_type(tokens: tuple[str, ...], types: list[dict[str, Tree]]) -> bool:
    """Tell whether a Composition is of one of these types; STU3's type of every note is none that R4's plans have."""
    if not tokens or any(_has_code(types, token) for token in tokens):
        return True
    codings = [coding for concept in types for coding in objects(concept.get("coding"))]
    is_of_loinc = any(coding.get("system") == LOINC and coding.get("code") not in _EVERY_NOTE for coding in codings)
    is_any_note = any(token.removeprefix(f"{LOINC}|") in _EVERY_NOTE for token in tokens)
    return is_any_note and not is_of_loinc


def _has_code(concepts: list[dict[str, Tree]], token: str) -> bool:
    system, separator, code = token.rpartition("|")
    for concept in concepts:
        for coding in objects(concept.get("coding")):
            same = not separator or _same_system(coding.get("system", ""), system)
            if same and (not code or coding.get("code") == code):
                return True
    return False


def _same_system(one: Tree, other: str) -> bool:
    """Tell whether two URLs name one code system: VKP's classes of notes kept their codes, which are written without one too."""
    is_class = isinstance(one, str) and (not one or one.startswith(CLASSES))
    return one == other or (is_class and other.startswith(CLASSES))

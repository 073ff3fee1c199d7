"""Elements of STU3 that R4 has inside another element, or in a list with others; what fits in none stays for an extension."""

from collections.abc import Callable
from typing import TypeAlias

from translators.contract import Made, Number, RepairedText, Tree
from translators.fhir.invariants import Fields, objects
from translators.fhir.stu3_to_r4 import CODE_OF_R4, TYPE_OF_R4
from translators.source import Cursor

Regrouping: TypeAlias = Callable[[Cursor, Fields, Fields], None]
"""Moves elements out of the second argument (of STU3, by their names there) into the third (of R4), and records repairs."""

_HL7 = "http://terminology.hl7.org/CodeSystem"
_COVERAGE_CLASS = f"{_HL7}/coverage-class"
_URIS = "urn:ietf:rfc:3986"
_ROLES = frozenset({"author", "editor", "reviewer", "endorser"})
_CLASSES = ("group", "subGroup", "plan", "subPlan", "class", "subClass")
_TOTALS = {"totalCost": "submitted", "totalBenefit": "benefit", "unallocDeductable": "unallocdeduct"}
_PERIODS = {"employmentImpacted": "employmentimpacted", "hospitalization": "hospitalized"}
_STATUSES = {"ONLINE": "available", "NEARLINE": "available", "OFFLINE": "registered"}


def _concept(system: str, code: str) -> Tree:
    return Made({"coding": [{"system": system, "code": code}]}, TYPE_OF_R4)


def _moved(at: Cursor, name: str) -> None:
    """Record that an element stands elsewhere, with something derived beside it."""
    place = at.at(name)
    if place is not None:
        place.repair(TYPE_OF_R4, stays=True)


def _append(result: Fields, name: str, item: Tree) -> None:
    held = result.setdefault(name, [])
    if isinstance(held, list):
        held.append(item)


def _contributor(at: Cursor, kept: Fields, result: Fields) -> None:
    """Take those whose name and addresses R4's one ContactDetail can hold."""
    others: list[Tree] = []
    for index, one in enumerate(objects(kept.get("contributor"))):
        detail, role = _detail(one), str(one.get("type"))
        if detail is None or role not in _ROLES:
            others.append(one)
            continue
        _append(result, role, detail)
        place = at.each("contributor")[index].at("type") if at.holds("contributor", list) else None
        if place is not None:
            place.repair(TYPE_OF_R4)
    leave(kept, "contributor", others)


def _detail(contributor: Fields) -> Fields | None:
    """Return a contributor as one ContactDetail; None where it says more than that can hold."""
    named: Fields = {"name": contributor["name"]} if "name" in contributor else {}
    contacts = list(objects(contributor.get("contact", [])))
    only: Fields = contacts[0] if contacts else {}
    if len(contacts) > 1 or "name" in only or not contributor.keys() <= {"type", "name", "contact"}:
        return None
    return named | only or None


def _coverage(at: Cursor, kept: Fields, result: Fields) -> None:
    group = _fields(kept, "grouping")
    for name in _CLASSES:
        title = f"{name}Display"
        if name in group and group.keys().isdisjoint({f"_{name}", f"_{title}"}):
            own: Fields = {"type": _concept(_COVERAGE_CLASS, name.lower()), "value": group.pop(name)}
            _moved(at.at("grouping") or at, name)
            _append(result, "class", own | ({"name": group.pop(title)} if title in group else {}))
    _drop_empty(kept, "grouping")
    if isinstance(kept.get("sequence"), str) and "_sequence" not in kept:
        own_type = _concept(_COVERAGE_CLASS, "sequence")
        _moved(at, "sequence")
        _append(result, "class", {"type": own_type, "value": kept.pop("sequence")})


def _claim(at: Cursor, kept: Fields, result: Fields) -> None:
    """Say periods and sums in R4's lists, where each has a category; an organization provides where nobody else does."""
    if "organization" in kept and "provider" not in result:
        result["provider"] = kept.pop("organization")
    used = [one.get("sequence") for one in objects(result.get("supportingInfo"))]
    last = max((int(one.text) for one in used if isinstance(one, Number) and one.text.isdigit()), default=0)
    for name, code in _PERIODS.items():
        if name in kept:
            last += 1
            _moved(at, name)
            number, category = Made(Number(str(last)), TYPE_OF_R4), _concept(f"{_HL7}/claiminformationcategory", code)
            info: Fields = {"sequence": number, "category": category, "timingPeriod": kept.pop(name)}
            _append(result, "supportingInfo", info)
    for name, code in _TOTALS.items():
        if name in kept:
            _moved(at, name)
            _append(result, "total", {"category": _concept(f"{_HL7}/adjudication", code), "amount": kept.pop(name)})


def _code_filter(_: Cursor, kept: Fields, result: Fields) -> None:
    codes = kept.get("valueCode")
    if isinstance(codes, list) and "_valueCode" not in kept:
        for code in codes:
            _append(result, "code", {"code": code})
        del kept["valueCode"]


def _imaging_study(at: Cursor, kept: Fields, result: Fields) -> None:
    if "uid" in kept and "_uid" not in kept:
        _append(result, "identifier", {"system": Made("urn:dicom:uid", TYPE_OF_R4), "value": kept.pop("uid")})
    if "accession" in kept:
        _append(result, "identifier", kept.pop("accession"))
    status = _STATUSES.get(str(at.text("availability")), "unknown")
    result["status"] = Made(status, TYPE_OF_R4)
    at.repair(TYPE_OF_R4, stays=True)


def _instance(at: Cursor, kept: Fields, result: Fields) -> None:
    if "sopClass" in kept and "_sopClass" not in kept:
        _moved(at, "sopClass")
        result["sopClass"] = {"system": Made(_URIS, TYPE_OF_R4), "code": kept.pop("sopClass")}


def _media(at: Cursor, _: Fields, result: Fields) -> None:
    """Say that the status, which R4 asks for, is unknown: STU3 has no element for it. A photo is an image in R4."""
    codings, place = _fields(result, "type").get("coding"), at.at("type")
    if isinstance(codings, list) and place is not None:
        for coding in objects(codings):
            if coding.get("code") == "photo":
                coding["code"] = RepairedText("image")
                place.repair(CODE_OF_R4, stays=True)
    result["status"] = Made("unknown", TYPE_OF_R4)
    at.repair(TYPE_OF_R4, stays=True)


def _medication(_: Cursor, kept: Fields, result: Fields) -> None:
    package = _fields(kept, "package")
    batches = package.get("batch")
    if isinstance(batches, list) and len(batches) == 1:
        result["batch"] = batches[0]
        del package["batch"]
    _drop_empty(kept, "package")


def _supply(_: Cursor, kept: Fields, result: Fields) -> None:
    item = _fields(kept, "orderedItem")
    for name in ("itemCodeableConcept", "itemReference", "quantity"):
        if name in item:
            result[name] = item.pop(name)
    _drop_empty(kept, "orderedItem")


def _identified(name: str, holder: str) -> Regrouping:
    """Put an identifier into the reference that says the rest."""

    def put(_: Cursor, kept: Fields, result: Fields) -> None:
        held = result.get(holder, {})
        if name in kept and isinstance(held, dict) and "identifier" not in held:
            result[holder] = {**held, "identifier": kept.pop(name)}

    return put


def _truth(name: str, target: str, yes: Tree, no: Tree) -> Regrouping:
    """Say a truth value by R4's element of another name or type."""

    def say(at: Cursor, kept: Fields, result: Fields) -> None:
        place = at.at(name)
        if place is not None and isinstance(kept.get(name), bool) and f"_{name}" not in kept:
            place.repair(TYPE_OF_R4)
            result[target] = yes if kept.pop(name) else no

    return say


def _strand(at: Cursor, kept: Fields, result: Fields) -> None:
    value, place = kept.get("strand"), at.at("strand")
    code = {"1": "watson", "-1": "crick"}.get(value.text) if isinstance(value, Number) else None
    if code is not None and place is not None and "_strand" not in kept:
        place.repair(TYPE_OF_R4)
        del kept["strand"]
        result["strand"] = RepairedText(code)


def _fields(kept: Fields, name: str) -> Fields:
    held = kept.get(name)
    return held if isinstance(held, dict) else {}


def _drop_empty(kept: Fields, name: str) -> None:
    if kept.get(name) == {}:
        del kept[name]


def leave(kept: Fields, name: str, others: list[Tree]) -> None:
    """Keep what is left of a list under its name; nothing where nothing is."""
    if others:
        kept[name] = others
    else:
        kept.pop(name, None)


_CONTRIBUTORS = (frozenset({"contributor"}), _contributor)
REGROUPINGS: dict[str, tuple[frozenset[str], Regrouping]] = {
    "ActivityDefinition": _CONTRIBUTORS,
    "AuditEvent.agent": (frozenset({"userId"}), _identified("userId", "who")),
    "AuditEvent.entity": (frozenset({"identifier"}), _identified("identifier", "what")),
    "Claim": (frozenset({*_PERIODS, "organization"}), _claim),
    "ClaimResponse": (frozenset(_TOTALS), _claim),
    "Coverage": (frozenset({"grouping", "sequence"}), _coverage),
    "DataRequirement.codeFilter": (frozenset({"valueCode"}), _code_filter),
    "ExplanationOfBenefit": (frozenset({*_TOTALS, *_PERIODS, "organization"}), _claim),
    "ImagingStudy": (frozenset({"resourceType"}), _imaging_study),
    "ImagingStudy.series.instance": (frozenset({"sopClass"}), _instance),
    "Library": _CONTRIBUTORS,
    "Measure": _CONTRIBUTORS,
    "Media": (frozenset({"resourceType"}), _media),
    "Medication": (frozenset({"package"}), _medication),
    "MessageDefinition": (
        frozenset({"responseRequired"}),
        _truth("responseRequired", "responseRequired", RepairedText("always"), RepairedText("never")),
    ),
    "OperationDefinition": (frozenset({"idempotent"}), _truth("idempotent", "affectsState", False, True)),
    "PlanDefinition": _CONTRIBUTORS,
    "Sequence.referenceSeq>MolecularSequence.referenceSeq": (frozenset({"strand"}), _strand),
    "SupplyRequest": (frozenset({"orderedItem"}), _supply),
}
"""By type of STU3: the elements of which one calls for it, and what is done then."""

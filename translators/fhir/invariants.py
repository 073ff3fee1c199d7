"""FHIR R4's invariants: what must hold between the elements of one object, by the keys that HL7 gives them.

Those of the data types, of the resources that are about people and their care, and of documents. What HL7 marks as a
warning is not asked for, nor the invariants of definitions (StructureDefinition and the like), which no journaling holds.
Each gets an object whose elements have the right types, and says whether it is right.
"""

from base64 import b64decode
from collections.abc import Callable, Iterator
from decimal import Decimal
from hashlib import sha1
from typing import Final, NamedTuple, TypeAlias

from translators.contract import Number, Tree
from translators.fhir.moments import order_of
from translators.fhir.primitives import is_absolute, is_date_time

Fields: TypeAlias = dict[str, Tree]
Test: TypeAlias = Callable[[Fields], bool]


class Invariant(NamedTuple):
    """One rule: its key, what it says, and the test."""

    key: str
    text: str
    holds: Test


UCUM = "http://unitsofmeasure.org"
_URIS = "urn:ietf:rfc:3986"
_TERMINOLOGY = "http://terminology.hl7.org/CodeSystem/"


def has(fields: Fields, name: str) -> bool:
    """Whether an element is there, by its value or by what its `_name` says of it; `value[x]` asks for any of them."""
    if name.endswith("[x]"):
        stem = name.removesuffix("[x]")
        return any(_stem_of(field, stem) for field in fields)
    return name in fields or f"_{name}" in fields


def _stem_of(field: str, stem: str) -> bool:
    rest = field.lstrip("_")
    return rest.startswith(stem) and rest[len(stem) : len(stem) + 1].isupper()


def _there(name: str) -> Test:
    """Tell whether an element is there, as `has` does; without a choice in a hurry."""
    if name.endswith("[x]"):
        return lambda fields: has(fields, name)
    both = frozenset({name, f"_{name}"})
    return lambda fields: not both.isdisjoint(fields)


def _any(*names: str) -> Test:
    if any(name.endswith("[x]") for name in names):
        return lambda fields: any(has(fields, name) for name in names)
    all_names = frozenset(names) | {f"_{name}" for name in names}
    return lambda fields: not all_names.isdisjoint(fields)


def _not_both(first: str, second: str) -> Test:
    one, other = _there(first), _there(second)
    return lambda fields: not (one(fields) and other(fields))


def _needs(name: str, other: str) -> Test:
    one, needed = _there(name), _there(other)
    return lambda fields: not one(fields) or needed(fields)


def _exactly_one(*names: str) -> Test:
    return lambda fields: sum(has(fields, name) for name in names) == 1


def objects(value: Tree) -> Iterator[Fields]:
    """Go through an object, or the objects of an array."""
    for one in value if isinstance(value, list) else (value,):
        if isinstance(one, dict):
            yield one


def listed(value: Tree) -> list[Tree]:
    """Return an array as it is; none of anything else."""
    return value if isinstance(value, list) else []


def as_list(value: Tree) -> list[Tree]:
    """Return an array as it is, one value as an array of it, and none of nothing."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def objects_of_list(value: Tree) -> list[Fields]:
    """Return the objects of an array; none of anything else."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _has_code(concept: Tree, system: str, *codes: str) -> bool:
    return any(
        coding.get("system") == _TERMINOLOGY + system and coding.get("code") in codes
        for one in objects(concept)
        for coding in objects(one.get("coding"))
    )


def _number(value: Tree) -> Decimal | None:
    return Decimal(value.text) if isinstance(value, Number) and len(value.text) < 100 else None


def _is_identified(identifier: Fields) -> bool:
    value = identifier.get("value")
    return identifier.get("system") != _URIS or not isinstance(value, str) or is_absolute(value) is not None


def _in_order(first: str, second: str) -> Test:
    def holds(fields: Fields) -> bool:
        one, other = fields.get(first), fields.get(second)
        if not isinstance(one, str) or not isinstance(other, str) or not (is_date_time(one) and is_date_time(other)):
            return True
        return order_of(one, other) in (-1, 0)

    return holds


def _is_of_its_data(fields: Fields) -> bool:
    """Whether size and hash (SHA-1) of an attachment are those of the data beside them."""
    data, size, stated = fields.get("data"), fields.get("size"), fields.get("hash")
    if not isinstance(data, str) or (size is None and stated is None):
        return True
    try:
        content = b64decode(data)
    except ValueError:
        return True
    has_size = not isinstance(size, Number) or size.text == str(len(content))
    return has_size and (
        not isinstance(stated, str) or _digest(stated) == sha1(content, usedforsecurity=False).digest()
    )


def _digest(stated: str) -> bytes | None:
    try:
        return b64decode(stated)
    except ValueError:
        return None


def _is_range(fields: Fields) -> bool:
    low, high = next(objects(fields.get("low")), {}), next(objects(fields.get("high")), {})
    least, most = _number(low.get("value")), _number(high.get("value"))
    return least is None or most is None or low.get("code") != high.get("code") or least <= most


def _is_ratio(fields: Fields) -> bool:
    has_both = has(fields, "numerator") == has(fields, "denominator")
    return has_both and (has(fields, "numerator") or has(fields, "extension"))


def _is_of_ucum(fields: Fields) -> bool:
    return (has(fields, "code") or not has(fields, "value")) and fields.get("system", UCUM) == UCUM


def _is_age(fields: Fields) -> bool:
    value = _number(fields.get("value"))
    return _is_of_ucum(fields) and (value is None or value > 0)


def _is_count(fields: Fields) -> bool:
    value = fields.get("value")
    is_whole = not isinstance(value, Number) or "." not in value.text
    return _is_of_ucum(fields) and fields.get("code", "1") == "1" and is_whole


def _is_duration(fields: Fields) -> bool:
    return not has(fields, "code") or (fields.get("system") == UCUM and has(fields, "value"))


def _is_no_less_than_nothing(name: str) -> Test:
    return lambda fields: (value := _number(fields.get(name))) is None or value >= 0


def _has_offset_of_event(fields: Fields) -> bool:
    when = fields.get("when")
    return not has(fields, "offset") or (
        isinstance(when, list) and bool(when) and not {"C", "CM", "CD", "CV"}.intersection(map(str, when))
    )


def _components_differ(fields: Fields) -> bool:
    """Whether no component says what the observation itself has a value for."""
    if not has(fields, "value[x]"):
        return True
    own = list(_codings(fields.get("code")))
    return not any(coding in own for part in objects(fields.get("component")) for coding in _codings(part.get("code")))


def _codings(concept: Tree) -> Iterator[Fields]:
    for one in objects(concept):
        yield from objects(one.get("coding"))


def _has_no_home(name: str) -> Test:
    return lambda fields: all(one.get("use") != "home" for one in objects(fields.get(name)))


def _condition_has_ended(fields: Fields) -> bool:
    ended = ("resolved", "remission", "inactive")
    return not has(fields, "abatement[x]") or _has_code(fields.get("clinicalStatus"), "condition-clinical", *ended)


def _condition_is_no_error(fields: Fields) -> bool:
    is_error = _has_code(fields.get("verificationStatus"), "condition-ver-status", "entered-in-error")
    return not (is_error and has(fields, "clinicalStatus"))


def _allergy_has_status(fields: Fields) -> bool:
    is_error = _has_code(fields.get("verificationStatus"), "allergyintolerance-verification", "entered-in-error")
    return is_error != has(fields, "clinicalStatus")


def _appointment_has_times(fields: Fields) -> bool:
    has_both = has(fields, "start") and has(fields, "end")
    return has_both or fields.get("status") in ("proposed", "cancelled", "waitlist")


def _list_is(name: str, mode: str) -> Test:
    return lambda fields: fields.get("mode") == mode or not any(has(one, name) for one in objects(fields.get("entry")))


def _parameter_is_one(fields: Fields) -> bool:
    return [has(fields, "part"), has(fields, "value[x]"), has(fields, "resource")].count(True) == 1


_QTY = Invariant("qty-3", "a unit's code needs its system", _needs("code", "system"))
_PART = Invariant("inv-1", "one of value, resource and parts", _parameter_is_one)

INVARIANTS: Final[dict[str, tuple[Invariant, ...]]] = {
    "Age": (_QTY, Invariant("age-1", "an age above 0 in a unit of UCUM", _is_age)),
    "Attachment": (
        Invariant("att-1", "data needs a contentType", _needs("data", "contentType")),
        Invariant("attachment", "a size or hash that is not that of the data", _is_of_its_data),
    ),
    "ContactPoint": (Invariant("cpt-2", "a value needs a system", _needs("value", "system")),),
    "Count": (_QTY, Invariant("cnt-3", "a whole number with the unit 1", _is_count)),
    "DataRequirement.codeFilter": (
        Invariant("drq-1", "one of path and searchParam", _exactly_one("path", "searchParam")),
    ),
    "DataRequirement.dateFilter": (
        Invariant("drq-2", "one of path and searchParam", _exactly_one("path", "searchParam")),
    ),
    "Distance": (_QTY, Invariant("dis-1", "a unit of UCUM", _is_of_ucum)),
    "Duration": (_QTY, Invariant("drt-1", "a code needs a value, and UCUM as system", _is_duration)),
    "Expression": (Invariant("exp-1", "an expression or a reference", _any("expression", "reference")),),
    "Identifier": (Invariant("identifier", "a value of urn:ietf:rfc:3986 is a URI with a scheme", _is_identified),),
    "Period": (Invariant("per-1", "the end is not after the start", _in_order("start", "end")),),
    "Quantity": (_QTY,),
    "Range": (Invariant("rng-2", "low is above high", _is_range),),
    "Ratio": (Invariant("rat-1", "numerator and denominator, or an extension", _is_ratio),),
    "Timing.repeat": (
        Invariant("tim-1", "a duration needs its unit", _needs("duration", "durationUnit")),
        Invariant("tim-2", "a period needs its unit", _needs("period", "periodUnit")),
        Invariant("tim-4", "a duration below 0", _is_no_less_than_nothing("duration")),
        Invariant("tim-5", "a period below 0", _is_no_less_than_nothing("period")),
        Invariant("tim-6", "periodMax needs period", _needs("periodMax", "period")),
        Invariant("tim-7", "durationMax needs duration", _needs("durationMax", "duration")),
        Invariant("tim-8", "countMax needs count", _needs("countMax", "count")),
        Invariant("tim-9", "an offset needs a when that is no meal", _has_offset_of_event),
        Invariant("tim-10", "timeOfDay or when, not both", _not_both("timeOfDay", "when")),
    ),
    "TriggerDefinition": (
        Invariant("trd-1", "data or timing, not both", _not_both("data", "timing[x]")),
        Invariant("trd-2", "a condition needs data", _needs("condition", "data")),
    ),
    "AllergyIntolerance": (Invariant("ait-1", "a clinicalStatus unless in error (and ait-2)", _allergy_has_status),),
    "Appointment": (
        Invariant("app-2", "start and end, or neither", lambda one: has(one, "start") == has(one, "end")),
        Invariant("app-3", "start and end are missing", _appointment_has_times),
        Invariant(
            "app-4",
            "a cancelationReason of what is not cancelled",
            lambda one: not has(one, "cancelationReason") or one.get("status") in ("no-show", "cancelled"),
        ),
    ),
    "Appointment.participant": (Invariant("app-1", "a type or an actor", _any("type", "actor")),),
    "AppointmentResponse": (Invariant("apr-1", "a participantType or an actor", _any("participantType", "actor")),),
    "AuditEvent.entity": (Invariant("sev-1", "name or query, not both", _not_both("name", "query")),),
    "CarePlan.activity": (Invariant("cpl-3", "detail or reference, not both", _not_both("detail", "reference")),),
    "Composition.section": (
        Invariant("cmp-1", "a section needs a text, entries or sections", _any("text", "entry", "section")),
        Invariant("cmp-2", "an emptyReason beside entries", _not_both("emptyReason", "entry")),
    ),
    "Condition": (
        Invariant("con-4", "what has abated has ended", _condition_has_ended),
        Invariant("con-5", "a clinicalStatus of what is in error", _condition_is_no_error),
    ),
    "Condition.evidence": (Invariant("con-2", "a code or a detail", _any("code", "detail")),),
    "Condition.stage": (Invariant("con-1", "a summary or an assessment", _any("summary", "assessment")),),
    "Consent": (Invariant("ppc-1", "a policy or a policyRule", _any("policy", "policyRule")),),
    "FamilyMemberHistory": (
        Invariant("fhs-1", "age or born, not both", _not_both("age[x]", "born[x]")),
        Invariant("fhs-2", "estimatedAge needs age", _needs("estimatedAge", "age[x]")),
    ),
    "Goal.target": (Invariant("gol-1", "a detail needs a measure", _needs("detail[x]", "measure")),),
    "Group": (
        Invariant(
            "grp-1",
            "members of a group that is not actual",
            lambda one: not has(one, "member") or one.get("actual") is True,
        ),
    ),
    "Immunization.education": (Invariant("imm-1", "a documentType or a reference", _any("documentType", "reference")),),
    "ImmunizationRecommendation.recommendation": (
        Invariant("imr-1", "a vaccineCode or a targetDisease", _any("vaccineCode", "targetDisease")),
    ),
    "InsurancePlan": (Invariant("ipn-1", "an identifier or a name", _any("identifier", "name")),),
    "Linkage": (Invariant("lnk-1", "two items at least", lambda one: len(list(objects(one.get("item")))) > 1),),
    "List": (
        Invariant("lst-1", "an emptyReason beside entries", _not_both("emptyReason", "entry")),
        Invariant("lst-2", "what is deleted of a list that is no list of changes", _list_is("deleted", "changes")),
        Invariant("lst-3", "a date of an entry of a list that is no working list", _list_is("date", "working")),
    ),
    "MedicationAdministration.dosage": (Invariant("mad-1", "a dose or a rate", _any("dose", "rate[x]")),),
    "MedicationDispense": (
        Invariant("mdd-1", "handed over before it was prepared", _in_order("whenPrepared", "whenHandedOver")),
    ),
    "Observation": (
        Invariant("obs-6", "a dataAbsentReason beside a value", _not_both("dataAbsentReason", "value[x]")),
        Invariant("obs-7", "a component says what the value says", _components_differ),
    ),
    "Observation.referenceRange": (Invariant("obs-3", "low, high or text", _any("low", "high", "text")),),
    "Organization": (
        Invariant("org-1", "an identifier or a name", _any("identifier", "name")),
        Invariant("org-2", "an address at home", _has_no_home("address")),
        Invariant("org-3", "a telecom at home", _has_no_home("telecom")),
    ),
    "Parameters.parameter": (_PART,),
    "Patient.contact": (
        Invariant(
            "pat-1", "a name, telecom, address or organization", _any("name", "telecom", "address", "organization")
        ),
    ),
    "QuestionnaireResponse.item": (Invariant("qrs-1", "answer or item, not both", _not_both("answer", "item")),),
    "RequestGroup.action": (Invariant("rqg-1", "one of resource and actions", _exactly_one("resource", "action")),),
    "ServiceRequest": (Invariant("prr-1", "orderDetail needs code", _needs("orderDetail", "code")),),
    "Task": (Invariant("inv-1", "lastModified before authoredOn", _in_order("authoredOn", "lastModified")),),
    "ValueSet.expansion.contains": (Invariant("vsd-6", "a code or a display", _any("code", "display")),),
}
"""By the type of the object."""

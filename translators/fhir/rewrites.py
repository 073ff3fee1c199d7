"""Elements of STU3 that R4 says in another way altogether: most of them modifiers that became a status."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from translators.contract import Made, RepairedText, Tree
from translators.fhir.invariants import Fields, objects
from translators.fhir.regroupings import REGROUPINGS, leave
from translators.fhir.rules import ENTERED_IN_ERROR
from translators.fhir.stu3_to_r4 import CODE_OF_R4, TYPE_OF_R4
from translators.source import Cursor

STATUS_OF_R4 = "negation-is-a-status"
"""The repair of a modifier that R4 says by the status, and of the status in whose place that stands."""
SAID_BY_STATUS = "said-by-the-status"
"""The repair of a modifier that says no more than R4's status does without it, such as `notDone: false`."""
MAKES = frozenset({TYPE_OF_R4, CODE_OF_R4, STATUS_OF_R4})
"""The repairs beside which something may be derived."""
_ACHIEVEMENT = "http://terminology.hl7.org/CodeSystem/goal-achievement"
_CURRENCIES = "urn:iso:std:iso:4217"

_NEVER_SAID = "it says why something was not done, and nothing says that it was not"


class NoPlaceError(Exception):
    """R4 has nothing that says the same; `names` are the elements that it is about, where not all."""

    def __init__(self, names: frozenset[str] = frozenset(), text: str | None = None) -> None:
        super().__init__()
        self.names = names
        self.text = text


Rewrite: TypeAlias = Callable[[Cursor, Fields, Fields], None]
"""Moves elements out of the second argument (of STU3, by their names there) into the third (of R4), and records repairs.

What it leaves in the second goes into extensions; it raises `NoPlaceError` where that would change the meaning.
"""


@dataclass(frozen=True, slots=True)
class _Stated:
    """A modifier of STU3 that R4 says by `status`."""

    element: str
    becomes: dict[str, str]
    """R4's status for each value that changes it."""
    silent: dict[str, frozenset[str] | None]
    """The values that R4's status says without it: which statuses, or None for all."""
    reasons: frozenset[str] = frozenset()
    """The elements that say why it was not so: of R4's status they would be the reason, whatever that is."""

    def __call__(self, at: Cursor, kept: Fields, result: Fields) -> None:
        if f"_{self.element}" in kept:
            raise NoPlaceError
        value, place = _written(kept.pop(self.element, None)), at.at(self.element)
        if value not in self.becomes and any(one.value for one in map(at.at, self.reasons) if one is not None):
            raise NoPlaceError(self.reasons, _NEVER_SAID)
        if place is None or value is None:
            return
        status = result.get("status")
        if value in self.silent:
            among = self.silent[value]
            if among is not None and status not in among:
                raise NoPlaceError
            place.repair(SAID_BY_STATUS)
            return
        if value not in self.becomes or status == ENTERED_IN_ERROR:
            raise NoPlaceError
        place.repair(STATUS_OF_R4)
        said = at.at("status")
        if said is None or status is None:
            result["status"] = Made(self.becomes[value], STATUS_OF_R4)
        else:
            said.repair(STATUS_OF_R4)
            result["status"] = RepairedText(self.becomes[value])


def _written(value: Tree) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else None


def _negated(element: str, status: str | None, reason: str) -> _Stated:
    """Return how a truth value becomes a status; None where R4 has none for it."""
    return _Stated(element, {"true": status} if status else {}, {"false": None}, _named(reason))


def _goal(at: Cursor, _: Fields, result: Fields) -> None:
    """Say in `achievementStatus` what STU3 had among the statuses."""
    said = at.text("status")
    status = said.strip() if said is not None else ""
    codes = {"achieved": "achieved", "sustaining": "sustaining"}
    if status in ("in-progress", "on-target", "ahead-of-target", "behind-target") or status in codes:
        coding: Tree = {"system": _ACHIEVEMENT, "code": codes.get(status, "in-progress")}
        text: Fields = {"text": status} if status.endswith("-target") else {}
        result["achievementStatus"] = Made({"coding": [coding], **text}, TYPE_OF_R4)


def _money(at: Cursor, kept: Fields, result: Fields) -> None:
    """Say the currency by its code alone, which is what R4 has of a Quantity."""
    if kept.keys() & {"comparator", "_comparator"}:
        raise NoPlaceError
    code = kept.get("code")
    if not isinstance(code, str) or kept.get("system", _CURRENCIES) != _CURRENCIES or "_system" in kept:
        return
    result["currency"] = kept.pop("code")
    if "_code" in kept:
        result["_currency"] = kept.pop("_code")
    if kept.get("unit") == code and "_unit" not in kept:
        _said(at, kept, "unit")
    if "system" in kept:
        _said(at, kept, "system")


def _said(at: Cursor, kept: Fields, name: str) -> None:
    """Leave out what the type of R4 says by itself."""
    del kept[name]
    place = at.at(name)
    if place is not None:
        place.repair(TYPE_OF_R4)


def _observation(at: Cursor, kept: Fields, result: Fields) -> None:
    """Take out of `related` what R4 has an element for; any other relation stays."""
    names = {"has-member": "hasMember", "derived-from": "derivedFrom"}
    others: list[Tree] = []
    for index, one in enumerate(objects(kept.get("related"))):
        target = names.get(str(one.get("type")))
        if target is None or one.keys() != {"type", "target"}:
            others.append(one)
            continue
        held = result.setdefault(target, [])
        if isinstance(held, list):
            held.append(one["target"])
        kind = at.each("related")[index].at("type") if at.holds("related", list) else None
        if kind is not None:
            kind.repair(TYPE_OF_R4)
    leave(kept, "related", others)


def _immunization(at: Cursor, kept: Fields, result: Fields) -> None:
    is_given = _written(kept.get("notGiven")) != "true"
    _NOT_GIVEN(at, kept, result)
    explanation = kept.get("explanation")
    if not isinstance(explanation, dict):
        return
    reasons, others = explanation.get("reason"), explanation.get("reasonNotGiven")
    if is_given and others is not None:
        raise NoPlaceError(frozenset({"explanation"}), _NEVER_SAID)
    if reasons is not None:
        result["reasonCode"] = explanation.pop("reason")
    if isinstance(others, list) and len(others) == 1:
        result["statusReason"] = others[0]
        del explanation["reasonNotGiven"]
    if not explanation:
        del kept["explanation"]


def _enable_when(at: Cursor, kept: Fields, result: Fields) -> None:
    """Say by R4's operator what STU3 asked: whether there is an answer, or which one."""
    if kept.keys() - {"hasAnswer"}:
        raise NoPlaceError
    at.repair(TYPE_OF_R4)
    if "hasAnswer" in kept:
        if any(name.startswith("answer") for name in result):
            raise NoPlaceError
        result |= {"operator": Made("exists", TYPE_OF_R4), "answerBoolean": kept.pop("hasAnswer")}
    else:
        result["operator"] = Made("=", TYPE_OF_R4)


def _item(at: Cursor, _: Fields, result: Fields) -> None:
    """Say that any of several conditions is enough, which STU3 meant."""
    conditions = result.get("enableWhen")
    if isinstance(conditions, list) and len(conditions) > 1:
        at.repair(TYPE_OF_R4)
        result["enableBehavior"] = Made("any", TYPE_OF_R4)


def _named(*elements: str) -> frozenset[str]:
    """Return elements with their siblings: what is said of a negation alone may be that it is one."""
    return frozenset({*elements, *(f"_{element}" for element in elements)})


_NOT_GIVEN = _negated("notGiven", "not-done", "reasonNotGiven")
REWRITES: dict[str, tuple[frozenset[str], Rewrite]] = {
    **REGROUPINGS,
    "Communication": (_named("notDone", "notDoneReason"), _negated("notDone", "not-done", "notDoneReason")),
    "FamilyMemberHistory": (_named("notDone", "notDoneReason"), _negated("notDone", None, "notDoneReason")),
    "Goal": (frozenset({"status"}), _goal),
    "Immunization": (_named("notGiven", "explanation"), _immunization),
    "MedicationAdministration": (_named("notGiven", "reasonNotGiven"), _NOT_GIVEN),
    # Of a dispense its code says what happened: a reason may stand without `notDone`.
    "MedicationDispense": (_named("notDone"), _Stated("notDone", {"true": "declined"}, {"false": None})),
    "MedicationStatement": (
        _named("taken", "reasonNotTaken"),
        _Stated(
            "taken",
            {"n": "not-taken", "unk": "unknown"},
            {"y": frozenset({"active", "completed", "on-hold", "stopped"}), "na": frozenset({"intended"})},
            _named("reasonNotTaken"),
        ),
    ),
    "Money": (frozenset({"code", "unit", "system", "comparator"}), _money),
    "Observation": (frozenset({"related"}), _observation),
    "Procedure": (_named("notDone", "notDoneReason"), _negated("notDone", "not-done", "notDoneReason")),
    "Questionnaire.item": (frozenset({"enableWhen"}), _item),
    "Questionnaire.item.enableWhen": (frozenset({"question", "hasAnswer"}), _enable_when),
}
"""By type of STU3: the elements of which one calls for it, and what is done then."""

"""Every modifier of either release, with every value it may have: R4's meaning in R4's place, or a refusal that names the path.

modifiers.txt says what becomes of those that R4 has changed. The tables they are drawn from are checked in test_rules.py.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.each import each_of
from tests.translators.drawing import at
from translators.contract import Reason, Refused, Tree
from translators.fhir import rules
from translators.fhir.conform import conform
from translators.fhir.elements import r4, stu3
from translators.fhir.json_codec import decode, encode
from translators.fhir.plan import Plan, from_stu3, within_r4
from translators.fhir.rules import ENTERED_IN_ERROR, Rules
from translators.made import settled
from translators.source import Source

PLANS: dict[str, tuple[Rules, Plan]] = {"STU3": (rules.stu3(), from_stu3()), "R4": (rules.r4(), within_r4())}
CONCEPTS = {"DeviceRequest.intent": "http://hl7.org/fhir/request-intent"}
BACKBONES: dict[str, dict[str, Tree]] = {
    "DocumentReference.relatesTo": {"code": "replaces"},
    "Patient.animal": {"species": {"text": "hund"}},
    "Patient.link": {"type": "seealso"},
    "Questionnaire.item.enableWhen": {"question": "1", "answerString": "ja"},
    "ValueSet.compose.include.filter": {"property": "concept", "op": "=", "value": "x"},
}
TRUTHS = ("TRUE", "1", "yes", " no ", "0")


@dataclass(frozen=True)
class Row:
    """One modifier with one value."""

    release: str
    path: str
    value: Any

    @property
    def resource(self) -> dict[str, Tree]:
        """The smallest resource that says it; a data type stands in an extension."""
        kind, *names = self.path.split(".")
        table = stu3() if self.release == "STU3" else r4()
        holder: Any = self.value
        steps = [".".join([kind, *names[: end + 1]]) for end in range(len(names))]
        for step, name in reversed(list(zip(steps, names, strict=True))):
            element = table.types[step.rpartition(".")[0]][name]
            holder = {name: [holder] if element.repeats else holder}
        if kind in table.resources:
            return {"resourceType": kind, **holder}
        value = f"value{kind[0].upper()}{kind[1:]}"
        return {"resourceType": "Basic", "extension": [{"url": "http://record.example/own", value: holder}]}

    @property
    def where(self) -> str:
        """The place of the modifier below its resource."""
        kind, *names = self.path.split(".")
        table = stu3() if self.release == "STU3" else r4()
        owner, where = kind, "" if kind in table.resources else f".extension[0].value{kind}"
        for name in names:
            where += f".{name}" + ("[0]" if table.types[owner][name].repeats else "")
            owner = f"{owner}.{name}"
        return where


def _values(release: str, path: str) -> Iterator[Any]:
    """Go through all that a modifier may say."""
    known, _ = PLANS[release]
    kind, _, name = path.rpartition(".")
    element = (stu3() if release == "STU3" else r4()).types[kind][name]
    codes: list[Any] = sorted(known.codes.get(path, frozenset()) - {ENTERED_IN_ERROR})
    if path in BACKBONES:
        yield BACKBONES[path]
    elif element.type == "CodeableConcept":
        system = {"system": CONCEPTS[path]} if path in CONCEPTS else {}
        yield from ({"coding": [{**system, "code": code}]} for code in codes or ["some"])
    elif element.type == "boolean":
        yield from (True, False)
    elif element.primitive:
        yield from codes or ["2026-05-04"]
    else:
        yield {"numerator": {"code": "1"}}


def _rows(release: str) -> list[Row]:
    known = PLANS[release][0]
    return [Row(release, path, value) for path in sorted(known.modifiers) for value in _values(release, path)]


def _name(row: Row) -> str:
    return f"{row.path} {_said(row.value)}"


def _said(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return str(value["coding"][0]["code"]) if "coding" in value else "{}"
    return str(value)


@cache
def _expected() -> dict[str, str]:
    lines = Path(__file__).with_name("modifiers.txt").read_text(encoding="utf-8").split("\n\n", 1)[1].splitlines()
    return dict(line.split(" | ") for line in lines)


def _conformed(row: Row, tree: dict[str, Tree]) -> dict[str, Tree]:
    read = decode(encode(tree))
    converted = conform(Source(read, str(tree["resourceType"])).root, PLANS[row.release][1])
    settled(converted)
    return converted


def _in_a_place(row: Row, place: str) -> tuple[dict[str, Tree], str, str]:
    """Return the tree with the modifier at the top, contained, or in an entry; where it stands; and what that is."""
    resource = row.resource
    if place == "contained":
        return {"resourceType": "Basic", "contained": [resource]}, "Basic.contained[0]", ".contained[0]"
    if place == "in an entry":
        return (
            {"resourceType": "Bundle", "entry": [{"resource": resource}]},
            "Bundle.entry[0].resource",
            ".entry[0].resource",
        )
    return resource, str(resource["resourceType"]), ""


STU3_ROWS = _rows("STU3")
KNOWN = [row for row in STU3_ROWS if row.resource["resourceType"] in from_stu3().resources]
UNKNOWN = [row for row in STU3_ROWS if row not in KNOWN]
ALL = [*KNOWN, *_rows("R4")]
PLACES = ("alone", "contained", "in an entry")


@each_of(KNOWN, _name)
def test_a_modifier_of_stu3_has_its_meaning_in_r4_or_is_refused_by_path(row: Row) -> None:
    """Nothing of it leaves as an extension, and nothing without it, wherever it stands."""
    for place in PLACES:
        _check(row, place)


def _check(row: Row, place: str) -> None:
    tree, path, inside = _in_a_place(row, place)
    expected = _expected().get(_name(row), "same")
    if expected == "refused":
        with pytest.raises(Refused) as refusal:
            _conformed(row, tree)
        assert (refusal.value.reason, refusal.value.path) == (Reason.FORMAT, path + row.where.removesuffix("[0]"))
        return
    converted = _conformed(row, tree)
    assert "/3.0/StructureDefinition/" not in json.dumps(json.loads(encode(converted)))
    if expected == "-":
        assert row.path.rpartition(".")[2] not in encode(converted).decode()
        return
    where, _, value = expected.rpartition(" ") if expected != "same" else (row.where.removeprefix("."), "", "")
    found = at(converted, f"{inside}.{where}")
    if expected == "same":
        assert _without(found, "operator") == row.value
    else:
        assert _said(found) == value


def _without(value: Tree, name: str) -> Tree:
    return {key: one for key, one in value.items() if key != name} if isinstance(value, dict) else value


def test_every_row_of_the_expectations_is_a_modifier_of_stu3() -> None:
    """A row that names none would expect nothing."""
    assert set(_expected()) <= {_name(row) for row in KNOWN}


@each_of(UNKNOWN, _name)
def test_a_modifier_of_a_type_that_r4_lacks_is_refused_with_its_resource(row: Row) -> None:
    """No resource of R4 is made of it."""
    with pytest.raises(Refused) as refusal:
        _conformed(row, row.resource)
    assert str(refusal.value).endswith(f"FHIR R4 has no {row.resource['resourceType']}")


@each_of(_rows("R4"), _name)
def test_a_modifier_of_r4_stays_as_it_is(row: Row) -> None:
    """Wherever it stands."""
    for place in PLACES:
        tree = _in_a_place(row, place)[0]
        assert encode(_conformed(row, tree)) == encode(tree)


def _codes_and_truths() -> list[Row]:
    """Return every modifier once that is written as one value."""
    rows = {(row.release, row.path): row for row in ALL if isinstance(row.value, (bool, str))}
    return [row for row in rows.values() if not row.path.endswith("deceasedDateTime")]


@each_of(_codes_and_truths(), lambda row: f"{row.release} {row.path}")
def test_a_modifier_in_a_wrong_spelling_is_refused_by_path(row: Row) -> None:
    """Nobody guesses what a text for true or false means, or a code that there is not; nor is it read as something else."""
    wrong: list[Any] = [*TRUTHS, 1] if isinstance(row.value, bool) else ["dOne", "Final", 1, True, " x "]
    for value in wrong:
        broken = Row(row.release, row.path, value)
        with pytest.raises(Refused) as refusal:
            _conformed(broken, broken.resource)
        assert (refusal.value.reason, refusal.value.path) == (
            Reason.FORMAT,
            str(broken.resource["resourceType"]) + broken.where,
        )


def _erroneous() -> list[Row]:
    """Return every element of either release whose codes have one for what was entered in error."""
    found = []
    for release, (known, plan) in PLANS.items():
        table = stu3() if release == "STU3" else r4()
        for path, codes in known.codes.items():
            kind, _, name = path.rpartition(".")
            if ENTERED_IN_ERROR in codes and path.split(".")[0] in plan.resources:
                value = (
                    {"coding": [{"code": ENTERED_IN_ERROR}]}
                    if table.types[kind][name].type[0].isupper()
                    else ENTERED_IN_ERROR
                )
                found.append(Row(release, path, value))
    return found


@each_of(_erroneous(), lambda row: f"{row.release} {row.path}")
def test_what_was_entered_in_error_is_refused_wherever_it_stands(row: Row) -> None:
    """With a text of its own: a record would take it for something that happened."""
    for place in PLACES:
        tree, path, _ = _in_a_place(row, place)
        with pytest.raises(Refused, match="entered in error") as refusal:
            _conformed(row, tree)
        at = f"{row.where}.coding[0].code" if isinstance(row.value, dict) else row.where
        assert (refusal.value.reason, refusal.value.path) == (Reason.UNSUPPORTED, path + at)


@pytest.mark.parametrize(
    "row", [row for row in KNOWN if row.path in ("Communication.notDone", "MedicationStatement.taken")], ids=_name
)
def test_what_an_extension_says_of_a_modifier_that_r4_lacks_is_refused(row: Row) -> None:
    """R4 has no place for the extension, and it may say that the value is another."""
    name = row.path.rpartition(".")[2]
    resource = row.resource | {f"_{name}": {"extension": [{"url": "http://record.example/own", "valueString": "x"}]}}
    with pytest.raises(Refused) as refusal:
        _conformed(row, resource)
    assert refusal.value.path in (f"{row.path}", f"{row.path.replace(name, f'_{name}')}")


STATED = (
    ("Communication", "notDone", True, "completed", "not-done"),
    ("Communication", "notDone", False, "suspended", "on-hold"),
    ("Communication", "notDone", "true", "in-progress", "not-done"),
    ("Procedure", "notDone", True, "aborted", "not-done"),
    ("Immunization", "notGiven", True, "completed", "not-done"),
    ("MedicationAdministration", "notGiven", True, "completed", "not-done"),
    ("MedicationAdministration", "notGiven", False, "on-hold", "on-hold"),
    ("MedicationDispense", "notDone", True, "completed", "declined"),
    ("MedicationDispense", "notDone", False, "stopped", "stopped"),
    ("MedicationStatement", "taken", "y", "active", "active"),
    ("MedicationStatement", "taken", "n", "completed", "not-taken"),
    ("MedicationStatement", "taken", "unk", "active", "unknown"),
    ("MedicationStatement", "taken", "na", "intended", "intended"),
    ("MedicationStatement", "taken", "y", "intended", None),
    ("MedicationStatement", "taken", "na", "active", None),
)


@pytest.mark.parametrize(("kind", "name", "value", "status", "becomes"), STATED)
def test_a_modifier_and_a_status_become_one_status(
    kind: str, name: str, value: Tree, status: str, becomes: str | None
) -> None:
    """Whichever stands first; what both say together is what R4's status says, or it is refused."""
    row = Row("STU3", f"{kind}.{name}", value)
    trees: list[dict[str, Tree]] = [{"status": status, name: value}, {name: value, "status": status}]
    for fields in trees:
        tree: dict[str, Tree] = {"resourceType": kind, **fields}
        if becomes is None:
            with pytest.raises(Refused) as refusal:
                _conformed(row, tree)
            assert refusal.value.path == f"{kind}.{name}"
        else:
            converted = _conformed(row, tree)
            assert {name: one for name, one in converted.items() if "_" not in name} == {
                "resourceType": kind,
                "status": becomes,
            }


GOALS = (
    ("in-progress", {"coding": [{"code": "in-progress"}]}),
    ("achieved", {"coding": [{"code": "achieved"}]}),
    ("sustaining", {"coding": [{"code": "sustaining"}]}),
    ("on-target", {"coding": [{"code": "in-progress"}], "text": "on-target"}),
    ("behind-target", {"coding": [{"code": "in-progress"}], "text": "behind-target"}),
    ("proposed", None),
)


@pytest.mark.parametrize(("status", "achievement"), GOALS)
def test_how_far_a_goal_has_come_is_said_beside_its_status(status: str, achievement: Any) -> None:
    """R4 has two elements for what was one."""
    converted = _conformed(Row("STU3", "Goal.status", status), {"resourceType": "Goal", "status": status})
    if achievement is not None:
        achievement["coding"][0]["system"] = "http://terminology.hl7.org/CodeSystem/goal-achievement"
    assert converted.get("achievementStatus") == achievement

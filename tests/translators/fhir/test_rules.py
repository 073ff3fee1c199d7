"""The tables of modifiers and codes, and the table of what R4 made of STU3: what they name exists, and all of it is used."""

import json
import os
from pathlib import Path

import pytest

from tests.each import each_of
from translators.fhir import elements, rules
from translators.fhir.corrections import PARTLY_RENEWED, corrected
from translators.fhir.elements import Release
from translators.fhir.plan import Plan, Step, from_stu3
from translators.fhir.rules import Rules, is_modifier
from translators.fhir.stu3_to_r4 import renaming

RULES = os.environ.get("VKP_FHIR_RULES")
RELEASES: dict[str, tuple[Release, Rules]] = {
    "stu3": (elements.stu3(), rules.stu3()),
    "r4": (elements.r4(), rules.r4()),
}
RENAMED = [(kind, old, new) for kind, row in renaming().elements.items() for old, new in row.items()]


def _step(plan: Plan, kind: str, name: str) -> tuple[str, Step]:
    """Return what becomes of an element, and the type in R4 that its owner becomes."""
    key = next(key for key in plan.types if key.partition(">")[0] == kind and not key.endswith(">Extension"))
    return key.rpartition(">")[2], plan.types[key][name]


@pytest.mark.parametrize("release", RELEASES)
def test_every_rule_is_of_an_element_of_its_release(release: str) -> None:
    """A path that leads nowhere would hold nothing to anything."""
    table, known = RELEASES[release]
    for path in {*known.modifiers, *known.codes}:
        kind, _, name = path.rpartition(".")
        stem = name.removesuffix("[x]")
        assert any(field == stem or (stem != name and field.startswith(stem)) for field in table.types[kind]), path


def test_how_many_there_are() -> None:
    """As many as HL7's definitions have: a choice counts by each of its types."""
    assert (len(rules.stu3().modifiers), len(rules.r4().modifiers)) == (158, 144)
    assert (len(rules.stu3().codes), len(rules.r4().codes)) == (313, 348)


@each_of(RENAMED)
def test_an_element_with_another_name_in_r4_goes_there(kind: str, old: str, new: str) -> None:
    """The types on both sides fit, or there is a conversion between them."""
    _, step = _step(from_stu3(), kind, old)
    assert new == (f"{step.into}.{step.target}" if step.into else step.target)


@pytest.mark.parametrize("path", renaming().codes)
def test_a_code_with_another_name_in_r4_is_one_there(path: str) -> None:
    """From a code of STU3 that R4 has not to one that R4 has."""
    kind, _, name = path.rpartition(".")
    owner, step = _step(from_stu3(), kind, name)
    codes, of_r4 = renaming().codes[path], rules.r4().codes[f"{owner}.{step.target}"]
    assert codes.keys() <= rules.stu3().codes[path]
    assert set(codes.values()) <= of_r4
    assert not codes.keys() & of_r4


def test_a_code_in_a_concept_is_of_the_system_that_r4_has_for_it() -> None:
    """Each of the table's systems is used by a conversion."""
    for path in renaming().systems:
        kind, _, name = path.rpartition(".")
        assert _step(from_stu3(), kind, name)[1].conversion is not None, path


@pytest.mark.parametrize(
    ("element", "expected"),
    [
        ("MedicationAdministration.notGiven", True),
        ("MedicationAdministration.wasNotGiven", True),
        ("Observation.status", True),
        ("Bundle.implicitRules", True),
        ("Bundle._implicitRules.extension.url", True),
        ("Observation.component.modifierExtension.url", True),
        ("Patient._deceasedBoolean.extension.url", True),
        ("CarePlan.activity.detail.doNotPerform", True),
        ("Bundle.total", False),
        ("Device.colour", False),
        ("Practitioner.status", False),
    ],
)
def test_what_may_never_be_left_out(element: str, expected: bool) -> None:
    """Modifiers by their path, or by their name where FHIR has no such element."""
    assert is_modifier(element) is expected


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("http://hl7.org/fhir/observation-category", "http://terminology.hl7.org/CodeSystem/observation-category"),
        ("http://hl7.org/fhir/condition-category", "http://terminology.hl7.org/CodeSystem/condition-category"),
        ("http://hl7.org/fhir/v3/ActCode", "http://terminology.hl7.org/CodeSystem/v3-ActCode"),
        ("http://hl7.org/fhir/v2/0203", "http://terminology.hl7.org/CodeSystem/v2-0203"),
        ("http://hl7.org/fhir/administrative-gender", None),
        ("http://hl7.org/fhir/identifier-type", None),
        ("http://hl7.org/fhir/data-absent-reason", None),
    ],
)
def test_the_url_of_a_code_system_that_r4_moved(old: str, new: str | None) -> None:
    """What R4 has under the same URL, not at all, or with other codes, stands."""
    found = corrected("Coding", "system", old)
    assert (found.value if found is not None else None) == new


def test_a_system_of_which_r4_lacks_some_codes_is_told_by_the_code() -> None:
    """Such as the reasons why data is absent."""
    new, lacking = PARTLY_RENEWED["http://hl7.org/fhir/data-absent-reason"]
    assert new == "http://terminology.hl7.org/CodeSystem/data-absent-reason"
    assert lacking == {"NaN", "asked", "astext", "temp"}


if RULES:

    @pytest.mark.parametrize("release", RELEASES)
    def test_as_drawn_from_the_definitions_elsewhere(release: str) -> None:
        """Compare with stu3-rules.json and r4-rules.json in the folder VKP_FHIR_RULES."""
        theirs = json.loads((Path(RULES or "") / f"{release}-rules.json").read_text(encoding="utf-8"))
        _, known = RELEASES[release]
        stems = {one["path"]: one["path"].removesuffix("[x]") for one in theirs["modifiers"]}
        for path, stem in stems.items():
            assert any(one == path or (stem != path and one.startswith(stem)) for one in known.modifiers), path
        assert all(any(one.startswith(stem) for stem in stems.values()) for one in known.modifiers)
        for path, row in theirs["required_codes"].items():
            assert known.codes[path] == set(row["codes"]), path

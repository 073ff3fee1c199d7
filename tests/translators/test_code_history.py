"""Every table that a sender's `code_history` can name, end to end: each of its codes becomes what the tables say it is today."""

from collections.abc import Iterator

import pytest

from tests.each import each_of
from translators.contract import Settings, Translation, Tree
from translators.fhir.json_codec import decode
from translators.information import information_of
from translators.national_number import TEST_KINDS
from translators.terminology import (
    ALERT,
    CATEGORY,
    CLASS,
    DISPENSE,
    EVENT,
    FLAG,
    MODE,
    REASON,
    SECTION,
    SEVERITY,
    SHORT_NAMES,
    TYPE,
    FormerConcept,
    code_system,
    history_names,
)
from translators.translate import express

SUBJECT: Tree = {"identifier": {"system": "urn:oid:2.16.578.1.12.4.1.4.1", "value": "12834010060"}}
TIME = "2026-05-04T08:00:00+02:00"
NOT_AN_ALERT = {("flag", "until-2021-09-02", "6")}
"""What no alert of today says: refused, since an alert has to say what it is of."""


def _rows() -> Iterator[tuple[str, str, FormerConcept]]:
    for short, url in SHORT_NAMES.items():
        system = code_system(url)
        assert system is not None
        for table in system.earlier:
            yield from ((short, table.name, concept) for concept in table.concepts)


ROWS = list(_rows())


def _message(url: str, code: str) -> dict[str, Tree]:
    """Return the smallest message that can hold a code of this code system."""
    concept: Tree = {"coding": [{"system": url, "code": code}]}
    flag: dict[str, Tree] = {"resourceType": "Flag", "status": "active", "subject": SUBJECT, "period": {"start": TIME}}
    note: dict[str, Tree] = {"resourceType": "Composition", "status": "final", "subject": SUBJECT, "date": TIME}
    encounter: dict[str, Tree] = {"resourceType": "Encounter", "subject": SUBJECT, "period": {"end": TIME}}
    fall: Tree = {"coding": [{"system": ALERT, "code": "4.1"}]}
    level = "http://ehelse.no/fhir/StructureDefinition/vkp-severity-level-v090"
    dispense: dict[str, Tree] = {
        "resourceType": "MedicationDispense",
        "status": "completed",
        "subject": SUBJECT,
        "performer": [{"actor": {"display": "Medisindispenser"}}],
        "whenHandedOver": TIME,
    }
    return {
        ALERT: flag | {"code": concept},
        FLAG: flag | {"code": concept},
        SEVERITY: flag | {"code": fall, "extension": [{"url": level, "valueCodeableConcept": concept}]},
        CLASS: note | {"category": [concept]},
        SECTION: note | {"section": [{"title": "Tekst", "code": concept}]},
        REASON: encounter | {"reasonCode": [concept]},
        TYPE: encounter | {"type": [concept]},
        DISPENSE: dispense | {"category": concept},
    }[url]


def _translated(short: str, table: str, code: str) -> tuple[Tree, Translation]:
    message = _message(SHORT_NAMES[short], code)
    return message, express(message, "vkp-r4", "jft", Settings(TEST_KINDS, code_history=((short, table),)))


def _codes(tree: Tree, system: str) -> list[str]:
    found = [str(tree["code"])] if isinstance(tree, dict) and tree.get("system") == system and "code" in tree else []
    below = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ()
    return found + [code for value in below for code in _codes(value, system)]


def test_every_table_that_can_be_named_is_tried():
    """With each of its codes."""
    tried = {(short, table) for short, table, _ in ROWS}
    assert tried == {(short, name) for short, names in history_names().items() for name in names - {"today"}}


@each_of(ROWS, lambda row: f"{row[0]} {row[1]} {row[2].code}")
def test_a_code_of_a_named_table_becomes_what_it_is_today(short: str, table: str, concept: FormerConcept):
    """In the call, and nothing of its old meaning is left under a URL that says something else today."""
    message, result = _translated(short, table, concept.code)
    if (short, table, concept.code) in NOT_AN_ALERT:
        assert result.refusal is not None
        assert result.refusal.path == "Bundle.entry[1].resource.code"
        return
    assert result.refusal is None, str(result.refusal)
    assert result.information == information_of(message, ((short, table),))
    nowhere = {"test": "test", "not-journaled": "not-to-be-journaled"}
    if concept.becomes in nowhere:
        assert (result.undelivered, result.calls) == (nowhere[concept.becomes], ())
        return
    body = decode(result.calls[0].body)
    own = SHORT_NAMES[short]
    if concept.today is not None and concept.system is not None:
        assert concept.today in _codes(body, concept.system)
    changed = concept.today is None or (concept.system, concept.today) != (own, concept.code)
    system = code_system(own)
    assert system is not None
    if changed and system.until is None:
        others = {"2"} if own == REASON else set()
        nearest = {"1.1", "1.2"} if own == SECTION else set()
        assert concept.code not in set(_codes(body, own)) - others - nearest - {concept.today}


@pytest.mark.parametrize(("short", "table"), sorted({(short, table) for short, table, _ in ROWS}))
def test_a_code_of_no_table_is_refused_where_it_stands(short: str, table: str):
    """Whatever the table."""
    _, result = _translated(short, table, "99")
    assert result.refusal is not None
    assert str(result.refusal.path).endswith("coding[0].code")
    assert SHORT_NAMES[short] in result.refusal.text


def test_the_type_follows_the_meaning_and_not_the_number():
    """The same number is of medicine by one table, and a measurement by another."""
    message = _message(ALERT, "1.1")
    assert information_of(message) == "medisinering"
    assert information_of(message, (("alert", "until-2021-11-17"),)) == "maledata"
    assert information_of(_message(FLAG, "1.1")) == "maledata"
    assert information_of(_message(FLAG, "2.1")) == "skjemabesvarelse"
    assert information_of(_message(FLAG, "4.1")) == "varsel"
    assert information_of(_message(FLAG, "1"), (("flag", "until-2021-09-02"),)) == "maledata"


def test_what_the_code_systems_of_today_are_used_for():
    """Each code that a superseded one becomes is of one that has a place in the profiles."""
    assert {concept.system for _, _, concept in ROWS} - {None} <= {
        *(ALERT, CATEGORY, DISPENSE, EVENT, MODE, REASON, SECTION, SEVERITY),
    }

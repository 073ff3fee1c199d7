"""Superseded codes: by the table that a sender uses, or by the tables that know what today's does not."""

import re
from dataclasses import FrozenInstanceError
from types import MappingProxyType

import pytest

from translators.terminology import (
    ALERT,
    DISPENSE,
    REASON,
    RENUMBERED,
    SECTION,
    SEVERITY,
    SHORT_NAMES,
    Renumbered,
    code_system,
    code_systems,
    history_names,
    renumbered,
)

PREFIX = "http://ehelse.no/fhir/CodeSystem/vkp-"
CATEGORY, MODE = f"{PREFIX}composition-category-v090", f"{PREFIX}encounter-mode-v090"
TABLE_NAME = re.compile(r"until-20\d\d-\d\d(-\d\d)?(-[a-z]+)?")

ALERTS = (("alert", "until-2022-01-14"),)
DISPENSES = (("dispense", "until-2021-11-02"),)
FIRST_SECTIONS = (("section", "until-2021-11-16"),)
SECOND_SECTIONS = (("section", "until-2022-01-05"),)
REASONS = (("reason", "until-2021-12-13"),)


def code(system: str, value: str, table: str) -> Renumbered:
    """Say that a code stays a code."""
    return Renumbered("code", system, value, RENUMBERED, table)


def alert(value: str, table: str) -> Renumbered:
    """Say that a code is an alert today."""
    return Renumbered("alert", ALERT, value, RENUMBERED, table)


def nothing(table: str) -> Renumbered:
    """Say that nothing says the code today."""
    return Renumbered("nothing", None, None, RENUMBERED, table)


def test_every_code_of_today_stands():
    """Whatever it meant before, a sender without a history means it as today."""
    for system in code_systems():
        if system.until is None:
            assert [c.code for c in system.concepts if renumbered(system.url, c.code)] == []


def test_every_superseded_code_is_one_of_today_or_none():
    """What a table translates into exists, in a code system that was not deleted."""
    for system in code_systems():
        for table in system.earlier:
            assert len({former.code for former in table.concepts}) == len(table.concepts)
            for former in table.concepts:
                assert former.meaning
                assert (former.system is None) == (former.today is None) == (former.becomes in ("nothing", "test"))
                if former.system and former.today:
                    target = code_system(former.system)
                    assert target is not None
                    assert target.until is None
                    assert target.concept(former.today) is not None, (table.name, former)
                    assert (former.becomes == "alert") == (target.url == ALERT != system.url)


def test_history_names():
    """The tables that a configuration may name; one whose content is not known can translate nothing."""
    assert history_names() == {
        "alert": {"until-2022-01-14"},
        "dispense": {"until-2021-11-02"},
        "section": {"until-2021-11-16", "until-2022-01-05"},
        "reason": {"until-2021-12-13"},
        "severity": {"until-2021-09-letters", "until-2021-09-digits", "until-2021-09-colours"},
    }
    assert history_names().keys() == SHORT_NAMES.keys()
    assert all(code_system(url) for url in SHORT_NAMES.values())


def test_tables_are_well_formed():
    """A name tells when the table ended; tables come oldest first, each name once, and each says what is not known."""
    for system in code_systems():
        tables = system.earlier
        assert len({table.name for table in tables}) == len(tables)
        assert [table.until for table in tables] == sorted(table.until for table in tables)
        for table in tables:
            assert TABLE_NAME.fullmatch(table.name)
            assert table.name.startswith(f"until-{table.until}")
            assert table.since is None or table.since < table.until
            assert table.note
            assert table.concepts or "not known" in table.note


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("1.4", "1.5"), ("1.5", "1.7"), ("1.6", "1.13"), ("1.7", "1.2"), ("1.8", "1.14"), ("1.9", "1.19"), ("1.10", "1.20"),
        ("1.11", "1.21"), ("1.12", "1.22"), ("1.13", "1.9"), ("1.14", "1.8"), ("1.15", "1.11"), ("1.16", "1.6"),
        ("1.17", "1.18"), ("1.21", "1.16"), ("1.22", "1.15"), ("1.23", "1.4"), ("1.24", "1.10"), ("1.25", "1.12"),
        ("1.26", "1.23"), ("1.27", "1.17"), ("7.2", "4.24"),
    ],
)  # fmt: skip
def test_alerts_by_the_history(old: str, new: str):
    """STU3 numbering below 1, and epilepsy where it stood."""
    assert renumbered(ALERT, old, ALERTS) == code(ALERT, new, "until-2022-01-14")


@pytest.mark.parametrize("same", ["1", "1.1", "1.2", "1.3", "2", "4.1", "5.2.1", "7.1", "1.28", "x"])
def test_alerts_that_the_history_leaves(same: str):
    """What meant the same then, and what the table does not know."""
    assert renumbered(ALERT, same, ALERTS) is None


@pytest.mark.parametrize("gap", ["1.18", "1.19", "1.20"])
def test_alerts_that_the_history_does_not_tell(gap: str):
    """Not known for that table; today's meaning, such as an empty battery, is surely not meant."""
    assert renumbered(ALERT, gap, ALERTS) == nothing("until-2022-01-14")


def test_alerts_without_a_history():
    """Only what today's table does not know is read by an earlier one."""
    assert renumbered(ALERT, "1.23") is None
    assert renumbered(ALERT, "1.24") == code(ALERT, "1.10", "until-2022-01-14")
    assert renumbered(ALERT, "1.27") == code(ALERT, "1.17", "until-2022-01-14")
    assert renumbered(ALERT, "7.2") == code(ALERT, "4.24", "until-2022-01-14")
    assert renumbered(ALERT, "1.28") is None


def test_dispenses():
    """A failure became an alert, and a test stays a test."""
    table = "until-2021-11-02"
    assert renumbered(DISPENSE, "1", DISPENSES) is None
    assert renumbered(DISPENSE, "2", DISPENSES) == alert("1.1", table)
    assert renumbered(DISPENSE, "3", DISPENSES) == alert("1.3", table)
    assert renumbered(DISPENSE, "18", DISPENSES) == code(DISPENSE, "1.2", table)
    assert renumbered(DISPENSE, "0", DISPENSES) == Renumbered("test", None, None, RENUMBERED, table)
    assert renumbered(DISPENSE, "1.1", DISPENSES) is None
    assert [renumbered(DISPENSE, same) for same in ("1", "2", "3", "1.3", "28")] == [None] * 5
    assert renumbered(DISPENSE, "4") == alert("1.5", table)
    assert renumbered(DISPENSE, "20") == code(DISPENSE, "2", table)


def test_sections():
    """Code 2 changed its meaning twice."""
    assert renumbered(SECTION, "2", FIRST_SECTIONS) == code(SECTION, "1.2", "until-2021-11-16")
    assert renumbered(SECTION, "2", SECOND_SECTIONS) == code(SECTION, "1.1", "until-2022-01-05")
    assert renumbered(SECTION, "2") is None
    assert renumbered(SECTION, "1", SECOND_SECTIONS) is None
    assert renumbered(SECTION, "1", FIRST_SECTIONS) == code(SECTION, "1.2", "until-2021-11-16")
    assert renumbered(SECTION, "7", FIRST_SECTIONS) == nothing("until-2021-11-16")
    assert renumbered(SECTION, "9") == code(SECTION, "1", "until-2021-11-16")


def test_reasons():
    """A sensor event became an alert."""
    assert renumbered(REASON, "1", REASONS) == alert("4.1", "until-2021-12-13")
    assert renumbered(REASON, "1") is None
    assert renumbered(REASON, "23") == alert("4.23", "until-2021-12-13")
    assert renumbered(REASON, "24") is None


def test_severities():
    """Letters and digits can be told from the numbers of today, the colours were the same numbers."""
    assert renumbered(SEVERITY, "A") == code(SEVERITY, "30", "until-2021-09-letters")
    assert renumbered(SEVERITY, "1") == code(SEVERITY, "10", "until-2021-09-digits")
    assert renumbered(SEVERITY, "30", (("severity", "until-2021-09-colours"),)) is None
    assert renumbered(SEVERITY, "A", (("severity", "until-2021-09-digits"),)) is None


def test_deleted_code_systems():
    """Their codes go on in others; where tables disagree, the latest decides."""
    assert renumbered(f"{PREFIX}composition-class-v090", "4") == code(CATEGORY, "1", "until-2021-09")
    assert renumbered(f"{PREFIX}encounter-type-v090", "1") == code(MODE, "1", "until-2022-04-06")
    assert renumbered(f"{PREFIX}encounter-type-v090", "5") is None


def test_a_history_is_of_its_code_system_alone():
    """And is read as pairs or as a mapping."""
    assert renumbered(DISPENSE, "2", ALERTS) is None
    assert renumbered(DISPENSE, "4", ALERTS) == alert("1.5", "until-2021-11-02")
    both = (*ALERTS, *DISPENSES)
    assert renumbered(DISPENSE, "2", both) == renumbered(DISPENSE, "2", dict(both)) == alert("1.1", "until-2021-11-02")
    assert renumbered(CATEGORY, "1", both) is None


@pytest.mark.parametrize("table", ["until-2021-11-17", "until-1999-01-01", ""])
def test_an_unknown_table_is_an_error(table: str):
    """The configuration was to refuse it; to pass over it would journal what the sender did not say."""
    with pytest.raises(KeyError):
        renumbered(ALERT, "1.4", {"alert": table})


@pytest.mark.parametrize("url", ["", "http://loinc.org", f"{PREFIX}medicationdispense-events-v06", ALERT + "/"])
def test_other_code_systems_stand(url: str):
    """STU3's codes are mapped, not renumbered."""
    assert renumbered(url, "4") is renumbered(url, "4", ALERTS) is None


def test_nothing_can_be_changed():
    """What is handed out is shared by all messages."""
    found = renumbered(ALERT, "1.24")
    assert found is not None
    with pytest.raises(FrozenInstanceError):
        found.code = "1"  # type: ignore[misc]
    assert isinstance(history_names(), MappingProxyType)
    assert isinstance(SHORT_NAMES, MappingProxyType)
    assert {type(names) for names in history_names().values()} == {frozenset}

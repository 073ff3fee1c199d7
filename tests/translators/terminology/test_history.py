"""Superseded codes: by the table that a sender uses, or by the tables that know what today's does not."""

from dataclasses import FrozenInstanceError
from types import MappingProxyType

import pytest

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
    Doubt,
    Renumbered,
    code_system,
    code_systems,
    history_names,
    is_of_superseded_table,
    is_shown_as_another,
    may_mean_otherwise,
    read_code,
    standing,
)

PREFIX = "http://ehelse.no/fhir/CodeSystem/vkp-"

FIRST_ALERTS = (("alert", "until-2021-11-17"),)
ALERTS = (("alert", "until-2022-01-14"),)
ALERTS_OF_2022 = (("alert", "until-2022-08-25"),)
DISPENSES = (("dispense", "until-2021-11-02"),)
FIRST_SECTIONS = (("section", "until-2021-11-16"),)
SECOND_SECTIONS = (("section", "until-2022-01-05"),)
REASONS = (("reason", "until-2021-12-13"),)

MEDICINE = {
    "1.4": "1.5", "1.5": "1.7", "1.6": "1.13", "1.7": "1.2", "1.8": "1.14", "1.9": "1.19", "1.10": "1.20", "1.11": "1.21",
    "1.12": "1.22", "1.13": "1.9", "1.14": "1.8", "1.15": "1.11", "1.16": "1.6", "1.17": "1.18", "1.21": "1.16",
    "1.22": "1.15", "1.23": "1.4", "1.24": "1.10", "1.25": "1.12", "1.26": "1.23", "1.27": "1.17",
}  # fmt: skip
"""By the numbers of STU3 below 1, what each is today."""
HOME = {
    "0": "5.1",
    "1": "5.2",
    "1.1": "5.2.1",
    "1.2": "5.2.2",
    "1.3": "5.2.3",
    "2": "5.3",
    "2.1": "5.3.1",
    "2.2": "5.3.2",
}
"""The first numbers of digital home follow-up, and the alerts they are."""


def today(url: str, code: str, history: tuple[tuple[str, str], ...] = ()) -> tuple[str, str | None, str | None]:
    """Return what a superseded code becomes, of which code system, and which code."""
    found = read_code(url, code, history)
    assert isinstance(found, Renumbered), (url, code, found)
    return found.becomes, found.system, found.code


def test_every_code_of_today_stands():
    """Whatever it meant before, a sender without a history and without old displays means it as today."""
    for system in code_systems():
        if system.until is None:
            assert [c.code for c in system.concepts if read_code(system.url, c.code)] == []
            shown = {c.code: system.displays.get(c.code, frozenset({c.display})) for c in system.concepts}
            assert [(c, d) for c, found in shown.items() for d in found if read_code(system.url, c, (), d)] == []


def test_every_superseded_code_is_one_of_today_or_none():
    """What a table translates into exists, in a code system that was not deleted."""
    for system in code_systems():
        for table in system.earlier:
            for former in table.concepts:
                assert (former.system is None) == (former.today is None)
                assert (former.today is None) == (former.becomes in ("nothing", "test", "not-journaled"))
                if former.system and former.today:
                    target = code_system(former.system)
                    assert target is not None
                    assert target.until is None
                    assert target.concept(former.today) is not None, (table.name, former)


@pytest.mark.fact("codes-alert")
@pytest.mark.parametrize("history", [ALERTS, ALERTS_OF_2022])
def test_alerts_by_the_numbers_of_stu3(history: tuple[tuple[str, str], ...]):
    """They stood twice: until 2022-01-14, and for three months of 2022."""
    assert {old: today(ALERT, old, history)[2] for old in MEDICINE} == MEDICINE
    assert all(read_code(ALERT, same, history) is None for same in ("1", "1.3", "2", "3", "4", "5.2.1", "6"))


@pytest.mark.fact("codes-alert")
def test_alerts_of_the_first_table():
    """Home follow-up at the top, and the dispenser under 3."""
    assert {old: today(ALERT, old, FIRST_ALERTS)[2] for old in HOME} == HOME
    assert today(ALERT, "3", FIRST_ALERTS) == ("code", ALERT, "1")
    assert today(ALERT, "3.3", FIRST_ALERTS) == ("code", ALERT, "1.3")
    below = {old.replace("1.", "3.", 1): new for old, new in MEDICINE.items()}
    assert {old: today(ALERT, old, FIRST_ALERTS)[2] for old in below} == below
    assert read_code(ALERT, "4.23", FIRST_ALERTS) is None


@pytest.mark.parametrize(
    ("code", "history"),
    [
        *((code, ALERTS) for code in ("1.1", "1.2", "1.18", "1.19", "1.20", "1.28", "4.25", "x")),
        *((code, ALERTS_OF_2022) for code in ("1.1", "4.1", "7.1", "7.2")),
        *((code, FIRST_ALERTS) for code in ("5.1", "7.1", "4.24", "3.18")),
        *((code, ()) for code in ("1.28", "8", "", " 1.1")),
    ],
)
def test_an_alert_of_no_table_of_its_time_is_unknown(code: str, history: tuple[tuple[str, str], ...]):
    """Whatever it means in a table of another time."""
    assert read_code(ALERT, code, history) is Doubt.UNKNOWN


def test_alerts_without_a_history():
    """Only what today's table does not know is read by the earlier ones, which agree."""
    assert read_code(ALERT, "1.23") is None
    found = [today(ALERT, code) for code in ("1.24", "1.27", "7.2", "0", "2.1", "3.4")]
    assert found == [("code", ALERT, code) for code in ("1.10", "1.17", "4.24", "5.1", "5.3.1", "1.5")]


@pytest.mark.fact("codes-flag")
def test_flag_codes():
    """The table that stood four years decides where nobody says; the first one said other things by the same numbers."""
    found = {code: today(FLAG, code) for code in HOME}
    assert found == {code: ("code", ALERT, alert) for code, alert in HOME.items()}
    assert [today(FLAG, code)[2] for code in ("4", "4.1", "4.23")] == ["4", "4.1", "4.23"]
    first = (("flag", "until-2021-09-02"),)
    assert [today(FLAG, str(n), first)[2] for n in range(1, 7)] == ["5.2.1", "5.3.2", "5.2.2", "5.3.1", "5.2.3", None]
    assert today(FLAG, "3") == ("code", ALERT, "5.2.2")
    assert read_code(FLAG, "4.24") is Doubt.UNKNOWN


@pytest.mark.fact("codes-dispense")
def test_dispenses():
    """A failure became an alert, and a test stays a test."""
    assert read_code(DISPENSE, "1", DISPENSES) is None
    assert today(DISPENSE, "2", DISPENSES) == ("alert", ALERT, "1.1")
    assert today(DISPENSE, "3", DISPENSES) == ("alert", ALERT, "1.3")
    assert today(DISPENSE, "18", DISPENSES) == ("code", DISPENSE, "1.2")
    assert today(DISPENSE, "0", DISPENSES) == today(DISPENSE, "0") == ("test", None, None)
    assert today(DISPENSE, "0", (("dispense", "until-2021-11-11"),)) == ("test", None, None)
    assert read_code(DISPENSE, "3", (("dispense", "until-2021-11-11"),)) is Doubt.UNKNOWN
    assert [read_code(DISPENSE, same) for same in ("1", "2", "3", "1.3")] == [None] * 4
    assert today(DISPENSE, "4") == ("alert", ALERT, "1.5")
    assert today(DISPENSE, "20") == ("code", DISPENSE, "2")


@pytest.mark.fact("codes-section")
def test_sections():
    """Code 2 changed its meaning twice, and five sections became events."""
    events = {"2": "6", "3": "7", "5": "8", "6": "9", "8": "10"}
    assert {code: today(SECTION, code, FIRST_SECTIONS) for code in events} == {
        code: ("event", EVENT, event) for code, event in events.items()
    }
    assert today(SECTION, "2", SECOND_SECTIONS) == ("code", SECTION, "1.1")
    assert today(SECTION, "1.1", SECOND_SECTIONS) == ("code", SECTION, "1")
    assert [read_code(SECTION, code) for code in ("1", "1.1", "2")] == [None] * 3
    assert today(SECTION, "1", FIRST_SECTIONS) == ("code", SECTION, "1.2")
    assert today(SECTION, "7", FIRST_SECTIONS) == ("nothing", None, None)
    assert today(SECTION, "9") == ("code", SECTION, "1")


@pytest.mark.fact("codes-class", "codes-severity", "codes-encounter-type")
def test_reasons_severities_classes_and_types():
    """Each by its tables; of a deleted code system the last one decides where nobody says."""
    assert [today(REASON, str(n), REASONS)[2] for n in range(1, 24)] == [f"4.{n}" for n in range(1, 24)]
    assert read_code(REASON, "1") is None
    digits = (("severity", "until-2021-06-03"),)
    assert [today(SEVERITY, code, digits)[2] for code in "123"] == ["10", "20", "30"]
    assert read_code(SEVERITY, "30", (("severity", "until-2021-09-02"),)) is None
    assert read_code(SEVERITY, "40", (("severity", "until-2021-09-02"),)) is Doubt.UNKNOWN
    assert read_code(SEVERITY, "A") is Doubt.UNKNOWN
    assert today(CLASS, "2") == ("code", CATEGORY, "2")
    assert today(CLASS, "2", (("class", "until-2021-09-10"),)) == ("not-journaled", None, None)
    assert today(CLASS, "4") == ("code", CATEGORY, "1")
    assert today(TYPE, "1") == ("code", MODE, "1")
    assert today(TYPE, "1", (("type", "until-2022-03-23"),)) == ("code", REASON, "1")
    assert today(TYPE, "1", (("type", "until-2021-11-17"),)) == ("nothing", None, None)
    assert read_code(TYPE, "5") is Doubt.UNKNOWN
    assert read_code(CATEGORY, "0") is Doubt.UNKNOWN


@pytest.mark.fact("codes-doubtful-display")
@pytest.mark.parametrize(
    ("url", "code", "display"),
    [
        (DISPENSE, "2", "medisin_ikke_utlevert"),
        (DISPENSE, "2", " Medisin  ikke utlevert"),
        (DISPENSE, "3", "medisin_mangler_bekreftelse"),
        (ALERT, "1", "Handling utført"),
        (ALERT, "1.17", "Batteri tomt"),
        (ALERT, "2", "Inaktiv pasient"),
        (ALERT, "3", "Medisindispenserhendelse"),
        (REASON, "2", "forlatt_sengen"),
        (SECTION, "1.1", "oppsummerende notat"),
        (SECTION, "2", "tiltaksbeskrivelse"),
        (FLAG, "1", "Måledata rapportert"),
        (TYPE, "2", "hendelsesbasert tilsyn"),
        (CLASS, "2", "ikke_respons"),
    ],
)
def test_a_display_of_an_old_table_makes_a_code_doubtful(url: str, code: str, display: str):
    """Unless the sender's history says which table it is of."""
    assert read_code(url, code, (), display) is Doubt.DISPLAY
    short = next(name for name, system in SHORT_NAMES.items() if system == url)
    for table in history_names()[short]:
        assert read_code(url, code, ((short, table),), display) is not Doubt.DISPLAY


@pytest.mark.parametrize(
    ("url", "code", "display"),
    [
        (ALERT, "1", "Medisindispenserhendelse"),
        (ALERT, "4.1", "fall"),
        (ALERT, "4.25", "Kamera"),
        (ALERT, "1.17", "Batteri lavt"),
        (ALERT, "1.17", "Batteriet er snart tomt"),
        (DISPENSE, "2", "Medisin utlevert reise"),
        (SEVERITY, "20", "Gul"),
    ],
)
def test_any_other_display_is_no_matter(url: str, code: str, display: str):
    """One of today's, one of a table that meant the same by the code, or one that VKP never published."""
    assert read_code(url, code, (), display) is None


def test_codes_that_prove_a_table_put_others_in_doubt():
    """Those alone that meant something else in a table that has what was seen."""
    assert is_of_superseded_table(DISPENSE, "12")
    assert not is_of_superseded_table(DISPENSE, "2")
    assert not is_of_superseded_table("http://loinc.org", "12")
    assert may_mean_otherwise(DISPENSE, "2", frozenset({"12"}))
    assert not may_mean_otherwise(DISPENSE, "1", frozenset({"12"}))
    assert may_mean_otherwise(DISPENSE, "2", frozenset({"0"}))
    assert not may_mean_otherwise(DISPENSE, "1", frozenset({"0"}))
    assert may_mean_otherwise(ALERT, "1.4", frozenset({"1.27"}))
    assert not may_mean_otherwise(ALERT, "2", frozenset({"1.27"}))
    assert may_mean_otherwise(ALERT, "2", frozenset({"3.4"}))
    assert not may_mean_otherwise(ALERT, "1.27", frozenset({"1.27"}))


def test_what_stands_whatever_its_display():
    """A look at this set must never let a doubtful code pass."""
    for history in ((), ALERTS, DISPENSES, (("alert", "today"),)):
        for url, code in standing(history):
            system = code_system(url)
            assert system is not None
            shown = {display for table in system.earlier for display in table.displays.get(code, ())}
            assert {read_code(url, code, history, display) for display in (None, *shown)} == {None}
    assert (ALERT, "4.1") in standing(())
    assert (ALERT, "1.4") not in standing(())
    assert (ALERT, "1.4") in standing((("alert", "today"),))


def test_a_history_is_of_its_code_system_alone():
    """And is read as pairs or as a mapping."""
    assert read_code(DISPENSE, "2", ALERTS) is None
    both = (*ALERTS, *DISPENSES)
    assert read_code(DISPENSE, "2", both) == read_code(DISPENSE, "2", dict(both))
    assert today(DISPENSE, "2", both) == ("alert", ALERT, "1.1")


@pytest.mark.parametrize("table", ["until-2021-11-26", "until-1999-01-01", ""])
def test_a_table_that_is_not_there_is_no_history(table: str):
    """The configuration names those of `history_names` alone."""
    assert table not in history_names()["alert"]
    with pytest.raises(KeyError):
        read_code(ALERT, "1.4", {"alert": table})


@pytest.mark.parametrize("url", ["", "http://loinc.org", f"{PREFIX}medicationdispense-events-v06", ALERT + "/"])
def test_other_code_systems_stand(url: str):
    """STU3's codes are mapped, not renumbered."""
    assert read_code(url, "4") is read_code(url, "4", ALERTS) is None


def test_nothing_can_be_changed():
    """What is handed out is shared by all messages."""
    found = read_code(ALERT, "1.24")
    assert isinstance(found, Renumbered)
    with pytest.raises(FrozenInstanceError):
        found.code = "1"  # type: ignore[misc]
    assert isinstance(history_names(), MappingProxyType)
    assert isinstance(SHORT_NAMES, MappingProxyType)
    assert {type(names) for names in history_names().values()} == {frozenset}


@pytest.mark.parametrize(
    ("url", "code", "display", "is_another"),
    [
        (ALERT, "4.1", "Brannalarm", True),
        (ALERT, "4.1", "brann_alarm", False),
        (ALERT, "4.1", "Fall", False),
        (ALERT, "4.1", "Hun falt på badet", False),
        (ALERT, "1.17", "Batteri tomt", False),
        (ALERT, "4.99", "Brannalarm", False),
        (ALERT, "4.1", "Digitalt tilsyn", False),
        (ALERT, "4", "Fall", False),
        (ALERT, "1", "Fall", True),
        (ALERT, "1.1", "Snart tomt for medisin", True),
        (ALERT, "1.1", "Handling utført", True),
        (DISPENSE, "1.1", "medisin utlevert", False),
        (DISPENSE, "1", "medisin_utlevert_uassistert", False),
        (DISPENSE, "2.1", "medisin utlevert", True),
        (DISPENSE, "2", "medisin utlevert", True),
        ("http://ehelse.no/fhir/CodeSystem/vkp-medicationdispense-events-v06", "2", "medisin_utlevert", True),
        ("http://ehelse.no/fhir/CodeSystem/vkp-medicationdispense-events-v06", "2", "medisin_ikke_utlevert", False),
        ("http://loinc.org", "8867-4", "Brannalarm", False),
    ],
)
def test_a_display_of_another_code_of_the_table_is_told(url: str, code: str, display: str, *, is_another: bool) -> None:
    """Words of one's own say nothing of codes; a display that the code has had is its own, and a wider or narrower one true of it."""
    assert is_shown_as_another(url, code, display) is is_another

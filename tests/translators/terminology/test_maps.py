"""The maps from STU3 to R4: from known codes to known codes, and what each function says."""

import pytest

from translators.terminology import (
    ALERT,
    DISPENSE,
    SEVERITIES,
    SEVERITY,
    CodeMap,
    Event,
    alert_of_reason,
    category_of_class,
    code_maps,
    code_system,
    dispense_event,
    event_of,
    event_of_section,
    is_not_journaled,
    knows_section,
    knows_severity,
    mode_of_class,
    section_of,
    severity_of,
)

PREFIX = "http://ehelse.no/fhir/CodeSystem/vkp-"
EMERGENCY, TRIAGE = f"{PREFIX}emergency-level-v05", f"{PREFIX}triage-v05"

DISPENSE_EVENTS = """
0 test        10 alert 1.20  19 dispense 3
1 dispense 1  11 alert 1.21  20 dispense 2
2 alert 1.1   12 alert 1.22  21 alert 1.16
3 alert 1.3   13 alert 1.9   22 alert 1.15
4 alert 1.5   14 alert 1.8   23 alert 1.4
5 alert 1.7   15 alert 1.11  24 alert 1.10
6 alert 1.13  16 alert 1.6   25 alert 1.12
7 alert 1.2   17 alert 1.18  26 alert 1.23
8 alert 1.14  18 dispense 1.2  27 alert 1.17
9 alert 1.19
"""


def codes(url: str) -> set[str]:
    """Return all codes that a code system ever had."""
    system = code_system(url)
    assert system is not None, url
    earlier = {former.code for table in system.earlier for former in table.concepts}
    return earlier | {concept.code for concept in system.concepts}


def today(url: str) -> set[str]:
    """Return the codes that a code system has today."""
    if url == SEVERITIES:
        return {"high", "moderate", "low"}
    system = code_system(url)
    assert system is not None, url
    assert system.until is None
    return {concept.code for concept in system.concepts}


@pytest.mark.parametrize("code_map", code_maps(), ids=lambda code_map: code_map.name)
def test_every_row_maps_a_known_code_to_one_of_today(code_map: CodeMap):
    """Every code of the origins has its row, and every row its code of today, or none."""
    assert code_map.name
    assert code_map.source
    assert code_map.mark in ("documented", "inferred")
    assert len({row.code for row in code_map.rows}) == len(code_map.rows)
    origins = [codes(url) for url in code_map.origins]
    for row in code_map.rows:
        assert any(row.code in known for known in origins), row
        assert row.to is None or row.to in today(ALERT if row.kind == "alert" else code_map.target), row
    first = code_system(code_map.origins[0])
    assert first is not None
    assert {concept.code for concept in first.concepts} <= {row.code for row in code_map.rows}


def test_dispense_events():
    """As the definitions of STU3 and R4 say; 0 only tests the way."""
    cells = DISPENSE_EVENTS.split()
    table: dict[str, Event] = {}
    while cells:
        code, kind = cells.pop(0), cells.pop(0)
        assert kind in ("dispense", "alert", "test")
        table[code] = Event(kind, None if kind == "test" else cells.pop(0))
    assert len(table) == 28
    assert {str(n): dispense_event(str(n)) for n in range(28)} == table
    assert dispense_event("28") is None
    assert dispense_event("1.1") is None


def test_dispense_events_agree_with_the_superseded_table():
    """R4's table until 2021-11-02 was that of STU3."""
    system = code_system(DISPENSE)
    assert system is not None
    for former in system.earlier[0].concepts:
        event = dispense_event(former.code)
        assert event is not None
        assert former.today == event.code
        assert former.becomes == ("code" if event.kind == "dispense" else event.kind)


def test_alerts_of_reasons():
    """The n-th sensor event is the alert 4.n."""
    assert [alert_of_reason(str(n)) for n in range(1, 24)] == [f"4.{n}" for n in range(1, 24)]
    assert alert_of_reason("0") is alert_of_reason("24") is None


def test_modes_categories_and_events():
    """Modes and composition events kept their codes; every class but one is of trygghet og mestring."""
    assert [mode_of_class(str(n)) for n in range(6)] == ["0", "1", "2", "3", "4", None]
    assert [category_of_class(str(n)) for n in range(10)] == ["1", "1", None, *["1"] * 6, None]
    assert [n for n in range(10) if is_not_journaled(str(n))] == [2]
    assert [event_of(str(n)) for n in range(7)] == ["0", "1", None, "3", "4", "5", None]


def test_sections():
    """Signature and other operators are known, and no sections today; five became events in one commit."""
    sections = [section_of(str(n)) for n in range(11)]
    assert sections == [None, "1.2", "1.2", "1.1", "1.1", "1.1", "1.1", None, None, "1", None]
    events = {n: event_of_section(str(n)) for n in range(11) if event_of_section(str(n))}
    assert events == {2: "6", 3: "7", 5: "8", 6: "9", 8: "10"}
    assert [n for n in range(11) if knows_section(str(n))] == list(range(1, 10))


@pytest.mark.parametrize(
    ("url", "severities"),
    [
        (EMERGENCY, {"A": "high", "H": "moderate", "V": "low", "IR": None, "U": None}),
        (f"{PREFIX}severity-level-v06", {"A": "high", "H": "moderate", "V": "low", "IR": None, "U": None}),
        (
            f"{PREFIX}triage-v06",
            {"R": "high", "O": "high", "Y": "moderate", "G": "low", "B": "low", "BL": None, "NR": None},
        ),
        (f"{PREFIX}emergency-level-v06", {"A": "high", "U": None}),
        (TRIAGE, {"R": "high", "O": "high", "Y": "moderate", "G": "low", "B": "low", "BL": None, "NR": None}),
        (f"{PREFIX}triage-v090", {"R": "high", "NR": None}),
        (SEVERITY, {"0": None, "10": "low", "20": "moderate", "30": "high", "40": "high"}),
    ],
)
def test_severities(url: str, severities: dict[str, str | None]):
    """A code that says no severity is known all the same."""
    for code, severity in severities.items():
        assert severity_of(url, code) == severity
        assert knows_severity(url, code)


@pytest.mark.parametrize(("url", "code"), [(EMERGENCY, "R"), (SEVERITY, "A"), ("", "A"), (ALERT, "1"), (TRIAGE, "r")])
def test_unknown_severities(url: str, code: str):
    """Codes are known in their own code system alone."""
    assert severity_of(url, code) is None
    assert not knows_severity(url, code)

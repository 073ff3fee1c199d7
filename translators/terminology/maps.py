"""Maps from the codes of STU3, and of R4 before they were changed, to what R4 has for them today.

VKP published none of them; each data file says by what it was made, and whether that is documented or inferred.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any, Literal, TypeAlias, cast

from translators.terminology.code_system import documents

EventKind: TypeAlias = Literal["dispense", "alert", "test", "not-journaled"]
Severity: TypeAlias = Literal["high", "moderate", "low"]
"""The codes of DetectedIssue.severity (FHIR R4, detectedissue-severity)."""

SEVERITIES = "http://hl7.org/fhir/detectedissue-severity"


@dataclass(frozen=True, slots=True)
class Row:
    """One code and what it becomes; `to` is None when the code is known and nothing of today says it."""

    code: str
    to: str | None
    kind: EventKind | None = None
    """What a dispense event is today, and of a class that its event is not to be journaled; None in every other map."""


@dataclass(frozen=True, slots=True)
class CodeMap:
    """A map from the codes of some code systems, which mean the same in each, to one code system."""

    name: str
    source: str
    mark: Literal["documented", "inferred"]
    origins: tuple[str, ...]
    target: str
    note: str
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Event:
    """What a dispense event is in R4: a code of dispensing, a code of an alert, or a message that only tests the way."""

    kind: Literal["dispense", "alert", "test"]
    code: str | None
    """None for a test alone."""


@cache
def code_maps() -> tuple[CodeMap, ...]:
    """Return every map, read from the package's own data files, by name."""
    return tuple(sorted(map(_code_map, documents("maps")), key=lambda code_map: code_map.name))


def dispense_event(code: str) -> Event | None:
    """Return what an event of vkp-medicationdispense-events (v05, v06, v090 to 2021-11-02) is today; None if unknown."""
    return _events().get(code)


def alert_of_reason(code: str) -> str | None:
    """Return the alert that a sensor event of vkp-encounter-reason (v05, v06, v090 to 2021-12-13) is; None if unknown."""
    return _rows("alert-of-reason").get(code)


def mode_of_class(code: str) -> str | None:
    """Return the code of vkp-encounter-mode-v090 for one of vkp-encounter-class; None if unknown."""
    return _rows("mode-of-class").get(code)


def category_of_class(code: str) -> str | None:
    """Return the code of vkp-composition-category-v090 for one of vkp-composition-class; None if it is none, or unknown."""
    return _rows("category-of-class").get(code)


def is_not_journaled(code: str) -> bool:
    """Tell whether a code of vkp-composition-class says that its event is not to be journaled."""
    return code in _not_journaled()


def section_of(code: str) -> str | None:
    """Return the code of vkp-composition-section-v090 for one of vkp-composition-section-v06.

    None if unknown, and for a signature (7) or other operators (8), which `knows_section` tells apart.
    """
    return _rows("section-of").get(code)


def event_of_section(code: str) -> str | None:
    """Return the code of vkp-composition-event-v090 that a code of vkp-composition-section-v06 became; None for the others."""
    return _rows("event-of-section").get(code)


def knows_section(code: str) -> bool:
    """Tell whether vkp-composition-section-v06 has this code, be it a section today or not."""
    return code in _rows("section-of")


def event_of(code: str) -> str | None:
    """Return the code of vkp-composition-event-v090 for one of vkp-composition-event-v06; None if unknown."""
    return _rows("event-of").get(code)


def severity_of(system_url: str, code: str) -> Severity | None:
    """Return the severity that a code of vkp-emergency-level, vkp-triage or vkp-severity-level says.

    None if unknown, and for a code that says none, such as "not reported", which `knows_severity` tells apart. A code of a
    superseded table of vkp-severity-level-v090 is unknown here: `renumbered` comes first.
    """
    return _severities().get((system_url, code))


def knows_severity(system_url: str, code: str) -> bool:
    """Tell whether `severity_of` knows the code, be it that it says a severity or that it says none."""
    return (system_url, code) in _severities()


@cache
def _rows(name: str) -> Mapping[str, str | None]:
    rows = next(code_map.rows for code_map in code_maps() if code_map.name == name)
    return MappingProxyType({row.code: row.to for row in rows})


@cache
def _events() -> Mapping[str, Event]:
    rows = next(code_map.rows for code_map in code_maps() if code_map.name == "dispense-event")
    return MappingProxyType({row.code: Event(cast("Any", row.kind), row.to) for row in rows})


@cache
def _not_journaled() -> frozenset[str]:
    rows = next(code_map.rows for code_map in code_maps() if code_map.name == "category-of-class")
    return frozenset(row.code for row in rows if row.kind == "not-journaled")


@cache
def _severities() -> Mapping[tuple[str, str], Severity | None]:
    return MappingProxyType(
        {
            (url, row.code): cast("Severity | None", row.to)
            for code_map in code_maps()
            if code_map.target == SEVERITIES
            for url in code_map.origins
            for row in code_map.rows
        }
    )


def _code_map(file: dict[str, Any]) -> CodeMap:
    rows = tuple(Row(row["code"], row["to"], row.get("kind")) for row in file["rows"])
    return CodeMap(file["name"], file["source"], file["mark"], tuple(file["from"]), file["to"], file["note"], rows)

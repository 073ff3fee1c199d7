"""The code systems of VKP as they are published today, each with the tables that its URL named before.

Source: the code systems of github.com/HL7Norway/Velferdsteknologi. `tables/` has every version of them and is made from the
history of that repository (scripts/code_tables.py); `code_systems/` has the definitions, and what each superseded code is today.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

Becomes: TypeAlias = Literal["code", "alert", "event", "test", "not-journaled", "nothing"]
"""What a superseded code is today: a code for the same element; an alert, which is a DetectedIssue of its own; an event of the
note that its section stands in; a message that only tests the way; an event that is not to be journaled; or nothing that any
table of today says."""

_PREFIX = "http://ehelse.no/fhir/CodeSystem/vkp-"
ALERT = f"{_PREFIX}alert-code-v090"
CATEGORY = f"{_PREFIX}composition-category-v090"
CLASS = f"{_PREFIX}composition-class-v090"
DISPENSE = f"{_PREFIX}medicationdispense-events-v090"
EVENT = f"{_PREFIX}composition-event-v090"
FLAG = f"{_PREFIX}flag-code-v090"
MODE = f"{_PREFIX}encounter-mode-v090"
REASON = f"{_PREFIX}encounter-reason-v090"
SECTION = f"{_PREFIX}composition-section-v090"
SEVERITY = f"{_PREFIX}severity-level-v090"
TYPE = f"{_PREFIX}encounter-type-v090"

_OTHER_ELEMENTS: Mapping[str, Becomes] = MappingProxyType({ALERT: "alert", EVENT: "event"})
"""What a code becomes when the system that has it today is of another element than its own system was."""


@dataclass(frozen=True, slots=True)
class Concept:
    """One code as published; displays changed while codes did not, so none is to be matched on."""

    code: str
    display: str
    definition: str | None


@dataclass(frozen=True, slots=True)
class FormerConcept:
    """One code of a superseded table, with what it is today; `system` and `today` are None when it is no code."""

    code: str
    meaning: str
    """Its display when the table ended."""
    becomes: Becomes
    system: str | None
    today: str | None


@dataclass(frozen=True, slots=True)
class Superseded:
    """A table that the URL named before; a code that is not in it had no meaning then."""

    name: str
    since: str
    until: str
    note: str
    concepts: tuple[FormerConcept, ...]
    displays: Mapping[str, frozenset[str]] = field(repr=False, hash=False)
    """Every display that a code had while the table stood."""


@dataclass(frozen=True, slots=True)
class CodeSystem:
    """A code system with its concepts of today, or of its end when it was deleted."""

    url: str
    also: tuple[str, ...]
    """URLs of other versions that are in use and whose content is not known apart."""
    version: str | None
    status: str | None
    source: str
    since: str
    """When this meaning of the codes came, or the date of the source where that is not known."""
    until: str | None
    """When it was deleted."""
    note: str
    concepts: tuple[Concept, ...]
    earlier: tuple[Superseded, ...]
    """Oldest first. Of a deleted code system the last one is the table that it ended with."""
    displays: Mapping[str, frozenset[str]] = field(repr=False, hash=False)
    """Every display that a code had since it means what it means today."""
    _by_code: Mapping[str, Concept] = field(repr=False, compare=False)

    def concept(self, code: str) -> Concept | None:
        """Return the concept of exactly this code, or None."""
        return self._by_code.get(code)


@cache
def code_systems() -> tuple[CodeSystem, ...]:
    """Return every code system of VKP R4 and STU3, read from the package's own data files, by URL."""
    published = {row["url"]: {table["commit"]: table for table in row["tables"]} for row in documents("tables")}
    systems = (_code_system(row, published[row["url"]]) for row in documents("code_systems"))
    return tuple(sorted(systems, key=lambda system: system.url))


def code_system(url: str) -> CodeSystem | None:
    """Return the code system that exactly this URL names, in whatever version, or None."""
    return _by_url().get(url)


def documents(folder: str) -> Iterator[dict[str, Any]]:
    """Go through the JSON files of one folder of this package."""
    for file in resources.files("translators.terminology").joinpath(folder).iterdir():
        if file.name.endswith(".json"):
            yield json.loads(file.read_text(encoding="utf-8"))


@cache
def _by_url() -> Mapping[str, CodeSystem]:
    return MappingProxyType({url: system for system in code_systems() for url in (system.url, *system.also)})


def _code_system(row: dict[str, Any], published: dict[str, dict[str, Any]]) -> CodeSystem:
    concepts = tuple(Concept(**concept) for concept in row["concepts"])
    superseded = {commit for table in row["earlier"] for commit in table["tables"]}
    current = [table for commit, table in published.items() if commit not in superseded]
    return CodeSystem(
        url=row["url"],
        also=tuple(row["also"]),
        version=row["version"],
        status=row["status"],
        source=row["source"],
        since=row["from"],
        until=row["until"],
        note=row["note"],
        concepts=concepts,
        earlier=tuple(_superseded(table, row["url"], published) for table in row["earlier"]),
        displays=_displays(current),
        _by_code=MappingProxyType({concept.code: concept for concept in concepts}),
    )


def _superseded(row: dict[str, Any], url: str, published: dict[str, dict[str, Any]]) -> Superseded:
    tables = [published[commit] for commit in row["tables"]]
    meanings = {code: display for table in tables for code, display in table["concepts"].items()}
    concepts = tuple(_former(code, meanings[code], row["today"], url) for code in meanings)
    return Superseded(row["name"], tables[0]["from"], tables[-1]["until"], row["note"], concepts, _displays(tables))


def _displays(tables: list[dict[str, Any]]) -> Mapping[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for table in tables:
        for code, display in table["concepts"].items():
            found.setdefault(code, set()).add(display)
    return MappingProxyType({code: frozenset(displays) for code, displays in found.items()})


def _former(code: str, meaning: str, changes: dict[str, Any], url: str) -> FormerConcept:
    """Return what a code is today; one that `changes` does not name means what it meant."""
    today = changes.get(code, {"code": code})
    if today is None:
        return FormerConcept(code, meaning, "nothing", None, None)
    if "code" not in today:
        return FormerConcept(code, meaning, today["becomes"], None, None)
    system = today.get("system", url)
    becomes = "code" if url in (system, FLAG) else _OTHER_ELEMENTS.get(system, "code")
    return FormerConcept(code, meaning, becomes, system, today["code"])

"""The code systems of VKP as they are published today, each with the tables that its URL named before.

Source: the code systems of github.com/HL7Norway/Velferdsteknologi; every data file names its commit.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

Becomes: TypeAlias = Literal["code", "alert", "test", "nothing"]
"""What a superseded code is today: a code of the same element; an alert, which is a DetectedIssue of its own; a message that
only tests the way; or nothing that any table of today says."""

_PREFIX = "http://ehelse.no/fhir/CodeSystem/vkp-"
ALERT = f"{_PREFIX}alert-code-v090"
DISPENSE = f"{_PREFIX}medicationdispense-events-v090"
SECTION = f"{_PREFIX}composition-section-v090"
REASON = f"{_PREFIX}encounter-reason-v090"
SEVERITY = f"{_PREFIX}severity-level-v090"


@dataclass(frozen=True, slots=True)
class Concept:
    """One code as published; displays changed while codes did not, so none is to be matched on."""

    code: str
    display: str
    definition: str | None


@dataclass(frozen=True, slots=True)
class FormerConcept:
    """One code of a superseded table, with what it is today; `system` and `code` are None when it is no code."""

    code: str
    meaning: str
    becomes: Becomes
    system: str | None
    today: str | None


@dataclass(frozen=True, slots=True)
class Superseded:
    """A table that the URL named before; codes that are not in it had today's meaning or none."""

    name: str
    since: str | None
    until: str
    """The day, or the month where no more is known."""
    note: str
    concepts: tuple[FormerConcept, ...]
    """Empty where the content of the table is not known."""


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
    """Oldest first."""
    _by_code: Mapping[str, Concept] = field(repr=False, compare=False)

    def concept(self, code: str) -> Concept | None:
        """Return the concept of exactly this code, or None."""
        return self._by_code.get(code)


@cache
def code_systems() -> tuple[CodeSystem, ...]:
    """Return every code system of VKP R4 and STU3, read from the package's own data files, by URL."""
    return tuple(sorted(map(_code_system, documents("code_systems")), key=lambda system: system.url))


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


def _code_system(row: dict[str, Any]) -> CodeSystem:
    concepts = tuple(Concept(**concept) for concept in row["concepts"])
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
        earlier=tuple(_superseded(table, row["url"]) for table in row["earlier"]),
        _by_code=MappingProxyType({concept.code: concept for concept in concepts}),
    )


def _superseded(row: dict[str, Any], url: str) -> Superseded:
    concepts = tuple(_former(concept, url) for concept in row["concepts"])
    return Superseded(row["name"], row["from"], row["until"], row["note"], concepts)


def _former(row: dict[str, Any], url: str) -> FormerConcept:
    today = row["today"]
    if today is None:
        return FormerConcept(row["code"], row["meaning"], "nothing", None, None)
    if "code" not in today:
        return FormerConcept(row["code"], row["meaning"], today["becomes"], None, None)
    system = today.get("system", url)
    becomes: Becomes = "alert" if system == ALERT != url else "code"
    return FormerConcept(row["code"], row["meaning"], becomes, system, today["code"])

"""Codes that a sender writes by a superseded table of the same URL, and what they are today.

VKP changed the meaning of codes under unchanged `-v090` URLs between 2021-06 and 2022-08, so the table that a system was
built by decides what its codes say (history of github.com/HL7Norway/Velferdsteknologi, folder VKP-R4).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import TypeAlias

from translators.terminology.code_system import (
    ALERT,
    DISPENSE,
    REASON,
    SECTION,
    SEVERITY,
    Becomes,
    CodeSystem,
    FormerConcept,
    Superseded,
    code_system,
    code_systems,
)

History: TypeAlias = Mapping[str, str] | tuple[tuple[str, str], ...]
"""The superseded tables that a sender uses, by the short name of the code system: `("alert", "until-2022-01-14")`."""

RENUMBERED = "superseded-code-renumbered"

SHORT_NAMES: Mapping[str, str] = MappingProxyType(
    {"alert": ALERT, "dispense": DISPENSE, "section": SECTION, "reason": REASON, "severity": SEVERITY}
)
"""The code systems whose table a sender's history can name, by the name it uses."""

_CURRENT = "-v090"


@dataclass(frozen=True, slots=True)
class Renumbered:
    """What a superseded code is today; `system` and `code` are None when it is no code of any."""

    becomes: Becomes
    system: str | None
    code: str | None
    rule: str
    table: str
    """The superseded table that says so."""


@dataclass(frozen=True, slots=True)
class _Index:
    today: frozenset[tuple[str, str]]
    untold: Mapping[tuple[str, str], Renumbered]
    """Codes that no table of today knows, by the latest superseded table that does."""
    told: Mapping[tuple[str, str], Mapping[str, Renumbered]]
    """By URL and name of the table; codes that mean the same today are left out."""
    short: Mapping[str, str]


def renumbered(url: str, code: str, history: History = ()) -> Renumbered | None:
    """Return what a coding of a `-v090` code system is today, or None when it stands as written.

    A table that `history` names for the code system decides alone. Without one, today's table does, and a code that it does
    not know is read by the latest superseded table that knows it. Raises `KeyError` when `history` names a table that the
    code system does not have (`history_names`).
    """
    index = _index()
    if history and (table := _table(index, url, history)) is not None:
        return index.told[url, table].get(code)
    key = (url, code)
    return None if key in index.today else index.untold.get(key)


@cache
def standing(history: tuple[tuple[str, str], ...]) -> frozenset[tuple[str, str]]:
    """Return the codes of today, by URL and code, that `renumbered` leaves as they are: one look says so for most codings."""
    return frozenset(key for key in _index().today if renumbered(*key, history) is None)


@cache
def history_names() -> Mapping[str, frozenset[str]]:
    """Return the names of the superseded tables that a sender's history can name, by short name of the code system.

    A table whose content is not known is not among them: nothing can be translated by it.
    """
    tables = {short: code_system(url) for short, url in SHORT_NAMES.items()}
    return MappingProxyType(
        {
            short: frozenset(table.name for table in system.earlier if table.concepts)
            for short, system in tables.items()
            if system
        }
    )


def _table(index: _Index, url: str, history: History) -> str | None:
    short = index.short.get(url)
    if short is None:
        return None
    if isinstance(history, tuple):
        return next((table for name, table in history if name == short), None)
    return history.get(short)


@cache
def _index() -> _Index:
    systems = [system for system in code_systems() if system.url.endswith(_CURRENT)]
    today = frozenset(
        (system.url, concept.code) for system in systems if system.until is None for concept in system.concepts
    )
    told = {
        (system.url, table.name): MappingProxyType(_changes(system, table))
        for system in systems
        for table in system.earlier
        if table.concepts
    }
    untold = {
        (url, code): change
        for (url, _), changes in told.items()
        for code, change in changes.items()
        if (url, code) not in today
    }
    short = {url: name for name, url in SHORT_NAMES.items()}
    return _Index(today, MappingProxyType(untold), MappingProxyType(told), MappingProxyType(short))


def _changes(system: CodeSystem, table: Superseded) -> dict[str, Renumbered]:
    return {
        former.code: Renumbered(former.becomes, former.system, former.today, RENUMBERED, table.name)
        for former in table.concepts
        if not _stands(system, former)
    }


def _stands(system: CodeSystem, former: FormerConcept) -> bool:
    return former.system == system.url and former.today == former.code

"""What a coding of a `-v090` code system means today, by the table that its sender was built with.

VKP changed the meaning of codes under unchanged URLs between 2021-06 and 2022-08 (history of
github.com/HL7Norway/Velferdsteknologi, folder VKP-R4). A table that the sender's history names decides alone. Without one the
code is read by today's table, or of a deleted code system by its last one; a code that is not in it is read by the superseded
tables that have it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from types import MappingProxyType
from typing import NamedTuple, TypeAlias

from translators.terminology.code_system import (
    ALERT,
    CLASS,
    DISPENSE,
    FLAG,
    REASON,
    SECTION,
    SEVERITY,
    TYPE,
    Becomes,
    CodeSystem,
    Superseded,
    code_system,
    code_systems,
)

History: TypeAlias = Mapping[str, str] | tuple[tuple[str, str], ...]
"""The tables that a sender uses, by the short name of the code system: `("alert", "until-2022-01-14")`."""

RENUMBERED = "superseded-code-renumbered"
TODAY = "today"
"""The name of today's table in a sender's history."""

SHORT_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "alert": ALERT,
        "class": CLASS,
        "dispense": DISPENSE,
        "flag": FLAG,
        "reason": REASON,
        "section": SECTION,
        "severity": SEVERITY,
        "type": TYPE,
    }
)
"""The code systems whose table a sender's history can name, by the name it uses."""

_CURRENT = "-v090"


@dataclass(frozen=True, slots=True)
class Renumbered:
    """What a superseded code is today; `system` and `code` are None when it is no code of any."""

    becomes: Becomes
    system: str | None
    code: str | None
    meaning: str
    """The display that its table had for it."""
    table: str
    """The superseded table that says so."""


class Doubt(StrEnum):
    """Why a code has no one meaning."""

    UNKNOWN = "unknown"
    """It is in no table that its sender can have used."""
    DISPLAY = "display"
    """Its display is of a superseded table, in which the code meant something else."""
    TABLES = "tables"
    """Only superseded tables have it, and they disagree."""


Reading: TypeAlias = Renumbered | Doubt | None
"""What a coding is today; None where it stands as written."""


@dataclass(frozen=True, slots=True)
class _Table:
    name: str
    meanings: Mapping[str, Renumbered | None]
    """By code; None for a code that means the same today."""
    displays: Mapping[str, frozenset[str]]
    """Normalised."""


@dataclass(frozen=True, slots=True)
class _Tables:
    default: _Table
    """What decides where nobody says: today's table, or the last one of a deleted code system."""
    earlier: tuple[_Table, ...]
    named: Mapping[str, _Table]

    def doubt_of(self, code: str, display: str) -> Doubt | None:
        """Say whether this display shows that the code is of a table in which it meant something else."""
        shown = _normalised(display)
        if shown in self.default.displays.get(code, ()):
            return None
        stands = self.default.meanings[code]
        others = [table for table in self.earlier if shown in table.displays.get(code, ())]
        differs = any(not _agree(table.meanings[code], stands) for table in others)
        return Doubt.DISPLAY if differs else None


def read_code(url: str, code: str, history: History = (), display: str | None = None) -> Reading:
    """Return what a coding is today; None where it stands, and for code systems that never changed or are not VKP's v090.

    Raises `KeyError` when `history` names a table that the code system does not have (`history_names`).
    """
    tables = _index().get(url)
    if tables is None:
        return None
    if (name := _told(url, history)) is not None:
        return tables.named[name].meanings.get(code, Doubt.UNKNOWN)
    if code in tables.default.meanings:
        doubt = tables.doubt_of(code, display) if display is not None else None
        return doubt or tables.default.meanings[code]
    found = [table.meanings[code] for table in tables.earlier if code in table.meanings]
    if not found:
        return Doubt.UNKNOWN
    return found[-1] if all(_agree(one, found[-1]) for one in found) else Doubt.TABLES


def may_mean_otherwise(url: str, code: str, proof: frozenset[str]) -> bool:
    """Tell whether a code that stands meant something else in a table that has all of these codes, which today's has not."""
    tables = _index()[url]
    if code not in tables.default.meanings:
        return False
    stands = tables.default.meanings[code]
    proved = [table for table in tables.earlier if proof <= table.meanings.keys()] or list(tables.earlier)
    return any(code in table.meanings and not _agree(table.meanings[code], stands) for table in proved)


def is_of_superseded_table(url: str, code: str) -> bool:
    """Tell whether only superseded tables have a code, so that it shows that its sender uses one."""
    tables = _index().get(url)
    return tables is not None and code not in tables.default.meanings


def is_shown_as_another(url: str, code: str, display: str) -> bool:
    """Tell whether VKP published a display for other codes of the table alone, so that nobody knows which of two is meant.

    What a wider or a narrower code is called (1 and 1.1) is true of a code too.
    """
    shown = _shown_by(url)
    if shown is None or code not in shown.own or display in shown.own[code]:
        return False
    found = _normalised(display)
    return found not in shown.own[code] and found in shown.today


class _ShownBy(NamedTuple):
    """What VKP published for the codes of a table."""

    own: Mapping[str, frozenset[str]]
    """By code: the displays that it ever had, and those of its wider and narrower codes, as they are and normalised."""
    today: frozenset[str]
    """The normalised displays of today's codes."""


@cache
def _shown_by(url: str) -> _ShownBy | None:
    system = code_system(url)
    if system is None:
        return None
    own: dict[str, set[str]] = {}
    for displays in (system.displays, *(table.displays for table in system.earlier)):
        for code, found in displays.items():
            own.setdefault(code, set()).update(found, map(_normalised, found))
    for code, shown in own.items():
        for other, found in system.displays.items():
            if code.startswith(f"{other}.") or other.startswith(f"{code}."):
                shown.update(found, map(_normalised, found))
    today = {_normalised(one) for found in system.displays.values() for one in found}
    return _ShownBy({code: frozenset(found) for code, found in own.items()}, frozenset(today))


@cache
def standing(history: tuple[tuple[str, str], ...]) -> frozenset[tuple[str, str]]:
    """Return the codes, by URL and code, that stand whatever their display: one look says so for most codings."""
    found: set[tuple[str, str]] = set()
    for url, tables in _index().items():
        name = _told(url, history)
        table = tables.named[name] if name is not None else tables.default
        for code, meaning in table.meanings.items():
            others = [] if name is not None else [one.meanings.get(code) for one in tables.earlier]
            if meaning is None and not any(others):
                found.add((url, code))
    return frozenset(found)


@cache
def history_names() -> Mapping[str, frozenset[str]]:
    """Return the names of the tables that a sender's history can name, by short name of the code system."""
    return MappingProxyType({short: frozenset(_index()[url].named) for short, url in SHORT_NAMES.items()})


def _told(url: str, history: History) -> str | None:
    pairs = history.items() if isinstance(history, Mapping) else history
    return next((table for short, table in pairs if SHORT_NAMES.get(short) == url), None)


def _agree(one: Renumbered | None, other: Renumbered | None) -> bool:
    """Whether two tables mean the same by one code."""
    if one is None or other is None:
        return one is other
    return (one.becomes, one.system, one.code) == (other.becomes, other.system, other.code)


def _normalised(display: str) -> str:
    """Return a display without what VKP changed in displays and left the code: underscores, blanks, large letters."""
    return " ".join(display.replace("_", " ").split()).casefold()


@cache
def _index() -> Mapping[str, _Tables]:
    systems = (system for system in code_systems() if system.url.endswith(_CURRENT))
    return MappingProxyType({system.url: _tables(system) for system in systems})


def _tables(system: CodeSystem) -> _Tables:
    earlier = tuple(_superseded(system.url, table) for table in system.earlier)
    named = {table.name: table for table in earlier}
    if system.until is not None:
        return _Tables(earlier[-1], earlier[:-1], MappingProxyType(named))
    stands = MappingProxyType({concept.code: None for concept in system.concepts})
    today = _Table(TODAY, stands, _shown(system.displays))
    return _Tables(today, earlier, MappingProxyType({**named, TODAY: today}))


def _superseded(url: str, table: Superseded) -> _Table:
    meanings = {
        one.code: None
        if (one.system, one.today) == (url, one.code)
        else Renumbered(one.becomes, one.system, one.today, one.meaning, table.name)
        for one in table.concepts
    }
    return _Table(table.name, MappingProxyType(meanings), _shown(table.displays))


def _shown(displays: Mapping[str, frozenset[str]]) -> Mapping[str, frozenset[str]]:
    return MappingProxyType({code: frozenset(map(_normalised, found)) for code, found in displays.items()})

"""What a made note says of the status of its resources, so that it never reads as if something happened which did not."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

from translators.contract import FormerStatus, Reason, Refused, Tree
from translators.fhir import rules
from translators.fhir.rules import INHERITED
from translators.made import plain
from translators.placed import Sources

_ANY = "*"
"""In the table: whatever the value is."""
_STATUSES = frozenset({"docStatus", "status"})
"""Of some types R4 has no modifier in these, and they say all the same whether something happened."""
_LABELS = ("code", "category", "type", "vaccineCode", "medicationCodeableConcept")


@dataclass(frozen=True, slots=True, eq=False)
class _Words:
    types: Mapping[str, str]
    statuses: Mapping[str, Mapping[str, str]]
    told: Mapping[str, frozenset[str]]
    """What a note tells of each type of resource, by the paths below it: its modifiers, and its status where that is none."""


@cache
def _words() -> _Words:
    table = json.loads(resources.files("translators").joinpath("note_statuses.json").read_text(encoding="utf-8"))
    told: dict[str, set[str]] = {}
    of_r4 = rules.r4()
    for path in of_r4.modifiers | {path for path in of_r4.codes if path.partition(".")[2] in _STATUSES}:
        kind, _, below = path.partition(".")
        told.setdefault(kind, set()).add(below)
    return _Words(table["types"], table["statuses"], {kind: frozenset(found) for kind, found in told.items()})


@dataclass(frozen=True, slots=True)
class Statuses:
    """What a note says (nb) of the status of a resource, and of what it contains."""

    own: str | None
    contained: tuple[str, ...]


def status_words(kind: str, code: str) -> str | None:
    """Return what a text says (nb) of a status of this type of resource; None for what says nothing, or has no words."""
    words = _words()
    told = words.statuses.get(f"{kind}.status", {}).get(code)
    return f"{words.types[kind]}: {told}" if told else None


def statuses(resource: dict[str, Tree], label: str | None) -> Statuses:
    """Return what a reader of a note about this resource has to know of its status; `label` is what the note calls it.

    Raises `Refused` for a modifier that the table has no words for, and for rules or extensions that modify the resource.
    """
    kind = str(plain(resource["resourceType"]))
    try:
        return _statuses(resource, kind, label)
    except Refused as refusal:
        origin = Sources(resource).origin()
        if origin is None or refusal.path is None or not refusal.path.startswith(f"{kind}."):
            raise
        raise Refused(refusal.reason, refusal.text, origin + refusal.path.removeprefix(kind)) from refusal


def _statuses(resource: dict[str, Tree], kind: str, label: str | None) -> Statuses:
    _refuse_modified(resource, kind)
    own = _of_resource(resource, kind, kind, label)
    contained: list[str] = []
    for index, inner in enumerate(_each(resource.get("contained"))):
        if isinstance(inner, dict):
            line = _of_resource(inner, str(inner.get("resourceType")), f"{kind}.contained[{index}]", None)
            contained += [line] if line is not None else []
    return Statuses(own, tuple(contained))


def _of_resource(resource: dict[str, Tree], kind: str, path: str, label: str | None) -> str | None:
    words = _words()
    said: list[str] = []
    for below in sorted(words.told.get(kind, ())):
        for value, where in _values(resource, below.split("."), path):
            of, code = (value.element, value.code) if isinstance(value, FormerStatus) else (f"{kind}.{below}", value)
            said.append(_said(words.statuses.get(of, {}), code, where))
    told = ", ".join(one for one in said if one)
    if not told:
        return None
    label = label or next((text for name in _LABELS if (text := label_of(resource.get(name))) is not None), None)
    return f"{words.types[kind]}{f' ({label})' if label else ''}: {told}"


def _values(tree: Tree, steps: list[str], path: str) -> Iterator[tuple[Tree, str]]:
    """Go through what stands at a path below a resource, with where it stands."""
    name, *more = steps
    for one in _each(tree):
        if not isinstance(one, dict):
            continue
        value, where = plain(one.get(name)), f"{path}.{name}"
        if value is None and f"_{name}" in one and not more:
            yield None, where
        elif value is not None and more:
            yield from _values(value, more, where)
        elif value is not None:
            yield from ((item, where) for item in _each(value))


def _said(words: Mapping[str, str], value: Tree, path: str) -> str:
    codes = [code for code in _codes(value) if code in words or _ANY in words]
    if not codes:
        text = "it changes the meaning of the rest, and a note of ours has no words for it: a person has to write one"
        raise Refused(Reason.UNSUPPORTED, text, Sources(value).origin() or path)
    return ", ".join(dict.fromkeys(words.get(code, words.get(_ANY, "")) for code in codes))


def _codes(value: Tree) -> Iterator[str]:
    if isinstance(value, bool):
        yield "true" if value else "false"
    elif isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for coding in _each(value.get("coding")):
            code = plain(coding.get("code")) if isinstance(coding, dict) else None
            if isinstance(code, str):
                yield code
        if isinstance(kind := value.get("type"), str):
            yield kind


def _refuse_modified(tree: Tree, path: str) -> None:
    if isinstance(tree, dict):
        for name, value in tree.items():
            if name.removeprefix("_") in INHERITED:
                text = "it may change what the rest means, so that no note can be made of it"
                raise Refused(Reason.UNSUPPORTED, text, Sources(value).origin() or f"{path}.{name}")
            if isinstance(value, (dict, list)):
                _refuse_modified(value, f"{path}.{name}")
    elif isinstance(tree, list):
        for item in tree:
            if isinstance(item, (dict, list)):
                _refuse_modified(item, path)


def label_of(concept: Tree) -> str | None:
    """Return what a concept is called: its text, or what its first coding shows."""
    for one in _each(plain(concept)):
        if isinstance(one, dict):
            codings = [plain(coding) for coding in _each(plain(one.get("coding")))]
            shown = [plain(coding.get("display")) for coding in codings if isinstance(coding, dict)]
            for text in (plain(one.get("text")), *shown):
                if isinstance(text, str):
                    return text
    return None


def _each(value: Tree) -> list[Tree]:
    found = plain(value)
    return found if isinstance(found, list) else [found]

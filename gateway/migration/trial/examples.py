"""A synthetic message for each kind of fault, repair or loss: an example that has it, or one that was damaged until it had."""

import re
from collections.abc import Iterator
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable

from msgspec import Struct

from gateway.config.upstreams import SERVICES
from gateway.ledger.findings import general
from gateway.migration.rehearsal_verdict import verdict_of
from gateway.migration.trial.guess import surface_of
from gateway.model import Finding, Group
from gateway.pipeline.translate import findings_of
from translators.contract import Number, Refused, Settings, Translation, Tree
from translators.fhir.json_codec import decode, encode
from translators.national_number import TEST_KINDS
from translators.translate import translate

_SERVICE = SERVICES[Group.JOURNALING]
_RECEIVED = "2026-11-03T08:00:00.000+01:00"
_SETTINGS = Settings(allowed_numbers=frozenset(TEST_KINDS), received=_RECEIVED)
_STEP = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_WRONG = "ugyldig verdi"
_EXACT, _LIKE = 8, 2
"""How alike the finding of an example has to be to be the wanted one, and to be one like it."""


class ExampleKind(Struct, frozen=True):
    """What is to be shown: a row of what rehearsals or findings are counted by; an empty text is not known."""

    information: str = ""
    reason: str = ""
    """As rehearsals are counted by it."""
    rule: str = ""
    """Of a finding: the name of a fault or a repair."""
    place: str = ""


class Example(Struct, frozen=True):
    """A message as text, with nothing of anybody in it."""

    name: str
    text: str
    is_exact: bool
    """Whether it has the very kind, and not only one like it."""


class _Known(Struct, frozen=True):
    name: str
    text: str
    information: str
    reason: str
    findings: tuple[Finding, ...]


def example_of(wanted: ExampleKind) -> Example:
    """Return a message that has the kind of fault, repair or loss, or the one that is most like it."""
    kept = max(_examples(), key=lambda one: _likeness(one, wanted))
    if _likeness(kept, wanted) < _EXACT:
        damaged = (each for each in _damaged(wanted))
        kept = max((kept, *damaged), key=lambda one: _likeness(one, wanted))
    return Example(kept.name, kept.text, _likeness(kept, wanted) >= _EXACT)


def _likeness(one: _Known, wanted: ExampleKind) -> int:
    """Return how much of what is wanted an example has."""
    score = int(bool(wanted.information) and one.information == wanted.information)
    if wanted.reason and one.reason == wanted.reason:
        return _EXACT + score
    rules = {found.rule for found in one.findings}
    if wanted.rule:
        places = {general(found.place) for found in one.findings if found.rule == wanted.rule}
        if places and wanted.place in ("", *places):
            return _EXACT + score
        return score + 2 * _LIKE * (wanted.rule in rules)
    fault, _, told = wanted.reason.partition(": ")
    shared = len(rules & set(wanted.reason.split(", "))) or (fault in rules) + 2 * (told != "" and told in one.reason)
    return score + _LIKE * min(shared, 2)


@cache
def _examples() -> tuple[_Known, ...]:
    """Return every example, with what is found in it."""
    folder = resources.files("translators").joinpath("examples")
    return tuple(_known(name, file.read_text(encoding="utf-8")) for name, file in sorted(_files(folder, "")))


def _files(folder: Traversable, above: str) -> Iterator[tuple[str, Traversable]]:
    for each in folder.iterdir():
        if each.is_dir():
            yield from _files(each, f"{above}{each.name}/")
        elif each.name.endswith((".json", ".xml")):
            yield f"{above}{each.name}", each


def _known(name: str, text: str) -> _Known:
    data = text.encode()
    surface = surface_of(data)
    try:
        tree, repairs = surface.read(data, None)
        translation = translate(tree, surface.NAME, _SERVICE, _SETTINGS, repairs)
    except Refused as refusal:
        translation = Translation(refusal=refusal)
    _, reason = verdict_of(translation)
    return _Known(name, text, translation.information or "", reason, findings_of(translation))


def _damaged(wanted: ExampleKind) -> Iterator[_Known]:
    """Return the examples of the type that were damaged where the fault was found, each in every way."""
    place = wanted.place or _place_in(wanted.reason)
    kind, *steps = _STEP.findall(place) or [""]
    if not steps:
        return
    for one in _examples():
        if one.name.endswith(".json") and wanted.information in ("", one.information):
            for damage in ("without", "wrong", "unknown"):
                tree = decode(one.text.encode())
                if any(_damage(each, steps, damage) for each in _resources(tree, kind)):
                    yield _known(f"{one.name} ({damage})", encode(tree).decode())


def _resources(tree: Tree, kind: str) -> Iterator[Tree]:
    """Return the resources of a type: a loss is told by its place in the innermost one."""
    pending = [tree]
    for value in pending:  # grows while it is gone through
        if isinstance(value, dict):
            if value.get("resourceType") == kind:
                yield value
            pending += value.values()
        elif isinstance(value, list):
            pending += value


def _place_in(reason: str) -> str:
    """Return the place that a reason names."""
    found = re.search(r"\b[A-Z][A-Za-z]+(?:\.[A-Za-z_][A-Za-z0-9_]*)+", reason)
    return found[0] if found else ""


def _damage(tree: Tree, steps: list[str], damage: str) -> bool:
    """Damage the first place to which the steps lead; tell whether there is one."""
    if isinstance(tree, list):
        return any(_damage(item, steps, damage) for item in tree)
    if not isinstance(tree, dict):
        return False
    name, *rest = steps
    if rest:
        return name in tree and _damage(tree[name], rest, damage)
    if damage == "unknown":
        if name in tree:
            return False
        tree[name] = "eksempel"
        return True
    if name not in tree:
        return False
    if damage == "without":
        del tree[name]
    else:
        tree[name] = [_WRONG] if isinstance(tree[name], (str, Number)) else _WRONG
    return True

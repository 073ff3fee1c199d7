"""Trees drawn from the element tables of a FHIR release, as they should be and as senders get them wrong."""

import re
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from typing import Any

from hypothesis import strategies as st

from translators.contract import Derived, Number, Translation, Tree
from translators.fhir.elements import ANY_RESOURCE, ELEMENT, NUMERIC, Element, Release
from translators.fhir.json_codec import decode
from translators.fhir.plan import Plan, complete, from_stu3, within_r4

Draw = Callable[[st.SearchStrategy[Any]], Any]
ValueOf = Callable[[Draw, Element, str], Tree]

PATIENT = "12834010060"
PERSON = "30714510343"
SUBJECT: Tree = {"identifier": {"system": "urn:oid:2.16.578.1.12.4.1.4.1", "value": PATIENT}}
ELEVEN_DIGITS = re.compile(r"[0-9]{11}")

TEXTS = st.sampled_from(["x", "final", "2026-05-04T08:36:37.1678092+00:00", "Blåbær\u00a0 syltetøy", PERSON])
NUMBERS = st.sampled_from(["0", "-0", "81.30", "1e2", "0.123456789012345678901234567890"]).map(Number)
SYSTEMS = st.sampled_from(
    ["http://loinc.org", "http://ehelse.no/fhir/CodeSystem/vkp-alert-code-v090", "http://record.example/lopenummer"]
)
BROKEN_VALUES: tuple[Tree, ...] = (
    *(None, "", "  ", [], {}, [None], [""], {"": ""}, True, "true", " 81.30 ", PATIENT, PERSON, "Device"),
    *(Number(PATIENT), {PERSON: PERSON}, {"id": PERSON}, {"id": ""}, [[{}]], {"resourceType": PERSON}),
)
BROKEN = st.sampled_from(BROKEN_VALUES).map(deepcopy)
WRONG_SYSTEMS = st.sampled_from(
    [
        " https://loinc.org ",
        "http://ehelse.no/fhir/ValueSet/vkp-alert-code-v090",
        "http://ehelse.no/fhir/identifiertypes/HERID",
    ]
)
NAMES = st.sampled_from(
    ["vendor", PERSON, "Kari Nordmann", "", "_status", "_given", "_author", "resourceType", "system", "code"]
)
PLACES = st.sampled_from(["value", "value", "sibling", "both"])
_STEP = re.compile(r"\.([^.\[]+)|\[(\d+)\]")


def _any_value(draw: Draw, element: Element, name: str) -> Tree:
    if element.type in NUMERIC:
        return draw(NUMBERS)
    if element.type == "boolean":
        return draw(st.booleans())
    return draw(SYSTEMS if name == "system" else TEXTS)


@dataclass(frozen=True)
class Drawing:
    """How to draw resources of one release."""

    table: Release
    kinds: tuple[str, ...]
    """What stands where any resource may."""
    value: ValueOf = _any_value
    depth: int = 5
    """From where on only primitives are drawn, so that it ends."""
    strict: bool = False
    """Whether at most one of `value[x]` is drawn, and an `id` without a sibling, as FHIR has it."""
    needed: Callable[[str], frozenset[str]] = lambda _kind: frozenset()
    """The elements that a type always has."""

    def fields(self, draw: Draw, kind: str, depth: int, most: int = 4) -> dict[str, Tree]:
        """Draw some of the elements of a type."""
        row = self.table.types[kind]
        names = [name for name, element in row.items() if name[0] != "_" and (element.primitive or depth < self.depth)]
        names = [name for name in names if name != "resourceType" or kind not in self.table.resources]
        needed = [name for name in row if name in self.needed(kind)]
        drawn = draw(st.lists(st.sampled_from(names), min_size=1, max_size=most, unique=True))
        fields: dict[str, Tree] = {}
        chosen: set[str] = set()
        for name in dict.fromkeys([*needed, *drawn]):
            element = row[name]
            stem = _stem(name, element)
            if self.strict and stem in chosen:
                continue
            chosen.add(stem)
            codes = self.codes(kind, name)
            if codes:
                fields[name] = draw(st.sampled_from(codes))
            elif name in needed and element.primitive:
                fields[name] = self.value(draw, element, name)
            elif element.primitive:
                fields |= self.primitive(draw, element, name)
            elif name in ("subject", "patient") and element.type == "Reference":
                fields[name] = [deepcopy(SUBJECT)] if element.repeats else deepcopy(SUBJECT)
            elif element.repeats:
                fields[name] = [self.object(draw, element.type, depth + 1) for _ in range(draw(st.integers(1, 2)))]
            else:
                fields[name] = self.object(draw, element.type, depth + 1)
        return fields

    def codes(self, kind: str, name: str) -> list[str]:
        """Return the codes of a modifier that R4 has a meaning for; none where any text is one."""
        step = _complete_plan(self.table.name).types.get(kind, {}).get(name)
        return sorted((step.codes or frozenset()) | step.renamed.keys()) if step is not None else []

    def primitive(self, draw: Draw, element: Element, name: str) -> dict[str, Tree]:
        """Draw a primitive, its sibling, or both; in aligned lists null fills the place of the one that is missing."""
        if self.strict and name in ("id", "url"):
            return {name: self.value(draw, element, name)}
        if not element.repeats:
            drawn = draw(PLACES)
            value = {name: self.value(draw, element, name)} if drawn != "sibling" else {}
            return value | ({f"_{name}": {"id": "s"}} if drawn != "value" else {})
        places = draw(st.lists(PLACES, min_size=1, max_size=3))
        values = [self.value(draw, element, name) if place != "sibling" else None for place in places]
        siblings = [{"id": "s"} if place != "value" else None for place in places]
        halves: dict[str, Tree] = {name: values, f"_{name}": siblings}
        return {
            half: places
            for half, places in halves.items()
            if isinstance(places, list) and any(one is not None for one in places)
        }

    def object(self, draw: Draw, kind: str, depth: int, most: int = 4) -> dict[str, Tree]:
        """Draw a resource or a data type."""
        if kind == ANY_RESOURCE:
            kind = draw(st.sampled_from(self.kinds))
        head: dict[str, Tree] = {"resourceType": kind} if kind in self.table.resources else {}
        return head | self.fields(draw, kind, depth, most)


@cache
def _complete_plan(release: str) -> Plan:
    """Return the plan of a release with the steps of all types, so that no draw depends on what was translated before."""
    plan = within_r4() if release == "R4" else from_stu3()
    complete(plan)
    return plan


def _stem(name: str, element: Element) -> str:
    return name.removesuffix(f"{element.type[0].upper()}{element.type[1:]}")


def places(tree: Tree) -> list[tuple[Any, Any]]:
    """Return every place of a tree as its container and key."""
    if isinstance(tree, dict):
        return [place for name, value in tree.items() for place in [(tree, name), *places(value)]]
    if isinstance(tree, list):
        return [place for index, value in enumerate(tree) for place in [(tree, index), *places(value)]]
    return []


def worsen(draw: Draw, container: Any, key: Any) -> None:
    """Do to one place what senders do."""
    value = container[key]
    done = draw(st.sampled_from(["broken", "blanks", "wrapped", "unwrapped", "added", "repeated", "other-form"]))
    if done == "broken":
        container[key] = draw(BROKEN)
    elif done == "blanks" and isinstance(value, str):
        container[key] = f" {value}\t"
    elif done == "wrapped":
        container[key] = [value]
    elif done == "unwrapped" and isinstance(value, list) and value:
        container[key] = value[0]
    elif done == "added" and isinstance(container, dict):
        container.setdefault(draw(NAMES), draw(BROKEN))
    elif done == "repeated" and isinstance(value, list):
        value.append(draw(BROKEN))
    elif key == "system":
        container[key] = draw(WRONG_SYSTEMS)
    elif done == "other-form":
        container[key] = value.text if isinstance(value, Number) else Number("1")


def leaf_count(tree: Tree) -> int:
    """Count scalars, and objects and arrays with nothing in them."""
    below = list(tree.values()) if isinstance(tree, dict) else tree if isinstance(tree, list) else []
    return sum(map(leaf_count, below)) or 1


def strings(tree: Tree) -> Iterator[str]:
    """Go through the texts of a tree."""
    if isinstance(tree, str):
        yield tree
    for below in tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ():
        yield from strings(below)


def at(tree: Tree, path: str) -> Tree:
    """Return what stands at a path as repairs, losses and derived elements have it; raises KeyError where nothing does."""
    value: Any = tree
    for name, index in _STEP.findall(path):
        if not isinstance(value, dict if name else list):
            raise KeyError(path)
        value = value[name] if name else value[int(index)]
    return value


def derived_leaves(derived: tuple[Derived, ...], body: Tree) -> int:
    """Count the leaves of what was derived, each of which stands in the body at its path and below no other."""
    found = [one.path for one in derived]
    assert len(set(found)) == len(found)
    assert not [path for path in found for other in found if path.startswith((f"{other}.", f"{other}["))]
    return sum(leaf_count(at(body, path)) for path in found)


def bodies(result: Translation) -> list[Tree]:
    """Return what the calls hold."""
    return [decode(call.body) for call in result.calls]


def check_account(tree: Tree, result: Translation) -> None:
    """Check the sums, and that as many leaves are written as are carried and repaired.

    Where an item of two aligned lists is lost, null is written in its place; a repaired leaf need not be written.
    """
    coverage = result.coverage
    assert coverage.leaves in (0, leaf_count(tree))
    assert coverage.leaves == coverage.carried + coverage.repaired + coverage.lost
    assert min(coverage.carried - coverage.used, coverage.used, coverage.repaired, coverage.lost, coverage.derived) >= 0
    assert coverage.lost == len(result.losses)
    assert coverage.repaired == 0 or result.repairs
    assert bool(coverage.used) == bool(result.addressing)
    for body in bodies(result):
        assert coverage.derived == derived_leaves(result.derived, body)
        written = leaf_count(body) - coverage.derived
        fillers = min(coverage.lost, _null_count(body))
        sent = coverage.carried - coverage.used
        assert sent <= written <= sent + coverage.repaired + fillers


def _null_count(tree: Tree) -> int:
    below = list(tree.values()) if isinstance(tree, dict) else tree if isinstance(tree, list) else []
    return (tree is None) + sum(map(_null_count, below))


def check_told(result: Translation) -> None:
    """Check that no national number is in what is logged and answered of a message."""
    told = [*result.addressing, *(one.path for one in (*result.repairs, *result.derived))]
    told += [f"{loss.path} {loss.element}" for loss in result.losses]
    if result.refusal:
        told += [str(result.refusal), result.refusal.text, str(result.refusal.path)]
    assert not ELEVEN_DIGITS.search(" ".join(told))


def check_elements(release: Release, tree: Tree, kind: str = ANY_RESOURCE) -> None:
    """Check that every key is an element of its type, that arrays are where elements repeat, and that nothing is empty."""
    assert isinstance(tree, dict)
    assert tree
    kind = str(tree["resourceType"]) if kind == ANY_RESOURCE else kind
    for name, value in tree.items():
        element = release.types[kind][name]
        assert isinstance(value, list) == element.repeats, (kind, name)
        items = value if isinstance(value, list) else [value]
        assert f"_{name}" in tree or [item for item in items if item is not None], (kind, name)
        if not element.primitive:
            for item in items:
                if item is not None or element.type != ELEMENT:
                    check_elements(release, item, element.type)

"""Reading and translating take time in proportion to a message: no sender can stop a process with one that is small.

Work is counted as calls, which are the same each time. What a single call does inside, such as making a list, no counter sees;
for that, CPU time is compared over forms that stand for all.
"""

import gc
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from operator import mul
from typing import Any
from xml.sax.saxutils import quoteattr

import pytest

from tests.translators.drawing import SUBJECT
from translators.contract import Number, Refused, Settings, Tree
from translators.fhir import json_codec, xml_codec
from translators.fhir.elements import ANY_RESOURCE, ELEMENT, NUMERIC, Release, r4, stu3
from translators.national_number import TEST_KINDS
from translators.soap import message as soap_message
from translators.translate import translate

RELEASES = {"vkp-r4": r4(), "vkp-stu3": stu3()}
TOLERANT = Settings(TEST_KINDS, (*sorted(r4().resources), "(name withheld)"), received="2026-05-04T08:31:00Z")
DIV = '<div xmlns="http://www.w3.org/1999/xhtml"><p>x</p></div>'
EXTENSION: Tree = {"url": "http://record.example/x", "valueString": "x"}
FORMS = 4
"""In how many forms an element is written, one after the other: alone, with an id, with an extension, with what is unknown."""


def _filled(table: Release, kind: str, most: int, *, one_choice: bool) -> dict[str, Tree]:
    """Return an object of a type with all of its elements, each as often as it may stand there and `most` times at most.

    `one_choice` leaves one value of each choice, since two are not allowed.
    """
    fields: dict[str, Tree] = {"resourceType": kind} if kind in table.resources else {}
    chosen: set[str] = set()
    for name, element in table.types[kind].items():
        if name.startswith("_") or name in ("resourceType", "id", "extension", "modifierExtension", "contained"):
            continue
        stem = name.removesuffix(f"{element.type[0].upper()}{element.type[1:]}")
        if one_choice and stem != name and stem in chosen:
            continue
        chosen.add(stem)
        count = most if element.repeats else 1
        if not element.primitive:
            items = [_object(table, element.type, index) for index in range(count)]
            fields[name] = items if element.repeats else items[0]
            continue
        value = _value(element.type)
        fields[name] = [value] * count if element.repeats else value
        if element.type != "xhtml" and element.repeats:
            fields[f"_{name}"] = [_more(index) for index in range(count)]
    return fields


def _object(table: Release, kind: str, index: int) -> Tree:
    if kind == ANY_RESOURCE:
        return {"resourceType": "Basic", "id": "x"}
    return {**(_more(index) or {}), **({"language": "nb"} if kind in table.resources else {"id": "x"})}


def _more(index: int) -> dict[str, Tree] | None:
    return (None, {"id": "x"}, {"extension": [EXTENSION]}, {"unknown": "x"})[index % FORMS]


def _value(kind: str) -> Tree:
    return Number("1") if kind in NUMERIC else True if kind == "boolean" else DIV if kind == "xhtml" else "x"


@cache
def _ways(table: Release) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Return for each type a resource that leads to it, and by which elements."""
    found: dict[str, tuple[str, tuple[str, ...]]] = {}
    pending = deque((kind, kind, ()) for kind in sorted(table.resources))
    while pending:
        kind, resource, way = pending.popleft()
        if kind in found or kind not in table.types:
            continue
        found[kind] = (resource, way)
        row = table.types[kind].items()
        pending += [(one.type, resource, (*way, name)) for name, one in row if not one.primitive and name[0] != "_"]
    return {kind: way for kind, way in found.items() if kind not in (ANY_RESOURCE, ELEMENT)}


def _resource(table: Release, kind: str, most: int, *, one_choice: bool) -> dict[str, Tree]:
    """Return a resource that has a filled object of this type in it."""
    resource, way = _ways(table)[kind]
    value: Tree = _filled(table, kind, most, one_choice=one_choice)
    for depth in reversed(range(len(way))):
        owner = resource
        for name in way[:depth]:
            owner = table.types[owner][name].type
        value = {way[depth]: [value] if table.types[owner][way[depth]].repeats else value}
    assert isinstance(value, dict)
    return {"resourceType": resource, **value}


def message(surface: str, *resources: Tree) -> Tree:
    """Return a message of a surface that has these resources beside its own."""
    header: Tree = {
        "resourceType": "MessageHeader",
        "id": "h",
        "event": {"code": "x"},
        "timestamp": "2026-05-04T08:31:00Z",
    }
    known: Tree = {"resourceType": "Observation", "subject": SUBJECT}
    all_of_them = [*([header] if surface == "vkp-stu3" else []), known, *resources]
    entries: list[Tree] = [{"fullUrl": f"urn:uuid:{place}", "resource": one} for place, one in enumerate(all_of_them)]
    return {"resourceType": "Bundle", "type": "message" if surface == "vkp-stu3" else "document", "entry": entries}


def _xml(tree: Any, table: Release, kind: str = ANY_RESOURCE, head: str = ' xmlns="http://hl7.org/fhir"') -> str:
    """Write a tree as XML, also what no release has."""
    kind = tree["resourceType"] if kind == ANY_RESOURCE else kind
    is_resource = kind in table.resources
    attributes, children = head, ""
    for name, value in tree.items():
        element = table.types.get(kind, {}).get(name)
        if name.startswith("_") or name == "resourceType":
            continue
        if name in ("id", "url") and not is_resource and (name == "id" or kind == "Extension"):
            attributes += f" {name}={quoteattr(value)}"
            continue
        items = value if isinstance(value, list) else [value]
        siblings = tree.get(f"_{name}", [])
        siblings = siblings if isinstance(siblings, list) else [siblings]
        for place, item in enumerate(items):
            sibling = siblings[place] if place < len(siblings) else None
            children += _child(name, item, sibling, table, element.type if element else "Element")
    body = f"<{kind}{attributes}>{children}</{kind}>"
    return body if is_resource else f"{attributes}>{children}"


def _child(name: str, value: Any, sibling: Any, table: Release, kind: str) -> str:
    if kind == "xhtml":
        return str(value)
    if isinstance(value, dict) and (kind == ANY_RESOURCE or kind in table.resources):
        return f"<{name}>{_xml(value, table, head='')}</{name}>"
    if isinstance(value, dict):
        return f"<{name}{_xml(value, table, kind, '')}</{name}>"
    text = value.text if isinstance(value, Number) else str(value).lower() if isinstance(value, bool) else value
    return f"<{name} value={quoteattr(text)}{_xml(sibling or {}, table, 'Element', '')}</{name}>"


def _written(surface: str, form: str, tree: Tree) -> bytes:
    return json_codec.encode(tree) if form == "json" else _xml(tree, RELEASES[surface]).encode()


def _read(surface: str, data: bytes) -> Tree:
    if surface == "vkp-soap":
        return soap_message.decode(data)[0]
    return json_codec.decode(data) if data.startswith(b"{") else xml_codec.decode(data, RELEASES[surface])[0]


def translated(surface: str, data: bytes) -> Callable[[], None]:
    """Return what reads a message and translates it."""

    def work() -> None:
        with suppress(Refused):
            translate(_read(surface, data), surface, "jft", TOLERANT)

    return work


@pytest.fixture(autouse=True)
def every_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the check of what is sent go through all of a message, however much is wrong: where it ends, nothing grows."""
    monkeypatch.setattr("translators.fhir.structure.MOST", 1_000_000)
    monkeypatch.setattr("translators.translate.MOST", 1_000_000)
    monkeypatch.setattr("translators.fhir.faults._MOST", 1_000_000)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Keep collections of garbage out of what is measured: they call finalizers, those of earlier tests' garbage too."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def calls_of(work: Callable[[], object]) -> int:
    """Return how many calls of functions work takes."""
    count = 0

    def counted(_frame: Any, event: str, _arg: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    with _uncollected():
        sys.setprofile(counted)
        try:
            work()
        finally:
            sys.setprofile(None)
    return count


class _Garbage:
    """An object of a cycle, which only a collection ends, with a finalizer."""

    def __init__(self) -> None:
        self.own = self

    def __del__(self) -> None:
        repr(self.own)


def test_the_end_of_garbage_does_not_count_as_calls() -> None:
    """However much of it earlier tests have left, and however much is made meanwhile."""

    def work() -> list[list[None]]:
        return [[] for _ in range(2 * gc.get_threshold()[0])]

    alone = calls_of(work)
    for _ in range(100):
        _Garbage()
    assert calls_of(work) == alone


SAMPLE = (
    "Address", "Attachment", "CodeableConcept", "Composition", "Device", "Extension", "HumanName", "Identifier", "Observation",
    "Observation.component", "Patient", "Reference", "Timing.repeat",
)  # fmt: skip
"""What messages are full of."""


def _grows(surface: str, kind: str, form: str) -> bool:
    """Tell whether the elements of a type, as often as they stand there, take more calls than in proportion.

    With and without id, extension and what is unknown.
    """
    counts = []
    for most in (FORMS, 2 * FORMS, 3 * FORMS):
        every, one = (
            _written(surface, form, message(surface, _resource(RELEASES[surface], kind, most, one_choice=one_choice)))
            for one_choice in (False, True)
        )
        work = translated(surface, one)
        work()
        counts.append(calls_of(work) + calls_of(lambda every=every: _read(surface, every)))  # type: ignore[misc] # bound at once
    # In proportion the second step costs what the first did; each call for a pair of elements would add 16.
    return (counts[2] - counts[1]) - (counts[1] - counts[0]) >= FORMS * FORMS


@pytest.mark.slow
@pytest.mark.parametrize("form", ["json", "xml"])
@pytest.mark.parametrize("surface", RELEASES)
def test_no_usual_element_takes_more_calls_than_in_proportion(surface: str, form: str) -> None:
    """A sample of all types."""
    assert [kind for kind in SAMPLE if _grows(surface, kind, form)] == []


@pytest.mark.slow
@pytest.mark.parametrize("form", ["json", "xml"])
@pytest.mark.parametrize("surface", RELEASES)
def test_no_element_takes_more_calls_than_in_proportion(surface: str, form: str) -> None:
    """Every element of every type of a release."""
    assert [kind for kind in _ways(RELEASES[surface]) if _grows(surface, kind, form)] == []


# Forms that stand for all, as `xml_codec` and `conform` tell elements apart.

LARGEST, TIMES = 1_000_000, 16
"""The bytes of the larger message, and how many times as large as the smaller one it is."""
MARGIN = 3
"""How much more than in proportion the CPU time may be; by the square it would be sixteen times."""


def _patient(*parts: str) -> bytes:
    return f'<Patient xmlns="http://hl7.org/fhir">{"".join(parts)}</Patient>'.encode()


def _in_name(one: str) -> Callable[[int], bytes]:
    return lambda count: _patient("<name>", one * count, "</name>")


def _in_patient(one: str) -> Callable[[int], bytes]:
    return lambda count: _patient(one * count)


def _first_plain(first: str, then: str) -> Callable[[int], bytes]:
    return lambda count: _patient("<name>", first * (count // 2), then * (count // 2), "</name>")


def _json(make: Callable[[int], Tree]) -> Callable[[int], bytes]:
    return lambda count: json_codec.encode(message("vkp-r4", make(count)))


SIBLINGS: Tree = {"id": "x"}
FORMS_OF_ALL = {
    "repeated": _in_name('<given value="x"/>'),
    "repeated with id": _in_name('<given value="x" id="x"/>'),
    "repeated without value": _in_name('<given id="x"/>'),
    "repeated with nothing": _in_name("<given/>"),
    "repeated with extension": _in_name(
        '<given value="x"><extension url="x"><valueString value="x"/></extension></given>'
    ),
    "repeated with an unknown attribute": _in_name('<given value="x" other="x"/>'),
    "repeated, an id after half of them": _first_plain('<given value="x"/>', '<given value="x" id="x"/>'),
    "repeated, an id before half of them": _first_plain('<given value="x" id="x"/>', '<given value="x"/>'),
    "single and standing many times": _in_patient('<gender value="x"/>'),
    "single with id and standing many times": _in_patient('<gender value="x" id="x"/>'),
    "number standing many times": _in_patient('<multipleBirthInteger value="1" id="x"/>'),
    "boolean standing many times": _in_patient('<active value="true" id="x"/>'),
    "object": _in_patient("<contact/>"),
    "object with id": _in_patient('<contact id="x"/>'),
    "extension": _in_patient('<extension url="x" id="x"><valueString value="x"/></extension>'),
    "resource": _in_patient('<contained><Basic><id value="x"/></Basic></contained>'),
    "narrative": _in_patient(f"<text>{DIV}</text>"),
    "unknown": _in_patient('<unknown value="x"/>'),
    "unknown with id": _in_patient('<unknown value="x" id="x"/>'),
    "unknown object": _in_patient('<unknown><a value="x"/></unknown>'),
    "json repeated": _json(lambda count: {"resourceType": "Patient", "name": [{"given": ["x"] * count}]}),
    "json repeated with id": _json(
        lambda count: {"resourceType": "Patient", "name": [{"given": ["x"] * count, "_given": [SIBLINGS] * count}]}
    ),
    "json nulls": _json(
        lambda count: {"resourceType": "Patient", "name": [{"given": [None] * count, "_given": [None] * count}]}
    ),
    "json contained": _json(lambda count: {"resourceType": "Patient", "contained": [_nested()] * count}),
    "json one patient of many numbers": lambda count: json_codec.encode(
        {"resourceType": "Basic", "contained": [_joined(place) for place in reversed(range(count))]}
    ),
}


def _nested() -> Tree:
    return {"resourceType": "Basic", "id": "x", "contained": [{"resourceType": "Basic", "id": "y"}]}


def _joined(place: int) -> Tree:
    """Return a Patient with a number that the one before has, and one that the next has: one person, link by link."""
    system = "urn:oid:2.16.578.1.12.4.1.4.1"
    identifiers: list[Tree] = [{"system": system, "value": number} for number in _numbers()[place : place + 2]]
    return {"resourceType": "Patient", "identifier": identifiers}


@cache
def _numbers() -> list[str]:
    """Return national numbers of a synthetic series, the patient's own last."""
    found: list[str] = []
    for first in range(999_999):
        nine = f"{first % 28 + 1:02}{first // 28 % 12 + 81}{first // 336 % 100:02}{first // 33_600 + 500:03}"
        tenth = -sum(map(mul, (3, 7, 6, 1, 8, 9, 4, 5, 2), map(int, nine))) % 11
        eleventh = -sum(map(mul, (5, 4, 3, 2, 7, 6, 5, 4, 3, 2), map(int, f"{nine}{tenth}"))) % 11
        if tenth < 10 and eleventh < 10:
            found.append(f"{nine}{tenth}{eleventh}")
        if len(found) == 10_000:
            return found
    raise AssertionError


def seconds(work: Callable[[], None]) -> float:
    """Return the seconds of CPU that some work takes, without those of the collector."""
    gc.collect()
    with _uncollected():
        start = time.process_time()
        work()
        return time.process_time() - start


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS_OF_ALL)
def test_no_form_takes_more_time_than_in_proportion(form: str) -> None:
    """Sixteen times as much takes sixteen times as long, not two hundred and fifty."""
    make = FORMS_OF_ALL[form]
    count = LARGEST // (len(make(101)) - len(make(1))) * 100
    few, many = (translated("vkp-r4", make(each)) for each in (count // TIMES, count))
    few()
    assert seconds(many) < MARGIN * TIMES * min(seconds(few) for _ in range(3)) + 0.05

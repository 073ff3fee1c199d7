"""What holds for every tree the tables allow: it survives XML to the letter; and for any bytes: they are read or refused."""

import re
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from translators.contract import Number, Reason, Refused, Tree
from translators.fhir import json_codec
from translators.fhir.elements import ANY_RESOURCE, ELEMENT, NUMERIC, Element, Release, r4, stu3
from translators.fhir.xml_codec import decode, encode

Draw = Callable[[st.SearchStrategy[Any]], Any]

XHTML = "http://www.w3.org/1999/xhtml"
PERSON = "30714510343"
RELEASES = [stu3(), r4()]
EVERY_RESOURCE = [(release, kind) for release in RELEASES for kind in sorted(release.resources)]
ATTRIBUTES = {"Extension": {"id", "url"}}
"""What XML writes as attributes, besides the id of every data type: they have neither id nor extensions."""

CHARACTERS = st.characters(
    exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff", include_characters="\t\n\r\x7f\x85"
)
TEXTS = st.sampled_from(["x", " 1 ", "", "true", "81.30", "a\n\tb\r", "Blåbær & \"<syltetøy>'", "\u2028\U0001f600"])
ANY_TEXT = TEXTS | st.text(CHARACTERS, max_size=9)
NUMBERS = st.sampled_from(["0", "-0", "81.30", "1e2", "-1.0E-07", "0.123456789012345678901234567890"]).map(Number)
PLAIN_CHARACTERS = st.characters(
    exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff&<>", include_characters="\t\n"
)
DIVS = st.text(PLAIN_CHARACTERS, max_size=9)


def _div(text: str) -> str:
    return f'<div xmlns="{XHTML}"><p class="a&quot;b">{text}<br/></p>{text}</div>'


def _plain(draw: Draw, element: Element) -> Tree:
    if element.type in NUMERIC:
        return draw(NUMBERS)
    if element.type == "boolean":
        return draw(st.booleans())
    return draw(DIVS.map(_div) if element.type == "xhtml" else ANY_TEXT)


def _is_attribute(release: Release, kind: str, name: str) -> bool:
    return kind not in release.resources and name in ATTRIBUTES.get(kind, {"id"})


def _primitive(draw: Draw, element: Element, name: str, may_have_sibling: bool) -> dict[str, Tree]:
    forms = ["value", "sibling", "both"] if may_have_sibling else ["value"]
    count = draw(st.integers(1, 3)) if element.repeats else 1
    places = [draw(st.sampled_from(forms)) for _ in range(count)]
    values: list[Tree] = [_plain(draw, element) if place != "sibling" else None for place in places]
    siblings: list[Tree] = [{"id": draw(ANY_TEXT)} if place != "value" else None for place in places]
    found: dict[str, Tree] = {}
    for half, items in ((name, values), (f"_{name}", siblings)):
        if any(item is not None for item in items):
            found[half] = items if element.repeats else items[0]
    return found


def _object(draw: Draw, release: Release, kind: str, depth: int) -> dict[str, Tree]:
    """Draw some of the elements of a type, in any order; deep down only primitives, so that it ends."""
    if kind == ANY_RESOURCE:
        kind = draw(st.sampled_from(sorted(release.resources)))
    fields: dict[str, Tree] = {"resourceType": kind} if kind in release.resources else {}
    row = release.types[kind]
    for name in draw(_names(release, kind, depth < 3)):
        element = row[name]
        if element.primitive:
            may_have_sibling = element.type != "xhtml" and not _is_attribute(release, kind, name)
            fields |= _primitive(draw, element, name, may_have_sibling)
        elif element.repeats:
            fields[name] = [_object(draw, release, element.type, depth + 1) for _ in range(draw(st.integers(1, 2)))]
        else:
            fields[name] = _object(draw, release, element.type, depth + 1)
    return fields


@cache
def _names(release: Release, kind: str, with_objects: bool) -> st.SearchStrategy[list[str]]:
    names = [
        name
        for name, element in release.types[kind].items()
        if name[0] != "_" and (element.primitive or with_objects) and (name != "resourceType" or "." in kind)
    ]
    return st.lists(st.sampled_from(names), max_size=5, unique=True)


@st.composite
def resources(draw: Draw, release: Release, kind: str) -> dict[str, Tree]:
    """Draw a resource of one type with anything that the release allows in it."""
    return _object(draw, release, kind, 0)


@pytest.mark.sampled
@pytest.mark.parametrize(("release", "kind"), EVERY_RESOURCE, ids=lambda value: getattr(value, "name", value))
def test_a_tree_survives_xml(release: Release, kind: str) -> None:
    """Tree to XML to tree, JSON to XML to JSON and XML to tree to XML: the same, to the letter."""

    @settings(
        max_examples=max(1, settings.default.max_examples // 40),
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(resources(release, kind))
    def check(tree: dict[str, Tree]) -> None:
        data = encode(tree, release)
        back, repairs = decode(data, release)
        assert back == tree
        assert repairs == ()
        assert encode(back, release) == data
        read = json_codec.decode(json_codec.encode(tree))
        assert decode(encode(read, release), release)[0] == read

    check()


def _everything(release: Release, kind: str, seen: set[str]) -> dict[str, Tree]:
    """Build a type with each of its elements once, and so every type below it, each where it is met first."""
    seen.add(kind)
    fields: dict[str, Tree] = {}
    for name, element in release.types[kind].items():
        value: Tree
        if name == "resourceType" and kind in release.resources:
            value = kind
        elif element.type == ANY_RESOURCE:
            value = {"resourceType": "Basic", "id": "b"}
        elif name[0] == "_" and (element.type != ELEMENT or name == "_div" or _is_attribute(release, kind, name[1:])):
            continue
        elif not element.primitive:
            new = element.type not in seen and element.type != ELEMENT
            value = _everything(release, element.type, seen) if new else {"id": name}
        elif element.type in NUMERIC:
            value = Number("1.50")
        elif element.type == "boolean":
            value = True
        else:
            value = _div(name) if element.type == "xhtml" else name
        fields[name] = [value] if element.repeats else value
    return fields


@pytest.mark.slow
@pytest.mark.parametrize("release", RELEASES, ids=lambda release: release.name)
def test_every_element_of_every_type_survives_xml(release: Release) -> None:
    """Not one is left to chance: each element of the tables, with its sibling, in XML and back."""
    met: set[str] = set()
    for kind in release.resources:
        tree = _everything(release, kind, seen := set())
        met |= seen
        assert decode(encode(tree, release), release) == (tree, ())
    assert met >= {kind for kind in release.types if "." in kind}


MESSAGE: Tree = {
    "resourceType": "Bundle",
    "entry": [
        {
            "resource": {
                "resourceType": "Patient",
                "identifier": [{"value": PERSON, "_value": {"extension": [{"url": PERSON, "valueString": PERSON}]}}],
                "text": {"div": f'<div xmlns="{XHTML}">{PERSON}</div>'},
            }
        }
    ],
}
PIECES = [
    *(b"", b"\xff", b"\x00", b"<", b">", b"&", b"&e;", b'"', b"/>", b"<a/>", PERSON.encode(), f"<n{PERSON}/>".encode()),
    *(b"<!DOCTYPE a>", b"<![CDATA[x]]>", b"<!-- x -->", b"<?x?>", b"<a xmlns='urn:x'/>", b"<resource/>", b"</entry>"),
    *(
        b" xmlns='urn:x'",
        b" xmlns=''",
        b" id='x'",
        b" value='y'",
        f" a{PERSON}='{PERSON}'".encode(),
        b"<_value id='x'/>",
    ),
]


def _read(data: bytes) -> "Tree | Refused":
    try:
        return decode(data, stu3())[0]
    except Refused as refusal:
        return refusal


@given(st.data())
def test_any_bytes_are_read_or_refused_without_telling_what_they_hold(data: st.DataObject) -> None:
    """Whatever is cut out of a message or put into it, nothing but a refusal comes out, with nothing of the content."""
    message = encode(MESSAGE, stu3())
    start = data.draw(st.integers(0, len(message)))
    end = data.draw(st.sampled_from([start, start + 1, start + 9, len(message)]))
    result = _read(message[:start] + data.draw(st.sampled_from(PIECES)) + message[end:])
    if isinstance(result, Refused):
        assert result.reason is Reason.FORMAT
        assert not re.search(r"[0-9]{5}", str(result))
    else:
        assert isinstance(result, dict)
        assert "resourceType" in result


@settings(deadline=None)
@given(st.binary(max_size=40) | st.text(alphabet="<>/=\"'a &;!-[]?x:\n", max_size=30).map(str.encode))
def test_any_other_bytes_are_refused(data: bytes) -> None:
    """Hardly any bytes are FHIR XML, and none of them gets further than the reader."""
    with pytest.raises(Refused):
        decode(data, r4())

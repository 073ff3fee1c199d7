"""FHIR XML to the tree that FHIR JSON gives, and back (FHIR R4, xml.html and json.html; STU3 has the same rules)."""

import re
from dataclasses import dataclass
from itertools import islice
from typing import TypeAlias

from lxml import etree

from translators.contract import Number, Reason, Refused, Repair, Scalar, Tree
from translators.fhir.elements import Form, Release
from translators.fhir.xhtml import XML_SCHEMA_INSTANCE, text_of
from translators.fhir.xml_parser import BLANKS, Document, parse, tag_of
from translators.fhir.xml_shapes import FHIR, MAX_DEPTH, NAMESPACE, PLACE, UNKNOWN, Kind, Step, kinds
from translators.fhir.xml_writer import encode
from translators.places import printable_name, printable_type
from translators.source import MAX_FINDINGS

__all__ = ["decode", "encode"]

_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?", re.ASCII)
_ALL_TEXT = etree.XPath("normalize-space()", smart_strings=False)
_STRAY_TEXT = etree.XPath("boolean(//f:*/text()[normalize-space()])", namespaces={"f": NAMESPACE})

_Fields: TypeAlias = dict[str, Tree]
_Attributes: TypeAlias = list[tuple[str, str]]


@dataclass(slots=True, eq=False)
class _Open:
    """An element that is being read; `left` says how many of its children were still to come when the last one began."""

    kind: Kind
    fields: _Fields
    left: int
    name: str | None
    """Under which it stands in `owner`; None for a resource, which its place names."""
    owner: _Fields


def decode(data: bytes, release: Release) -> tuple[Tree, tuple[Repair, ...]]:
    """Read one resource in UTF-8, and what had to be left out of it: hints for a schema, which JSON cannot hold.

    An element or attribute that the release does not have stays in the tree, under its name or `@name`, for a later step to
    report. So does an element that stands twice where one is allowed, as an array, and a text that is not what its type says.
    Raises `Refused` for what `parse` refuses, for text or another namespace where FHIR has none, for two resources in one
    place, and for more than `MAX_DEPTH` levels.
    """
    return _Reader(release, parse(data)).read()


class _Reader:
    def __init__(self, release: Release, document: Document) -> None:
        self._kinds = kinds(release)
        self._resources = release.resources
        self._document = document
        self._walk = document.root.iter()
        self._stack: list[_Open] = []
        self._repairs: list[Repair] = []
        self._gaps: dict[tuple[int, str], _Fields] = {}
        self._tree: _Fields = {}

    def read(self) -> tuple[Tree, tuple[Repair, ...]]:
        # Depth first and without recursion; what most elements are, one value or children alone, is read here.
        root, stack = self._document.root, self._stack
        has_stray_text = bool(_ALL_TEXT(root)) and _STRAY_TEXT(root)
        frame = _Open(PLACE, self._tree, 1, None, self._tree)
        steps, fields, left = frame.kind.steps, frame.fields, frame.left
        for element in self._walk:
            while not left:
                frame = stack.pop()
                steps, fields, left = frame.kind.steps, frame.fields, frame.left
            left -= 1
            step = steps.get(element.tag)  # type: ignore[arg-type]  # a str: what has no such tag, the parser leaves out
            attributes = element.items()
            below = len(element)
            opened: _Open | None
            if has_stray_text:
                self._refuse_text(frame, element)
            if below and len(stack) == MAX_DEPTH:
                raise self._refused("nested too deep", element, frame)
            if step is not None and step.is_text and not below and len(attributes) == 1 and attributes[0][0] == "value":
                if step.name not in fields:
                    fields[step.name] = attributes[0][1]
                    continue
                opened = self._primitive(frame, element, step, attributes)
            elif step is not None and step.is_object and not attributes:
                inside: _Fields = {}
                _put(fields, step.name, inside, repeats=step.repeats)
                opened = _Open(step.kind, inside, below, step.name, fields)
            else:
                opened = self._open(frame, element, step, attributes)
            if opened is not None and below:
                frame.left = left
                stack.append(frame)
                frame, steps, fields, left = opened, opened.kind.steps, opened.fields, below
        self._close_gaps()
        return self._tree, tuple(self._repairs)

    def _open(self, frame: _Open, element: etree._Element, step: Step | None, attributes: _Attributes) -> _Open | None:
        """Put an element into the tree; return it where its children are to be put, None when it has been read whole."""
        if step is not None and step.form == "xhtml":
            self._narrative(frame, element, step)
            return None
        if attributes:
            attributes = self._without_schema(frame, element, attributes)
        if frame.kind is PLACE:
            return self._resource(frame, element, attributes)
        if step is None:
            return self._unknown(frame, element, attributes)
        if not step.is_object and step.form != "resource":
            return self._primitive(frame, element, step, attributes)
        fields: _Fields = {}
        for key, value in attributes:
            fields[key if key in step.kind.attributes else f"@{key}"] = value
        _put(frame.fields, step.name, fields, repeats=step.repeats)
        return _Open(step.kind, fields, len(element), step.name, frame.fields)

    def _resource(self, frame: _Open, element: etree._Element, attributes: _Attributes) -> _Open:
        name = self._local_name(frame, element)
        if "resourceType" in frame.fields:
            raise self._refused("a second resource in the place of one", element, frame)
        of_place = dict(frame.fields)
        frame.fields.clear()
        frame.fields["resourceType"] = name
        frame.fields |= of_place
        frame.fields |= {f"@{key}": value for key, value in attributes}
        kind = self._kinds[name] if name in self._resources else UNKNOWN
        return _Open(kind, frame.fields, len(element), None, frame.owner)

    def _primitive(self, frame: _Open, element: etree._Element, step: Step, attributes: _Attributes) -> _Open | None:
        value: Scalar = None
        sibling: _Fields = {}
        for key, text in attributes:
            if key == "value":
                value = _scalar(step.form, text)
            else:
                sibling["id" if key == "id" else f"@{key}"] = text
        below = len(element)
        has_sibling = bool(sibling or below)
        if value is None and not has_sibling:
            # It says nothing, as an empty string does; the next step drops that one by name.
            value = ""
        self._align(frame.fields, step, value, sibling if has_sibling else None)
        return _Open(step.kind, sibling, below, step.sibling, frame.fields) if below else None

    def _align(self, fields: _Fields, step: Step, value: Scalar, sibling: _Fields | None) -> None:
        """Add a primitive and its sibling; in two lists null fills the place of what the other has alone."""
        name = step.name
        if value is None:
            self._gaps[id(fields), name] = fields
        if not step.repeats and name not in fields:
            fields[name] = value
            if sibling is not None:
                fields[step.sibling] = sibling
            return
        if name in fields and not isinstance(fields[name], list):
            fields[name] = [fields[name]]
            if step.sibling in fields:
                fields[step.sibling] = [fields[step.sibling]]
        values = fields.setdefault(name, [])
        assert isinstance(values, list)  # noqa: S101 - made so above
        values.append(value)
        if sibling is not None or step.sibling in fields:
            if step.sibling not in fields:
                fields[step.sibling] = [None] * (len(values) - 1)
            siblings = fields[step.sibling]
            assert isinstance(siblings, list)  # noqa: S101 - made so above
            siblings.append(sibling)

    def _close_gaps(self) -> None:
        """Take out the values that no element of a name has: its siblings stand alone then."""
        for (_, name), fields in self._gaps.items():
            value = fields[name]
            if value is None or (isinstance(value, list) and all(item is None for item in value)):
                del fields[name]

    def _narrative(self, frame: _Open, element: etree._Element, step: Step) -> None:
        path = self._path(frame, step.name)
        narrative = text_of(self._document, element, path)
        for _ in range(narrative.dropped):
            self._repair(path)
        for _ in islice(self._walk, narrative.elements):
            pass
        _put(frame.fields, step.name, narrative.text, repeats=False)

    def _unknown(self, frame: _Open, element: etree._Element, attributes: _Attributes) -> _Open | None:
        name = self._local_name(frame, element)
        if name in frame.kind.not_children or name.startswith("_"):
            raise self._refused("an element that FHIR XML does not have", element, frame)
        if len(attributes) == 1 and attributes[0][0] == "value" and not len(element):
            _put(frame.fields, name, attributes[0][1], repeats=False)
            return None
        fields: _Fields = {f"@{key}": value for key, value in attributes}
        _put(frame.fields, name, fields, repeats=False)
        return _Open(UNKNOWN, fields, len(element), name, frame.fields)

    def _local_name(self, frame: _Open, element: etree._Element) -> str:
        if not tag_of(element).startswith(FHIR):
            raise self._refused("an element of another namespace than FHIR", element, frame)
        return _local(element)

    def _refuse_text(self, frame: _Open, element: etree._Element) -> None:
        is_ours = tag_of(element).startswith(FHIR)
        if (is_ours and (element.text or "").strip(BLANKS)) or (element.tail or "").strip(BLANKS):
            raise self._refused("text where FHIR has none", element, frame)

    def _without_schema(self, frame: _Open, element: etree._Element, attributes: _Attributes) -> _Attributes:
        kept = [(key, value) for key, value in attributes if not key.startswith(XML_SCHEMA_INSTANCE)]
        if len(kept) < len(attributes):
            path = self._path(frame, _local(element))
            for _ in range(len(attributes) - len(kept)):
                self._repair(path)
        return kept

    def _repair(self, path: str) -> None:
        if len(self._repairs) == MAX_FINDINGS:
            raise Refused(Reason.FORMAT, f"more than {MAX_FINDINGS} corrections would be needed", path)
        self._repairs.append(Repair(path, "schema-location-dropped"))

    def _refused(self, what: str, element: etree._Element, frame: _Open) -> Refused:
        path = self._path(frame, _local(element))
        return Refused(Reason.FORMAT, f"{what} at line {self._document.line(element)}", path)

    def _path(self, frame: _Open, name: str) -> str:
        """Spell the place of an element that is to be put into `frame`, with what is already there for its index."""
        root = _local(self._document.root)
        parts = [printable_type(root)]
        for at in (*self._stack, frame):
            if at.name is not None:
                found = at.owner.get(at.name)
                parts.append(_spelled(at.name, len(found) - 1 if isinstance(found, list) else None))
        if frame.kind is not PLACE:
            step = frame.kind.by_name.get(name)
            found = frame.fields.get(name)
            standing = len(found) if isinstance(found, list) else int(name in frame.fields)
            parts.append(_spelled(name, standing if standing or (step and step.repeats) else None))
        return "".join(parts)


def _spelled(name: str, index: int | None) -> str:
    return f".{printable_name(name)}" if index is None else f".{printable_name(name)}[{index}]"


def _local(element: etree._Element) -> str:
    return tag_of(element).rpartition("}")[2]


def _scalar(form: Form, text: str) -> Scalar:
    if form == "number" and _NUMBER.fullmatch(text):
        return Number(text)
    if form == "boolean" and text in ("true", "false"):
        return text == "true"
    return text


def _put(fields: _Fields, name: str, value: Tree, *, repeats: bool) -> None:
    """Add what an element holds; what stands twice becomes an array, also where one is allowed."""
    if name not in fields:
        fields[name] = [value] if repeats else value
        return
    found = fields[name]
    if isinstance(found, list):
        found.append(value)
    else:
        fields[name] = [found, value]

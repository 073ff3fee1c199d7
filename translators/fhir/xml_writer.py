"""A tree to FHIR XML, its elements in the order of the definition, which XML prescribes."""

import re
from operator import attrgetter

from translators.contract import Number, Tree
from translators.fhir.elements import ELEMENT, Release
from translators.fhir.xhtml import attribute, checked
from translators.fhir.xml_shapes import MAX_DEPTH, NAMESPACE, Kind, Step, kinds

_HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def encode(tree: Tree, release: Release) -> bytes:
    """Write a resource as XML in UTF-8, without blanks between elements; `decode` reads the same tree from it.

    Raises `ValueError` for what the release does not have or XML cannot hold: another element or type of value, an empty
    array, null but for alignment, id or extensions of what is an attribute in XML, control characters.
    """
    writer = _Writer(release)
    writer.resource(tree, "", f' xmlns="{NAMESPACE}"', 0)
    text = _HEAD + "".join(writer.parts)
    if _NO_XML.search(text):
        raise ValueError("a text has a character that XML cannot hold")
    return text.encode("utf-8")


class _Writer:
    def __init__(self, release: Release) -> None:
        self.parts: list[str] = []
        self._kinds = kinds(release)
        self._element = self._kinds[ELEMENT]
        self._release = release

    def resource(self, tree: Tree, path: str, head: str, depth: int) -> None:
        name = tree.get("resourceType") if isinstance(tree, dict) else None
        if not isinstance(tree, dict) or not isinstance(name, str) or name not in self._release.resources:
            raise ValueError(f"{path or 'the tree'} is not a resource of FHIR {self._release.name}")
        fields = {field: value for field, value in tree.items() if field != "resourceType"}
        self._object(name, fields, self._kinds[name], (path or name, head), depth)

    def _object(self, tag: str, tree: Tree, kind: Kind, place: tuple[str, str], depth: int) -> None:
        """Write an element with children; `head` of its place is what its start tag has besides attributes of the tree."""
        path, head = place
        if not isinstance(tree, dict):
            raise ValueError(f"{path} is an object")  # noqa: TRY004 - one kind of error for every tree that does not fit
        if depth >= MAX_DEPTH:
            raise ValueError(f"{path} is nested too deep")
        self.parts.append(f"<{tag}{head}")
        for name in kind.attributes:
            if name in tree:
                self.parts.append(f' {name}="{attribute(_text(tree[name], f"{path}.{name}"))}"')
        steps = _present(tree, kind, path)
        self.parts.append(">" if steps else "/>")
        for step in steps:
            below = f"{path}.{step.name}"
            if step.sibling in tree:
                self._with_sibling(step, tree, below, depth)
            else:
                for value in _items(tree[step.name], step, below):
                    self._child(step, value, below, depth)
        if steps:
            self.parts.append(f"</{tag}>")

    def _child(self, step: Step, value: Tree, path: str, depth: int) -> None:
        if step.form == "object":
            self._object(step.name, value, step.kind, (path, ""), depth + 1)
        elif step.form == "resource":
            self.parts.append(f"<{step.name}>")
            self.resource(value, path, "", depth + 2)
            self.parts.append(f"</{step.name}>")
        elif step.form == "xhtml":
            self.parts.append(checked(_text(value, path)))
        else:
            self.parts.append(f'<{step.name} value="{attribute(_value(step, value, path))}"/>')

    def _with_sibling(self, step: Step, tree: dict[str, Tree], path: str, depth: int) -> None:
        if step.form == "xhtml":
            raise ValueError(f"{path} has id or extensions, for which XML has no place")
        values = _items(tree[step.name], step, path, nulls=True) if step.name in tree else []
        siblings = _items(tree[step.sibling], step, path, nulls=True)
        for index in range(max(len(values), len(siblings))):
            value = values[index] if index < len(values) else None
            sibling = siblings[index] if index < len(siblings) else None
            if sibling is None:
                self._child(step, value, path, depth)
                continue
            if not sibling:
                raise ValueError(f"{path} has an empty object for id and extensions")
            head = "" if value is None else f' value="{attribute(_value(step, value, path))}"'
            self._object(step.name, sibling, self._element, (path, head), depth + 1)


def _present(tree: dict[str, Tree], kind: Kind, path: str) -> list[Step]:
    """Return the child elements of an object in the order of the definition; every field of it must be one."""
    found: dict[str, Step] = {}
    for name in tree:
        if name not in kind.attributes:
            step = kind.by_name.get(name.removeprefix("_"))
            if step is None or (name != step.name and not step.is_primitive):
                raise ValueError(f"{path} has an element that FHIR XML does not have there")
            found[step.name] = step
    return sorted(found.values(), key=attrgetter("place"))


def _items(value: Tree, step: Step, path: str, *, nulls: bool = False) -> list[Tree]:
    if step.repeats != isinstance(value, list):
        raise ValueError(f"{path} is {'an array' if step.repeats else 'one value'}")
    items: list[Tree] = value if isinstance(value, list) else [value]
    if not items:
        raise ValueError(f"{path} is an empty array")
    if not nulls and any(item is None for item in items):
        raise ValueError(f"{path} is null")
    return items


def _value(step: Step, value: Tree, path: str) -> str:
    if step.form == "number" and isinstance(value, Number):
        return value.text
    if step.form == "boolean" and isinstance(value, bool):
        return "true" if value else "false"
    if step.form == "text" and isinstance(value, str):
        return value
    raise ValueError(f"{path} is not the kind of value that FHIR has there")


def _text(value: Tree, path: str) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{path} is a text")  # noqa: TRY004 - one kind of error for every tree that does not fit
    return value

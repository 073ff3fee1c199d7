"""Whether a resource has the shape that FHIR R4 gives it, so that whoever reads its elements passes over nothing unseen.

Less than `structure` asks: an object where there is one, a text where there is one, one value where an element does not repeat, and
what every resource of its type must have; of values no more than is asked for. Elements that R4 does not have are not looked at. What
says nothing (null, an empty text, list or object) is absent, and one value stands for a list of one: record systems write both.
"""

from collections.abc import Container, Iterator
from typing import NamedTuple

from translators.contract import Number, Tree
from translators.fhir.invariants import Fields
from translators.fhir.structure_plan import DEEPEST, Row, Step, rows

Path = tuple[str | int, ...]


class ShapeFault(NamedTuple):
    """What is of another shape; neither part holds a value."""

    path: Path
    """The names and indexes that lead to it from the resource."""
    text: str


def without_nothing(fields: Fields) -> Fields:
    """Return a resource, or an object in one, without what says nothing; a null stays that keeps a list aligned with its `_` sibling."""
    found = {
        name: _told(value, is_aligned=isinstance(fields.get(_sibling(name)), list)) for name, value in fields.items()
    }
    return {name: value for name, value in found.items() if _says(value)}


def _told(value: Tree, *, is_aligned: bool = False) -> Tree:
    if isinstance(value, dict):
        return without_nothing(value)
    if not isinstance(value, list):
        return value
    items = [_told(one) for one in value]
    kept = [one if _says(one) else None for one in items if is_aligned or _says(one)]
    return kept if any(one is not None for one in kept) else None


def _sibling(name: str) -> str:
    return name[1:] if name[:1] == "_" else f"_{name}"


class _Every(Container[str]):
    def __contains__(self, name: object) -> bool:
        return True


EVERY_VALUE = _Every()


def shape_fault(resource: Tree, values: Container[str] = frozenset()) -> ShapeFault | None:
    """Return the first place where a resource is of another shape than R4 gives it; None where it has that everywhere.

    Of some elements, by type and name as `Period.start`, the `values` are looked at too: codes of closed lists, dates and times.
    """
    return next(_Walk(values).resource(resource, (), 0), None)


class _Walk:
    def __init__(self, values: Container[str]) -> None:
        self._values = values

    def resource(self, value: Tree, path: Path, depth: int) -> Iterator[ShapeFault]:
        kind = value.get("resourceType") if isinstance(value, dict) else None
        row = rows().get(kind) if isinstance(kind, str) else None
        if not isinstance(value, dict) or row is None or not row.is_resource:
            yield ShapeFault(path, "a resource of FHIR R4 is expected")
            return
        yield from self._object(value, row, path, depth)

    def _object(self, value: Fields, row: Row, path: Path, depth: int) -> Iterator[ShapeFault]:
        if depth == DEEPEST:
            yield ShapeFault(path, "nested too deep")
            return
        for name, item in value.items():
            if (step := row.steps.get(name)) is None or not _says(item):
                continue
            if item.__class__ is not str or not step.is_text:
                yield from self._element(item, step, (*path, name), depth)
            elif step.right is not None and f"{row.name}.{name}" in self._values and not step.right(item):
                yield ShapeFault((*path, name), step.wrong)
        for name in row.mandatory:
            names = (name,) if name in row.simple else dict(row.choices).get(name, frozenset())
            if not any(_says(value.get(one)) or _says(value.get(f"_{one}")) for one in names):
                yield ShapeFault((*path, name), "is missing")

    def _element(self, item: Tree, step: Step, path: Path, depth: int) -> Iterator[ShapeFault]:
        if not isinstance(item, list):
            yield from self._value(item, step, path, depth)
        elif not step.repeats:
            yield ShapeFault(path, "one value is expected, and no list")
        else:
            for index, one in enumerate(item):
                if _says(one):
                    yield from self._value(one, step, (*path, index), depth)

    def _value(self, item: Tree, step: Step, path: Path, depth: int) -> Iterator[ShapeFault]:
        match step.form:
            case "resource":
                yield from self.resource(item, path, depth + 1)
            case "object" if isinstance(item, dict) and step.row is not None:
                yield from self._object(item, step.row, path, depth + 1)
            case "object":
                yield ShapeFault(path, "an object is expected")
            case "boolean" if not isinstance(item, bool):
                yield ShapeFault(path, "true or false is expected")
            case "number" if not isinstance(item, Number):
                yield ShapeFault(path, "a number is expected")
            case "text" | "xhtml" if not isinstance(item, str):
                yield ShapeFault(path, "text is expected")


def _says(value: Tree) -> bool:
    return value is False or (bool(value.strip()) if isinstance(value, str) else bool(value))

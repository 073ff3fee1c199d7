"""What FHIRPath works on: the elements of a resource as nodes, and collections of them."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

_TYPES = set(
    re.findall(
        r"\w+",
        "Address Age Annotation Attachment Base64Binary Boolean Canonical Code CodeableConcept Coding ContactDetail ContactPoint"
        " Contributor Count DataRequirement Date DateTime Decimal Distance Dosage Duration Expression HumanName Id Identifier"
        " Instant Integer Markdown Meta Money Oid ParameterDefinition Period PositiveInt Quantity Range Ratio Reference"
        " RelatedArtifact SampledData Signature String Time Timing TriggerDefinition UnsignedInt Uri Url UsageContext Uuid",
    )
)
"""The types of which choices are made; any other name that begins like an element's is another element."""


class NotSupported(ValueError):  # noqa: N818 - the condition
    """The expression uses what this module does not know."""


@dataclass(frozen=True, eq=False)
class Node:
    """A value of a resource; of a primitive its `_name` too, and the type that a choice's name says."""

    value: Any
    sibling: dict[str, Any] | None = None
    kind: str | None = None

    def children(self, name: str) -> "Iterator[Node]":
        """Go through the elements of a name; `value` is any of `value[x]`."""
        fields = self.value if isinstance(self.value, dict) else self.sibling or {}
        for own, kind in _names(fields, name):
            values, siblings = _items(fields.get(own)), _items(fields.get(f"_{own}"))
            for index in range(max(len(values), len(siblings))):
                value = values[index] if index < len(values) else None
                sibling = siblings[index] if index < len(siblings) else None
                if value is not None or sibling is not None:
                    yield Node(value, sibling, kind)

    def all_children(self) -> "Iterator[Node]":
        """Go through all elements."""
        fields = self.value if isinstance(self.value, dict) else self.sibling or {}
        for name in dict.fromkeys(name.lstrip("_") for name in fields):
            if name != "resourceType":
                yield from self.children(name)


@dataclass(frozen=True)
class Scope:
    """What an expression may refer to beside its focus."""

    resource: Node
    root: Node
    context: Node = field(default_factory=lambda: Node(None))


Collection = list[Any]
Evaluate = Callable[[Collection, Scope], Collection]


def _names(fields: dict[str, Any], name: str) -> list[tuple[str, str | None]]:
    if name in fields or f"_{name}" in fields:
        return [(name, None)]
    found = {own.lstrip("_") for own in fields if own.lstrip("_").startswith(name)}
    return [(own, own[len(name) :]) for own in sorted(found) if own[len(name) :] in _TYPES]


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def bare(item: Any) -> Any:
    """Return the value of a node, or of a literal."""
    return item.value if isinstance(item, Node) else item


def truth(collection: Collection) -> bool:
    """Tell whether a collection counts as true: nothing does not."""
    if not collection:
        return False
    value = bare(collection[0])
    return value if isinstance(value, bool) else True


def key(item: Any) -> str:
    """Return what is equal for equal items."""
    return repr(bare(item))


def text_of(collection: Collection) -> str:
    """Return the first item as text; "" where there is none."""
    return "".join(str(bare(item)) for item in collection[:1])

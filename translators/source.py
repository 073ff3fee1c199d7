"""The reading cursor: a translator reads its source only through it, so what was never read is what would be lost."""

import re
from collections.abc import Iterator

from translators.contract import Coverage, Loss, Reason, Refused, Repair, Tree

MAX_LEVELS = 256
"""How deep an unread place may lie, and `MAX_FINDINGS` how many repairs, or losses, one message may need.

Far more than any published message; a limit so that listing the places of a hostile one cannot exhaust memory.
"""
MAX_FINDINGS = 1000

# An element's name begins with a small letter, a type's with a capital one; anything else might be a person's.
_ELEMENT_NAME = re.compile(r"(?!.*\d{5})_?[a-z][A-Za-z0-9]{0,63}")
_TYPE_NAME = re.compile(r"[A-Z][A-Za-z]{0,63}")

_Key = tuple[int, str | int]


class Source:
    """One message, and which of its leaves have been read.

    A leaf is a scalar, or an object or array with nothing in it. Each is read once: carried as it is, or repaired. No object
    or array of the tree may stand in two places of it; one that was decoded never does.
    """

    def __init__(self, tree: Tree, name: str) -> None:
        self.root = Cursor(self, None, name, None, tree)
        self.repairs: list[Repair] = []
        self.carried: set[_Key] = set()
        self._repaired: set[_Key] = set()

    def repair(self, cursor: "Cursor", rule: str) -> None:
        """Record a named correction at this place; a leaf counts as repaired and no longer as carried."""
        if len(self.repairs) == MAX_FINDINGS:
            raise Refused(Reason.FORMAT, f"more than {MAX_FINDINGS} corrections would be needed", self.root.path)
        self.repairs.append(Repair(cursor.path, rule))
        if cursor.is_leaf:
            self.carried.discard(cursor.key)
            self._repaired.add(cursor.key)

    def finish(self, reason: str) -> tuple[tuple[Loss, ...], Coverage]:
        """Return what nobody read, as losses with this reason, and the count of what became of every leaf.

        Raises `Refused` when the losses are too many, or too deep, to be listed.
        """
        read = len(self.carried) + len(self._repaired)
        leaves = _count_leaves(self.root.value)
        if leaves - read > MAX_FINDINGS:
            raise Refused(Reason.LOSS, f"more than {MAX_FINDINGS} elements would be lost", self.root.path)
        losses = tuple(self._unread(reason)) if leaves > read else ()
        return losses, Coverage(
            leaves=leaves, carried=len(self.carried), repaired=len(self._repaired), lost=leaves - read
        )

    def _unread(self, reason: str) -> Iterator[Loss]:
        pending = [(self.root, 0)]
        while pending:
            at, level = pending.pop()
            if level > MAX_LEVELS:
                raise Refused(Reason.FORMAT, "nested too deep", self.root.path)
            if not at.is_leaf:
                pending.extend((below, level + 1) for below in reversed(at.children()))
            elif at.key not in self.carried and at.key not in self._repaired:
                yield Loss(at.path, at.element, reason)


class Cursor:
    """A place in a source tree; an item of an array has the array's name and an index."""

    __slots__ = ("_source", "index", "name", "parent", "value")

    def __init__(self, source: Source, parent: "Cursor | None", name: str, index: int | None, value: Tree) -> None:
        self._source = source
        self.parent = parent
        self.name = name
        self.index = index
        self.value = value

    @property
    def key(self) -> _Key:
        """What tells this place from every other of the same source."""
        return (id(self.parent.value) if self.parent else 0, self.name if self.index is None else self.index)

    @property
    def is_leaf(self) -> bool:
        """Whether there is nothing below this place."""
        return not self.value or not isinstance(self.value, (dict, list))

    @property
    def path(self) -> str:
        """The place for a person, `Bundle.entry[2].resource.status`; a name that is no element name is withheld."""
        return self._spell(to_resource=False)

    @property
    def element(self) -> str:
        """The path from the innermost resource, without indexes: `Device.identifier.value`."""
        return self._spell(to_resource=True)

    def _spell(self, *, to_resource: bool) -> str:
        parts: list[str] = []
        at: Cursor | None = self
        while at is not None:
            kind = at.value.get("resourceType") if to_resource and isinstance(at.value, dict) else None
            if isinstance(kind, str):
                parts.append(_printable(kind, _TYPE_NAME))
                break
            if at.parent is None:
                parts.append(_printable(at.name, _TYPE_NAME))
                break
            if at.index is None:
                parts.append("." + _printable(at.name))
            elif not to_resource:
                parts.append(f"[{at.index}]")
            at = at.parent
        return "".join(reversed(parts))

    def children(self) -> "list[Cursor]":
        """Return the fields of an object or the items of an array, in order."""
        value = self.value
        if isinstance(value, dict):
            return [Cursor(self._source, self, name, None, field) for name, field in value.items()]
        if isinstance(value, list):
            return [Cursor(self._source, self, self.name, index, item) for index, item in enumerate(value)]
        return []

    def carry(self) -> Tree:
        """Read a leaf, to be written unchanged."""
        self._source.carried.add(self.key)
        return self.value

    def carry_field(self, name: str) -> None:
        """Read the leaf `name` of an object, to be written unchanged; the short way for what most of a message is."""
        self._source.carried.add((id(self.value), name))

    def field(self, name: str, value: Tree) -> "Cursor":
        """Return the place of one field of an object."""
        return Cursor(self._source, self, name, None, value)

    def repair(self, rule: str) -> None:
        """Record a named correction here."""
        self._source.repair(self, rule)


def _printable(name: str, pattern: re.Pattern[str] = _ELEMENT_NAME) -> str:
    return name if pattern.fullmatch(name) else "(name withheld)"


def _count_leaves(tree: Tree) -> int:
    leaves = 0
    pending = [tree]
    while pending:
        value = pending.pop()
        if isinstance(value, dict) and value:
            pending.extend(value.values())
        elif isinstance(value, list) and value:
            pending.extend(value)
        else:
            leaves += 1
    return leaves

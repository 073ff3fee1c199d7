"""The reading cursor: a translator reads its source only through it, so what was never read is what would be lost."""

import re
from collections.abc import Iterator

from translators.contract import Coverage, Loss, Repair, Tree

_ELEMENT_NAME = re.compile(r"(?!.*\d{5})_?[A-Za-z][A-Za-z0-9]{0,63}")

_Key = tuple[int, str | int]


class Source:
    """One message, and which of its leaves have been read.

    A leaf is a scalar, or an object or array with nothing in it. Each is read once: carried as it is, or repaired.
    """

    def __init__(self, tree: Tree, name: str) -> None:
        self.root = Cursor(self, None, name, tree)
        self.repairs: list[Repair] = []
        self._carried: set[_Key] = set()
        self._repaired: set[_Key] = set()

    def carry(self, cursor: "Cursor") -> None:
        """Mark a leaf as carried unchanged."""
        self._carried.add(cursor.key)

    def repair(self, cursor: "Cursor", rule: str) -> None:
        """Record a named correction at this place; a leaf counts as repaired and no longer as carried."""
        self.repairs.append(Repair(cursor.path, rule))
        if cursor.is_leaf:
            self._carried.discard(cursor.key)
            self._repaired.add(cursor.key)

    def finish(self, reason: str) -> tuple[tuple[Loss, ...], Coverage]:
        """Return what nobody read, as losses with this reason, and the count of what became of every leaf."""
        read = len(self._carried) + len(self._repaired)
        leaves = _count_leaves(self.root.value)
        losses = tuple(self._unread(reason)) if leaves > read else ()
        return losses, Coverage(
            leaves=leaves, carried=len(self._carried), repaired=len(self._repaired), lost=leaves - read
        )

    def _unread(self, reason: str) -> Iterator[Loss]:
        pending = [self.root]
        while pending:
            at = pending.pop()
            if not at.is_leaf:
                pending.extend(reversed(list(at.children())))
            elif at.key not in self._carried and at.key not in self._repaired:
                yield Loss(at.path, at.element, reason)


class Cursor:
    """A place in a source tree."""

    __slots__ = ("_source", "name", "parent", "value")

    def __init__(self, source: Source, parent: "Cursor | None", name: str | int, value: Tree) -> None:
        self._source = source
        self.parent = parent
        self.name = name
        self.value = value

    @property
    def key(self) -> _Key:
        """What tells this place from every other of the same source."""
        return (id(self.parent.value) if self.parent else 0, self.name)

    @property
    def is_leaf(self) -> bool:
        """Whether there is nothing below this place."""
        return not (isinstance(self.value, dict | list) and self.value)

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
                parts.append(_printable(kind))
                break
            if at.parent is None:
                parts.append(_printable(at.name))
                break
            if isinstance(at.name, int):
                parts.append("" if to_resource else f"[{at.name}]")
            else:
                parts.append("." + _printable(at.name))
            at = at.parent
        return "".join(reversed(parts))

    def children(self) -> Iterator["Cursor"]:
        """Go through the fields of an object or the items of an array, in order."""
        if isinstance(self.value, dict):
            for name, value in self.value.items():
                yield Cursor(self._source, self, name, value)
        elif isinstance(self.value, list):
            for index, value in enumerate(self.value):
                yield Cursor(self._source, self, index, value)

    def carry(self) -> Tree:
        """Read a leaf, to be written unchanged."""
        self._source.carry(self)
        return self.value

    def repair(self, rule: str) -> None:
        """Record a correction here."""
        self._source.repair(self, rule)


def _printable(name: str | int) -> str:
    text = str(name)
    return text if _ELEMENT_NAME.fullmatch(text) else "(name withheld)"


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

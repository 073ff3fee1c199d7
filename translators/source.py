"""The reading cursor: a translator reads its source only through it, so what was never read is what would be lost."""

from collections import Counter
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from itertools import islice

from translators.contract import Coverage, Loss, Made, Reason, Refused, Repair, RepairedNumber, RepairedText, Tree
from translators.made import Settled, count_leaves, leaves_as_they_came
from translators.places import printable_name, printable_type

MAX_LEVELS = 256
"""How deep an unread place may lie, and `MAX_FINDINGS` how many repairs, or losses, one message may need.

Far more than any published message; a limit so that listing the places of a hostile one cannot exhaust memory.
"""
MAX_FINDINGS = 1000

Key = tuple[int, str | int]
"""A place: the identity of the object or array around it, and its name or index there."""
_REPAIRED_BEFORE = (RepairedText, RepairedNumber)


class Source:
    """One message, and which of its leaves have been read.

    A leaf is a scalar, or an object or array with nothing in it. Each is read once: carried as it is, repaired, or used for
    addressing; a whole subtree may be carried or used at once. No object or array of the tree may stand in two places of it;
    one that was decoded never does.

    A source that is read by parts hands out values for somebody else to write, and holds them to it: `finish_after` counts as
    carried only what was found in the result.
    """

    def __init__(self, tree: Tree, name: str, *, by_parts: bool = False) -> None:
        self._tree = tree
        self._name = name
        self.touched: set[int] | None = set() if by_parts else None
        """The objects and arrays of which something was read; kept only where `rest` is asked for."""
        self.given: dict[Key, Tree] = {}
        """What was handed out to be written, with all that is below it."""
        self.addressing: list[str] = []
        """The places that were used for addressing, with all that is below them."""
        self.repairs: list[Repair] = []
        self.carried: set[Key] = set()
        """The places that were read, to be written or for addressing."""
        self.repaired: set[Key] = set()
        self.repaired_here = 0
        self.has_relative_links = False
        """Whether a reference was met that names a resource by its type and id alone."""
        self._used = 0

    @property
    def whole(self) -> AbstractSet[int]:
        """The identities of what was handed out to be written with all that is below it."""
        return frozenset(map(id, self.given.values()))

    @property
    def root(self) -> "Cursor":
        """The place of the whole message; made anew, since a source that kept it would be garbage that only the collector finds."""
        return Cursor(self, None, self._name, None, self._tree)

    def repair(self, cursor: "Cursor", rule: str, *, stays: bool) -> None:
        """Record a named correction at this place; a leaf counts as repaired and no longer as carried.

        `stays` says that the place is written as it came, if elsewhere.
        """
        if len(self.repairs) == MAX_FINDINGS:
            raise Refused(Reason.FORMAT, f"more than {MAX_FINDINGS} corrections would be needed", self.root.path)
        self.repairs.append(Repair(cursor.path, rule))
        if cursor.is_leaf and not stays:
            self.carried.discard(cursor.key)
            self.given.pop(cursor.key, None)
            if cursor.key not in self.repaired and not isinstance(cursor.value, _REPAIRED_BEFORE):
                self.repaired_here += 1
            self.repaired.add(cursor.key)

    def unread(self, cursor: "Cursor") -> "list[Cursor]":
        """Return the children of a place that themselves were neither carried nor repaired."""
        return cursor.children_but(self.carried | self.repaired if self.repaired else self.carried)

    def is_read(self, cursor: "Cursor") -> bool:
        """Whether this place itself was carried or repaired."""
        key = cursor.key
        return key in self.carried or key in self.repaired

    def finish(self, reason: str) -> tuple[tuple[Loss, ...], Coverage]:
        """Return what nobody read, as losses with this reason, and the count of what became of every leaf.

        Raises `Refused` when the losses are too many, or too deep, to be listed.
        """
        read = len(self.carried) + len(self.repaired)
        leaves = count_leaves(self.root.value)
        if leaves - read > MAX_FINDINGS:
            raise Refused(Reason.LOSS, f"more than {MAX_FINDINGS} elements would be lost", self.root.path)
        losses = tuple(_loss(at, reason) for at in self._unread()) if leaves > read else ()
        return losses, Coverage(
            leaves=leaves, carried=len(self.carried), repaired=len(self.repaired), lost=leaves - read
        )

    def use(self, place: Key, value: Tree, path: str) -> None:
        """Read a place for addressing: it is told by its path, and is not to be written."""
        if place in self.carried and place not in self.given:
            return
        self.carried.add(place)
        self.given.pop(place, None)
        self.addressing.append(path)
        self._used += 1 if value.__class__ is str else leaves_as_they_came(value)

    def finish_after(self, before: Coverage, result: Settled, reason: str) -> tuple[tuple[Loss, ...], Coverage]:
        """Return what a second reading left unread or unwritten, and the count of both.

        The tree of this source is what the first reading made; `before` is what that counted, and `result` what was made of
        this one. Raises `Refused` as `finish` does.
        """
        self._take_back(Counter(result.written))
        unread = self._unread() if self._has_unread() else iter(())
        left = [at for at in islice(unread, MAX_FINDINGS + 1) if not isinstance(at.value, Made)]
        if len(left) > MAX_FINDINGS:
            raise Refused(Reason.LOSS, f"more than {MAX_FINDINGS} elements would be lost", self.root.path)
        lost = before.lost + len(left)
        repaired = before.repaired + self.repaired_here
        repaired -= sum(1 for at in left if isinstance(at.value, _REPAIRED_BEFORE))
        carried = before.leaves - repaired - lost
        coverage = Coverage(before.leaves, carried, self._used, result.leaves, repaired, lost)
        return tuple(_loss(at, reason) for at in left), coverage

    def _take_back(self, written: Counter[int]) -> None:
        """Make what was handed out and not written unread again.

        Of equal scalars that are one and the same object, as "1" and `true` are, those that were handed out last are taken
        to be the missing ones. What was written piece by piece, as an array whose items were put into another, was written;
        a piece that was handed out by itself as well is looked for once.
        """
        pending = list(self.given.items())
        for place, value in pending:
            if written[id(value)]:
                written[id(value)] -= 1
                continue
            self.carried.discard(place)
            below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
            for name, item in below:
                if (id(value), name) not in self.given:
                    self.carried.add((id(value), name))
                    pending.append(((id(value), name), item))

    def _has_unread(self) -> bool:
        """Tell in the short way whether there is any, as there seldom is."""
        read = self.carried | self.repaired if self.repaired else self.carried
        pending = [self._tree] if self.root.key not in read else []
        while pending:
            holder = pending.pop()
            place = id(holder)
            for name, value in holder.items() if holder.__class__ is dict else enumerate(holder):  # type: ignore[arg-type] # or a list
                if (place, name) not in read:
                    if value and (value.__class__ is dict or value.__class__ is list):
                        pending.append(value)
                    elif value.__class__ is not Made:
                        return True
        return False

    def _unread(self) -> Iterator["Cursor"]:
        read = self.carried | self.repaired
        pending = [(self.root, 0)] if self.root.key not in read else []
        while pending:
            at, level = pending.pop()
            if level > MAX_LEVELS:
                raise Refused(Reason.FORMAT, "nested too deep", self.root.path)
            if at.is_leaf:
                yield at
            else:
                pending.extend((below, level + 1) for below in reversed(at.children_but(read)))


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
    def key(self) -> Key:
        """What tells this place from every other of the same source."""
        parent, index = self.parent, self.index
        return (id(parent.value) if parent is not None else 0, self.name if index is None else index)

    @property
    def is_leaf(self) -> bool:
        """Whether there is nothing below this place."""
        return not self.value or not isinstance(self.value, (dict, list))

    @property
    def is_read(self) -> bool:
        """Whether this place itself was carried or repaired."""
        return self._source.is_read(self)

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
                parts.append(printable_type(kind))
                break
            if at.parent is None:
                parts.append(printable_type(at.name))
                break
            if at.index is None:
                parts.append("." + printable_name(at.name))
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

    def children_but(self, read: set[Key]) -> "list[Cursor]":
        """Return the children that are not among these places."""
        value, key, source = self.value, id(self.value), self._source
        if isinstance(value, dict):
            return [Cursor(source, self, name, None, field) for name, field in value.items() if (key, name) not in read]
        items = enumerate(value) if isinstance(value, list) else ()
        return [Cursor(source, self, self.name, index, item) for index, item in items if (key, index) not in read]

    def unread(self) -> "list[Cursor]":
        """Return the children that themselves were neither carried nor repaired."""
        return self._source.unread(self)

    def carry(self) -> Tree:
        """Read this place with all that is below it, to be written unchanged."""
        self._source.carried.add(self.key)
        if self._source.touched is not None:
            self._source.given[self.key] = self.value
        self._touch(self.parent)
        return self.value

    def say_relative(self) -> None:
        """Remember of the whole source that it has a reference by type and id."""
        self._source.has_relative_links = True

    @property
    def carried_keys(self) -> set[Key]:
        """What was carried of the whole source; adding `(id(object), name)` is the short way for what most of a message is."""
        return self._source.carried

    def at(self, name: str) -> "Cursor | None":
        """Return the place of a field, or None where the object has no such field."""
        value = self.value
        return (
            Cursor(self._source, self, name, None, value[name]) if isinstance(value, dict) and name in value else None
        )

    def each(self, name: str) -> "list[Cursor]":
        """Return the items of a repeating field, in order."""
        found = self.at(name)
        return found.children() if found is not None and isinstance(found.value, list) else []

    def has(self, name: str) -> bool:
        """Whether the object has this field."""
        return isinstance(self.value, dict) and name in self.value

    def holds(self, name: str, kind: type) -> bool:
        """Whether the value of a field is of this kind."""
        return isinstance(self.value, dict) and isinstance(self.value.get(name), kind)

    def text(self, *names: str) -> str | None:
        """Return the text at the end of this path of fields, to decide by; that does not read it."""
        value = self.value
        for name in names:
            value = value.get(name) if isinstance(value, dict) else None
        return value if isinstance(value, str) else None

    def take(self, name: str) -> Tree:
        """Read a field with all that is below it, to be written unchanged; None where there is no such field."""
        value = self.value
        if not isinstance(value, dict) or name not in value:
            return None
        self._source.carried.add((id(value), name))
        self._source.given[id(value), name] = value[name]
        self._touch(self)
        return value[name]

    def use(self, *names: str) -> None:
        """Read these fields, where they are, for addressing: with all that is below them, and not to be written."""
        value = self.value
        found = [name for name in names if name in value] if isinstance(value, dict) else []
        if isinstance(value, dict) and found:
            path, source, place = self.path, self._source, id(value)
            for name in found:
                source.use((place, name), value[name], f"{path}.{name}")
            self._touch(self)

    def use_whole(self) -> None:
        """Read this place for addressing, with all that is below it."""
        self._source.use(self.key, self.value, self.path)
        self._touch(self.parent)

    def rest(self) -> Tree:
        """Read what is not read yet of this place and return that alone; None where nothing is left."""
        value, source, key = self.value, self._source, self.key
        if key in source.carried or key in source.repaired:
            return None
        if id(value) not in (source.touched or ()):
            return self.carry()
        if isinstance(value, list):
            return [rest for below in self.children() if (rest := below.rest()) is not None] or None
        return self.rest_of_fields() or None

    def rest_of_fields(self, *but: str) -> dict[str, Tree]:
        """Read what is not read yet of an object's fields, all but these, and return it."""
        value, key, source = self.value, id(self.value), self._source
        fields: dict[str, Tree] = {}
        for name, field in value.items() if isinstance(value, dict) else ():
            place = (key, name)
            if place in source.carried or place in source.repaired or name in but:
                continue
            if isinstance(field, (dict, list)) and id(field) in (source.touched or ()):
                rest = Cursor(source, self, name, None, field).rest()
                if rest is not None:
                    fields[name] = rest
            else:
                source.carried.add(place)
                source.given[place] = field
                fields[name] = field
        self._touch(self)
        return fields

    def _touch(self, at: "Cursor | None") -> None:
        touched = self._source.touched
        while touched is not None and at is not None and id(at.value) not in touched:
            touched.add(id(at.value))
            at = at.parent

    def field(self, name: str, value: Tree) -> "Cursor":
        """Return the place of one field of an object."""
        return Cursor(self._source, self, name, None, value)

    def repair(self, rule: str, *, stays: bool = False) -> None:
        """Record a named correction here; see `Source.repair`."""
        self._source.repair(self, rule, stays=stays)
        self._touch(self.parent)

    def replaced(self, value: Tree, rule: str) -> Tree:
        """Record a named correction here and return what is to be written in the place of this."""
        self.repair(rule)
        return value


def _loss(at: Cursor, reason: str) -> Loss:
    return Loss(at.path, at.element, reason)

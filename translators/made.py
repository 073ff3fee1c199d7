"""Elements that we made: they stand in the tree with their rule until the message is whole, and are listed then."""

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, TypeAlias

from translators.contract import Derived, Made, RepairedNumber, RepairedText, Tree

Trail: TypeAlias = tuple[Any, str | int]
"""A place: the `Trail` of what holds it, or None, and its name or index there. An alias that names itself ends mypyc's compiler."""


def made(value: Tree, rule: str) -> Tree:
    """Return a value that the source does not have, to be written and listed as derived by this rule."""
    return Made(value, rule)


def plain(value: Tree) -> Tree:
    """Return what is to be written for one element."""
    return value.value if isinstance(value, Made) else value


def written(tree: Tree) -> Tree:
    """Return a copy of a tree as it will be written, which leaves the tree itself as it is."""
    value = plain(tree)
    if isinstance(value, dict):
        return {name: written(field) for name, field in value.items()}
    return [written(item) for item in value] if isinstance(value, list) else value


@dataclass(frozen=True, slots=True)
class Settled:
    """What a resource was found to hold when it became whole."""

    derived: tuple[Derived, ...]
    leaves: int
    """Of what was derived."""
    written: list[int]
    """The identities of all other values, but for those below a value that was known to hold nothing we made."""


def settled(resource: dict[str, Tree], but: AbstractSet[int] = frozenset()) -> Settled:
    """Put the values of what we made in its place, and return what the resource holds.

    `but` are the identities of objects and arrays that are known to hold nothing we made.
    """
    found: list[Derived] = []
    written: list[int] = []
    leaves = _settle(resource, (None, str(plain(resource["resourceType"]))), found, written, but)
    return Settled(tuple(found), leaves, written)


def _settle(
    holder: dict[str, Tree] | list[Tree],
    trail: Trail,
    found: list[Derived],
    written: list[int],
    but: AbstractSet[int],
) -> int:
    leaves = 0
    items: Iterable[tuple[str | int, Tree]]
    if isinstance(holder, dict):
        written += map(id, holder.values())
        items = holder.items()
    else:
        written += map(id, holder)
        items = enumerate(holder)
    for key, value in items:
        kind = value.__class__
        if kind is dict or kind is list:
            if id(value) not in but:
                leaves += _settle(value, (trail, key), found, written, but)  # type: ignore[arg-type] # one of the two
        elif kind is Made:
            found.append(Derived(_spelled((trail, key)), value.rule))  # type: ignore[union-attr] # so it is
            holder[key] = value.value  # type: ignore[index, union-attr] # a name of an object, or an index of an array
            leaves += count_leaves(value.value)  # type: ignore[union-attr]
    return leaves


def _spelled(trail: Trail) -> str:
    steps: list[str] = []
    at: Trail | None = trail
    while at is not None:
        at, step = at
        steps.append(f"[{step}]" if isinstance(step, int) else f".{step}" if at is not None else step)
    return "".join(reversed(steps))


def count_leaves(tree: Tree) -> int:
    """Count the leaves of a tree."""
    leaves = 0
    pending = [tree]
    for value in pending:  # grows while it is gone through
        if value.__class__ is dict and value:
            pending += value.values()
        elif value.__class__ is list and value:
            pending += value
        else:
            leaves += 1
    return leaves


def leaves_as_they_came(tree: Tree) -> int:
    """Count the leaves of a tree that no repair has made, nor we."""
    if isinstance(tree, (dict, list)) and tree:
        below = tree.values() if isinstance(tree, dict) else tree
        return sum([1 if one.__class__ is str else leaves_as_they_came(one) for one in below])
    return 0 if isinstance(tree, (RepairedText, RepairedNumber, Made)) else 1

"""Elements that we made: they stand in the tree with their rule until the message is whole, and are listed then."""

from collections.abc import Set as AbstractSet

from translators.contract import Derived, Made, Tree


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


def settled(resource: dict[str, Tree], but: AbstractSet[int] = frozenset()) -> tuple[tuple[Derived, ...], int]:
    """Put the values of what we made in its place; return what that was, and how many leaves it has.

    `but` are the identities of objects and arrays that are known to hold nothing we made.
    """
    found: list[Derived] = []
    leaves = _settle(resource, [str(plain(resource["resourceType"]))], found, but)
    return tuple(found), leaves


def _settle(holder: dict[str, Tree] | list[Tree], trail: list[str], found: list[Derived], but: AbstractSet[int]) -> int:
    leaves = 0
    items = holder.items() if isinstance(holder, dict) else enumerate(holder)
    for key, value in items:
        if isinstance(value, Made):
            step = f".{key}" if isinstance(key, str) else f"[{key}]"
            found.append(Derived("".join([*trail, step]), value.rule))
            holder[key] = value.value  # type: ignore[index] # a name of an object, or an index of an array
            leaves += _leaves(value.value)
        elif isinstance(value, (dict, list)) and id(value) not in but:
            trail.append(f".{key}" if isinstance(key, str) else f"[{key}]")
            leaves += _settle(value, trail, found, but)
            trail.pop()
    return leaves


def _leaves(value: Tree) -> int:
    if not isinstance(value, (dict, list)) or not value:
        return 1
    below = value.values() if isinstance(value, dict) else value
    return sum([_leaves(item) if isinstance(item, (dict, list)) else 1 for item in below])

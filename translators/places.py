"""How a place of a message is spelled for a person; a name that is no element's or type's may be anybody's, and is withheld."""

import re
from collections.abc import Sequence

from translators.contract import Tree
from translators.payload import NAMES

_ELEMENT_NAME = re.compile(r"(?!.*\d{5})_?[a-z][A-Za-z0-9]{0,63}")
_TYPE_NAME = re.compile(r"[A-Z][A-Za-z]{0,63}")


def printable_name(name: str) -> str:
    """Return an element's name, or that it is withheld."""
    return _printable(name, _ELEMENT_NAME)


def printable_type(name: str) -> str:
    """Return a type's name, or that it is withheld."""
    return _printable(name, _TYPE_NAME)


def _printable(name: str, pattern: re.Pattern[str]) -> str:
    if name.isalpha() and name.isascii() and len(name) <= 64 and name[0].islower() == (pattern is _ELEMENT_NAME):
        # Letters alone, as most names are: what the expression would say, without its look for a number.
        return name
    return name if pattern.fullmatch(name) or name in NAMES else "(name withheld)"


def spelled(tree: Tree, path: tuple[str | int, ...]) -> str:
    """Return a path of the result for a person."""
    kind = tree.get("resourceType") if isinstance(tree, dict) else None
    return printable_type(str(kind)) + steps_spelled(path)


def steps_spelled(steps: Sequence[str | int]) -> str:
    """Return names and indexes as they follow a path."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{_name(step)}" for step in steps)


def _name(step: str) -> str:
    stem = step.removesuffix("[x]")
    return printable_name(stem) + step[len(stem) :]

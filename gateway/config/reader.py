"""Typed access to YAML nodes; what is wrong is collected with its place, so that one run finds every problem."""

import re
from collections.abc import Callable, Collection
from difflib import get_close_matches
from functools import cache
from typing import TypeVar

import yaml
from yaml import MappingNode, Node, ScalarNode, SequenceNode

from gateway.config import nodes
from gateway.config.places import Place, Problem, Severity
from gateway.config.sections import Section

T = TypeVar("T")

Entries = dict[str, tuple[Node, Node]]
"""A mapping of the file: key -> (key node, value node)."""

_SHORT_NAME = re.compile(r"[\w.-]+")


class Reader:
    """Reads the nodes of one file and collects its problems; a reader returns None for what it reported."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []
        self._near: dict[tuple[str, str], str | None] = {}

    def place(self, node: Node) -> Place:
        """Return where `node` starts."""
        return nodes.place(node, self.file)

    def error(self, node: Node, text: str) -> None:
        """Report what makes the file unusable."""
        self.problems.append(Problem(self.place(node), Severity.ERROR, text))

    def warn(self, node: Node, text: str) -> None:
        """Report what a person should know, and the file is still usable."""
        self.problems.append(Problem(self.place(node), Severity.WARNING, text))

    def unexpected(self, node: Node, expected: str) -> None:
        """Report a value of the wrong type."""
        self.error(node, f"expected {expected}, found {nodes.describe(node)}")

    def text(self, node: Node) -> str | None:
        """Read a text that is not empty; numbers, true and false must be quoted to be one."""
        if _is(node, nodes.STR) and node.value.strip():
            return str(node.value)
        hint = "; quote it if it is meant as text" if _is(node, nodes.INT, nodes.FLOAT, nodes.BOOL) else ""
        self.error(node, f"expected text, found {nodes.describe(node)}{hint}")
        return None

    def identifier(self, node: Node, expected: str = "an identifier") -> str | None:
        """Read a text that may look like a number, exactly as it is written."""
        if _is(node, nodes.STR, nodes.INT, nodes.FLOAT) and node.value.strip():
            return str(node.value)
        self.unexpected(node, expected)
        return None

    def boolean(self, node: Node) -> bool | None:
        """Read true or false."""
        if _is(node, nodes.BOOL) and node.value in {"true", "false"}:
            return bool(node.value == "true")
        self.unexpected(node, "true or false")
        return None

    def is_null(self, node: Node) -> bool:
        """Tell whether a value is left empty, or null."""
        return _is(node, nodes.NULL)

    def choice(self, node: Node, what: str, options: Collection[str]) -> str | None:
        """Read one of a few words; `what` names the kind of word."""
        every = ", ".join(options)
        if (word := self.identifier(node, f"one of {every}")) is None or word in options:
            return word
        hint = self._hint(what, word, options) or f"; one of {every}"
        self.error(node, f"unknown {what} {nodes.quoted(word)}{hint}")
        return None

    def known(self, node: Node, what: str, names: Collection[str] | None) -> str | None:
        """Read a name that must be among `names`; None when those could not be read, so that any name may be right."""
        if (word := self.identifier(node, "a name")) is None or names is None or word in names:
            return word
        self.error(node, f"unknown {what} {nodes.quoted(word)}{self._hint(what, word, names)}")
        return None

    def items(self, node: Node) -> list[Node]:
        """Read a list; nothing counts as an empty one."""
        if isinstance(node, SequenceNode) and node.tag == nodes.SEQ:
            return list(node.value)
        if not _is(node, nodes.NULL):
            self.unexpected(node, "a list")
        return []

    def texts(self, node: Node) -> tuple[str, ...]:
        """Read a list of texts."""
        return tuple(text for item in self.items(node) if (text := self.text(item)) is not None)

    def identifiers(self, node: Node) -> tuple[str, ...]:
        """Read a list of identifiers."""
        return tuple(text for item in self.items(node) if (text := self.identifier(item)) is not None)

    def named(self, node: Node) -> Entries:
        """Read a mapping from short names to anything: name -> (key node, value node)."""
        found = self._entries(node)
        for name, (key, _) in list(found.items()):
            if not _SHORT_NAME.fullmatch(name):
                self.error(key, f'{nodes.quoted(name)} is not a short name: letters, digits, ".", "_" and "-" only')
        return found

    def mapping(self, node: Node) -> Entries:
        """Read a mapping whose keys are texts of any kind: key -> (key node, value node)."""
        return self._entries(node)

    def fields(self, node: Node, section: Section) -> "Fields | None":
        """Read a mapping with the keys of `section`; None when it is no mapping."""
        if not nodes.is_mapping(node):
            self.unexpected(node, "a mapping")
            return None
        entries = self._entries(node)
        strange = isinstance(node, MappingNode) and len(entries) < len(node.value)
        found: dict[str, Node] = {}
        for name, (key, value) in entries.items():
            if name in section.keys:
                found[name] = value
            elif name not in section.later:
                strange = True
                self.error(key, f"unknown key {nodes.quoted(name)}{self._hint(section.path, name, section.names)}")
            elif not nodes.is_unused(value):
                self.error(key, f'"{name}" is not supported yet')
        for name, spec in section.keys.items():
            if spec.required and name not in found:
                self.error(node, f'"{name}" is missing')
        return Fields(node, section, found, entries, strange)

    def _entries(self, node: Node) -> Entries:
        if not nodes.is_mapping(node):
            self.unexpected(node, "a mapping")
        if not nodes.is_mapping(node) or not isinstance(node, MappingNode):
            return {}
        found: Entries = {}
        for key, value in node.value:
            if not isinstance(key, ScalarNode):
                self.error(key, f"expected a key, found {nodes.describe(key)}")
            elif key.value in found:
                first = found[key.value][0].start_mark.line + 1
                self.error(key, f"duplicate key {nodes.quoted(key.value)} (first at line {first})")
            else:
                found[key.value] = (key, value)
        return found

    def nearest(self, what: str, word: str, names: Collection[str]) -> str | None:
        """Return what may be meant; remembered, because one wrong name of a large file stands in many places."""
        if (what, word) not in self._near:
            self._near[what, word] = next(iter(get_close_matches(word, names, 1)), None)
        return self._near[what, word]

    def _hint(self, what: str, word: str, names: Collection[str]) -> str:
        near = self.nearest(what, word, names)
        return f' (did you mean "{near}"?)' if near else ""


class Fields:
    """A mapping whose keys have been checked; what is left out has the default of its section."""

    __slots__ = ("_entries", "_found", "_section", "node", "strange")

    def __init__(self, node: Node, section: Section, found: dict[str, Node], entries: Entries, strange: bool) -> None:
        self.node = node
        self.strange = strange
        """Whether a key is unknown or duplicate, so that something else may be meant."""
        self._section = section
        self._found = found
        self._entries = entries

    def __contains__(self, name: str) -> bool:
        return name in self._found

    def value(self, name: str) -> Node:
        """Return the value's node, or the whole mapping's when the key is left out: a place for problems."""
        return self._found.get(name, self.node)

    def key(self, name: str) -> Node:
        """Return the key's node, or the whole mapping's when the key is left out."""
        return self._entries[name][0] if name in self._entries else self.node

    def get(self, name: str, read: Callable[[Node], T | None]) -> T | None:
        """Read the value, or the default; None when it is left out and has none, or a problem was reported."""
        if (node := self._found.get(name)) is not None:
            return read(node)
        default = self._section.keys[name].default
        return None if default is None else read(default_node(default))


@cache
def default_node(text: str) -> Node:
    """Return a default as the node it would be in a file."""
    node = nodes.compose(text, "")
    assert isinstance(node, Node), text  # noqa: S101 # defaults are constants of this package
    return node


def _is(node: Node, *tags: str) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag in tags

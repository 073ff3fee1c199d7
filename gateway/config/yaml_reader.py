"""Keys, sections, and what reads them from the nodes of a file, with every problem at its place."""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache, partial
from typing import Any, TypeVar

from yaml import MappingNode, Node, ScalarNode, SequenceNode

from gateway.config.model import Problem, Severity
from gateway.config.yaml_nodes import (
    BOOL,
    FLOAT,
    INT,
    NULL,
    SEQ,
    STR,
    compose,
    describe,
    is_mapping,
    is_tagged,
    place,
    quoted,
)
from gateway.model import Place


@dataclass(frozen=True, slots=True)
class Key:
    """One key, its meaning, and what reads it; the default is written as in the file."""

    name: str
    meaning: str
    default: str | None = None
    read: "Read | None" = None
    """None: it is read by what reads its section."""
    required: bool = False
    field: str | None = None
    """What it is called in what is made of its section; None: as the file calls it."""


@dataclass(frozen=True)
class Section:
    """The keys that may stand together under `path`; `*` in a path is a short name or the place in a list."""

    path: str
    keys: dict[str, Key]


def section(path: str, *keys: Key) -> Section:
    """Make a part from its keys."""
    return Section(path, {key.name: key for key in keys})


def must(name: str, meaning: str, read: "Read | None" = None, field: str | None = None) -> Key:
    """Make a key that may not be left out."""
    return Key(name, meaning, read=read, required=True, field=field)


T = TypeVar("T")

Entries = dict[str, tuple[Node, Node]]
"""A mapping of the file: key -> (key node, value node)."""

Read = Callable[["Reader", Node], Any]
"""Reads a value; None for what it reported."""

_SHORT_NAME = re.compile(r"[\w.-]+")


class Reader:
    """Reads the nodes of one file and collects its problems; a reader returns None for what it reported."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []
        self.senders: Mapping[str, str] | None = None
        """What envelopes call a sender, by what the file may call it; None while, or where, that could not be read."""
        self._near: dict[tuple[str, str], str | None] = {}
        self._errors = 0

    def place(self, node: Node) -> Place:
        """Return where `node` starts."""
        return place(node, self.file)

    def error(self, node: Node, text: str) -> None:
        """Report what makes the file unusable."""
        self._errors += 1
        self.problems.append(Problem(self.place(node), Severity.ERROR, text))

    def warn(self, node: Node, text: str) -> None:
        """Report what a person should know, and the file is still usable."""
        self.problems.append(Problem(self.place(node), Severity.WARNING, text))

    def unexpected(self, node: Node, expected: str) -> None:
        """Report a value of the wrong type."""
        self.error(node, f"expected {expected}, found {describe(node)}")

    def text(self, node: Node) -> str | None:
        """Read a text that is not empty; numbers, true and false must be quoted to be one."""
        if is_tagged(node, STR) and node.value.strip():
            return str(node.value)
        hint = "; quote it if it is meant as text" if is_tagged(node, INT, FLOAT, BOOL) else ""
        self.error(node, f"expected text, found {describe(node)}{hint}")
        return None

    def identifier(self, node: Node, expected: str = "an identifier") -> str | None:
        """Read a text that may look like a number, exactly as it is written."""
        if is_tagged(node, STR, INT, FLOAT) and node.value.strip():
            return str(node.value)
        self.unexpected(node, expected)
        return None

    def boolean(self, node: Node) -> bool | None:
        """Read true or false."""
        if is_tagged(node, BOOL) and node.value in {"true", "false"}:
            return bool(node.value == "true")
        self.unexpected(node, "true or false")
        return None

    def is_null(self, node: Node) -> bool:
        """Tell whether a value is left empty, or null."""
        return is_tagged(node, NULL)

    def choice(self, node: Node, what: str, options: Collection[str]) -> str | None:
        """Read one of a few words; `what` names the kind of word."""
        every = ", ".join(options)
        if (word := self.identifier(node, f"one of {every}")) is None or word in options:
            return word
        hint = self._hint(what, word, options) or f"; one of {every}"
        self.error(node, f"unknown {what} {quoted(word)}{hint}")
        return None

    def known(self, node: Node, what: str, names: Collection[str] | None) -> str | None:
        """Read a name that must be among `names`; None when those could not be read, so that any name may be right."""
        if (word := self.identifier(node, "a name")) is None or names is None or word in names:
            return word
        self.error(node, f"unknown {what} {quoted(word)}{self._hint(what, word, names)}")
        return None

    def items(self, node: Node) -> list[Node]:
        """Read a list; nothing counts as an empty one."""
        if isinstance(node, SequenceNode) and node.tag == SEQ:
            return list(node.value)
        if not is_tagged(node, NULL):
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
                self.error(key, f'{quoted(name)} is not a short name: letters, digits, ".", "_" and "-" only')
        return found

    def mapping(self, node: Node) -> Entries:
        """Read a mapping whose keys are texts of any kind: key -> (key node, value node)."""
        return self._entries(node)

    def fields(self, node: Node, section: Section) -> "Fields | None":
        """Read a mapping with the keys of `section`; None when it is no mapping."""
        if not is_mapping(node):
            self.unexpected(node, "a mapping")
            return None
        entries = self._entries(node)
        strange = isinstance(node, MappingNode) and len(entries) < len(node.value)
        found: dict[str, Node] = {}
        for name, (key, value) in entries.items():
            if name in section.keys:
                found[name] = value
            else:
                strange = True
                self.error(key, f"unknown key {quoted(name)}{self._hint(section.path, name, section.keys)}")
        for name, spec in section.keys.items():
            if spec.required and name not in found:
                self.error(node, f'"{name}" is missing')
        return Fields(node, section, found, entries, strange)

    def values(self, fields: "Fields", *names: str) -> dict[str, Any]:
        """Read keys, each with its own reader: all of the section that have one, unless some are named."""
        keys = [fields.section.keys[name] for name in names] if names else fields.section.keys.values()
        readers = ((key, key.read) for key in keys if key.read is not None)
        return {key.field or key.name: fields.get(key.name, partial(read, self)) for key, read in readers}

    def built(self, node: Node, section: Section, make: Callable[..., T], **known: Any) -> T | None:
        """Read a mapping and make what it describes: each key that has a reader is an argument of its name, or of its field's."""
        fields = self.fields(node, section)
        return None if fields is None else self.made(fields, make, **known)

    def made(self, fields: "Fields", make: Callable[..., T], **known: Any) -> T | None:
        """Make what the keys of a mapping describe; None when one of them cannot be used."""
        errors = self._errors
        found = self.values(fields)
        return make(**found, **known) if self._errors == errors and not fields.lacks_required else None

    def _entries(self, node: Node) -> Entries:
        if not is_mapping(node):
            self.unexpected(node, "a mapping")
        if not is_mapping(node) or not isinstance(node, MappingNode):
            return {}
        found: Entries = {}
        for key, value in node.value:
            if not isinstance(key, ScalarNode):
                self.error(key, f"expected a key, found {describe(key)}")
            elif key.value in found:
                first = found[key.value][0].start_mark.line + 1
                self.error(key, f"duplicate key {quoted(key.value)} (first at line {first})")
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

    __slots__ = ("_entries", "_found", "node", "section", "strange")

    def __init__(self, node: Node, section: Section, found: dict[str, Node], entries: Entries, strange: bool) -> None:
        self.node = node
        self.strange = strange
        """Whether a key is unknown or duplicate, so that something else may be meant."""
        self.section = section
        self._found = found
        self._entries = entries

    def __contains__(self, name: str) -> bool:
        return name in self._found

    @property
    def lacks_required(self) -> bool:
        """Whether a key that may not be left out is missing."""
        return any(key.required and name not in self._found for name, key in self.section.keys.items())

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
        default = self.section.keys[name].default
        return None if default is None else read(default_node(default))


def within(section: Section, make: Callable[..., T]) -> Callable[[Reader, Node], T | None]:
    """Return what reads a mapping inside another."""
    return lambda reader, node: reader.built(node, section, make)


def unless_null(read: Callable[[Reader, Node], T | None]) -> Callable[[Reader, Node], T | None]:
    """Return what reads a value that may be null, which stands for none."""
    return lambda reader, node: None if reader.is_null(node) else read(reader, node)


@cache
def default_node(text: str) -> Node:
    """Return a default as the node it would be in a file."""
    node = compose(text, "")
    assert isinstance(node, Node), text  # noqa: S101 # defaults are constants of this package
    return node

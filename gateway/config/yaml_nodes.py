"""A YAML text as a tree of nodes with their marks; nothing is constructed and nothing is guessed."""

import re
from typing import Any

import yaml
from yaml import MappingNode, Node, ScalarNode, SequenceNode

from gateway.config.model import Problem, Severity
from gateway.model import Place

STR = "tag:yaml.org,2002:str"
NULL = "tag:yaml.org,2002:null"
BOOL = "tag:yaml.org,2002:bool"
INT = "tag:yaml.org,2002:int"
FLOAT = "tag:yaml.org,2002:float"
MAP = "tag:yaml.org,2002:map"
SEQ = "tag:yaml.org,2002:seq"

MOST_BYTES = 16 * 1024 * 1024
DEEPEST = 40
"""Deeper nesting than this is refused; libyaml's composer recurses in C and would end the process."""

LONGEST_QUOTE = 80

_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

_Base: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_Base):  # type: ignore[valid-type,misc] # PyYAML may be built without libyaml
    """Resolves true, false, null and plain numbers only: NO, 0123, 1:30 and dates stay text."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 # PyYAML's own attribute


_Loader.add_implicit_resolver(NULL, re.compile(r"^(?:null|~|)$"), ["n", "~", ""])
_Loader.add_implicit_resolver(BOOL, re.compile(r"^(?:true|false)$"), ["t", "f"])
_Loader.add_implicit_resolver(INT, re.compile(r"^[-+]?(?:0|[1-9][0-9]*)$"), list("-+0123456789"))
_Loader.add_implicit_resolver(FLOAT, re.compile(r"^[-+]?(?:0|[1-9][0-9]*)\.[0-9]+$"), list("-+0123456789"))


def compose(text: str, file: str) -> Node | Problem:
    """Return the root node of the only document in `text`, or the first thing that is not YAML as we take it."""
    text = text.removeprefix("\ufeff")
    if found := _UNPRINTABLE.search(text):
        start = text.rfind("\n", 0, found.start()) + 1
        place = Place(file, text.count("\n", 0, found.start()) + 1, found.start() - start + 1)
        return _error(place, f"character U+{ord(found.group()):04X} is not allowed")
    try:
        if problem := _refuse_events(text, file):
            return problem
        root = yaml.compose(text, Loader=_Loader)
    except yaml.YAMLError as error:
        return _syntax(error, file)
    return root if root is not None else _error(Place(file, 1, 1), "the file is empty")


def place(node: Node, file: str) -> Place:
    """Return where `node` starts."""
    return Place(file, node.start_mark.line + 1, node.start_mark.column + 1)


def describe(node: Node) -> str:
    """Name what stands there, for a person who expected something else."""
    if node.tag not in {STR, NULL, BOOL, INT, FLOAT, MAP, SEQ}:
        return f"a value with the tag {quoted(node.tag)}"
    if isinstance(node, MappingNode):
        return "a mapping"
    if isinstance(node, SequenceNode):
        return "a list"
    if node.tag == NULL:
        return "nothing"
    if node.tag in {INT, FLOAT}:
        return f"the number {node.value[:LONGEST_QUOTE]}"
    return str(node.value) if node.tag == BOOL else quoted(node.value)


def is_mapping(node: Node) -> bool:
    """Tell whether the value is a mapping, or nothing, which counts as an empty one."""
    return (isinstance(node, MappingNode) and node.tag == MAP) or (isinstance(node, ScalarNode) and node.tag == NULL)


def quoted(text: str) -> str:
    """Quote a text of the file for a problem: on one line, and not longer than a person wants to read."""
    shown = text if len(text) <= LONGEST_QUOTE else f"{text[:LONGEST_QUOTE]}..."
    return '"' + "".join(each if each.isprintable() else f"\\u{ord(each):04x}" for each in shown) + '"'


def is_unused(node: Node) -> bool:
    """Tell whether the value says "not used": null, an empty list or an empty mapping."""
    return (isinstance(node, ScalarNode) and node.tag == NULL) or (not isinstance(node, ScalarNode) and not node.value)


def child(node: Node, *names: str) -> Node | None:
    """Return the value of the first of these keys that a mapping has."""
    held = node.value if isinstance(node, MappingNode) else ()
    pairs = {key.value: value for key, value in held if isinstance(key, ScalarNode)}
    return next((pairs[name] for name in names if name in pairs), None)


def is_tagged(node: Node, *tags: str) -> bool:
    """Tell whether the value is a scalar of one of these kinds."""
    return isinstance(node, yaml.ScalarNode) and node.tag in tags


def _refuse_events(text: str, file: str) -> Problem | None:
    """Find aliases, too deep nesting and a second document before any tree is built from them."""
    depth = documents = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > DEEPEST:
                return _error(_at(event.start_mark, file), f"nested deeper than {DEEPEST} levels")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        elif isinstance(event, yaml.AliasEvent):
            return _error(_at(event.start_mark, file), "aliases are not supported; write the value out")
        elif isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            if documents > 1:
                return _error(_at(event.start_mark, file), "a second document; one file holds one configuration")
    return None


def _syntax(error: yaml.YAMLError, file: str) -> Problem:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    parts = [getattr(error, "context", None), getattr(error, "problem", None)]
    text = ", ".join(str(part) for part in parts if part) or "cannot be read"
    return _error(_at(mark, file) if mark else Place(file, 1, 1), f"not valid YAML: {text}")


def _at(mark: Any, file: str) -> Place:  # libyaml's marks and PyYAML's own share no type
    return Place(file, mark.line + 1, mark.column + 1)


def _error(at: Place, text: str) -> Problem:
    return Problem(at, Severity.ERROR, text)

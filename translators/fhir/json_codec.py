"""JSON to tree and back, with every number's digits kept (RFC 8259; FHIR R4, JSON representation)."""

import json
import re
from collections import Counter
from functools import cache
from types import GenericAlias
from typing import Any, NoReturn

import msgspec

from translators.contract import Number, Reason, Refused, Tree

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_SURROGATE_ESCAPE = re.compile(rb"\\u[dD][89a-fA-F]")
_PERHAPS_COLON = b"\\u003"
"""How the only escapes of a colon begin."""
_LEVELS = 12
"""Objects in objects; what is in a list counts twice."""
_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z_]{0,63}")


def decode(data: bytes) -> Tree:
    """Read a JSON text in UTF-8.

    Raises `Refused` for anything that is not one well-formed JSON value, for a key that stands twice in an object, and for
    a lone surrogate, which no UTF-8 text can carry on.
    """
    try:
        return _plain(data)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        pass  # what is wrong with it is told below, without what this reader says of it
    return _decode_carefully(data)


def _plain(data: bytes) -> Tree:
    """Read a text that is certainly well-formed and has no key twice, in half the time; raises `ValueError` for every other.

    Whether a key stands twice is told by the colons: the last of its members alone is read, and writing that again leaves one out.
    Only an escape could make a colon of what was none.
    """
    if _PERHAPS_COLON in data:
        raise ValueError("an escape")
    has_numbers = False
    try:
        tree: Tree = _without_numbers().decode(data)
    except msgspec.ValidationError:
        has_numbers, tree = True, _QUICK_DECODER.decode(data)
    if _ENCODER.encode(tree).count(b":") != data.count(b":"):
        raise ValueError("a key that stands twice")
    return _numbered(tree, has_negative_zero=b"-0" in data) if has_numbers else tree


@cache
def _without_numbers() -> msgspec.json.Decoder[Any]:
    """Return what reads a text without numbers, as most are, and nothing that is nested deeper than messages are.

    To look at each value of a tree whether it is a number would take as long as reading it.
    """
    shallow: Any = dict[str, str | bool | None]
    found = shallow
    for _ in range(_LEVELS):
        listed: Any = list[shallow | str | bool | None]
        found, shallow = GenericAlias(dict, (str, found | listed | str | bool | None)), found
    return msgspec.json.Decoder(found)


def _numbered(tree: Tree, *, has_negative_zero: bool) -> Tree:
    """Put numbers of their digits in the place of whole ones, which were read as Python's."""
    whole = [tree]
    waiting: list[Any] = [whole]
    for node in waiting:
        for place, value in node.items() if node.__class__ is dict else enumerate(node):
            kind = value.__class__
            if kind is str:
                continue
            if kind is dict or kind is list:
                waiting.append(value)
            elif kind is int:
                if not value and has_negative_zero:
                    raise ValueError("perhaps a negative zero")
                node[place] = Number(str(value))
    return whole[0]


def _decode_carefully(data: bytes) -> Tree:
    """Read a JSON text, or say what is wrong with it."""
    try:
        text = data.removeprefix(BYTE_ORDER_MARK).decode("utf-8")
    except UnicodeDecodeError as error:
        raise _refused(f"not UTF-8 at byte {error.start}") from None
    try:
        tree: Tree = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise _refused(f"not well-formed JSON at line {error.lineno}, column {error.colno}") from None
    except RecursionError:
        raise _refused("nested too deep") from None
    if _SURROGATE_ESCAPE.search(data):
        _refuse_lone_surrogates(tree)
    return tree


def encode(tree: Tree) -> bytes:
    """Write a tree as JSON; a number gets the digits it came with."""
    return _ENCODER.encode(tree)


def _refused(text: str) -> Refused:
    return Refused(Reason.FORMAT, text)


def _unique(pairs: list[tuple[str, Tree]]) -> dict[str, Tree]:
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = Counter(key for key, _ in pairs).most_common(1)[0][0]
        named = f'the key "{twice}"' if _PLAIN_NAME.fullmatch(twice) else "a key"
        raise _refused(f"{named} stands twice in one object")
    return found


def _no_constant(name: str) -> NoReturn:
    raise _refused(f"{name} is not JSON")


def _refuse_lone_surrogates(tree: Tree) -> None:
    try:
        encode(tree)
    except RecursionError:
        raise _refused("nested too deep") from None
    except ValueError:
        raise _refused("a text holds half of a surrogate pair") from None


def as_written(value: object) -> msgspec.Raw | str:
    """Return what `msgspec` writes of a number, which keeps its digits, and of a text that repairs have made."""
    if isinstance(value, Number):
        return msgspec.Raw(value.text.encode("ascii"))
    if isinstance(value, str):
        return str(value)
    raise TypeError(type(value).__name__)


_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique,
    parse_float=Number,
    parse_int=Number,
    parse_constant=_no_constant,
)
_QUICK_DECODER = msgspec.json.Decoder(float_hook=Number)
_ENCODER = msgspec.json.Encoder(enc_hook=as_written)

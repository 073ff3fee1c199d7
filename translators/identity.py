"""What a sender means by the same message: the id that it gave its business, and a digest of what it says.

Both look at the tree as a surface read it, before anything is repaired, so shapes that VKP lets pass are tolerated.
"""

import hashlib
from collections.abc import Callable, Iterator

import msgspec

from translators.contract import Number, Reason, Refused, Tree
from translators.national_number import kind_of
from translators.patient import NATIONAL_SYSTEMS

_HEADER = "MessageHeader"
_NEVER_THE_BUSINESS = frozenset(
    {_HEADER, "Patient", "Device", "Organization", "Practitioner", "PractitionerRole", "Location"}
)
"""Who and what takes part: such an identifier stands in message after message."""
_TIMES = ("timestamp", "_timestamp")
_TIMES_OF_META = ("lastUpdated", "_lastUpdated")


def business_id(tree: Tree) -> str | None:
    """Return what the sender knows the message's business by: `system|value` of an identifier, or else an id.

    Of a Bundle: its own identifier, or the first that an entry's resource has, or the header's id, or its own. Of a lone
    resource: its first identifier, or its id. None where there is nothing. A national number is never it: this is shown.
    """
    if not isinstance(tree, dict):
        return None
    if _kind(tree) != "Bundle":
        return _identifier(tree) or _id(tree)
    resources = list(_resources(tree))
    business = [resource for resource in resources if _kind(resource) not in _NEVER_THE_BUSINESS]
    headers = [resource for resource in resources if _kind(resource) == _HEADER]
    found = next(filter(None, map(_identifier, (tree, *business))), None)
    return found or next(filter(None, map(_id, (*headers, tree))), None)


def content_digest(tree: Tree) -> bytes:
    """Return the SHA-256 of what a message says, whatever the order of its members.

    Left out are the times at which Bundle and MessageHeader were made, which a sender may renew when it sends again. Raises
    `Refused` for a tree that is nested too deep to be written.
    """
    try:
        return hashlib.sha256(_ENCODER.encode(_each(tree, _timeless))).digest()
    except RecursionError:
        raise Refused(Reason.FORMAT, "nested too deep") from None


def _timeless(resource: dict[str, Tree]) -> Tree:
    kind = _kind(resource)
    if kind == _HEADER:
        return _without_times(resource)
    if kind != "Bundle":
        return resource
    bare = _without_times(resource)
    return {**bare, "entry": _each(bare["entry"], _timeless_entry)} if "entry" in bare else bare


def _timeless_entry(entry: dict[str, Tree]) -> Tree:
    return {**entry, "resource": _each(entry["resource"], _timeless)} if "resource" in entry else entry


def _without_times(resource: dict[str, Tree]) -> dict[str, Tree]:
    """Return a copy without its times; a `meta` that says nothing else is not there either."""
    bare = {name: value for name, value in resource.items() if name not in _TIMES}
    if "meta" in bare:
        meta = _each(bare["meta"], _without_times_of_meta)
        if meta or not resource["meta"]:
            bare["meta"] = meta
        else:
            del bare["meta"]
    return bare


def _without_times_of_meta(meta: dict[str, Tree]) -> Tree:
    return {name: value for name, value in meta.items() if name not in _TIMES_OF_META}


def _each(value: Tree, change: Callable[[dict[str, Tree]], Tree]) -> Tree:
    """Change an object, or the objects of a list: needless arrays, and missing ones, are among what is repaired later."""
    if isinstance(value, list):
        return [change(one) if isinstance(one, dict) else one for one in value]
    return change(value) if isinstance(value, dict) else value


def _resources(bundle: dict[str, Tree]) -> Iterator[dict[str, Tree]]:
    for entry in _objects(bundle.get("entry")):
        yield from _objects(entry.get("resource"))


def _identifier(resource: dict[str, Tree]) -> str | None:
    for identifier in _objects(resource.get("identifier")):
        system, value = _text(identifier.get("system")), _text(identifier.get("value"))
        if value and system not in NATIONAL_SYSTEMS and kind_of(value) is None:
            return f"{system}|{value}"
    return None


def _id(resource: dict[str, Tree]) -> str | None:
    found = _text(resource.get("id"))
    return found if found and kind_of(found) is None else None


def _objects(value: Tree) -> Iterator[dict[str, Tree]]:
    for one in value if isinstance(value, list) else (value,):
        if isinstance(one, dict):
            yield one


def _kind(resource: dict[str, Tree]) -> str:
    return _text(resource.get("resourceType"))


def _text(value: Tree) -> str:
    """Return a value as the text that repairs make of it; "" for what is no text."""
    one = value[0] if isinstance(value, list) and len(value) == 1 else value
    if isinstance(one, Number):
        return one.text
    return one.strip() if isinstance(one, str) else ""


def _written(value: object) -> msgspec.Raw | str:
    if isinstance(value, Number):
        return msgspec.Raw(value.text.encode("ascii"))
    if isinstance(value, str):
        return str(value)
    raise TypeError(type(value).__name__)


_ENCODER = msgspec.json.Encoder(enc_hook=_written, order="sorted")
"""Writes a tree in one way only: a number's digits, which no text, truth value or null is written as."""

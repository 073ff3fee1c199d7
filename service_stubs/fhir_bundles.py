"""What HL7's validator asks of a Bundle beside its invariants: URLs of entries, and documents that hang together."""

import re
from collections.abc import Iterator
from typing import Any

from service_stubs.problems import Fault

_RESTFUL = re.compile(r"https?://.+/([A-Z][A-Za-z]+)/([A-Za-z0-9\-.]{1,64})")


def bundle_faults(bundle: dict[str, Any]) -> Iterator[Fault]:
    """Find what is wrong with the URLs of entries and, in a document, with their links."""
    entries = [entry for entry in bundle.get("entry", []) if isinstance(entry, dict)]
    for index, entry in enumerate(entries):
        url, resource = entry.get("fullUrl"), entry.get("resource")
        if url is None and resource and bundle.get("type") not in {"batch", "transaction"}:
            yield Fault(f"Bundle.entry[{index}].fullUrl", "every entry needs a fullUrl")
        named = _RESTFUL.fullmatch(url) if isinstance(url, str) else None
        if named and isinstance(resource, dict):
            own = (resource.get("resourceType"), resource.get("id", named[2]))
            if own != (named[1], named[2]):
                yield Fault(f"Bundle.entry[{index}].fullUrl", "must end with the type and id of the resource")
    if bundle.get("type") == "document":
        yield from (
            Fault(f"Bundle.entry[{index}]", "is not reachable from the Composition")
            for index in sorted(set(range(len(entries))) - _reached(entries))
        )


def _reached(entries: list[dict[str, Any]]) -> set[int]:
    """Follow references forwards and backwards from the first entry."""
    places: dict[str, int] = {}
    for index, entry in enumerate(entries):
        url = entry.get("fullUrl")
        if isinstance(url, str):
            places.setdefault(url, index)
            if named := _RESTFUL.fullmatch(url):
                places.setdefault(f"{named[1]}/{named[2]}", index)
    pairs = [
        (index, places[link])
        for index, entry in enumerate(entries)
        for link in _links(entry.get("resource"))
        if link in places
    ]
    neighbours: dict[int, set[int]] = {}
    for one, other in pairs:
        neighbours.setdefault(one, set()).add(other)
        neighbours.setdefault(other, set()).add(one)
    reached = {0}
    pending = [0]
    while pending:
        new = neighbours.get(pending.pop(), set()) - reached
        reached |= new
        pending.extend(new)
    return reached


def _links(tree: Any) -> Iterator[str]:
    if isinstance(tree, list):
        for item in tree:
            yield from _links(item)
    elif isinstance(tree, dict):
        if isinstance(tree.get("reference"), str):
            yield tree["reference"]
        for value in tree.values():
            yield from _links(value)

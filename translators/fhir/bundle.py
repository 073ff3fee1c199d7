"""What FHIR R4 asks of a Bundle as a whole: its type, its entries and their URLs, and that a document hangs together.

bundle.html (bdl-1 to bdl-12, and the rules of `fullUrl`), documents.html (all that a document holds is reached from its
Composition, by references in either direction).
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from translators.contract import Tree
from translators.fhir.elements import r4
from translators.fhir.invariants import Fields, has, objects

Path = tuple[str | int, ...]

_WITH_REQUEST: Final = frozenset({"batch", "transaction", "history"})
_WITH_RESPONSE: Final = frozenset({"batch-response", "transaction-response", "history"})
_WITHOUT_URL: Final = frozenset({"batch", "transaction", "batch-response", "transaction-response"})
_WITHOUT_BLANKS = r"(?=\S+\Z)"
"""Looked for once and first: found at the end alone, a blank would be looked for again behind each version that a link names."""
RESTFUL = re.compile(rf"{_WITHOUT_BLANKS}https?://\S+?/([A-Z][A-Za-z]+)/([A-Za-z0-9.-]{{1,64}})(?:/_history/\S+)?")
"""The URL of a resource on a server, with its type and id (FHIR R4, references.html#regex)."""


@dataclass(frozen=True, slots=True)
class Links:
    """By what URLs the resources of a Bundle can be referred to."""

    kinds: dict[str, str]
    """The resource types by URL, and by `Type/id`."""
    entries: dict[str, int]
    """The indexes of their entries likewise."""
    loose: dict[str, str]
    """The URLs of those whose own `Type/id` does not end it, by that."""


NO_LINKS: Final = Links({}, {}, {})
_NAMED = re.compile(rf"{_WITHOUT_BLANKS}(?:https?://\S+?/)?([A-Z][A-Za-z]+)/[A-Za-z0-9.-]{{1,64}}(?:/_history/\S+)?")
_DEFINITIONS = "http://hl7.org/fhir/StructureDefinition/"


def type_named(reference: Fields) -> str | None:
    """Return the type that a reference says beside its link; None where it says none."""
    named = reference.get("type")
    return named.removeprefix(_DEFINITIONS) if isinstance(named, str) else None


def type_linked(link: str, links: Links) -> str | None:
    """Return the type of what a link refers to: of the entry, else as the link has it; None where it does not say."""
    known = links.kinds.get(link)
    found = _NAMED.fullmatch(link) if known is None else None
    return found[1] if found is not None and found[1] in r4().resources else known


def links_of(resource: Fields) -> Links:
    """Return by what the entries of a resource that is a Bundle are referred to."""
    if resource.get("resourceType") != "Bundle":
        return NO_LINKS
    links = Links({}, {}, {})
    twice: set[str] = set()
    for index, entry in enumerate(objects(resource.get("entry"))):
        url, held = entry.get("fullUrl"), entry.get("resource")
        kind = held.get("resourceType") if isinstance(held, dict) else None
        if not isinstance(url, str) or not isinstance(kind, str):
            continue
        restful = RESTFUL.fullmatch(url)
        for link in (url, f"{restful[1]}/{restful[2]}") if restful else (url,):
            links.kinds.setdefault(link, kind)
            links.entries.setdefault(link, index)
        if restful is None and isinstance(held, dict) and "id" in held:
            own = f"{kind}/{held['id']}"
            if links.loose.setdefault(own, url) != url:
                twice.add(own)
    for own in twice.union(links.kinds.keys() & links.loose.keys()):
        del links.loose[own]
    return links


def bundle_faults(bundle: Fields) -> Iterator[tuple[Path, str]]:
    """Go through what is wrong with a Bundle beside its elements: the path below it, and the fault."""
    kind = bundle.get("type")
    entries = list(objects(bundle.get("entry")))
    if has(bundle, "total") and kind not in ("searchset", "history"):
        yield ("total",), "a total of what is neither searchset nor history (bdl-1)"
    for index, entry in enumerate(entries):
        yield from ((("entry", index, *path), text) for path, text in _entry_faults(entry, str(kind)))
    if kind != "history":
        yield from _repeated_urls(entries)
    if kind in ("document", "message"):
        yield from _first_entry_faults(entries, str(kind))
    if kind == "document":
        yield from _document_faults(bundle)


def _entry_faults(entry: Fields, kind: str) -> Iterator[tuple[Path, str]]:
    if has(entry, "search") and kind != "searchset":
        yield ("search",), "of what is no searchset (bdl-2)"
    if has(entry, "request") != (kind in _WITH_REQUEST):
        yield ("request",), f"{'is missing' if kind in _WITH_REQUEST else 'is not allowed'} in a {kind} (bdl-3)"
    if has(entry, "response") != (kind in _WITH_RESPONSE):
        yield ("response",), f"{'is missing' if kind in _WITH_RESPONSE else 'is not allowed'} in a {kind} (bdl-4)"
    if not entry.keys() & {"resource", "request", "response"}:
        yield (), "neither a resource nor a request nor a response (bdl-5)"
    url, held = entry.get("fullUrl"), entry.get("resource")
    if isinstance(url, str):
        yield from _url_faults(url, held)
    elif held is not None and kind not in _WITHOUT_URL:
        yield ("fullUrl",), "is missing"


def _url_faults(url: str, held: Tree) -> Iterator[tuple[Path, str]]:
    if "/_history/" in url:
        yield ("fullUrl",), "the URL of a version (bdl-8)"
    if ":" not in url:
        yield ("fullUrl",), "not an absolute URI"
    found = RESTFUL.fullmatch(url)
    if found and isinstance(held, dict) and found[1] in r4().resources:
        own = (held.get("resourceType"), held.get("id", found[2]))
        if own != (found[1], found[2]):
            yield ("fullUrl",), "does not end with the type and id of the resource"


def _repeated_urls(entries: list[Fields]) -> Iterator[tuple[Path, str]]:
    seen: set[tuple[str, str]] = set()
    for index, entry in enumerate(entries):
        url, held = entry.get("fullUrl"), entry.get("resource")
        if isinstance(url, str):
            meta = held.get("meta") if isinstance(held, dict) else None
            key = (url, str(meta.get("versionId")) if isinstance(meta, dict) else "")
            if key in seen:
                yield ("entry", index, "fullUrl"), "the same as that of another entry (bdl-7)"
            seen.add(key)


def _first_entry_faults(entries: list[Fields], kind: str) -> Iterator[tuple[Path, str]]:
    wanted, key = ("Composition", "bdl-11") if kind == "document" else ("MessageHeader", "bdl-12")
    held = entries[0].get("resource") if entries else None
    if not isinstance(held, dict) or held.get("resourceType") != wanted:
        yield ("entry",), f"the first of a {kind} is a {wanted} ({key})"


def _document_faults(bundle: Fields) -> Iterator[tuple[Path, str]]:
    identifier = bundle.get("identifier")
    if not isinstance(identifier, dict) or not all(has(identifier, name) for name in ("system", "value")):
        yield ("identifier",), "a document needs an identifier with system and value (bdl-9)"
    if not isinstance(bundle.get("timestamp"), str):
        yield ("timestamp",), "a document needs a timestamp (bdl-10)"


def unreached(count: int, links: Links, references: Iterable[tuple[int, str]]) -> list[int]:
    """Return which of a document's entries no chain of references joins with the first.

    `references` are those of the entries' resources, with the index of the entry.
    """
    joined: dict[int, set[int]] = {}
    for index, reference in references:
        other = links.entries.get(reference)
        if other is not None and other != index:
            joined.setdefault(index, set()).add(other)
            joined.setdefault(other, set()).add(index)
    reached, pending = {0}, [0]
    while pending:
        more = joined.get(pending.pop(), set()) - reached
        reached |= more
        pending += more
    return [index for index in range(count) if index not in reached]

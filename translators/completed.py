"""What a document or note must have and its sender left out: derived by named rules, and nothing of it changed."""

from dataclasses import replace

from translators.contract import Derived, Message, Settings, Tree
from translators.document import new_url, seed_of
from translators.fhir.corrections import url_of_id
from translators.fhir.invariants import has

DATE = "time-of-receipt"
URL = "full-url-of-the-id"
ENTRIES = "entries-of-the-note"
_TITLE = "Hendelse"


def completed(message: Message, settings: Settings) -> Message:
    """Return the message with a date in every note, and as a document with a URL for every entry.

    A note without any date gets the time at which the gateway got the message.
    """
    work = _Work(settings.received)
    tree = message.tree
    if tree.get("resourceType") == "Composition":
        tree = work.dated(tree, "Composition")
    elif tree.get("resourceType") == "Bundle":
        tree = work.bundle(tree)
    return work.onto(message, tree)


def joined(message: Message, unreached: list[int]) -> Message:
    """Return a document with a section of its note that refers to these entries.

    What no reference joins with a document's Composition would be no part of it (FHIR R4, documents.html).
    """
    work = _Work(None)
    return work.onto(message, work.joined(message.tree, unreached))


class _Work:
    def __init__(self, received: str | None) -> None:
        self._received = received
        self.derived: list[Derived] = []
        self.leaves = 0
        self._seed = ""

    def onto(self, message: Message, tree: dict[str, Tree]) -> Message:
        """Return the message with what was derived of it."""
        if not self.derived:
            return message
        coverage = replace(message.coverage, derived=message.coverage.derived + self.leaves)
        return replace(message, tree=tree, derived=(*message.derived, *self.derived), coverage=coverage)

    def dated(self, note: dict[str, Tree], path: str) -> dict[str, Tree]:
        """Return a Composition that has a date."""
        if has(note, "date") or self._received is None:
            return note
        self._derive(f"{path}.date", DATE)
        return note | {"date": self._received}

    def bundle(self, bundle: dict[str, Tree]) -> dict[str, Tree]:
        """Return a Bundle that has what a document needs."""
        entries = bundle.get("entry")
        if not isinstance(entries, list):
            return bundle
        is_document = bundle.get("type") == "document"
        results = [self._entry(bundle, index, entry, is_document=is_document) for index, entry in enumerate(entries)]
        return bundle | {"entry": results} if self.derived else bundle

    def _entry(self, bundle: dict[str, Tree], index: int, entry: Tree, *, is_document: bool) -> Tree:
        held = entry.get("resource") if isinstance(entry, dict) else None
        if not isinstance(entry, dict) or not isinstance(held, dict):
            return entry
        path = f"Bundle.entry[{index}]"
        result = entry
        if held.get("resourceType") == "Composition" and (dated := self.dated(held, f"{path}.resource")) is not held:
            result = entry | {"resource": dated}
        if is_document and not has(entry, "fullUrl"):
            own = held.get("id")
            url = (
                url_of_id(str(held.get("resourceType")), own)
                if isinstance(own, str)
                else new_url(self._seed_of(bundle), f"entry {index}")
            )
            result = {"fullUrl": url, **result}
            self._derive(f"{path}.fullUrl", URL)
        return result

    def _seed_of(self, bundle: dict[str, Tree]) -> str:
        """Return what tells the message from others; it may take all it says, and many entries ask."""
        self._seed = self._seed or seed_of(bundle)
        return self._seed

    def joined(self, bundle: dict[str, Tree], left: list[int]) -> dict[str, Tree]:
        """Return a document whose Composition refers to these entries too."""
        entries = bundle["entry"]
        first = entries[0] if isinstance(entries, list) else None
        note = first.get("resource") if isinstance(first, dict) else None
        if not isinstance(entries, list) or not isinstance(first, dict) or not isinstance(note, dict):
            return bundle
        sections = note.get("section", [])
        if note.get("resourceType") != "Composition" or not isinstance(sections, list):
            return bundle
        links = [entry["fullUrl"] for index in left if isinstance(entry := entries[index], dict) and "fullUrl" in entry]
        section: Tree = {"title": _TITLE, "entry": [{"reference": link} for link in links]}
        self._derive(f"Bundle.entry[0].resource.section[{len(sections)}]", ENTRIES, 1 + len(links))
        return bundle | {"entry": [first | {"resource": note | {"section": [*sections, section]}}, *entries[1:]]}

    def _derive(self, path: str, rule: str, leaves: int = 1) -> None:
        self.derived.append(Derived(path, rule))
        self.leaves += leaves

"""By what the entries of a Bundle are referred to, and whom a search in the place of a reference names.

Other than `translators.fhir.bundle` it takes what senders write, in any type of Bundle, and says nothing of whether that is right.
"""

import re
from collections.abc import Iterator
from urllib.parse import parse_qs

from translators.contract import Tree
from translators.fhir.bundle import RESTFUL

_PATIENT_SEARCH = re.compile(r"(?:^|/)Patient\?")
"""How a reference begins that says by a search whom it means (FHIR R4, http.html#trules)."""


def links_to(entry: dict[str, Tree]) -> Iterator[str]:
    """Go through what an entry is referred to by: its URL, and type and id as that ends or as its resource has them."""
    url, held = entry.get("fullUrl"), entry.get("resource")
    if isinstance(url, str):
        yield url
        if restful := RESTFUL.fullmatch(url):
            yield f"{restful[1]}/{restful[2]}"
            return
    if isinstance(held, dict) and "id" in held:
        yield f"{held.get('resourceType')}/{held['id']}"


class EntryLinks:
    """By what the entries of a Bundle are referred to: looked for where a patient has no number beside the reference."""

    def __init__(self, entries: list[dict[str, Tree]]) -> None:
        self._entries = entries
        self._known: frozenset[str] | None = None

    def __contains__(self, link: object) -> bool:
        if self._known is None:
            self._known = frozenset(one for entry in self._entries for one in links_to(entry))
        return link in self._known


def is_patient_search(link: Tree) -> bool:
    """Tell whether a reference is a search for a patient, which whoever takes it up resolves."""
    return isinstance(link, str) and _PATIENT_SEARCH.search(link) is not None


def searched_identifiers(search: str) -> list[tuple[str, str]]:
    """Return the system, which may be empty, and value of each identifier that a search asks for."""
    asked = parse_qs(search.partition("?")[2] or search)
    each = [value.rpartition("|") for values in asked.get("identifier", ()) for value in values.split(",")]
    return [(system, number) for system, _, number in each]

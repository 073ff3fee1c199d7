"""The URLs of resources that became another type: they end with what they now hold, and what refers to them follows."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from translators.contract import Message, Repair, RepairedText, Tree
from translators.fhir.bundle import RESTFUL
from translators.fhir.stu3_to_r4 import LINK_OF_R4
from translators.placed import PlacedText

FULL_URL = "link-of-the-full-url"
_NOTHING: Mapping[str, str] = MappingProxyType({})


def relinked(
    bundle: dict[str, Tree], becomes: Mapping[int, str], retyped: Mapping[str, str] = _NOTHING
) -> tuple[tuple[Repair, ...], int]:
    """Put the new types into the URLs of a message's entries, and into the references to them.

    `becomes` has the new resource types by the index of the entry, and `retyped` by their former names those of resources that
    already have their new type; of these the references by type and id follow before. Returns the repairs, and how many of the values were as
    the sender wrote them. The tree is changed in its place.
    """
    entries = bundle.get("entry")
    renamed: dict[str, str] = {}
    new_names = frozenset(retyped.values())
    for index, entry in enumerate(entries if isinstance(entries, list) else []):
        held = entry.get("resource") if isinstance(entry, dict) else None
        kind, own = (held.get("resourceType"), held.get("id")) if isinstance(held, dict) else (None, None)
        is_retyped = kind in new_names
        if not isinstance(entry, dict) or not (is_retyped or index in becomes):
            continue
        url = entry.get("fullUrl")
        found = RESTFUL.fullmatch(url) if isinstance(url, str) else None
        if is_retyped:
            if isinstance(url, str) and found is not None and retyped.get(found[1]) == kind:
                renamed[url] = f"{url[: found.start(1)]}{kind}{url[found.end(1) :]}"
        elif isinstance(url, str) and found is not None and found[1] == kind:
            renamed[url] = f"{url[: found.start(1)]}{becomes[index]}{url[found.end(1) :]}"
            renamed[f"{kind}/{found[2]}"] = f"{becomes[index]}/{found[2]}"
        elif isinstance(own, str):
            renamed[f"{kind}/{own}"] = f"{becomes[index]}/{own}"
    if not renamed or not _has_any(bundle, renamed):
        return (), 0
    walk = _Walk(renamed)
    walk.through(bundle, str(bundle["resourceType"]))
    return tuple(walk.repairs), walk.count


def followed(message: Message, loose: Mapping[str, str]) -> Message:
    """Return a message whose references to these links are the URLs of entries, which the links alone do not find.

    The places of the repairs are the sender's where the texts know theirs, and those of the result otherwise.
    """
    places: dict[str, None] = {}
    written: set[int] = set()

    def copy(tree: Tree, path: str) -> Tree:
        if isinstance(tree, list):
            return [copy(item, f"{path}[{index}]") for index, item in enumerate(tree)]
        if not isinstance(tree, dict):
            return tree
        result = {name: copy(value, f"{path}.{name}") for name, value in tree.items()}
        link = tree.get("reference")
        if isinstance(link, str) and link in loose:
            result["reference"] = RepairedText(loose[link])
            places[link.path if isinstance(link, PlacedText) else f"{path}.reference"] = None
            # What is derived from a reference may be the same text again.
            written.update(() if isinstance(link, RepairedText) else (id(link),))
        return result

    tree = {name: copy(value, f"{message.tree['resourceType']}.{name}") for name, value in message.tree.items()}
    counted, count = message.coverage, len(written)
    counted = replace(counted, carried=counted.carried - count, repaired=counted.repaired + count)
    repairs = (*message.repairs, *(Repair(place, FULL_URL) for place in places))
    return replace(message, tree=tree, repairs=repairs, coverage=counted)


def _has_any(tree: Tree, links: Mapping[str, str]) -> bool:
    """Whether one of these links stands in a tree at all; in most messages none does."""
    pending = [tree]
    for value in pending:  # grows while it is gone through
        if value.__class__ is dict:
            for name, item in value.items():
                if item.__class__ is dict or item.__class__ is list:
                    pending.append(item)
                elif (name == "reference" or name == "fullUrl") and item in links:  # noqa: PLR1714 - faster than a set here
                    return True
        elif value.__class__ is list:
            pending += value
    return False


class _Walk:
    def __init__(self, renamed: dict[str, str]) -> None:
        self._renamed = renamed
        self.repairs: list[Repair] = []
        self.count = 0

    def through(self, tree: Tree, path: str) -> None:
        """Rename every link in a tree."""
        if isinstance(tree, list):
            for index, item in enumerate(tree):
                self.through(item, f"{path}[{index}]")
        if not isinstance(tree, dict):
            return
        for name, value in tree.items():
            new = self._renamed.get(value) if name in ("reference", "fullUrl") and isinstance(value, str) else None
            if new is None:
                self.through(value, f"{path}.{name}")
                continue
            tree[name] = RepairedText(new)
            self.repairs.append(Repair(f"{path}.{name}", LINK_OF_R4))
            self.count += not isinstance(value, RepairedText)

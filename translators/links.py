"""The URLs of resources that became another type: they end with what they now hold, and what refers to them follows."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import NamedTuple

from translators.contract import Message, Reason, Refused, Repair, RepairedText, Tree
from translators.fhir.bundle import RESTFUL
from translators.fhir.stu3_to_r4 import LINK_OF_R4
from translators.placed import PlacedText

FULL_URL = "link-of-the-full-url"
_NOTHING: Mapping[str, str] = MappingProxyType({})
_VERSION = "/_history/"
_LINKS = ("reference", "fullUrl")


def relinked(
    bundle: dict[str, Tree], becomes: Mapping[int, str], retyped: Mapping[str, str] = _NOTHING
) -> tuple[tuple[Repair, ...], int]:
    """Put the new types into the URLs of a message's entries, and into the references to them.

    `becomes` has the new resource types by the index of the entry, and `retyped` by their former names those of resources that
    already have their new type; of these the references by type and id follow before. Returns the repairs, and how many of the values were as
    the sender wrote them. The tree is changed in its place. Raises `Refused` where a reference by type and id would no longer
    tell two resources apart.
    """
    entries = bundle.get("entry")
    names = _Names({}, {})
    renamed = names.links
    holders: dict[str, dict[int, str]] = {}
    new_names = frozenset(retyped.values())
    for index, entry in enumerate(entries if isinstance(entries, list) else []):
        held = entry.get("resource") if isinstance(entry, dict) else None
        kind: Tree = held.get("resourceType") if isinstance(held, dict) else None
        own: Tree = held.get("id") if isinstance(held, dict) else None
        is_retyped = kind in new_names
        if isinstance(own, str):
            holders.setdefault(f"{becomes.get(index, str(kind))}/{own}", {})[index] = f"{kind}/{own}"
        if not isinstance(entry, dict) or not (is_retyped or index in becomes):
            continue
        url = entry.get("fullUrl")
        found = RESTFUL.fullmatch(url) if isinstance(url, str) else None
        if index in becomes:
            links = [link for link in (url, own if own is None else f"{kind}/{own}") if isinstance(link, str)]
            names.types.update(dict.fromkeys(links, (str(kind), becomes[index])))
        if is_retyped:
            if isinstance(url, str) and found is not None and retyped.get(found[1]) == kind:
                renamed[url] = f"{url[: found.start(1)]}{kind}{url[found.end(1) :]}"
        elif isinstance(url, str) and found is not None and found[1] == kind:
            renamed[url] = f"{url[: found.start(1)]}{becomes[index]}{url[found.end(1) :]}"
            renamed[f"{kind}/{found[2]}"] = f"{becomes[index]}/{found[2]}"
        elif isinstance(own, str):
            renamed[f"{kind}/{own}"] = f"{becomes[index]}/{own}"
    _refuse_confused(bundle, holders, lambda index, link: index in becomes or link.partition("/")[0] in new_names)
    if not _has_any(bundle, names):
        return (), 0
    walk = _Walk(names)
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


class _Names(NamedTuple):
    """What links to resources of another type become."""

    links: dict[str, str]
    types: dict[str, tuple[str, str]]
    """The type that a reference may name beside the link, and what it becomes."""

    def new_link(self, link: str) -> str | None:
        """Return what a link becomes, that of a version among them; None where it stays."""
        base, mark, version = link.partition(_VERSION)
        found = self.links.get(base)
        return f"{found}{mark}{version}" if found is not None else None

    def new_type(self, reference: Mapping[str, Tree]) -> str | None:
        """Return what the type becomes that a reference names; None where it stays, or names none."""
        link = reference.get("reference")
        old, new = self.types.get(link.partition(_VERSION)[0], (None, None)) if isinstance(link, str) else (None, None)
        return new if old is not None and reference.get("type") == old else None


def _refuse_confused(
    bundle: dict[str, Tree], holders: Mapping[str, Mapping[int, str]], is_other: Callable[[int, str], bool]
) -> None:
    """Raise `Refused` where a link by type and id is that of two resources, one of which was of another type before."""
    for held in holders.values():
        is_new = len(held) > 1 and any(is_other(index, link) for index, link in held.items())
        if is_new and _has_any(bundle, _Names(dict.fromkeys(held.values(), ""), {})):
            text = "the id of another resource that is of the same type in FHIR R4, and a reference to one of them"
            raise Refused(Reason.FORMAT, text, f"Bundle.entry[{max(held)}].resource.id")


def _has_any(tree: Tree, names: _Names) -> bool:
    """Whether a link that becomes another stands in a tree at all; in most messages none does."""
    links = names.links
    if not links and not names.types:
        return False
    pending = [tree]
    for value in pending:  # grows while it is gone through
        if value.__class__ is dict:
            for name, item in value.items():
                if item.__class__ is dict or item.__class__ is list:
                    pending.append(item)
                elif (name == "reference" or name == "fullUrl") and isinstance(item, str):  # noqa: PLR1714 - faster than a set here
                    if item in links or (_VERSION in item and names.new_link(item) is not None):
                        return True
                    if "type" in value and names.new_type(value) is not None:
                        return True
        elif value.__class__ is list:
            pending += value
    return False


class _Walk:
    def __init__(self, names: _Names) -> None:
        self._names = names
        self.repairs: list[Repair] = []
        self.count = 0

    def through(self, tree: Tree, path: str) -> None:
        """Rename every link in a tree."""
        if isinstance(tree, list):
            for index, item in enumerate(tree):
                self.through(item, f"{path}[{index}]")
        if not isinstance(tree, dict):
            return
        news = {name: self._names.new_link(link) for name in _LINKS if isinstance(link := tree.get(name), str)}
        news["type"] = self._names.new_type(tree)
        for name, value in tree.items():
            new = news.get(name)
            if new is None:
                self.through(value, f"{path}.{name}")
                continue
            tree[name] = RepairedText(new)
            self.repairs.append(Repair(f"{path}.{name}", LINK_OF_R4))
            self.count += not isinstance(value, RepairedText)

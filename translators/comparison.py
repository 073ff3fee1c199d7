"""What two answers to the same search say differently: by path, kind and count, and never by a value.

Both are brought into one canonical form first: lists have no order, instants that are equal are the same, what is empty is
absent, and what every server makes for itself is left out (ids, `meta.lastUpdated`, `meta.versionId`, the Bundle around the
resources, a generated narrative). A resource is compared with the one that is about the same, wherever it stands.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import TypeAlias

from translators.contract import Tree
from translators.fhir.elements import r4, stu3
from translators.fhir.json_codec import encode
from translators.fhir.moments import instant_of
from translators.patient import NATIONAL_SYSTEMS
from translators.services import IPLOS

WITHHELD = "(name withheld)"
_SERVICE_LEVEL = re.compile(r"[0-9]+(?:\.[0-9]+)+")
_RESOURCE_URL = re.compile(r"(?:.*/)?([A-Z][A-Za-z]{1,63})/[^/]+(?:/_history/[^/]+)?")
_DEEPEST = 8
"""Names of a path; below, a difference is told of the element above."""
_KEYS = ("url", "system", "use", "linkId", "type")
"""What tells the items of a list apart, where they have it."""
_PEOPLE = ("patient", "subject", "beneficiary", "for")
_STARTS = ("period", "effectivePeriod", "effectiveDateTime", "onsetDateTime", "recordedDate", "assertedDate", "date")

_Resource: TypeAlias = dict[str, Tree]


class DifferenceKind(StrEnum):
    """How the new side's answer differs from VKP's."""

    MISSING = "missing"
    """VKP says it, and the new side does not."""
    EXTRA = "extra"
    """The new side says it, and VKP does not."""
    DIFFERENT = "different"
    """Both say something, and not the same."""
    IPLOS = "iplos"
    """A service has its IPLOS code where VKP has a service level (CareServiceLevel)."""


@dataclass(frozen=True, slots=True, order=True)
class Difference:
    """One way in which two answers differ."""

    path: str
    """Element names below a resource type, without indexes: `Patient.name.given`; a whole resource by its type."""
    kind: DifferenceKind
    count: int
    """In how many places."""


def differences(theirs: Tree, ours: Tree) -> tuple[Difference, ...]:
    """Return how the new side's answer differs from VKP's, in the order of the paths; nothing where both say the same.

    An answer is a Bundle of what was found, or one resource.
    """
    found: Counter[tuple[str, DifferenceKind]] = Counter()
    for left, right in _paired(_resources(theirs), _resources(ours)):
        _compare(_kind(left if left is not None else right), left, right, found)
    return tuple(Difference(*one, count) for one, count in sorted(found.items()))


def _resources(tree: Tree) -> list[_Resource]:
    """Return the resources of an answer in canonical form."""
    if not isinstance(tree, dict):
        return []
    if tree.get("resourceType") != "Bundle":
        return [one for one in [_canonical(tree, {})] if isinstance(one, dict)]
    targets: dict[str, str] = {}
    resources: list[_Resource] = []
    for entry in _dicts(tree.get("entry")):
        resource = entry.get("resource")
        if isinstance(resource, dict):
            resources.append(resource)
            own = f"{resource.get('resourceType')}/{resource.get('id')}"
            targets |= {str(url): _called(resource) for url in (entry.get("fullUrl"), own)}
    found = (_canonical(one, targets) for one in resources)
    return [one for one in found if isinstance(one, dict)]


def _called(resource: _Resource) -> str:
    """Return what a resource is known by wherever it is: its type and its first identifier."""
    return "|".join((_kind(resource), *(part for one in _identifiers(resource)[:1] for part in one)))


def _only_codes(outcome: _Resource) -> _Resource:
    """Return of an OperationOutcome how grave it is and its codes: each side has words of its own."""
    issues: list[Tree] = []
    for issue in _dicts(outcome.get("issue")):
        details = issue.get("details")
        codes = [one.get("code") for one in _dicts(details.get("coding"))] if isinstance(details, dict) else []
        issues.append({"severity": issue.get("severity"), "details": {"coding": codes}})
    return {"resourceType": outcome["resourceType"], "issue": issues}


def _canonical(tree: Tree, targets: dict[str, str]) -> Tree:
    """Return a tree without what is empty or made by each server for itself, its lists in one order; None where nothing is left."""
    if isinstance(tree, dict):
        if tree.get("resourceType") == "OperationOutcome":
            tree = _only_codes(tree)
        if "div" in tree and tree.get("status") == "generated":
            return None
        kept = {name: _own(name, value, targets) for name, value in tree.items() if name != "id"}
        return {name: value for name, value in kept.items() if value is not None} or None
    if isinstance(tree, list):
        items = (_canonical(one, targets) for one in tree)
        return sorted((one for one in items if one is not None), key=encode) or None
    if isinstance(tree, str):
        text = tree.strip()
        return (instant_of(text) or text) if text else None
    return tree


def _own(name: str, value: Tree, targets: dict[str, str]) -> Tree:
    if name == "meta" and isinstance(value, dict):
        value = {key: one for key, one in value.items() if key not in ("lastUpdated", "versionId", "source")}
    if name == "reference" and isinstance(value, str):
        return _target(value, targets)
    return _canonical(value, targets)


def _target(reference: str, targets: dict[str, str]) -> str:
    """Return whom a reference means: what was found with it, else its type alone, since each server has ids of its own."""
    if reference in targets:
        return targets[reference]
    if reference.startswith(("#", "urn:")):
        return reference[:1]
    found = _RESOURCE_URL.fullmatch(reference)
    return found[1] if found else reference


def _paired(theirs: list[_Resource], ours: list[_Resource]) -> Iterator[tuple[_Resource | None, _Resource | None]]:
    """Pair the resources that are about the same: what is the same goes first, then by identifier, then by person, type and time."""
    for keys in (_itself, _identifiers, _by_all, _by_start, _by_type, _by_nothing):
        theirs, ours, pairs = _paired_by(keys, theirs, ours)
        yield from pairs
    yield from ((one, None) for one in theirs)
    yield from ((None, one) for one in ours)


def _paired_by(
    keys: Callable[[_Resource], Sequence[Hashable]], theirs: list[_Resource], ours: list[_Resource]
) -> tuple[list[_Resource], list[_Resource], list[tuple[_Resource, _Resource]]]:
    """Return what has no partner by any of its keys, and the pairs; each has at most one."""
    by_key: dict[Hashable, list[int]] = defaultdict(list)
    for place in range(len(ours) - 1, -1, -1):
        for key in keys(ours[place]):
            by_key[_kind(ours[place]), key].append(place)
    taken: set[int] = set()
    alone: list[_Resource] = []
    pairs: list[tuple[_Resource, _Resource]] = []
    for one in theirs:
        if (index := _free(by_key, [(_kind(one), key) for key in keys(one)], taken)) is None:
            alone.append(one)
        else:
            taken.add(index)
            pairs.append((one, ours[index]))
    return alone, [one for place, one in enumerate(ours) if place not in taken], pairs


def _free(by_key: dict[Hashable, list[int]], keys: list[tuple[str, Hashable]], taken: set[int]) -> int | None:
    for key in keys:
        waiting = by_key.get(key, [])
        while waiting:
            if (index := waiting.pop()) not in taken:
                return index
    return None


def _itself(resource: _Resource) -> list[Hashable]:
    return [encode(resource)]


def _identifiers(resource: _Resource) -> list[tuple[str, str]]:
    """Return the identifiers of a resource, national numbers first."""
    own = [one for one in _dicts(resource.get("identifier")) if "value" in one]
    found = [(str(one.get("system", "")), str(one["value"])) for one in own]
    return sorted(found, key=lambda one: (one[0] not in NATIONAL_SYSTEMS, one))


def _by_all(resource: _Resource) -> list[Hashable]:
    return _about(resource, _type(resource), _start(resource))


def _by_start(resource: _Resource) -> list[Hashable]:
    return _about(resource, _start(resource))


def _by_type(resource: _Resource) -> list[Hashable]:
    return _about(resource, _type(resource))


def _by_nothing(resource: _Resource) -> list[Hashable]:
    return [] if _type(resource) or _start(resource) or _identifiers(resource) else _about(resource)


def _about(resource: _Resource, *marks: bytes | None) -> list[Hashable]:
    """Return the key of a resource that has all these marks; none of a person, whom only identifiers tell from others."""
    if None in marks or _kind(resource) == "Patient":
        return []
    return [(_person(resource), *marks)]


def _person(resource: _Resource) -> str:
    """Return the number of whom a resource says to be about; nothing where only an id of a server says it."""
    who = next((resource[name] for name in _PEOPLE if name in resource), None)
    if not isinstance(who, dict):
        return ""
    number = who.get("identifier")
    if isinstance(number, dict):
        return str(number.get("value", ""))
    return str(who.get("reference", "")).rpartition("|")[2] if "|" in str(who.get("reference", "")) else ""


def _type(resource: _Resource) -> bytes | None:
    what = next((resource[name] for name in ("type", "code", "category") if name in resource), None)
    return encode(what) if what is not None else None


def _start(resource: _Resource) -> bytes | None:
    when = next((resource[name] for name in _STARTS if name in resource), None)
    if isinstance(when, dict):
        when = when.get("start")
    return when[:10].encode() if isinstance(when, str) else None


def _compare(path: str, left: Tree, right: Tree, found: Counter[tuple[str, DifferenceKind]]) -> None:
    if left is None or right is None:
        if left is not right:
            sides = len(_listed(right if left is None else left))
            found[path, DifferenceKind.EXTRA if left is None else DifferenceKind.MISSING] += sides
    elif left == right:
        return
    elif path == "EpisodeOfCare.type" and (others := _beside_iplos(left, right)) is not None:
        found[path, DifferenceKind.IPLOS] += 1
        if others:
            found[path, DifferenceKind.EXTRA] += len(others)
    elif isinstance(left, list) or isinstance(right, list):
        for one, other in _items_paired(_listed(left), _listed(right)):
            _compare(path, one, other, found)
    elif isinstance(left, dict) and isinstance(right, dict) and path.count(".") < _DEEPEST:
        for name in left.keys() | right.keys():
            _compare(f"{path}.{_name(name)}", left.get(name), right.get(name), found)
    else:
        found[path, DifferenceKind.DIFFERENT] += 1


def _items_paired(theirs: list[Tree], ours: list[Tree]) -> Iterator[tuple[Tree, Tree]]:
    """Pair the items of two lists: what is equal is left out, and what is told apart by the same is compared."""
    common = Counter(map(encode, theirs)) & Counter(map(encode, ours))
    theirs, ours = _without(theirs, common), _without(ours, common)
    by_key: dict[Hashable, list[Tree]] = defaultdict(list)
    for one in reversed(ours):
        by_key[_key_of(one)].append(one)
    for one in theirs:
        waiting = by_key[_key_of(one)]
        yield one, waiting.pop() if waiting else None
    for waiting in by_key.values():
        yield from ((None, one) for one in waiting)


def _without(items: list[Tree], common: Counter[bytes]) -> list[Tree]:
    left = common.copy()
    found: list[Tree] = []
    for one in items:
        key = encode(one)
        if left[key]:
            left[key] -= 1
        else:
            found.append(one)
    return found


def _key_of(item: Tree) -> Hashable:
    if not isinstance(item, dict):
        return None
    codings = sorted(str(one.get("system", "")) for one in _dicts(item.get("coding")))
    return (*(str(item[name]) if isinstance(item.get(name), str) else None for name in _KEYS), *codings)


def _beside_iplos(left: Tree, right: Tree) -> list[Tree] | None:
    """Return what the new side has beside IPLOS codes for VKP's service levels, as the kind of stay; None where it has none for them."""
    ours = _listed(right)
    iplos = [
        one for one in ours if (codings := _codings(one)) and all(coding.get("system") == IPLOS for coding in codings)
    ]
    levels = [coding for one in _listed(left) for coding in _codings(one)]
    others = [one for one in ours if one not in iplos]
    if not iplos or not levels or any(_is_level(coding) for one in others for coding in _codings(one)):
        return None
    return others if all(map(_is_level, levels)) else None


def _codings(concept: Tree) -> list[_Resource]:
    return _dicts(concept.get("coding")) if isinstance(concept, dict) else []


def _is_level(coding: _Resource) -> bool:
    return coding.get("system") != IPLOS and _SERVICE_LEVEL.fullmatch(str(coding.get("code"))) is not None


def _listed(value: Tree) -> list[Tree]:
    return value if isinstance(value, list) else [value]


def _dicts(value: Tree) -> list[_Resource]:
    return [one for one in _listed(value) if isinstance(one, dict)]


def _kind(resource: _Resource | None) -> str:
    kind = resource.get("resourceType") if resource is not None else None
    known = r4().resources | stu3().resources
    return kind if isinstance(kind, str) and kind in known else WITHHELD


def _name(name: str) -> str:
    """Return an element's name; what is no element of FHIR may be anybody's name or number, and is withheld."""
    return name if name in _element_names() else WITHHELD


@cache
def _element_names() -> frozenset[str]:
    return frozenset(name for release in (r4(), stu3()) for fields in release.types.values() for name in fields)

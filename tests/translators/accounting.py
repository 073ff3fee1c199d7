"""The account of a message by value: what its source says, and where each of these values is found again."""

from collections import Counter
from collections.abc import Iterable, Iterator

from tests.translators.drawing import _STEP, bodies
from translators.contract import Number, Refused, Translation, Tree
from translators.fhir.conform import conform
from translators.fhir.plan import from_stu3, within_r4
from translators.payload import RELEASES, is_msghead, payload_of
from translators.places import printable_name
from translators.source import Source

_REPLACED_WHOLE = "patient-number-resolved"
"""The repair that leaves nothing of what was below its place."""


def values(tree: Tree) -> Iterator[str]:
    """Go through the leaves of a tree, each as a text that no other value has."""
    below = list(tree.values()) if isinstance(tree, dict) else tree if isinstance(tree, list) else []
    for one in below:
        yield from values(one)
    if not below:
        yield tree.text if isinstance(tree, Number) else tree if isinstance(tree, str) else repr(tree)


def missing(tree: Tree, surface: str, result: Translation) -> Counter[str]:
    """Return the values of a message that neither a call has, nor any place that the account names.

    A value that stands in the message twice has to be found twice.
    """
    found = Counter(value for body in bodies(result) for value in values(body))
    return Counter(values(tree)) - found - told(tree, surface, result)


def told(tree: Tree, surface: str, result: Translation) -> Counter[str]:
    """Return the values at the places that repairs, losses and addressing name."""
    trees = _trees(tree, surface)
    found: Counter[str] = Counter()
    for path in {loss.path for loss in result.losses} | set(result.addressing):
        found += _most([Counter(values(here)) for here in _at(trees, path)])
    for repair in set(result.repairs):
        here = [Counter(values(one)) for one in _at(trees, repair.path)]
        found += _most([one for one in here if repair.rule == _REPLACED_WHOLE or one.total() == 1])
    return found


def _trees(tree: Tree, surface: str) -> list[Tree]:
    """Return the message as it came and as it was repaired: later steps name their places in that one; likewise the FHIR in a MsgHead."""
    if is_msghead(tree):
        release, payload = payload_of(tree)
        return [tree, *(_trees(payload, f"vkp-{release}") if release in RELEASES else ())]
    kind = str(tree["resourceType"]) if isinstance(tree, dict) else "Resource"
    try:
        return [tree, conform(Source(tree, kind).root, from_stu3() if surface == "vkp-stu3" else within_r4())]
    except Refused:
        return [tree]


def _most(counted: list[Counter[str]]) -> Counter[str]:
    found: Counter[str] = Counter()
    for one in counted:
        found |= one
    return found


def _at(trees: Iterable[Tree], path: str) -> Iterator[Tree]:
    """Go through what stands at a path of each tree; a name that was withheld is any that is no element's."""
    for tree in trees:
        here = [tree]
        for name, index in _STEP.findall(path):
            here = [below for one in here for below in _below(one, name, index)]
        yield from here


def _below(tree: Tree, name: str, index: str) -> Iterator[Tree]:
    if isinstance(tree, list) and index and int(index) < len(tree):
        yield tree[int(index)]
    if isinstance(tree, dict) and name:
        yield from [value for key, value in tree.items() if printable_name(key) == name]

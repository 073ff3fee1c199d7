"""No value of a message goes unseen: each is found in a call, or at a place that the account names."""

from collections import Counter
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from tests.each import each_of
from tests.translators.accounting import missing, told, values
from tests.translators.drawing import check_account
from tests.translators.test_cases import CASES, Case, case_of
from translators.contract import Number, Translation, Tree
from translators.fhir.elements import r4
from translators.payload import RELEASES, is_msghead, payload_of
from translators.translate import express

MSGHEAD = "{http://www.kith.no/xmlstds/msghead/2006-05-24}MsgHead"
MARK = "mark-of-the-test"
EXTENSION: dict[str, Tree] = {"url": f"http://mark.example/{MARK}", "valueString": "extension-of-the-test"}
_MOST, _MOST_OF_MSGHEAD = 0.9, 0.7
"""At least this part of the mutants is sent, so that there is something to look for; in a MsgHead more is refused."""
TOLERATED = (*sorted(r4().resources), "(name withheld)")
"""Every loss, so that a message with one is sent all the same, and the rest of it can be looked for."""


def _read(path: Path) -> Case:
    return case_of(path.read_text(encoding="utf-8"))


def _translated(case: Case, tree: Tree) -> Translation:
    return express(tree, case.surface, "jft", replace(case.settings, tolerated_losses=TOLERATED))


@each_of(CASES, lambda path: path.stem)
def test_every_value_of_a_message_is_sent_or_told_of(path: Path) -> None:
    """As often as the message has it, in the calls, or at the places that repairs, losses and addressing name."""
    case = _read(path)
    tree, _ = case.read()
    result = _translated(case, deepcopy(tree))
    if result.calls:
        check_account(tree, result)
        assert missing(tree, case.surface, result) == Counter()
    else:
        assert result.refusal or result.undelivered is not None


@pytest.mark.parametrize("path", [path for path in CASES if _read(path).message[0] == "<"], ids=lambda path: path.stem)
def test_every_attribute_and_text_of_xml_is_in_the_tree_or_told_of(path: Path) -> None:
    """Read by another parser; hints for a schema are left out by name, and of a signature no more is told than that it is there.

    A MsgHead says much in texts, of which only base64 with FHIR in it is read further.
    """
    case = _read(path)
    root = ET.fromstring(case.message)  # noqa: S314 - a file of ours
    tree, repairs = case.read()
    in_tree = unescape(" ".join(values(tree)))
    for parent in root.iter():
        for signature in parent.findall("{http://www.w3.org/2000/09/xmldsig#}Signature"):
            parent.remove(signature)
            assert "signed" in in_tree
    attributes = [value for element in root.iter() for name, value in element.items() if "XMLSchema" not in name]
    hints = [name for element in root.iter() for name in element.keys() if "XMLSchema" in name]  # noqa: SIM118 - not a dict
    assert [value for value in attributes if value and value not in in_tree] == []
    of_base64 = "{http://www.kith.no/xmlstds/base64container}Base64Container"
    is_fhir = payload_of(tree)[0] in RELEASES
    read = [one for head in root.iter(MSGHEAD) for one in head.iter() if not (is_fhir and one.tag == of_base64)]
    texts = [text for one in read for text in (one.text, one.tail)]
    assert [text for text in texts if text and text.strip() and text not in in_tree] == []
    assert len(hints) == len(repairs)


# Mutations: each place of each case says one thing more, which has to be found again.


def _objects(tree: Any) -> Iterator[dict[str, Any]]:
    """Go through the objects of a tree; what holds the FHIR of a MsgHead under its release is no element that could say more."""
    if isinstance(tree, dict) and tree.keys().isdisjoint(RELEASES):
        yield tree
    for below in tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ():
        yield from _objects(below)


def _extended(tree: Any) -> Iterator[Callable[[], None]]:
    for one in _objects(tree):
        own = one.get("extension", [])
        if isinstance(own, list):
            yield lambda one=one, own=own: one.update(extension=[*own, deepcopy(EXTENSION)])


def _named(tree: Any) -> Iterator[Callable[[], None]]:
    for one in _objects(tree):
        if "id" not in one:
            yield lambda one=one: one.update(id=MARK)


def _primitives_extended(tree: Any) -> Iterator[Callable[[], None]]:
    for one in _objects(tree):
        for name, value in one.items():
            items = value if isinstance(value, list) else [value]
            is_primitive = any(isinstance(item, (str, bool, Number)) for item in items)
            if is_primitive and not name.startswith("_") and f"_{name}" not in one and name != "resourceType":
                more: Any = {"id": MARK, "extension": [deepcopy(EXTENSION)]}
                sibling = [*[None] * (len(items) - 1), more] if isinstance(value, list) else more
                yield lambda one=one, name=name, sibling=sibling: one.update({f"_{name}": sibling})


MUTATIONS = {"extension": _extended, "id": _named, "extension-of-a-primitive": _primitives_extended}


def _mutated(tree: Tree, how: str) -> Iterator[Tree]:
    """Go through a message with one thing more at each of its places."""
    count = sum(1 for _ in MUTATIONS[how](tree))
    for index in range(count):
        mutant = deepcopy(tree)
        next(change for place, change in enumerate(MUTATIONS[how](mutant)) if place == index)()
        yield mutant


def _fhir_of(tree: Tree) -> Tree:
    """Return the FHIR of a message: of a MsgHead what it carries, where that is FHIR."""
    if not is_msghead(tree):
        return tree
    release, payload = payload_of(tree)
    return payload if release in RELEASES else None


def _is_extended(tree: Tree) -> bool:
    return EXTENSION["valueString"] in values(tree)


def _check_mutants(case: Case, how: str) -> None:
    """Find again what each place of a message that is sent says more.

    Sent, or told of as a loss or a repair; an extension of FHIR is never used up by addressing. The elements of a MsgHead
    around it have no extensions: its schema refuses them before there is a tree, so there they stand for any value.
    """
    tree, _ = case.read()
    if not _translated(case, deepcopy(tree)).calls:
        return
    sent = mutants = 0
    for mutant in _mutated(tree, how):
        mutants += 1
        result = _translated(case, deepcopy(mutant))
        if result.calls:
            sent += 1
            assert missing(mutant, case.surface, result) == Counter()
            used = told(mutant, case.surface, Translation(addressing=result.addressing))
            assert how == "id" or not _is_extended(_fhir_of(mutant)) or EXTENSION["valueString"] not in used
        else:
            assert result.refusal
    wanted = mutants * (_MOST_OF_MSGHEAD if is_msghead(tree) else _MOST)
    # Of a small message two may say something that is refused, as a reason where none can be.
    assert sent >= min(wanted, mutants - 2)


_SAMPLED = 20
"""One case of so many has its mutants in `make test`, and all have them in `make test-slow`."""


@pytest.mark.parametrize("how", MUTATIONS)
@pytest.mark.parametrize("path", CASES[::_SAMPLED], ids=lambda path: path.stem)
def test_whatever_a_place_says_more_is_found_again(path: Path, how: str) -> None:
    """In a sample of the cases."""
    _check_mutants(_read(path), how)


@pytest.mark.slow
@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_whatever_any_place_says_more_is_found_again(path: Path) -> None:
    """In every case, by every mutation."""
    for how in MUTATIONS:
        _check_mutants(_read(path), how)

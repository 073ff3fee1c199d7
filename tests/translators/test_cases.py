"""Every file in cases/: a message, a line of dashes, the call it becomes, a line of dashes, and what was done to it.

    surface: vkp-stu3              (optional: vkp-r4 otherwise)
    information: varsel            (`none` when no rule names one)
    tolerated: Device.colour       (optional: the losses that the route tolerates, with blanks between)
    numbers: production            (optional: the patient numbers of a production environment; test otherwise)
    also: fh                       (optional: kinds of numbers that are allowed besides, with blanks between)
    whose-numbers: everywhere      (optional: everybody's numbers are looked at; the patient's alone otherwise)
    source: Dispenser Pluss        (optional: the sender's system by name)
    received: 2026-05-04T08:31:00Z (optional: when the gateway got the message)
    history: alert until-2022-01-14          (optional: the superseded tables that the sender uses, in pairs)
    local: http://record.example/id 4711 12834010060    (optional: one record system's number and the national one)
    unknown-codes: pass            (optional: what becomes of codes that no table has; refused otherwise)
    not-to-be-journaled: refuse    (optional: what becomes of an event that is not to be journaled; acknowledged otherwise)
    <the message, in JSON or in XML>
    ----------
    POST /v1/Bundle                (or `refused: <reason> <path>: <text>`, or `test: acknowledged, delivered nowhere`,
                                   or `not-to-be-journaled: acknowledged, delivered nowhere`)
    <the body, or `as it came`>
    ----------
    repair <path>: <rule>
    loss <path>: <element>
    derived <path in the call>: <rule>

REWRITE_CASES=1 pytest -s tests/translators/test_cases.py writes the last two parts anew and prints what changed; read it.
"""

import os
import re
from dataclasses import dataclass
from difflib import unified_diff
from functools import cache
from pathlib import Path

import pytest

from tests.each import each_of
from translators.contract import Number, Repair, Settings, Translation, Tree
from translators.fhir import xml_codec
from translators.fhir.elements import r4, stu3
from translators.fhir.json_codec import decode, encode
from translators.information import information_of
from translators.national_number import PRODUCTION_KINDS, TEST_KINDS
from translators.soap import message
from translators.translate import translate

CASES = sorted((Path(__file__).parent / "cases").glob("*.case"))
LINE = "----------\n"
AS_IT_CAME = "as it came\n"
NOWHERE = "acknowledged, delivered nowhere\n"


@dataclass(frozen=True)
class Case:
    """One file, taken apart."""

    header: dict[str, str]
    message: str
    call: str
    findings: str

    @property
    def settings(self) -> Settings:
        """What the header says about the municipality and the sender."""
        history, local = self._words("history"), self._words("local")
        own: frozenset[str] = PRODUCTION_KINDS if self.header.get("numbers") == "production" else TEST_KINDS
        return Settings(
            allowed_numbers=own.union(self._words("also")),
            numbers="everywhere" if self.header.get("whose-numbers") == "everywhere" else "patient",
            tolerated_losses=tuple(self._words("tolerated")),
            source_system=self.header.get("source"),
            received=self.header.get("received"),
            code_history=tuple(zip(history[::2], history[1::2], strict=True)),
            local_numbers={(local[0], local[1]): local[2]} if local else {},
            unknown_codes="pass" if self.header.get("unknown-codes") == "pass" else "refuse",
            not_to_be_journaled="refuse" if self.header.get("not-to-be-journaled") == "refuse" else "acknowledge",
        )

    @property
    def surface(self) -> str:
        """The interface that the message came by."""
        return self.header.get("surface", "vkp-r4")

    def read(self) -> tuple[Tree, tuple[Repair, ...]]:
        """Return the message as a tree, with what decoding repaired."""
        data = self.message.encode()
        if self.surface == "vkp-soap":
            return message.decode(data)
        if data.startswith(b"<"):
            return xml_codec.decode(data, stu3() if self.surface == "vkp-stu3" else r4())
        return decode(data), ()

    def translated(self) -> tuple[Tree, Translation]:
        """Return the message as a tree, and what it becomes."""
        tree, repairs = self.read()
        return tree, translate(tree, self.surface, "jft", self.settings, repairs)

    def _words(self, name: str) -> list[str]:
        return self.header.get(name, "").split()


def case_of(text: str) -> Case:
    """Take the text of a file apart."""
    first, call, findings = text.split(LINE)
    begin = re.search(r"^[{\[<]", first, re.MULTILINE)
    assert begin, "no message"
    header = dict(line.split(": ", 1) for line in first[: begin.start()].splitlines())
    return Case(header, first[begin.start() :], call, findings)


@cache
def _translated(path: Path) -> tuple[Case, Tree, Translation]:
    """Return a case with its message and what that becomes, for tests that change neither."""
    case = case_of(path.read_text(encoding="utf-8"))
    return case, *case.translated()


def _call_of(result: Translation, message: Tree) -> str:
    if result.refusal:
        return f"refused: {result.refusal.reason} {result.refusal}\n"
    if result.undelivered is not None:
        return f"{result.undelivered}: {NOWHERE}"
    (call,) = result.calls
    head = f"{call.method} {call.path}\n" + "".join(f"{name}: {value}\n" for name, value in call.headers[1:])
    body = decode(call.body)
    return head + (AS_IT_CAME if body == message else f"{_spread(body)}\n")


def _findings_of(result: Translation) -> str:
    repairs = [f"repair {repair.path}: {repair.rule}\n" for repair in result.repairs]
    losses = [f"loss {loss.path}: {loss.element}\n" for loss in result.losses]
    return "".join([*repairs, *losses, *(f"derived {made.path}: {made.rule}\n" for made in result.derived)])


def _flat(tree: Tree) -> str:
    if isinstance(tree, dict):
        return "{" + ", ".join(f"{_flat(name)}: {_flat(value)}" for name, value in tree.items()) + "}"
    if isinstance(tree, list):
        return "[" + ", ".join(map(_flat, tree)) + "]"
    return tree.text if isinstance(tree, Number) else encode(tree).decode()


def _spread(tree: Tree, indent: str = "") -> str:
    """Write a tree for a reader: on one line what fits there."""
    flat = _flat(tree)
    if len(indent) + len(flat) < 118 or not isinstance(tree, dict | list):
        return flat
    deeper = f"{indent}  "
    if isinstance(tree, dict):
        parts = [f"{_flat(name)}: {_spread(value, deeper)}" for name, value in tree.items()]
    else:
        parts = [_spread(value, deeper) for value in tree]
    first, last = "{}" if isinstance(tree, dict) else "[]"
    return f"{first}\n{deeper}" + f",\n{deeper}".join(parts) + f"\n{indent}{last}"


def _rewrite(path: Path, message: Tree, result: Translation) -> None:
    old = path.read_text(encoding="utf-8")
    head = old[: old.index(LINE)]
    new = head + LINE + _call_of(result, message) + LINE + _findings_of(result)
    print(*unified_diff(old.splitlines(), new.splitlines(), path.name, path.name, lineterm="", n=1), sep="\n")  # noqa: T201 - a person reads it
    path.write_text(new, encoding="utf-8")


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_a_message_becomes_exactly_this_call_with_these_findings(path: Path) -> None:
    """The call's every value, each repair, loss and derived element are what a person has read and agreed to."""
    case = case_of(path.read_text(encoding="utf-8"))
    message, result = case.translated()
    if os.environ.get("REWRITE_CASES"):
        _rewrite(path, message, result)
        case = case_of(path.read_text(encoding="utf-8"))
    assert str(information_of(message, case.settings.code_history)).lower() == case.header["information"]
    assert _findings_of(result) == case.findings
    head, _, body = case.call.partition("\n{")
    assert _call_of(result, message).partition("\n{")[0] == head
    if body:
        assert decode(result.calls[0].body) == decode(f"{{{body}".encode())


@each_of(CASES, lambda path: path.stem)
def test_the_type_that_chooses_the_route_is_the_type_that_is_told(path: Path) -> None:
    """Neither repairs nor another release move a message to another information type than the one it was routed by."""
    case, message, result = _translated(path)
    if result.calls or result.undelivered:
        assert result.information == information_of(message, case.settings.code_history)


@each_of(CASES, lambda path: path.stem)
def test_what_is_sent_is_of_the_type_that_chose_the_route(path: Path) -> None:
    """Unless a rule made the resource that a type goes by.

    A supervision that a sensor was the reason of stays one, with an alert of its own beside it; a message without any type
    gets a note, as every document has one.
    """
    case, message, result = _translated(path)
    if result.calls:
        rules = {made.rule for made in result.derived}
        may_be = {information_of(message, case.settings.code_history)}
        may_be |= {"varsel"} if "sensor-event-is-an-alert" in rules and "tilsyn" in may_be else set()
        may_be |= {"notat"} if "composition-of-a-document" in rules and None in may_be else set()
        assert information_of(decode(result.calls[0].body)) in may_be


@each_of(CASES, lambda path: path.stem)
def test_every_leaf_is_carried_repaired_or_lost_and_all_that_was_made_is_told(path: Path) -> None:
    """The counts of a message add up, and nothing stands in the call that neither the source nor a rule says."""
    _, _, result = _translated(path)
    counted = result.coverage
    assert counted.leaves == counted.carried + counted.repaired + counted.lost
    assert counted.lost == len(result.losses)
    assert bool(counted.derived) == bool(result.derived)

"""Every file in cases/: a message, a line of dashes, the call it becomes, a line of dashes, and what was done to it.

    information: varsel            (`none` when no rule names one)
    tolerated: Device.colour       (optional: the losses that the route tolerates, with blanks between)
    numbers: production            (optional: the patient numbers of a production environment; test otherwise)
    <the message>
    ----------
    POST /v1/Bundle                (or `refused: <reason> <path>: <text>`)
    <the body, or `as it came`>
    ----------
    repair <path>: <rule>
    loss <path>: <element>

REWRITE_CASES=1 pytest -s tests/translators/test_cases.py writes the last two parts anew and prints what changed; read it.
"""

import os
from dataclasses import dataclass
from difflib import unified_diff
from pathlib import Path

import pytest

from translators.contract import Number, Settings, Translation, Tree
from translators.fhir.json_codec import decode, encode
from translators.information import information_of
from translators.national_number import PRODUCTION_KINDS, TEST_KINDS
from translators.translate import translate

CASES = sorted((Path(__file__).parent / "cases").glob("*.case"))
LINE = "----------\n"
AS_IT_CAME = "as it came\n"


@dataclass(frozen=True)
class Case:
    """One file, taken apart."""

    header: dict[str, str]
    message: str
    call: str
    findings: str

    @property
    def settings(self) -> Settings:
        """What the header says about the municipality."""
        kinds = PRODUCTION_KINDS if self.header.get("numbers") == "production" else TEST_KINDS
        return Settings(kinds, tuple(self.header.get("tolerated", "").split()), self.header.get("source"))


def _case(text: str) -> Case:
    first, call, findings = text.split(LINE)
    start = min(place for place in (first.find("\n{"), first.find("\n[")) if place >= 0) + 1
    header = dict(line.split(": ", 1) for line in first[:start].splitlines())
    return Case(header, first[start:], call, findings)


def _call_of(result: Translation, message: Tree) -> str:
    if result.refusal:
        return f"refused: {result.refusal.reason} {result.refusal}\n"
    (call,) = result.calls
    head = f"{call.method} {call.path}\n" + "".join(f"{name}: {value}\n" for name, value in call.headers[1:])
    body = decode(call.body)
    return head + (AS_IT_CAME if body == message else f"{_spread(body)}\n")


def _findings_of(result: Translation) -> str:
    repairs = [f"repair {repair.path}: {repair.rule}\n" for repair in result.repairs]
    return "".join([*repairs, *(f"loss {loss.path}: {loss.element}\n" for loss in result.losses)])


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


def _rewrite(path: Path, case: Case, result: Translation) -> None:
    old = path.read_text(encoding="utf-8")
    head = old[: old.index(LINE)]
    new = head + LINE + _call_of(result, decode(case.message.encode())) + LINE + _findings_of(result)
    print(*unified_diff(old.splitlines(), new.splitlines(), path.name, path.name, lineterm="", n=1), sep="\n")  # noqa: T201 - a person reads it
    path.write_text(new, encoding="utf-8")


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_a_message_becomes_exactly_this_call_with_these_findings(path: Path) -> None:
    """The call's every value, each repair and each loss are what a person has read and agreed to."""
    case = _case(path.read_text(encoding="utf-8"))
    message = decode(case.message.encode())
    result = translate(message, "vkp-r4", "jft", case.settings)
    if os.environ.get("REWRITE_CASES"):
        _rewrite(path, case, result)
        case = _case(path.read_text(encoding="utf-8"))
    assert str(information_of(message)).lower() == case.header["information"]
    assert _findings_of(result) == case.findings
    head, _, body = case.call.partition("\n{")
    assert _call_of(result, message).partition("\n{")[0] == head
    if body:
        assert decode(result.calls[0].body) == decode(f"{{{body}".encode())


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_the_type_that_chooses_the_route_is_the_type_of_what_is_sent(path: Path) -> None:
    """Repairs never move a message to another information type than the one it was routed by."""
    case = _case(path.read_text(encoding="utf-8"))
    message = decode(case.message.encode())
    result = translate(message, "vkp-r4", "jft", case.settings)
    if result.calls:
        assert result.information == information_of(message) == information_of(decode(result.calls[0].body))

"""What the gateway says is told in Norwegian on Norwegian pages; what a service said is quoted as it was."""

from __future__ import annotations

import ast
import re
import tomllib
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gateway.admin.pages.phrases import _phrase, told
from gateway.auth.people.rbac import Action
from translators.fhir.invariants import INVARIANTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ROOT = Path(__file__).parents[4]
SAYING = ("Refused", "Failure", "NotDelivered", "Problem", "_refused", "_refuse", "_fail", "note")
SAYING += (
    "ServiceUnavailable",
    "AnswerRefused",
    "TokenRefused",
    "ProofRefused",
    "KeyRefused",
    "LoginRefused",
    "unavailable",
)
"""What is called with a sentence for somebody who sends, or who looks at a page."""
_CODES = re.compile(r"\{[^}]*\}")
_NO_SENTENCES = frozenset({"{}", "{} {}", "{}: {}", "token", "origin", "a patient", ""})
"""What holds nothing but what differs, and what no page shows."""
_PATHED = re.compile(r"^[\w.\[\]{}-]+(?:, [\w.]+)*: ")
_OF_NAMES = re.compile(r"[a-z_]+(?:, [a-z_]+)*")
_NOT_FOR_PAGES = ("gateway/cli/", "gateway/config/", "gateway/proxy/tls.py", "gateway/auth/people/oidc_login.py")


def _texts(node: ast.expr, around: list[ast.AST], depth: int = 3) -> Iterator[str]:
    """Return the sentences that an expression may be, with {} for what differs."""
    match node:
        case ast.Constant(value=str(text)):
            yield text
        case ast.JoinedStr(values=values):
            yield "".join(str(one.value) if isinstance(one, ast.Constant) else "{}" for one in values)
        case ast.IfExp(body=one, orelse=other):
            yield from (*_texts(one, around, depth), *_texts(other, around, depth))
        case ast.Name(id=name) if depth:
            for each in around:
                for inner in ast.walk(each):
                    if isinstance(inner, ast.Assign) and any(
                        isinstance(target, ast.Name) and target.id == name for target in inner.targets
                    ):
                        yield from _texts(inner.value, around, depth - 1)


def _called(function: ast.expr) -> str:
    match function:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case _:
            return ""


def _said_in(path: Path) -> Iterator[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = [*ast.walk(tree)]
    functions = [one for one in nodes if isinstance(one, (ast.FunctionDef, ast.AsyncFunctionDef))]
    constants: list[ast.AST] = [one for one in tree.body if isinstance(one, ast.Assign)]
    for call in nodes:
        if isinstance(call, ast.Call) and _called(call.func) in SAYING:
            around = [one for one in functions if one.lineno <= call.lineno <= (one.end_lineno or 0)]
            for each in call.args:
                yield from _texts(each, [*around, *constants])


def _said() -> Iterable[tuple[str, str]]:
    for folder in ("translators", "gateway"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            if not name.startswith(_NOT_FOR_PAGES):
                yield from ((name, text) for text in _said_in(path))


def test_every_sentence_for_senders_and_readers_has_its_norwegian() -> None:
    """As they stand in the code: whoever writes a new one writes it in both languages."""
    lacking = set()
    for name, text in _said():
        sentence = _PATHED.sub("", _CODES.sub("{}", text), count=1)
        shown = sentence.replace("{}", "7")
        if sentence in _NO_SENTENCES or " " not in sentence or _OF_NAMES.fullmatch(sentence):
            continue
        if not any(map(_phrase, (shown, text.replace("{}", "7"), f"{shown}: 7"))):
            lacking.add(f"{name}: {sentence}")
    assert not lacking, "\n".join(sorted(lacking))


def test_each_norwegian_sentence_says_all_that_the_english_says() -> None:
    """As many things that differ stand in both."""
    path = resources.files("gateway.admin.pages").joinpath("texts/phrases.nb.toml")
    for sentence, says in tomllib.loads(path.read_text(encoding="utf-8")).items():
        assert len(_CODES.findall(sentence)) == len(_CODES.findall(says)), sentence


@pytest.mark.parametrize(
    ("said", "norwegian"),
    [
        ("not read", "ikke hentet"),
        (
            "Bundle.entry[2].resource.category: category is missing, which says what happened",
            "<code>Bundle.entry[2].resource.category</code>: category mangler, og den sier hva som skjedde",
        ),
        (
            "not valid FHIR R4: Patient.name: is missing; Patient.x: not an element of Patient",
            "ikke gyldig FHIR R4: <code>Patient.name</code>: mangler; <code>Patient.x</code>: Patient har ikke dette elementet",
        ),
        ("would be lost: Device.note, Device.contact", "ville gått tapt: Device.note, Device.contact"),
        ("The access token is refused: the signature is wrong", "Tilgangsbeviset ble ikke godtatt: signaturen er feil"),
        ("more than n entries in one message", "mer enn n deler (entry) i én melding"),
        (
            "JFT refused the message as invalid FHIR R4 (400): No <profile>",
            (
                "Journalføringstjenesten avviste meldingen som ugyldig FHIR R4 (400). Tjenesten svarte: "
                '<q lang="en" data-quoted>No &lt;profile&gt;</q>'
            ),
        ),
        (
            "Observation.dataAbsentReason: a dataAbsentReason beside a value (obs-6)",
            (
                "<code>Observation.dataAbsentReason</code>: FHIRs regel obs-6 er ikke oppfylt: dataAbsentReason kan ikke stå "
                'sammen med value <q lang="en" data-quoted>a dataAbsentReason beside a value</q>'
            ),
        ),
        (
            "a size or hash that is not that of the data (attachment)",
            (
                "FHIRs regel attachment er ikke oppfylt: size og hash skal stemme med data "
                '<q lang="en" data-quoted>a size or hash that is not that of the data</q>'
            ),
        ),
        ("nulls alone (ele-1)", "bare null (ele-1)"),
        (
            "an element that no narrative may hold (txt-1)",
            "et element som ikke kan stå i en beskrivelse (txt-1)",
        ),
        (
            "its gate: 180 rehearsed in the last 7 days, 170 of them clean (94.44 %); 200 are asked for; 99.5 % clean are asked for",
            "kravet til prøvekjøring: 180 prøvekjørt siste 7 døgn, 170 av dem uten feil (94,44 %); 200 kreves; 99,5 % uten feil kreves",
        ),
        ("approvals missing at its time: 1", "godkjenninger manglet da tiden var inne: 1"),
        (
            "MsgHead.MsgInfo.Receiver: another organisation than the municipality",
            "MsgHead.MsgInfo.Receiver: en annen organisasjon enn kommunen",
        ),
        ("something else", '<q lang="en" data-quoted>something else</q>'),
    ],
)
def test_diagnostics_are_told_in_norwegian_and_what_others_said_is_quoted(said: str, norwegian: str) -> None:
    """Whatever is put in stays what it was, escaped; on an English page it stands as it was said."""
    assert str(told("nb", said)) == norwegian
    assert "<" not in str(told("en", said))


@pytest.mark.parametrize("action", list(Action))
@pytest.mark.parametrize("where", ["somewhere", "everywhere", "there", "in every municipality that it names"])
def test_who_lacks_a_role_is_told_which(action: Action, where: str) -> None:
    """By its name, in both languages."""
    assert str(told("nb", f"{action} {where}")).startswith("du må ha rollen ")
    assert str(told("en", f"{action} {where}")).startswith("you need the role ")


def test_every_invariant_says_in_norwegian_what_it_asks_for() -> None:
    """Those of resources and types, and those of a Bundle; where two have one key, each has its own."""
    asked: dict[str, set[str]] = {}
    for invariant in {one for row in INVARIANTS.values() for one in row}:
        asked.setdefault(invariant.key, set()).add(invariant.text)
    for folder in ("bundle", "narrative"):
        text = (ROOT / "translators" / "fhir" / f"{folder}.py").read_text(encoding="utf-8")
        for key in re.findall(r"\(((?:bdl|txt)-\d+)\)", text):
            asked.setdefault(key, {"something of it"})
    for key, texts in asked.items():
        said = {str(told("nb", f"{text} ({key})")) for text in texts}
        assert len(said) == len(texts)
        for each in said:
            is_told = f"FHIRs regel {key} er ikke oppfylt: " in each or "data-quoted" not in each
            assert is_told, each
            assert each.count(": ") <= 1 or "urn:" in each

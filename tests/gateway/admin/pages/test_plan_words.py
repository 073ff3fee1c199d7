"""Plans in the reader's words: every finding, fault, state and event has a sentence in both languages."""

from __future__ import annotations

import inspect
import re
from itertools import product
from typing import TYPE_CHECKING

import pytest

from gateway.admin.pages import plan_words
from gateway.admin.pages.catalogue import TEXTS
from gateway.admin.pages.words import Names, Words
from gateway.migration import cutover, preflight
from gateway.migration.cutover import APPROVAL, CHANGED, POSTPONED, RETIRED, CutoverState
from gateway.migration.cutover_plan import GateRequest, RollBackRequest, faults
from gateway.migration.traffic import Side
from gateway.model import Information, Mode
from gateway.routing.diff import Effect
from gateway.routing.route import RouteSpec
from tests.gateway.admin.pages.families import PLAN_FAULTS
from tests.gateway.ledger.conftest import NOW
from tests.gateway.migration.cutovers.scene import config_of, plan_of

if TYPE_CHECKING:
    from pathlib import Path

WORDS = [Words(language, NOW, Names({"nordfjell": "Nordfjell kommune"})) for language in ("nb", "en")]
_CHECKS = set(re.findall(r'Finding\(\s*"(\w+)"', inspect.getsource(preflight)))
_CODES = set(re.findall(r'"((?:plan|epj|service|token|rollback|rehearsals|losses|senders|acknowledgements|copies|time|step-back|rules|approvals)-[a-z-]+)"', inspect.getsource(preflight)))  # fmt: skip


@pytest.mark.parametrize("language", ["nb", "en"])
def test_every_state_event_check_and_finding_has_a_text(language: str) -> None:
    """A page never shows a word of the code instead."""
    assert len(_CHECKS) == 14
    assert len(_CODES) > 30
    wanted = {f"cut-{one}" for one in (*CutoverState, CHANGED, POSTPONED, APPROVAL, RETIRED)}
    wanted |= {f"cut-check-{one}" for one in _CHECKS} | {f"pre-{one}" for one in _CODES}
    wanted |= {f"plan-fault-{one}" for one in PLAN_FAULTS} | {f"side-{one}" for one in Side}
    wanted |= {f"effect-of-{one}" for one in (*Effect, "partly")}
    wanted |= {
        f"own-{one}" for one in ("approved", "draining", "switched", "rolled_back", "missed", "refused", RETIRED)
    }
    wanted |= {f"part-{one}" for one in preflight.Part}
    assert wanted - set(TEXTS[language]) == set()
    assert inspect.getmodule(CutoverState) is cutover


@pytest.mark.parametrize("w", WORDS, ids=lambda w: w.language)
def test_what_the_rules_of_the_file_say_of_a_plan_has_a_sentence(w: Words, tmp_path: Path) -> None:
    """For every mode, group of types and municipality, with and without a service."""
    told = set()
    for status, mode, place in product(("test", "prototype"), Mode, ("nordfjell", "sorvik", "havnes")):
        config = config_of(tmp_path, status=status)
        for types in (("notat",), ("pasientinfo",), ("diagnoser",), None):
            told |= set(faults(plan_of(set=(RouteSpec(municipality=place, information=types, mode=mode),)), config))
    assert len(told) > 10
    for one in told:
        said = plan_words.fault(w, one)
        assert said.original == "", one
        assert said.change == 0
        assert "{" not in said.text


@pytest.mark.parametrize("w", WORDS, ids=lambda w: w.language)
def test_what_is_wrong_with_a_plans_numbers_has_a_sentence(w: Words, tmp_path: Path) -> None:
    """Each about its field."""
    config = config_of(tmp_path)
    gate = GateRequest(rehearsed_at_least=0, clean_at_least=2.0, within=0.0)
    back = RollBackRequest(failed_at_least=0.0, of_at_least=0, within=0.0, held_at_least=0.0)
    told = faults(plan_of(gate=gate, roll_back_when=back, approvals=-1), config)
    said = [plan_words.fault(w, one) for one in told]
    assert [one.original for one in said] == [""] * 8
    assert {one.field for one in said} == {
        *("gate_messages", "gate_clean", "gate_days", "back_failed", "back_held", "back_messages", "back_minutes"),
        "approvals",
    }


def test_what_has_no_sentence_is_told_as_programs_are_told_it() -> None:
    """Nothing is kept from whoever has to mend it."""
    said = plan_words.fault(WORDS[0], "set[2]: something new")
    assert (said.change, said.text, said.original) == (2, "Planen kan ikke brukes slik den er.", "something new")


def test_types_and_modes_are_told_as_words() -> None:
    """None of the product's code words is left in a sentence."""
    said = plan_words.fault(WORDS[0], "set[0]: new needs jft in epj.reads of nordfjell: nordfjell, tilsyn").text
    assert (
        said
        == "Journalsystemet i Nordfjell kommune leser ikke fra journalføringstjenesten (JFT), så «flyttet» er ikke mulig ennå."
    )
    assert {Mode.NEW.value, Information.TILSYN.value} & set(said.split()) == set()


@pytest.mark.parametrize(
    ("upstreams", "said"),
    [
        (
            {"jft": "jft", "vkp": "vkp"},
            ("Journalføringstjenesten (JFT) er klar", "The journaling service (JFT) is ready"),
        ),
        (
            {"jft": "jft", "jft-2": "jft"},
            ("Journalføringstjenesten (JFT) «jft» er klar", "The journaling service (JFT) “jft” is ready"),
        ),
        ({}, ("Jft er klar", "Jft is ready")),
    ],
)
def test_a_service_is_called_by_its_proper_name(upstreams: dict[str, str], said: tuple[str, str]) -> None:
    """By its name in the file too where several are of its kind, and by that alone where it is there no more."""
    found = preflight.Finding("service", True, "", "service-status", {"name": "jft", "status": "test"})
    for language, begins in zip(("nb", "en"), said, strict=True):
        words = Words(language, NOW, Names(upstreams=upstreams))
        assert plan_words.finding(words, found).startswith(begins)
        told = plan_words.fault(words, "new needs a service with status production in environment x, and jft has test")
        assert told.text.startswith(begins.partition(" er")[0].partition(" is")[0])

"""A dispense with several codes: they may say one thing in several tables, and never two things."""

from __future__ import annotations

import json
from importlib import resources
from itertools import permutations
from typing import Any

import pytest

from translators.contract import Settings, Translation
from translators.fhir.json_codec import decode
from translators.national_number import TEST_KINDS
from translators.translate import translate

SYSTEMS = "http://ehelse.no/fhir/CodeSystem/vkp-"
EVENTS, OF_STU3, ALERT = (
    f"{SYSTEMS}{name}"
    for name in ("medicationdispense-events-v090", "medicationdispense-events-v06", "alert-code-v090")
)
DISPENSED = {(EVENTS, "1"), (OF_STU3, "1")}
FAILED = {(OF_STU3, "2"), (ALERT, "1.1")}
TESTED = {(OF_STU3, "0"), (EVENTS, "0")}
KINDS = (DISPENSED, FAILED, TESTED)
OTHERS = {("http://dispenser.example/events", "0"), (f"{SYSTEMS}composition-section-v090", "2")}


def _translated(surface: str, *codes: tuple[str, str]) -> Translation:
    folder = resources.files("translators").joinpath("examples")
    of_stu3 = surface == "vkp-stu3"
    sent: dict[str, Any] = json.loads(
        folder.joinpath("stu3/dispensed.json" if of_stu3 else "dispensed.json").read_text("utf-8")
    )
    dispense = sent["entry"][1]["resource"] if of_stu3 else sent
    dispense["category"] = {"coding": [{"system": system, "code": code} for system, code in codes]}
    return translate(decode(json.dumps(sent).encode()), surface, "jft", Settings(TEST_KINDS))


@pytest.mark.parametrize("surface", ["vkp-r4", "vkp-stu3"])
def test_codes_that_say_two_things_are_refused_in_either_order(surface: str) -> None:
    """Which of them a reader takes nobody knows: a failure is no dispense, and what happened is no test that nobody is told of."""
    for one, other in permutations(KINDS, 2):
        for pair in ((first, second) for first in one for second in other):
            found = _translated(surface, *pair)
            assert found.refusal is not None, pair
            assert found.undelivered is None, pair
            assert not found.calls, pair


@pytest.mark.parametrize("surface", ["vkp-r4", "vkp-stu3"])
def test_code_beside_one_of_another_code_system_says_what_it_says_alone(surface: str) -> None:
    """A vendor's own code, and VKP's for something else than a dispense, say nothing of the event."""
    for code in ((OF_STU3, "1"), (OF_STU3, "2"), (OF_STU3, "0")):
        alone = _translated(surface, code)
        for other in OTHERS:
            for pair in ((code, other), (other, code)):
                found = _translated(surface, *pair)
                assert found.refusal is None, pair
                assert found.undelivered == alone.undelivered, pair
                assert [call.path for call in found.calls] == [call.path for call in alone.calls], pair


def test_codes_of_two_tables_that_say_one_thing_are_taken() -> None:
    """Today's code beside that of STU3 is how senders move from one to the other."""
    for surface in ("vkp-r4", "vkp-stu3"):
        for pair in (((OF_STU3, "1"), (EVENTS, "1")), ((OF_STU3, "2"), (ALERT, "1.1"))):
            assert _translated(surface, *pair).refusal is None, (surface, pair)

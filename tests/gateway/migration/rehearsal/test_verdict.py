"""A rehearsal says what mode `new` would have made of a message, in words that are alike for messages that fail alike."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs

from gateway.ledger.findings import LONGEST, general
from gateway.ledger.rehearsals import RehearsalVerdict
from gateway.migration.rehearsal_verdict import JudgedMessage, Rehearsal, defect_of, judge
from gateway.pipeline.translate import ClaimedSettings
from tests.gateway.migration.rehearsal.scene import (
    LOCAL_SYSTEM,
    NORDFJELL_R4,
    NORDFJELL_STU3,
    PATIENT,
    REHEARSE,
    SENDER,
    identified,
    loaded,
    with_local_number,
    with_subject,
)
from tests.gateway.world import message, stu3_message
from tests.translators.test_properties import TOLERANT, older_messages, valid_messages
from translators.translate import translate

NOW = datetime(2026, 11, 3, 8, tzinfo=UTC)


def judged(
    target: str, body: bytes, *, sender: str | None = SENDER, routes: str = REHEARSE, local: bool = False
) -> JudgedMessage:
    """Rehearse one message of Nordfjell."""
    config, table = loaded(routes)
    if local:
        config = with_local_number(config, "4711", PATIENT)
    found = identified(config, table, target, body, sender)
    route = table.decide(found.envelope, NOW).route
    return judge(Rehearsal(ClaimedSettings(config), structs.replace(found, content=None), route, NOW, body, "r"))


@pytest.mark.parametrize(
    ("target", "name", "information"),
    [
        ("composition", "note", "notat"),
        ("medicationdispense", "dispensed", "medisinering"),
        ("bundle", "measurement", "maledata"),
        ("encounter", "encounter-alone", "tilsyn"),
    ],
)
def test_message_that_the_new_side_takes_as_it_is_is_clean(target: str, name: str, information: str) -> None:
    """With its information type, and nothing to say of it."""
    assert judged(f"{NORDFJELL_R4}/{target}", message(name)) == JudgedMessage(RehearsalVerdict.CLEAN, "", information)


def test_corrections_are_named_each_once_in_order() -> None:
    """So that messages with the same faults are counted together."""
    found = judged(f"{NORDFJELL_R4}/bundle", message("quirks"))
    assert found.verdict is RehearsalVerdict.REPAIRED
    rules = found.reason.split(", ")
    assert rules == sorted(set(rules))
    assert "object-wrapped-in-array" in rules


def test_refusal_names_fault_and_place_without_indexes_and_values() -> None:
    """A wrong patient number is told by where it stands."""
    found = judged(f"{NORDFJELL_R4}/bundle", message("bad-patient"))
    assert found.verdict is RehearsalVerdict.REFUSED
    assert found.reason.startswith("patient: Bundle.entry.resource.subject.identifier.value: not a valid national")


def test_untolerated_loss_is_a_refusal_and_a_tolerated_one_is_not() -> None:
    """The route's own policy is applied."""
    body = message("note").replace(b'"status"', b'"unheard": "x", "status"', 1)
    assert judged(f"{NORDFJELL_R4}/composition", body).reason == "loss: would be lost: Composition.unheard"
    tolerant = REHEARSE.replace("mode: rehearse", "mode: rehearse, losses: [Composition.unheard]")
    assert judged(f"{NORDFJELL_R4}/composition", body, routes=tolerant).verdict is RehearsalVerdict.CLEAN


def test_what_would_be_no_valid_r4_is_refused_with_all_its_faults() -> None:
    """A rehearsal says clean only of what would be accepted."""
    body = message("note").replace(b'"status"', b'"language": " ", "status"', 1)
    spoilt = json.dumps(json.loads(body) | {"date": "03.11.2026 08:00", "status": "done"}).encode()
    found = judged(f"{NORDFJELL_R4}/composition", spoilt)
    assert found.verdict is RehearsalVerdict.REFUSED
    assert found.reason.startswith("malformed: ")
    assert "Composition.status: not one of the codes that FHIR R4 has here" in found.reason
    assert "Composition.date: not a dateTime" in found.reason


def test_local_number_is_resolved_as_in_mode_new() -> None:
    """With the municipality's table it is clean, without it is refused."""
    body = with_subject(message("note"), LOCAL_SYSTEM, "4711")
    assert judged(f"{NORDFJELL_R4}/composition", body).verdict is RehearsalVerdict.REFUSED
    assert judged(f"{NORDFJELL_R4}/composition", body, local=True).reason == "patient-number-resolved"


@pytest.mark.parametrize("sender", [None, "Nobody", "Dignio_Havnes"])
def test_sender_that_the_register_does_not_have_is_refused(sender: str | None) -> None:
    """VKP lets it in today, and mode `new` would not."""
    found = judged(f"{NORDFJELL_R4}/composition", message("note"), sender=sender)
    assert (found.verdict, found.reason[:9]) == (RehearsalVerdict.REFUSED, "no-access")


def test_message_of_another_sender_than_the_token_names_is_refused() -> None:
    """STU3 says it in the message's own header."""
    found = judged(f"{NORDFJELL_STU3}/bundle", stu3_message("dispensed.xml"))
    assert (
        found.reason == "address: Bundle.entry.resource.receiver.identifier.value: another HER-id than the path names"
    )


def test_message_that_cannot_be_read_is_skipped() -> None:
    """It follows the route that names no information, in mode `new` too."""
    for body in (b"", b"{", b'{"resourceType": "Composition", "id": "a", "id": "b"}'):
        assert judged(f"{NORDFJELL_R4}/composition", body) == JudgedMessage(RehearsalVerdict.SKIPPED, "unreadable", "")


def test_reasons_are_alike_and_bounded() -> None:
    """Neither indexes nor counts tell two of them apart."""
    assert general("Bundle.entry[12].x: 3 values in FHIR R4") == general("Bundle.entry[0].x: 17 values in FHIR R4")
    assert len(general("x" * 1000)) == LONGEST


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b'{"resourceType":"Composition","status":" final "}', "Composition.status: whitespace-trimmed"),
        (b'{"resourceType":"Composition","unheard":"x"}', "Composition.unheard: not an element of FHIR R4 here"),
        (b'{"resourceType":"Flag","subject":[1,2]}', "2 values"),
        (b"{", "not well-formed JSON"),
        (b"[]", "a resource is expected here"),
    ],
)
def test_what_is_wrong_with_our_own_output_is_found(body: bytes, says: str) -> None:
    """By the tables that a strict service has too."""
    assert says in (defect_of(body) or "")


@settings(suppress_health_check=list(HealthCheck))
@given(st.one_of(valid_messages(), older_messages()))
def test_what_we_make_of_a_message_has_no_defect(tree: Any) -> None:
    """Whatever was sent: what is translated needs no correction any more."""
    for call in translate(tree, "vkp-r4", "jft", TOLERANT).calls:
        assert defect_of(call.body) is None

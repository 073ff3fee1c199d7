"""A canary takes over a stable share of the patients, and of nobody whom no usable number names."""

from __future__ import annotations

import base64
import json
import random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.model import KeyFiles
from gateway.ledger.key_files import load_keys, make_missing, read_single
from gateway.pipeline.canary import Canary, share_of
from gateway.pipeline.pipeline import Pipeline
from gateway.runtime import build
from tests.gateway.migration.rehearsal.scene import (
    CANARY,
    LOCAL_SYSTEM,
    NORDFJELL_R4,
    NORDFJELL_STU3,
    PATIENT,
    identified,
    loaded,
    with_local_number,
    with_subject,
)
from tests.gateway.world import HAVNES, NORDFJELL, message, stu3_message

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from tests.gateway.world import World

    Start = Callable[..., Awaitable[World]]

KEY = b"k" * 32
NATIONAL = "urn:oid:2.16.578.1.12.4.1.4.1"
OTHER = "01813210165"
NUMBERS = st.text("0123456789", min_size=11, max_size=11)
KEYS = st.binary(min_size=32, max_size=32)


def share(target: str, body: bytes, *, key: bytes | None = KEY, local: dict[str, str] | None = None) -> float | None:
    """Return where the patient of a message stands."""
    config, table = loaded(CANARY)
    for number, national in (local or {}).items():
        config = with_local_number(config, number, national)
    return Canary(config, key).placed(identified(config, table, target, body)).envelope.share


@given(KEYS, NUMBERS)
def test_share_is_stable_and_below_one(key: bytes, number: str) -> None:
    """The same for the same key and number, so on every node and after every restart; a share of 100% takes everyone."""
    assert 0.0 <= share_of(key, number) < 1.0
    assert share_of(key, number) == share_of(bytes(key), str(number))


def test_share_is_what_it_was_in_the_version_before() -> None:
    """Another result would move patients who are under way."""
    assert share_of(KEY, PATIENT) == 0.6868450486675214


def test_shares_are_spread_evenly() -> None:
    """Of many patients each tenth has about a tenth, and each key spreads them anew."""
    numbers = [f"{random.Random(seed).randrange(10**11):011d}" for seed in range(20_000)]  # noqa: S311 - a sample
    tenths = [0] * 10
    for number in numbers:
        tenths[int(share_of(KEY, number) * 10)] += 1
    # Six standard deviations of a tenth of 20,000.
    assert all(abs(each - 2_000) < 255 for each in tenths)
    both = sum(share_of(KEY, number) < 0.5 and share_of(b"x" * 32, number) < 0.5 for number in numbers)
    assert abs(both - 5_000) < 370


@given(NUMBERS, st.floats(0, 1), st.floats(0, 1))
def test_larger_share_only_adds_patients(number: str, one: float, other: float) -> None:
    """Who is taken over with 5% is so with 20%."""
    less, more = sorted((one, other))
    assert share_of(KEY, number) >= less or share_of(KEY, number) < more


def test_patient_stands_at_the_same_place_in_every_form() -> None:
    """XML, JSON and R4, alone or in a message."""
    stands = {
        share(f"{NORDFJELL_STU3}/bundle", stu3_message("dispensed.xml")),
        share(f"{NORDFJELL_STU3}/bundle", stu3_message("dispensed.json")),
        share(f"{NORDFJELL_R4}/composition", with_subject(message("note"), NATIONAL, "05894910005")),
        share_of(KEY, "05894910005"),
    }
    assert len(stands) == 1
    assert share(f"{NORDFJELL_R4}/composition", message("note")) not in stands


@pytest.mark.parametrize("numbers", [(PATIENT, OTHER), (OTHER, PATIENT)])
def test_patient_of_two_numbers_stands_at_one_place_whatever_their_order(numbers: tuple[str, str]) -> None:
    """Wherever a message has them."""
    subjects = [{"identifier": {"system": NATIONAL, "value": number}} for number in numbers]
    patient = {"resourceType": "Patient", "identifier": [subject["identifier"] for subject in subjects]}
    observations = [{"resourceType": "Observation", "subject": subject} for subject in subjects]
    entries = [{"resource": resource} for resource in (*observations, patient)]
    body = json.dumps({"resourceType": "Bundle", "type": "document", "entry": entries}).encode()
    assert share(f"{NORDFJELL_R4}/bundle", body) == share_of(KEY, min(numbers))


def test_local_number_stands_where_its_national_one_does() -> None:
    """The municipality's table resolves it first; without that there is no place."""
    body = with_subject(message("note"), LOCAL_SYSTEM, "4711")
    assert share(f"{NORDFJELL_R4}/composition", body, local={"4711": PATIENT}) == share_of(KEY, PATIENT)
    assert share(f"{NORDFJELL_R4}/composition", body) is None


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("bundle", message("bad-patient")),
        ("composition", with_subject(message("note"), NATIONAL, "13116900216")),
        ("composition", with_subject(message("note"), "http://record.example/other", PATIENT)),
        ("composition", b'{"resourceType":"Composition"}'),
        ("composition", b"{"),
    ],
    ids=["wrong digits", "another environment's", "no national system", "nobody", "unreadable"],
)
def test_without_a_usable_number_there_is_no_place(path: str, body: bytes) -> None:
    """The message goes to VKP."""
    assert share(f"{NORDFJELL_R4}/{path}", body) is None


def test_test_message_and_missing_key_have_no_place() -> None:
    """One is about nobody; without the other nothing is taken over."""
    assert share(f"{NORDFJELL_STU3}/bundle", stu3_message("test.xml")) is None
    assert share(f"{NORDFJELL_R4}/composition", message("note"), key=None) is None


def test_key_of_the_canary_is_loaded_with_the_others(tmp_path: Path) -> None:
    """And is never shown."""
    make_missing(KeyFiles(), tmp_path, 1_790_000_000)
    keys = load_keys(KeyFiles(), tmp_path)
    assert keys.canary == read_single(KeyFiles().canary, tmp_path).secret
    assert "canary" not in repr(keys)


# Through real ports.


def routes(part: str, *more: str) -> str:
    """Return routes with a canary in Nordfjell that takes over this part."""
    policies = "".join(f", {each}" for each in more)
    return (
        "  - {mode: legacy}\n"
        '  - {municipality: havnes, mode: closed, text: "Ikke ennå."}\n'
        f"  - {{municipality: nordfjell, information: [journaling], mode: canary, share: {part}{policies}}}\n"
    )


@pytest.fixture
def with_key(start: Start, monkeypatch: pytest.MonkeyPatch) -> Start:
    """Start gateways whose exchanges have a known canary key."""
    monkeypatch.setattr(build, "Pipeline", lambda *given, **named: Pipeline(*given, **{**named, "canary_key": KEY}))
    return start


def note(patient: str) -> bytes:
    """Return a note about a patient."""
    return with_subject(message("note"), NATIONAL, patient)


async def test_each_patient_is_on_one_side(with_key: Start) -> None:
    """A share between two patients sends one to JFT and leaves the other to VKP byte for byte; the log says which."""
    world = await with_key(routes=routes("50%"))
    taken, left = OTHER, PATIENT
    assert share_of(KEY, taken) < 0.5 < share_of(KEY, left)
    body = note(left)
    for number in (taken, left, taken):
        assert (await world.post(f"/epj/r4/{NORDFJELL}/composition", note(number))).status == 200
    assert [one.body for one in world.vkp.received] == [base64.b64encode(body).decode()]
    assert len(world.delivered) == 2
    logged = [(one["mode"], one["canary"], one["layer"], one["rule"]) for one in world.logged.named("message")]
    assert logged == [("new", True, "routes", None), ("legacy", True, "routes", None), ("new", True, "routes", None)]
    world.assert_discreet()


async def reload(world: World, text: str) -> None:
    """Let the gateway take other routes."""
    world.write(routes=text)
    done = await world.gateway.reload()
    assert done.taken, done.problems


async def test_lists_of_senders_decide_before_the_share(with_key: Start) -> None:
    """All of a sender's patients, or none; whoever has no usable number goes to VKP in any case."""
    world = await with_key(routes=routes("1%", "always: [Everywhere]"))
    assert (await world.post(f"/epj/r4/{NORDFJELL}/composition", note(PATIENT))).status == 200
    assert (len(world.delivered), len(world.vkp.received)) == (1, 0)
    await world.post(f"/epj/r4/{NORDFJELL}/composition", with_subject(message("note"), LOCAL_SYSTEM, "4711"))
    assert (len(world.delivered), len(world.vkp.received)) == (1, 1)
    await reload(world, routes("100%", "never: [Everywhere]"))
    await world.post(f"/epj/r4/{NORDFJELL}/composition", note(OTHER))
    assert (len(world.delivered), len(world.vkp.received)) == (1, 2)


async def test_without_a_key_nothing_is_taken_over(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither fails."""
    monkeypatch.setattr(build, "Pipeline", lambda *given, **named: Pipeline(*given, **{**named, "canary_key": None}))
    world = await start(routes=routes("100%"))
    assert (await world.post(f"/epj/r4/{NORDFJELL}/composition", note(PATIENT))).status == 200
    assert (len(world.delivered), len(world.vkp.received)) == (0, 1)
    assert (await world.post(f"/epj/r4/{HAVNES}/composition", note(PATIENT))).status == 400
    assert [one["canary"] for one in world.logged.named("message")] == [True, False]

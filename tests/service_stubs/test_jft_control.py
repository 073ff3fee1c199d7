"""What tests ask of the double of JFT beside its interface: what it accepted, and to be read, acknowledged or away."""

from __future__ import annotations

import asyncio
import hashlib
import json
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from service_stubs.behaviour import Behaviour, Mix, Script, Weighted
from service_stubs.jft import JftStub
from service_stubs.listening import running

if TYPE_CHECKING:
    from service_stubs.helseid import HelseIdStub
    from tests.service_stubs.conftest import Clock, Sender

NOW = "2026-05-28T20:26:40+00:00"
MIX = Mix(mix=[Weighted(8, Behaviour()), Weighted(1, Behaviour(status=503)), Weighted(1, Behaviour(status="drop"))])


class Double:
    """A JFT and one who fills it."""

    def __init__(self, sender: Sender, jft: JftStub, token: str) -> None:
        self.sender = sender
        self.jft = jft
        self.token = token

    async def submit(self, resource: dict[str, Any]) -> str:
        """Submit a resource and return its event's address."""
        url = f"{self.jft.write_url}/v1/{resource['resourceType']}"
        status, _, location = await self.sender.call("POST", url, self.token, json=resource)
        assert status == 202
        return location

    async def events(self) -> list[dict[str, Any]]:
        """Return what was accepted, which both listeners tell."""
        found = []
        for url in (self.jft.write_url, self.jft.read_url):
            async with self.sender.session.get(f"{url}/stub/events") as response:
                found.append(await response.json())
        assert found[0] == found[1]
        return list(found[0])

    async def tell(self, what: str, body: Any) -> int:
        """Post what the double is to do."""
        async with self.sender.session.post(f"{self.jft.read_url}/stub/{what}", json=body) as response:
            return response.status


@pytest.fixture
async def double(sender: Sender, helseid: HelseIdStub, jft: JftStub) -> Double:
    """Make a double with its sender."""
    return Double(sender, jft, await sender.token(helseid.url))


async def test_accepted_events_are_listed_in_order(
    double: Double, document: dict[str, Any], composition: dict[str, Any]
) -> None:
    """Whose they are, what they are known by, and what they said, as a hash of the body."""
    locations = [await double.submit(document), await double.submit(composition)]
    first, second = await double.events()
    assert [first["id"], second["id"]] == [location.split("/")[-2] for location in locations]
    assert first == {
        "id": first["id"],
        "resource_type": "Bundle",
        "orgnr_parent": double.sender.orgnr,
        "business_id": "urn:uuid:0b0e7f0e",
        "sha256": hashlib.sha256(json.dumps(document).encode()).hexdigest(),
        "registered": NOW,
        "read": None,
        "acknowledged": None,
    }
    assert (second["resource_type"], second["business_id"]) == ("Composition", None)


@pytest.mark.parametrize(
    ("identifier", "expected"),
    [([{"value": "A"}, {"value": "B"}], "A"), ({"value": "A"}, "A"), ([], None), ({"system": "s"}, None)],
)
async def test_business_id_is_the_first_identifier(identifier: Any, expected: str | None, jft: JftStub) -> None:
    """A list of them, as most resources have it, or one."""
    text = json.dumps({"resourceType": "MedicationDispense", "identifier": identifier})
    caller: Any = None
    assert jft.events.add("MedicationDispense", text, caller, None, 0.0).business_id == expected


async def test_event_that_was_taken_without_an_answer_is_listed(double: Double, composition: dict[str, Any]) -> None:
    """Accepted is accepted, whatever the sender heard; what was dropped before it was handled is not."""
    for status, count in (("drop", 0), ("202-then-drop", 1)):
        double.jft.behave(Behaviour(status=status))  # type: ignore[arg-type]
        with pytest.raises(aiohttp.ClientError):
            await double.submit(composition)
        assert len(await double.events()) == count


@pytest.mark.parametrize(("what", "stage"), [("read", "read"), ("acknowledge", "acknowledged")])
async def test_epj_reads_and_acknowledges_as_told(
    *, double: Double, composition: dict[str, Any], clock: Clock, what: str, stage: str
) -> None:
    """Some events or all of them; each stage is reached once."""
    ids = [(await double.submit(composition)).split("/")[-2] for _ in range(3)]
    assert await double.tell(what, {"ids": ids[:1]}) == 204
    assert [event[stage] for event in await double.events()] == [NOW, None, None]
    clock.now += 60
    assert await double.tell(what, {"ids": "all"}) == 204
    assert [event[stage] for event in await double.events()] == [NOW, *["2026-05-28T20:27:40+00:00"] * 2]


@pytest.mark.parametrize(
    ("body", "status"),
    [({"ids": ["x"]}, 404), ({"ids": "some"}, 400), ({}, 400), ({"ids": [], "x": 1}, 400), ([], 400)],
)
async def test_mistaken_orders_change_nothing(
    *, double: Double, composition: dict[str, Any], body: Any, status: int
) -> None:
    """A test that misspells is told so."""
    event_id = (await double.submit(composition)).split("/")[-2]
    if isinstance(body, dict) and body.get("ids") == ["x"]:
        body = {"ids": [event_id, "x"]}
    assert await double.tell("acknowledge", body) == status
    assert [event["acknowledged"] for event in await double.events()] == [None]


async def test_status_may_have_its_older_name(
    sender: Sender, helseid: HelseIdStub, clock: Clock, composition: dict[str, Any]
) -> None:
    """A client must understand both."""
    async with running(JftStub(helseid.issuer, checks="light", clock=clock, status_field="journaled")) as jft:
        double = Double(sender, jft, await sender.token(helseid.url))
        location = await double.submit(composition)
        await double.tell("acknowledge", {"ids": "all"})
        _, status, _ = await sender.call("GET", location, double.token)
    assert status == {"registered": NOW, "read": None, "journaled": NOW, "failed": None}


@pytest.mark.fact("jft-status")
async def test_an_event_may_be_lost_after_it_was_accepted(
    sender: Sender, helseid: HelseIdStub, clock: Clock, composition: dict[str, Any]
) -> None:
    """No search finds it; the status of February says so, and that of today does not."""
    for field, shown in (("journaled", {"failed": NOW}), ("journalingAcknowledged", {})):
        async with running(JftStub(helseid.issuer, checks="light", clock=clock, status_field=field)) as jft:
            double = Double(sender, jft, await sender.token(helseid.url))
            location = await double.submit(composition)
            assert await double.tell("fail", {"ids": "all"}) == 204
            _, status, _ = await sender.call("GET", location, double.token)
            _, found, _ = await sender.call("GET", f"{jft.read_url}/v1/Composition", double.token)
        assert status == {"registered": NOW, "read": None, field: None, **shown}
        assert "entry" not in found


async def test_a_municipality_without_an_agreement_is_refused(
    sender: Sender, helseid: HelseIdStub, clock: Clock, composition: dict[str, Any]
) -> None:
    """403, though its token is right."""
    agreements = frozenset({"310000002"})
    async with running(JftStub(helseid.issuer, checks="light", clock=clock, agreements=agreements)) as jft:
        url = f"{jft.write_url}/v1/Composition"
        status, _, _ = await sender.call("POST", url, await sender.token(helseid.url), json=composition)
    assert status == 403


@pytest.mark.fact("jft-too-many")
async def test_it_may_ask_to_be_left_alone(double: Double, composition: dict[str, Any]) -> None:
    """429 with the seconds to wait."""
    assert await double.tell("behaviour", {"status": 429, "retry_after": 7}) == 204
    url = f"{double.jft.write_url}/v1/Composition"
    async with double.sender.session.post(url, json=composition) as response:
        assert (response.status, response.headers["Retry-After"]) == (429, "7")


# Behaviours by chance.


def _drawn(mix: Mix, count: int) -> list[Any]:
    script = Script()
    script.follow(mix)
    return [script.next().status for _ in range(count)]


def test_mix_is_the_same_for_the_same_seed() -> None:
    """A chaos test that fails can be repeated; another seed is another order."""
    mixes = [Mix(mix=MIX.mix, seed=seed, times=-1) for seed in (7, 7, 8)]
    first, again, other = (_drawn(mix, 200) for mix in mixes)
    assert first == again != other
    assert {None, 503, "drop"} == set(first)
    assert first.count(None) > first.count(503) + first.count("drop")


def test_mix_ends_after_its_times() -> None:
    """As one behaviour does; -1 is until it is changed."""
    assert _drawn(Mix(mix=[Weighted(1, Behaviour(status=500))], times=2), 4) == [500, 500, None, None]
    assert set(_drawn(Mix(mix=[Weighted(1, Behaviour(status=500))], times=-1), 1000)) == {500}
    script = Script()
    script.follow(Behaviour(status=500, times=-1))
    assert {script.next().status for _ in range(1000)} == {500}
    script.follow(Behaviour(times=0))
    assert script.next().status is None


async def test_mix_is_taken_from_outside(double: Double, composition: dict[str, Any]) -> None:
    """`POST /stub/behaviour` takes one behaviour or a mix."""
    mix = [{"weight": 1, "behaviour": {"status": 503}}]
    assert await double.tell("behaviour", {"mix": mix, "seed": 3, "times": 2}) == 204
    url = f"{double.jft.write_url}/v1/Composition"
    statuses = [(await double.sender.call("POST", url, double.token, json=composition))[0] for _ in range(3)]
    assert statuses == [503, 503, 202]


@pytest.mark.parametrize(
    "body",
    [
        {"mix": []},
        {"mix": [{"weight": 0, "behaviour": {}}]},
        {"mix": [{"weight": 1}]},
        {"mix": [{"weight": 1, "behaviour": {"status": 99}}]},
        {"mix": [{"weight": 1, "behaviour": {}}], "status": 503},
        {"mix": [{"weight": 1, "behaviour": {}}], "times": -2},
        {"times": -2},
        [],
    ],
)
async def test_wrong_mixes_are_refused(double: Double, body: Any) -> None:
    """The behaviour stays as it was."""
    assert await double.tell("behaviour", body) == 400
    assert double.jft._script.next() == Behaviour()


async def test_mix_serves_requests_at_once(double: Double, composition: dict[str, Any]) -> None:
    """What is accepted is listed, and nothing else."""
    double.jft.behave(Mix(mix=MIX.mix, times=-1))
    url = f"{double.jft.write_url}/v1/Composition"
    calls = (double.sender.call("POST", url, double.token, json=composition) for _ in range(30))
    answers = await asyncio.gather(*calls, return_exceptions=True)
    accepted = [one for one in answers if isinstance(one, tuple) and one[0] == 202]
    assert len(accepted) == len(await double.events())

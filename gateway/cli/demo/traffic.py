"""Sends the demo's traffic as legacy senders do, and looks at both sides whether it went as the routes say."""

import asyncio
import hashlib
import re
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import aiohttp
from msgspec import structs
from yarl import URL

from gateway.cli.demo.answers import Answer, read_answer
from gateway.cli.demo.scenarios import Expected, Flaw, Scenario, expected
from gateway.cli.demo.stage import Stage
from gateway.cli.demo.stu3_scenarios import her_id_of
from gateway.config.directory import Directory
from gateway.config.model import Sender
from gateway.model import Envelope, Mode
from gateway.routing.table import Decision
from gateway.surfaces.vkp_stu3 import surface as vkp_stu3

_PATIENCE, _PAUSE = 120, 0.5
"""How often, and after how many seconds, a search is sent again while what answers it is being copied."""
_UUID = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_ALARM_ID = re.compile(rb'(GlobalAlarmId", *"value": *")([0-9A-F]{16,32})')


@dataclass(frozen=True, slots=True)
class TrafficOutcome:
    """One message of the demo and what became of it."""

    name: str
    surface: str
    municipality: str
    sender: str
    information: str
    mode: str | None
    """Of a canary that; the upstream tells on which side the patient is."""
    upstream: str | None
    status: int
    code: str | None
    response: str | None
    """The code of an answer that is a message."""
    receiver: str | None
    type: str | None
    """The FHIR type that a search asks for; None for a journaling."""
    patients: int | None
    """How many patients the answer to a search is about."""
    as_expected: bool
    note: str
    """What differed, for a person; empty when nothing did."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """What the sender and the two worlds saw of one message."""

    status: int
    answer: Answer
    receiver: str | None
    faithful: bool
    """Whether VKP got exactly the bytes that were sent; true when VKP got none."""


async def send_all(stage: Stage, scenarios: list[Scenario]) -> AsyncIterator[TrafficOutcome]:
    """Send every scenario, one after the other."""
    async with aiohttp.ClientSession(skip_auto_headers=("Content-Type", "Accept", "User-Agent")) as session:
        crew = _Crew(stage, session)
        for scenario in scenarios:
            yield await crew.play(scenario)


class _Crew:
    def __init__(self, stage: Stage, session: aiohttp.ClientSession) -> None:
        self._stage = stage
        self._session = session
        self._body = b""
        """What is sent, or was sent last."""

    async def play(self, scenario: Scenario) -> TrafficOutcome:
        """Send one message and compare what happened with what the routes say."""
        if not scenario.is_again:
            self._body = with_own_ids(scenario.body)
        decision = self._decision(scenario)
        seen = await self._send(scenario)
        for _ in range(_PATIENCE):
            if scenario.kind is None or seen.status != 503:
                break
            # The copy that it is to be answered from is not whole yet.
            await asyncio.sleep(_PAUSE)
            seen = await self._send(scenario)
        note = "no route" if decision.mode is None else _difference(expected(scenario, decision.mode), seen)
        return TrafficOutcome(
            name=scenario.name,
            surface=scenario.surface,
            municipality=scenario.municipality,
            sender=scenario.sender,
            information=scenario.information,
            mode=Mode.CANARY if decision.is_canary else decision.mode,
            upstream=decision.upstream,
            status=seen.status,
            code=seen.answer.code,
            response=seen.answer.response,
            receiver=seen.receiver,
            type=scenario.kind,
            patients=seen.answer.patients if scenario.kind is not None else None,
            as_expected=not note,
            note=note,
        )

    def _decision(self, scenario: Scenario) -> Decision:
        """Return what the routes say of a message."""
        sender = self._sender(scenario)
        envelope = Envelope(
            scenario.surface,
            scenario.municipality,
            sender.key if sender else scenario.sender,
            sender.vendor if sender else None,
            sender.system if sender else None,
            scenario.information,
        )
        if scenario.kind is not None and scenario.form:
            # Below every share: of the demo's canaries it is the sender that decides.
            envelope = structs.replace(envelope, share=0.0)
        return self._stage.table.decide(envelope, datetime.now(UTC))  # noqa: TID251 - the demo's own clock

    def _sender(self, scenario: Scenario) -> Sender | None:
        directory = Directory(self._stage.config)
        find = directory.sender_by_her_id if scenario.surface == vkp_stu3.NAME else directory.sender_by_vkp_id
        return find(scenario.sender)

    async def _send(self, scenario: Scenario) -> _Seen:
        seen_at_vkp, seen_at_jft = await self._received(self._stage.vkp_url), await self._received(self._stage.jft_url)
        seen_at_epj = [len(await self._received(url)) for url in self._stage.epj_urls]
        orgnr = self._stage.config.municipalities[scenario.municipality].orgnr
        headers = {"Authorization": f"Bearer {await self._token(scenario)}"}
        if scenario.content_type is not None:
            headers["Content-Type"] = scenario.content_type
        if scenario.codes and scenario.kind is not None:
            headers["ServiceCodes"] = scenario.codes
        named = her_id_of(scenario.municipality) if scenario.surface == vkp_stu3.NAME else orgnr
        url = URL(self._stage.gateway_url + scenario.target(named), encoded=True)
        async with self._session.post(url, data=self._body, headers=headers) as response:
            status, body = response.status, await response.read()
        at_vkp = (await self._received(self._stage.vkp_url))[len(seen_at_vkp) :]
        at_jft = (await self._received(self._stage.jft_url))[len(seen_at_jft) :]
        accepted = [one for one in at_jft if one["status"] == 202 and one["orgnr_parent"] == orgnr]
        digest = hashlib.sha256(self._body).hexdigest()
        at_epj = sum([len(await self._received(url)) for url in self._stage.epj_urls]) - sum(seen_at_epj)
        ways = {(1, 0, 0): "vkp", (0, 1, 0): "jft", (0, 0, 1): "epj", (0, 0, 0): None}
        receiver = ways.get((len(at_vkp), len(accepted), at_epj), "both or twice")
        return _Seen(status, read_answer(body), receiver, all(one["sha256"] == digest for one in at_vkp))

    async def _token(self, scenario: Scenario) -> str:
        claim = "her_id" if scenario.surface == vkp_stu3.NAME else "vkp_id"
        wanted = {claim: scenario.sender, "signing": "other-key" if scenario.flaw is Flaw.TOKEN else "right"}
        async with self._session.post(f"{self._stage.helseid_url}/stub/token", json=wanted) as response:
            return str((await response.json())["access_token"])

    async def _received(self, url: str) -> list[dict[str, Any]]:
        async with self._session.get(f"{url}/stub/received") as response:
            received: list[dict[str, Any]] = await response.json(content_type=None)
            return received


def with_own_ids(body: bytes) -> bytes:
    """Return a message of its own: with new UUIDs, each put in everywhere that the old one stands, and another alarm id."""
    new: dict[bytes, bytes] = {}
    body = _ALARM_ID.sub(lambda found: found[1] + secrets.token_hex(16)[: len(found[2])].upper().encode(), body)
    return _UUID.sub(lambda found: new.setdefault(found[0], str(uuid4()).encode()), body)


def _difference(wanted: Expected, seen: _Seen) -> str:
    """Say what differs from what the routes promise; empty when nothing does."""
    differences = [
        f"{what} {was}, not {should}"
        for what, was, should in (
            ("status", seen.status, wanted.status),
            ("code", seen.answer.code, wanted.code),
            ("response", seen.answer.response, wanted.response),
            ("received by", seen.receiver, wanted.receiver),
            ("patients", seen.answer.patients, wanted.patients),
        )
        if was != should
    ]
    if not seen.faithful:
        differences.append("VKP got other bytes than were sent")
    return "; ".join(differences)

"""A running gateway with everything around it: a sender that writes raw bytes, and what must hold for every refusal."""

from __future__ import annotations

import asyncio
import io
import itertools
import json
import re
import uuid
from dataclasses import dataclass, field
from importlib import resources
from typing import TYPE_CHECKING, Any

from gateway.cli.demo.traffic import with_own_ids
from gateway.config.load import load
from gateway.observability import metrics, telemetry
from gateway.proxy.bounds import USUAL_BOUNDS, Bounds
from gateway.runtime.node import Node
from gateway.tasks import USUAL, Intervals
from service_stubs.clients import Client
from service_stubs.sender_tokens import SenderToken
from tests.gateway.wire import Answer, RawUpstream, read_message

if TYPE_CHECKING:
    from pathlib import Path

    from joserfc.jwk import ECKey

    from gateway.times import Clock
    from service_stubs.helseid import HelseIdStub
    from service_stubs.jft import JftStub


NORDFJELL, SORVIK, HAVNES, VIKAN = "312229544", "313231593", "315058384", "310000001"


CLIENT_ID = "6f6c8b0e-0d7e-4a4b-9d5b-5f2f4b7f9c11"


OUTCOME_CODES = "http://ehelse.no/fhir/CodeSystem/vkp-operation-outcome-v090"


ROUTES = """\
  - {mode: legacy}
  - {municipality: nordfjell, vendor: evondos, information: [medisinering], mode: new}
  - {municipality: sorvik, mode: closed, text: "Send etter mandag."}
  - {municipality: havnes, information: [journaling], mode: new}
  - {municipality: havnes, mode: closed, text: "Ikke ennå."}
  - {municipality: vikan, mode: new}
  - {municipality: vikan, information: [retrieval], mode: legacy}
"""


_FILE = """\
version: 1
environment: {environment}
listen: {{data: "127.0.0.1:{data}", admin: "127.0.0.1:{admin}"{listen}}}
limits: {{body: {body}, request_timeout: {timeout}, rate_per_sender: {rate}{limits}}}
helseid: {{issuer: "{issuer}", client_id: {client_id}, key_file: key.json{helseid}}}
{top}
upstreams:
  vkp: {{kind: vkp, url: "{vkp}"{vkp_host}}}
  jft: {{kind: jft, write_url: "{write}", read_url: "{read}", status: production{jft}}}
{upstreams}municipalities:
  nordfjell:
    {{name: Nordfjell kommune, orgnr: "312229544", her_ids: ["102287"],
     epj: {{system: Gerica, generation: legacy, reads: [jft]{epj}}}{nordfjell}}}
  sorvik:
    {{name: Sørvik kommune, orgnr: "313231593", her_ids: ["95938"], epj: {{system: CosDoc, generation: legacy}}}}
  havnes:
    {{name: Havnes kommune, orgnr: "315058384", her_ids: ["85441"]{patient_ids},
     epj: {{system: Helseplattformen, generation: new, reads: [jft]}}}}
  vikan:
    {{name: Vikan kommune, orgnr: "310000001", epj: {{system: Profil, generation: legacy, reads: [jft], feeds: [pit, okt]}}}}
vendors:
  dignio:
    name: Dignio
    systems:
      prevent: {{name: Dignio Prevent, senders: [{{vkp_id: Dignio_Havnes, her_id: "135233", municipality: havnes}}]}}
  skyresponse:
    name: Skyresponse
    systems:
      alarm:
        name: Skyresponse
        senders:
          - {everywhere}
          - {{vkp_id: Slow_Havnes, municipality: havnes, rate: 2/m}}
  evondos:
    name: Evondos
    systems:
      e300: {{name: Evondos E300, senders: [{{vkp_id: Evondos_Nordfjell, municipality: nordfjell}}]}}
routes:
{routes}"""


def message(name: str) -> bytes:
    """Return the bytes of one of the demo's messages."""
    return resources.files("translators").joinpath("examples", f"{name}.json").read_bytes()


def another(body: bytes) -> bytes:
    """Return a message of the demo as one of its own: with other UUIDs, and another alarm where it is about one."""
    return re.sub(rb"9F41C0DE7EF0[0-9]+", uuid.uuid4().hex.encode(), with_own_ids(body))


def stu3_message(name: str) -> bytes:
    """Return the bytes of one of the demo's STU3 messages, from HER-id 135240 to Havnes."""
    return resources.files("translators").joinpath("examples", "stu3", name).read_bytes()


@dataclass
class Logged:
    """What was logged: the events before they were masked, and the lines that came out."""

    stream: io.StringIO = field(default_factory=io.StringIO)
    events: list[dict[str, Any]] = field(default_factory=list)
    message: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the next message has been logged."""

    def named(self, event: str) -> list[dict[str, Any]]:
        """Every event of this name."""
        return [each for each in self.events if each["event"] == event]

    def forget(self) -> None:
        """Forget what was logged."""
        self.events.clear()

    def everything(self) -> str:
        """All that could be read by someone."""
        telemetry.flush()
        return self.stream.getvalue() + json.dumps(self.events, default=str, ensure_ascii=False)


def accepted_count() -> float:
    """How many messages were counted as accepted, of any kind."""
    samples = itertools.chain.from_iterable(family.samples for family in metrics.REGISTRY.collect())
    return sum(
        one.value for one in samples if one.name == "vkp_gateway_messages_total" and one.labels["outcome"] == "accepted"
    )


@dataclass
class World:
    """A running gateway with everything around it."""

    folder: Path
    data_port: int
    helseid: HelseIdStub
    vkp: Any
    jft: JftStub
    logged: Logged
    settings: dict[str, Any]
    admin_port: int
    gateway: Node = field(init=False)
    clock: Clock | None = None
    """The gateway's; None for the machine's."""
    intervals: Intervals = USUAL
    bounds: Bounds = USUAL_BOUNDS
    vkp_id: str = "Everywhere"
    sent: list[bytes] = field(default_factory=list)

    @property
    def config(self) -> Path:
        """The configuration's file."""
        return self.folder / "routes.yaml"

    async def serve(self) -> None:
        """Start a gateway with what the configuration says."""
        loaded = load(str(self.config))
        assert loaded.config is not None, [str(problem) for problem in loaded.problems]
        assert loaded.table is not None
        read = (str(self.config), loaded.config, loaded.table)
        self.gateway = Node(*read, clock=self.clock, intervals=self.intervals, bounds=self.bounds)
        await self.gateway.start()

    async def stop(self) -> None:
        """Stop the gateway, whichever runs now."""
        await self.gateway.stop()

    def write(self, **changes: Any) -> None:
        """Write routes.yaml with other settings."""
        self.settings = {**self.settings, **changes}
        self.config.write_text(_FILE.format(**self.settings), encoding="utf-8")

    def token(self, **wanted: Any) -> str:
        """Make a sender's token; right unless `wanted` spoils it."""
        return self.helseid.sender_token(SenderToken(**{"vkp_id": self.vkp_id, **wanted}))

    def request(
        self,
        target: str,
        body: bytes = b"",
        *,
        method: str = "POST",
        token: str | None = None,
        headers: tuple[tuple[str, str], ...] = (),
        length: bool = True,
    ) -> bytes:
        """Make a request's bytes; `token` None takes a good one, and an empty one leaves the field out."""
        token = self.token() if token is None else token
        fields = [("Host", "api.vkp.example")]
        fields += [("Authorization", f"Bearer {token}")] if token else []
        fields += [*headers, ("Connection", "close")]
        fields += [("Content-Length", str(len(body)))] if length else []
        head = f"{method} {target} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in fields)
        return head.encode("utf-8", "surrogateescape") + b"\r\n" + body

    async def send(self, raw: bytes) -> Answer:
        """Write bytes on a connection of their own and read the answer."""
        self.sent.append(raw)
        reader, writer = await asyncio.open_connection("127.0.0.1", self.data_port)
        try:
            writer.write(raw)
            await writer.drain()
            answer = await self.read_answer(reader)
        finally:
            writer.close()
        assert answer is not None, "the connection ended without an answer"
        return answer

    @staticmethod
    async def read_answer(reader: asyncio.StreamReader) -> Answer | None:
        """Read an answer; None when there is none, or half of one."""
        seen = await read_message(reader, answer=True)
        if seen is None or not seen.complete:
            return None
        _, status, reason = seen.line.split(b" ", 2)
        return Answer(int(status), reason, seen.headers, seen.body)

    async def post(self, target: str, body: bytes = b"", **options: Any) -> Answer:
        """Send a POST; a path that does not begin with a slash is below Havnes, whose journaling is new."""
        target = target if target.startswith("/") else f"/epj/r4/{HAVNES}/{target}"
        return await self.send(self.request(target, body, **options))

    def forget(self) -> None:
        """Forget what was sent, received and logged, so that the next case of a table stands by itself."""
        self.sent.clear()
        self.logged.forget()
        self.jft.received.clear()
        if isinstance(self.vkp, RawUpstream):
            self.vkp.forget()
        else:
            self.vkp.received.clear()

    @property
    def delivered(self) -> list[Any]:
        """What JFT accepted."""
        return [one for one in self.jft.received if one.status == 202]

    def assert_refused(self, answer: Answer, status: int, code: str) -> dict[str, Any]:
        """Check all that holds for a refusal; return its issue."""
        assert (answer.status, answer.code) == (status, code), answer.body
        outcome = answer.json
        assert outcome["resourceType"] == "OperationOutcome"
        issue: dict[str, Any] = outcome["issue"][0]
        assert issue["severity"] == "error"
        assert issue["details"]["coding"][0]["system"] == OUTCOME_CODES
        assert issue["details"]["coding"][0]["display"]
        assert issue["details"]["text"].strip()
        assert issue["diagnostics"].strip()
        assert answer.values("Content-Type") == ["application/fhir+json; charset=utf-8"]
        assert not self.delivered
        assert not self.named_messages("accepted")
        self.assert_discreet(answer)
        return issue

    def named_messages(self, outcome: str) -> list[dict[str, Any]]:
        """Return the logged messages with this outcome."""
        return [one for one in self.logged.named("message") if one["outcome"] == outcome]

    def assert_discreet(self, *answers: Answer) -> None:
        """No patient's number and no token is in an answer or a log line."""
        shown = self.logged.everything() + "".join(answer.body.decode() for answer in answers)
        shown += "".join(f"{name!r}{value!r}" for answer in answers for name, value in answer.headers)
        for raw in self.sent:
            for number in re.findall(rb"(?<!\d)\d{11}(?!\d)", raw):
                assert number.decode() not in shown, "a number of eleven digits is shown"
        assert "eyJ" not in shown, "a token is shown"


def registration(key: ECKey, **changes: Any) -> Client:
    """Describe the gateway as HelseID knows it."""
    known = {
        "client_id": CLIENT_ID,
        "name": "Gateway",
        "scopes": ["nhn:jft/api", "nhn:pit/api.read", "nhn:okt/api.read"],
        "jwks": {"keys": [key.as_dict(private=False)]},
    }
    return Client(**{**known, **changes})

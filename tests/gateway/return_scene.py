"""A ledger between the doubles of VKP and JFT, with messages that JFT has and messages that are held."""

from __future__ import annotations

import itertools
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gateway.auth.helseid.access_tokens import TokenEndpoint, TokenSource
from gateway.auth.helseid.client_assertion import ClientIdentity
from gateway.auth.helseid.dpop import DpopProver
from gateway.auth.helseid.http import HelseIdHttp
from gateway.auth.helseid.issuer import Issuer
from gateway.config import upstreams
from gateway.config.load import load
from gateway.config.upstreams import Follow
from gateway.ledger.crypto import LookupHasher, PayloadCipher
from gateway.ledger.database import open_store
from gateway.ledger.key_files import Keys
from gateway.ledger.messages import Ledger
from gateway.ledger.records import Arrival, Taken, Waiting
from gateway.ledger.returns import ReturnItem, Returns, Selection
from gateway.model import Place, RequestHead
from gateway.outbox.context import DeliveryContext
from gateway.outbox.order import sealed
from gateway.outbox.returns import Returner
from gateway.proxy.http_client import Caller
from gateway.routing.table import ActiveTable
from gateway.tasks import Intervals
from gateway.times import Clock
from gateway.upstreams.circuit_breaker import CircuitBreaker
from gateway.upstreams.jft import JftClient
from gateway.upstreams.vkp import VkpClient, VkpClients
from legacy_stubs.access import HER_ID_CLAIM, VKP_ID_CLAIM
from legacy_stubs.vkp_r4 import LegacyVkp
from service_stubs.helseid import HelseIdStub
from service_stubs.jft import JftStub
from service_stubs.listening import running
from service_stubs.signing import sign
from service_stubs.token_endpoint import Grant, access_token_claims
from tests.gateway.clocks import FakeClock
from tests.gateway.world import CLIENT_ID, HAVNES, message, registration, stu3_message
from translators.contract import Call

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from joserfc.jwk import ECKey

    from gateway.ledger.database import Database

NOW = 1_790_000_000.0
SCOPES = "nhn:vkp/api/user/bundle.write nhn:vkp/api/user/encounter.write"
FIELDS = ((b"Content-Type", b"text/plain"), (b"ServiceCodes", b"ta,gps"))
HAVNES_ALL = Selection("havnes", NOW - 3600)
LEGACY = "  - {mode: legacy}\n"
STILL_NEW = LEGACY + "  - {municipality: havnes, vendor: dignio, information: [varsel], mode: new}\n"
STILL_CANARY = STILL_NEW.replace("mode: new", "mode: canary, share: 1%")
_FILE = """\
version: 1
environment: test
helseid: {{issuer: "{issuer}", client_id: {client_id}, key_file: key.json}}
upstreams:
  vkp: {{kind: vkp, url: "{vkp}"{clients}}}
  jft: {{kind: jft, write_url: "{write}", read_url: "{read}", status: production}}
municipalities:
  havnes:
    {{name: Havnes kommune, orgnr: "315058384", her_ids: ["85441"],
     epj: {{system: Gerica, generation: legacy, reads: [jft]}}}}
  nordfjell:
    {{name: Nordfjell kommune, orgnr: "312229544", epj: {{system: Gerica, generation: legacy, reads: [jft]}}}}
vendors:
  dignio:
    name: Dignio
    systems:
      prevent: {{name: Dignio Prevent, senders: [{{vkp_id: Dignio_Havnes, her_id: "135233", municipality: havnes}}]}}
  evondos:
    name: Evondos
    systems:
      e300: {{name: Evondos E300, senders: [{{vkp_id: Evondos_Havnes, municipality: havnes}}]}}
routes:
{routes}"""


class HelseId(HelseIdStub):
    """A HelseID that knows our client as VKP registers its senders: with a vkp-id and a HER-id."""

    def _token_response(self, grant: Grant, now: float) -> dict[str, Any]:
        claims = access_token_claims(grant, self.issuer, now, self.token_seconds)
        claims |= {VKP_ID_CLAIM: "Gateway", HER_ID_CLAIM: "99001"}
        token = sign(self.signing_keys.current, claims, {})
        given = {"expires_in": self.token_seconds, "token_type": "DPoP", "scope": " ".join(grant.scopes)}
        return {"access_token": token, **given}


def made_keys() -> Keys:
    """Make keys of a ledger."""
    return Keys(PayloadCipher({"k1": bytes(32)}, "k1"), LookupHasher(bytes(32)))


def arrival(reference: str, at: float, **changes: Any) -> Arrival:
    """Describe a message from Havnes."""
    known: dict[str, Any] = {
        "reference": reference,
        "received_at": at,
        "surface": "vkp-r4",
        "municipality": "havnes",
        "sender": "Dignio_Havnes",
        "vendor": "dignio",
        "system": "prevent",
        "information": "varsel",
        "upstream": "jft",
        "patient": None,
        "identity": None,
        "copy": None,
        "promised": True,
        "resend_unclear": False,
        "acknowledge_within": 3600.0,
    }
    return Arrival(**{**known, **changes})


@dataclass
class Scene:
    """The doubles, the clients of them, and a ledger."""

    folder: Path
    helseid: HelseId
    vkp: LegacyVkp
    jft: JftStub
    store: Database
    jft_client: JftClient
    vkp_client: VkpClient | None
    keys: Keys = field(default_factory=made_keys)
    clock: FakeClock = field(default_factory=lambda: FakeClock(NOW))
    routes: str = LEGACY
    numbers: Any = field(default_factory=lambda: itertools.count(1))
    started: list[Returner] = field(default_factory=list)
    events: dict[str, str] = field(default_factory=dict)
    """JFT's ids by reference."""

    of_vendor: str = ""
    """What limits our client of VKP to a vendor: `, vendor: dignio`."""

    def __post_init__(self) -> None:
        self.ledger = Ledger(self.store, "node-0", self.clock)
        self.returns = Returns(self.ledger, self.clock)

    def means(self) -> DeliveryContext:
        """Return what the running configuration returns with."""
        urls = {"vkp": self.vkp.url, "write": self.jft.write_url, "read": self.jft.read_url}
        client = f'municipality: havnes, client_id: {CLIENT_ID}, key_file: key.json, scope: "{SCOPES}"{self.of_vendor}'
        clients = f", clients: [{{{client}}}]" if self.vkp_client is not None else ""
        text = _FILE.format(
            issuer=self.helseid.issuer, client_id=CLIENT_ID, routes=self.routes, clients=clients, **urls
        )
        (self.folder / "routes.yaml").write_text(text, encoding="utf-8")
        loaded = load(str(self.folder / "routes.yaml"))
        assert loaded.config is not None, [str(problem) for problem in loaded.problems]
        assert loaded.table is not None
        routes = ActiveTable(loaded.table)
        vkp = loaded.config.vkp
        made = VkpClients(vkp, {CLIENT_ID: self.vkp_client}) if vkp is not None and self.vkp_client else None
        return DeliveryContext(loaded.config, self.keys, self.jft_client, Follow(), routes, made)

    def returning(self, node: str = "node-0") -> Returner:
        """Make what a process returns with."""
        made = Returner(Ledger(self.store, node, self.clock), self.means, self.clock, Intervals(rewrite=0.0))
        self.started.append(made)
        return made

    async def held(self, *, surface: str = "vkp-r4", body: bytes | None = None, **changes: Any) -> str:
        """Hold a message."""
        found = await self._arrived(surface, body, wait=True, **changes)
        assert isinstance(found, Waiting)
        return found.reference

    async def delivered(self, *, surface: str = "vkp-r4", body: bytes | None = None, **changes: Any) -> str:
        """Deliver a message to JFT."""
        found = await self._arrived(surface, body, wait=False, **changes)
        assert isinstance(found, Taken), "others about the patient are pending"
        call = Call("jft", "POST", "/v1/Bundle", (("Content-Type", "application/json"),), message("alarm-follow-up"))
        submitted = await self.jft_client.submit(call, HAVNES, None, 5.0)
        await self.ledger.delivered(found.id, submitted.event_id, submitted.kind, next_poll=NOW + 1e6)
        self.events[found.reference] = submitted.event_id
        return found.reference

    async def _arrived(self, surface: str, body: bytes | None, *, wait: bool, **changes: Any) -> Any:
        number = next(self.numbers)
        wanted = arrival(f"r-{number:04}", self.clock(), surface=surface, **changes)
        target = f"/epj/r4/{HAVNES}/bundle" if surface == "vkp-r4" else "/epj/stu3/85441/bundle"
        content = body or (message("alarm-follow-up") if surface == "vkp-r4" else stu3_message("dispensed.xml"))
        head = RequestHead("POST", target, (*FIELDS, (b"Authorization", b"Bearer eyJsenders")))
        call = Call("jft", "POST", "/v1/Bundle", (), b"{}")
        return await self.ledger.arrive(
            wanted,
            lambda reference: sealed(self.keys.vault, reference, head, content, call),
            until=self.clock() + 30,
            window=1000.0,
            wait=wait,
        )

    def read(self, *references: str) -> None:
        """Let the record system fetch events."""
        for reference in references:
            event = self.jft.events.named(self.events[reference])
            assert event is not None
            event.read = NOW

    def acknowledge(self, *references: str) -> None:
        """Let the record system say that events are in the record."""
        for reference in references:
            event = self.jft.events.named(self.events[reference])
            assert event is not None
            event.acknowledged = NOW

    async def item(self, reference: str) -> ReturnItem:
        """Return what the ledger says of a message."""
        found = await self.returns.one(reference)
        assert found is not None
        return found

    async def states(self, *references: str) -> list[str]:
        """Return the states of messages."""
        return [(await self.item(each)).state.value for each in references]

    @property
    def taken(self) -> list[Any]:
        """What VKP accepted."""
        return [one for one in self.vkp.received if one.status == 200]


@asynccontextmanager
async def return_scene(folder: Path, key: ECKey) -> AsyncIterator[Scene]:
    """Run the doubles and open a ledger."""
    client = registration(key, scopes=["nhn:jft/api", *SCOPES.split()])
    async with (
        running(HelseId([client])) as helseid,
        running(JftStub(helseid.issuer)) as jft,
        running(LegacyVkp(issuer=helseid.issuer)) as vkp,
    ):
        prover = DpopProver(Clock())
        identity = ClientIdentity(CLIENT_ID, lambda: key, multi_tenant=True, assertion_field="assertion_details")
        endpoint = TokenEndpoint(
            Issuer(helseid.issuer, HelseIdHttp(helseid.issuer), Clock()), identity, prover, Clock()
        )
        tokens = TokenSource(endpoint, Clock())
        upstream = upstreams.JftUpstream(
            "jft",
            jft.write_url,
            jft.read_url,
            upstreams.Scopes("nhn:jft/api", "nhn:jft/api"),
            upstreams.ServiceStatus.TEST,
            Place("f", 1, 1),
        )
        callers = {"write": Caller(jft.write_url, None), "read": Caller(jft.read_url, None)}
        jft_client = JftClient(upstream, tokens, prover, **callers, breaker=CircuitBreaker(upstream.breaker))
        own = upstreams.VkpClient("havnes", None, CLIENT_ID, "key.json", SCOPES, Place("f", 1, 1))
        vkp_client = VkpClient(own, tokens, Caller(vkp.url, None))
        store = open_store(f"sqlite:///{folder / 'ledger.db'}", folder)
        scene = Scene(folder, helseid, vkp, jft, store, jft_client, vkp_client)
        try:
            yield scene
        finally:
            for each in scene.started:
                await each.stop(5.0)
            await store.close()

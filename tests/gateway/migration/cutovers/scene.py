"""Plans, a configuration that they are for, and what a ledger says of their cells."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import select, update

from gateway.config.load import load
from gateway.ledger import audit, decision_log, rehearsals
from gateway.ledger.decision_log import PastDecision
from gateway.ledger.messages import Ledger
from gateway.ledger.tables import CUTOVER
from gateway.migration import cutover_repository
from gateway.migration.cutover import Approval, Cutover, CutoverEvent, approved, begun
from gateway.migration.cutover_plan import GateRequest, Plan, RollBackRequest
from gateway.migration.scheduler import Scheduler
from gateway.model import Mode
from gateway.routing.route import RouteSpec
from tests.gateway.ledger.conftest import NOW

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.config.model import Config
    from gateway.ledger.database import Database
    from tests.gateway.ledger.conftest import Clock

AT = NOW + 3600
"""When plans of these tests switch."""
GATE = GateRequest(rehearsed_at_least=200, clean_at_least=0.995, within=7 * 86_400.0)
WATCH = RollBackRequest(failed_at_least=0.05, of_at_least=20, within=900.0)
KARI, OLA = ("sub-kari", "kari"), ("sub-ola", "ola")
SELECTOR = {"municipality": "nordfjell", "information": ("notat", "tilsyn")}
_FILE = """\
version: 1
environment: test
listen: {data: "127.0.0.1:1", admin: "127.0.0.1:2"}
helseid: {issuer: "http://127.0.0.1:3", client_id: gateway, key_file: key.json}
upstreams:
  vkp: {kind: vkp, url: "https://vkp.example"}
  jft: {kind: jft, write_url: "https://w.example", read_url: "https://r.example", status: %(status)s}
municipalities:
  nordfjell: {name: N, orgnr: "312229544", epj: {system: Gerica, generation: legacy, reads: [jft]}}
  sorvik: {name: S, orgnr: "313231593", epj: {system: CosDoc, generation: legacy}}
  havnes: {name: H, orgnr: "315058384", epj: {system: Helseplattformen, generation: new, reads: [jft]}}
vendors:
  dignio: {name: D, systems: {prevent: {name: P, senders: [{vkp_id: Dignio_Nordfjell, municipality: nordfjell}]}}}
  evondos: {name: E, systems: {e300: {name: E, senders: [{vkp_id: Evondos_Nordfjell, municipality: nordfjell}]}}}
routes:
  - {mode: legacy}
  - {municipality: havnes, mode: closed, text: "Nei."}
%(more)s"""


def config_of(folder: Path, *, status: str = "test", more: str = "") -> Config:
    """Return a configuration with these lines of routes."""
    path = folder / "routes.yaml"
    path.write_text(_FILE % {"status": status, "more": more}, encoding="utf-8")
    loaded = load(str(path))
    assert loaded.config is not None, [str(problem) for problem in loaded.problems]
    return loaded.config


def plan_of(**changed: Any) -> Plan:
    """Return a plan, with what a test says of it."""
    values: dict[str, Any] = {
        "name": "nordfjell-1",
        "at": datetime.fromtimestamp(AT, UTC),
        "set": (RouteSpec(**SELECTOR, mode=Mode.NEW),),
        "gate": GATE,
        "roll_back_when": WATCH,
        "approvals": 1,
        **changed,
    }
    return Plan(**values)


def submitted(plan: Plan | None = None, at: float = NOW) -> Cutover:
    """Return a plan that Kari has submitted."""
    return begun(plan or plan_of(), CutoverEvent(at, "node-a", "submitted", "kari", known=KARI))


def with_approval(record: Cutover, known: tuple[str, ...] = OLA, at: float = NOW) -> Cutover:
    """Return it with somebody's approval."""
    return approved(
        record, Approval(at, known[1], known, record.hash), CutoverEvent(at, "node-a", "approval", known[1])
    )


@dataclass
class Site:
    """A ledger with cutovers, under a clock that stands still, and the nodes that look after them."""

    store: Database
    clock: Clock
    config: Config

    def runner(self, node: str = "node-a") -> Scheduler:
        """Start a node, which remembers nothing of those before it."""
        return Scheduler(Ledger(self.store, node, self.clock), lambda: self.config, self.clock)

    def reload(self, config: Config) -> None:
        """Let nodes go on with another file."""
        self.config = replace(config)

    async def add(self, record: Cutover) -> None:
        """Write a cutover down."""
        note = audit.Note(self.clock(), "node-a", "kari", "cutover.submit", record.name)
        assert await self.store.write(lambda each: cutover_repository.add(each, record, note))

    async def put(self, before: Cutover, after: Cutover) -> Cutover | None:
        """Change a cutover as a person does."""
        note = audit.Note(self.clock(), "node-a", "kari", "cutover.change", before.name)
        return await self.store.write(lambda each: cutover_repository.put(each, before, after, note))

    async def get(self, name: str = "nordfjell-1") -> Cutover:
        """Return a cutover."""
        found = await self.store.read(lambda each: cutover_repository.one(each, name))
        assert found is not None
        return found

    async def free(self) -> None:
        """Take the lease away, as its end does."""
        await self.store.write(lambda each: each.execute(update(CUTOVER).values(lease=0.0)).rowcount)

    async def rehearsed(self, clean: int, refused: int = 0, information: str = "notat", hours_ago: int = 1) -> None:
        """Count rehearsals."""
        hour = rehearsals.hour_of(self.clock()) - hours_ago
        cell = (hour, "nordfjell", "dignio", "prevent", information)
        counts = {
            rehearsals.CountedVerdict(*cell, "clean", ""): clean,
            rehearsals.CountedVerdict(*cell, "refused", "loss"): refused,
        }
        counted = {one: number for one, number in counts.items() if number}
        await self.store.write(lambda each: rehearsals.add(each, counted))

    async def decided(self, outcome: str, times: int = 1, **changed: Any) -> None:
        """Write down that a cutover decided messages."""
        values = {
            "at": self.clock(),
            "reference": "r",
            "surface": "vkp-r4",
            "municipality": "nordfjell",
            "sender": "Dignio_Nordfjell",
            "vendor": "dignio",
            "system": "prevent",
            "information": "notat",
            "mode": "new",
            "layer": "cutover",
            "rule": "nordfjell-1",
            "route": "cutover nordfjell-1",
            "outcome": outcome,
            **changed,
        }
        rows = [PastDecision(**values)] * times
        await self.store.write(lambda each: decision_log.write(each, rows))

    async def audited(self) -> list[audit.Note]:
        """Return what the audit says, the oldest first."""
        found = await self.store.read(lambda each: audit.entries(each, 1000))
        return [entry.note for entry in reversed(found)]

    async def raw(self, name: str = "nordfjell-1") -> Any:
        """Return the row of a cutover."""
        return await self.store.read(lambda each: each.execute(select(CUTOVER).where(CUTOVER.c.name == name)).one())

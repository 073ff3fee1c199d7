"""Everything that is looked at before a cutover switches, and what keeps it from being switched."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Connection

from gateway.auth.helseid.http import HelseIdUnavailable
from gateway.config.cell_rules import is_enough
from gateway.config.model import Config, Municipality
from gateway.config.upstreams import SERVICES, Grant, JftUpstream, ServiceUpstream
from gateway.ledger.layers import layers_of
from gateway.migration.cells import Cells, decided_otherwise, steps_back, stricter
from gateway.migration.cutover import Cutover, CutoverState
from gateway.migration.cutover_plan import Plan, encoded, faults, hash_of, of_file, warnings
from gateway.migration.gates import GateNumbers, judge_gate
from gateway.migration.gathered import SEEN_WITHIN, Gathered, gate_numbers
from gateway.migration.schedule import Timing, freeze_at, frozen_by, moment, shown, timing
from gateway.model import GOES_NEW, JOURNALING, Group, Information
from gateway.replica.status import CopyStatus, copies, freshness_of, sources_of
from gateway.routing.diff import Change
from gateway.routing.layers import Layers
from gateway.times import DAY


def obstacles(connection: Connection, record: Cutover, config: Config, now: float) -> "list[Finding]":
    """Return what keeps a cutover from being applied now."""
    found = [
        *([_approvals(record)] if record.lacking else []),
        *wrong(record.plan, config),
        *_stricter(record.cells, config),
        *conflicts(connection, record, config, now),
        *_copies(record.cells, config, copies(connection, freshness_of(config), now)),
        *_frozen(moment(now), config),
        *_gate(record, gate_numbers(connection, record, now)),
    ]
    return [one for one in found if not one.ok]


def conflicts(connection: Connection, record: Cutover, config: Config, now: float) -> "list[Finding]":
    """Return where a cutover would take cells back without saying so, or would not decide its cells, if it switched now."""
    layers = layers_of(connection, now)
    found = [*_steps_back(record, layers, config, now), *_rules(record, layers, config, now)]
    return [one for one in found if not one.ok]


_DAYS = int(SEEN_WITHIN / DAY)
_KIND = SERVICES[Group.JOURNALING]


class Part(StrEnum):
    """What a finding means for who waits for the cutover."""

    OK = "ok"
    STOPS = "stops"
    """It is refused for it at its time."""
    WARNS = "warns"
    """It keeps nothing from being switched; people decide."""
    APPROVAL = "approval"
    """Somebody's word is missing."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    check: str
    ok: bool
    text: str
    """In English, for programs and commands."""
    code: str = field(default="", compare=False)
    """Which kind of finding it is: pages have a text of its name, with places for the values."""
    values: Mapping[str, object] = field(default_factory=dict, compare=False)
    warns: bool = False
    """Whether somebody should know it, though it keeps nothing from being switched."""
    stops: bool = field(default=False, compare=False)
    """Of one that is not ok: whether it is checked again at the cutover's time, and then refuses it."""

    @property
    def part(self) -> Part:
        """Return what it means for who waits."""
        if self.ok:
            return Part.WARNS if self.warns else Part.OK
        if self.check == "approvals":
            return Part.APPROVAL
        return Part.STOPS if self.stops else Part.WARNS


@dataclass(frozen=True, slots=True)
class PreflightFacts:
    """What a preflight needs to know."""

    record: Cutover
    config: Config
    now: float
    """Seconds since the epoch."""
    ledger: Gathered
    tokens: Mapping[str, str | None] | None
    """What was wrong with the token of each municipality, None for nothing; None where this process cannot get any."""

    @property
    def then(self) -> float:
        """When it switches, or now where that is past."""
        return max(self.record.at, self.now)

    @property
    def cells(self) -> Cells:
        """What the plan touches."""
        return self.record.cells

    @property
    def going_new(self) -> list[Municipality]:
        """Where journalings go to an information service."""
        return self.cells.going_new(self.config) if self.is_journaling else []

    @property
    def is_journaling(self) -> bool:
        """Whether any journaling goes to an information service by it."""
        routes = (route for route in self.cells.routes if route.mode in GOES_NEW)
        return any(route.information is None or route.information & JOURNALING for route in routes)

    @property
    def services(self) -> list[ServiceUpstream]:
        """The information services that something goes to."""
        types = {
            each for route in self.cells.routes if route.mode in GOES_NEW for each in route.information or Information
        }
        found = (self.config.upstream_for(each) for each in sorted(types))
        return list({one.name: one for one in found if one is not None}.values())

    @property
    def service(self) -> JftUpstream | None:
        """The information service that journalings go to."""
        return self.config.jft


def findings(facts: PreflightFacts) -> list[Finding]:
    """Look at everything; a cutover is ready when all of it is ok."""
    return [
        *_plan(facts),
        *_epj(facts),
        *_service(facts),
        *_tokens(facts),
        *_way_back(facts),
        *_rehearsals(facts),
        *_stricter(facts.cells, facts.config),
        *_senders(facts),
        _acknowledgements(facts),
        *_copies(facts.cells, facts.config, facts.ledger.copies),
        _time(facts),
        *_steps_back(facts.record, facts.ledger.layers, facts.config, facts.then),
        *_rules(facts.record, facts.ledger.layers, facts.config, facts.then),
        _approvals(facts.record),
    ]


def wrong(plan: Plan, config: Config) -> list[Finding]:
    """Return what is wrong with a plan by what routes.yaml says now."""
    return [Finding("plan", False, text, "plan-wrong", {"fault": text}, stops=True) for text in faults(plan, config)]


def _stricter(cells: Cells, config: Config) -> list[Finding]:
    told = stricter(config, cells)
    return [Finding("losses", False, text, "losses-stricter", {"text": text}, stops=True) for text in told]


def _plan(facts: PreflightFacts) -> Iterator[Finding]:
    if not (found := wrong(facts.record.plan, facts.config)):
        yield Finding("plan", True, "everything that the plan names is in routes.yaml", "plan-known")
    yield from found
    written = facts.config.cutovers.get(facts.record.name)
    if written is not None and hash_of(encoded(of_file(written))) == facts.record.hash:
        yield Finding("plan", True, "the plan is the one in routes.yaml", "plan-of-file")
    elif written is not None:
        yield Finding("plan", False, "routes.yaml has another plan of this name", "plan-differs")


def _epj(facts: PreflightFacts) -> Iterator[Finding]:
    """Say whose record system reads what goes to the service; of one that does not, the plan's faults tell."""
    for one in facts.going_new:
        if _KIND in one.epj.reads:
            values = {"municipality": one.key, "system": one.epj.system}
            yield Finding("epj", True, f"{one.key}: {one.epj.system} reads {_KIND}", "epj-reads", values)


def _service(facts: PreflightFacts) -> Iterator[Finding]:
    """Say which service it is; what is wrong with one, the plan's faults tell, and what `check` only warns about is told here."""
    if not any(route.mode in GOES_NEW for route in facts.cells.routes):
        yield Finding("service", True, "nothing of it goes to an information service", "service-none")
        return
    for text in warnings(facts.record.plan, facts.config):
        yield Finding("service", False, text, "service-warning", {"fault": text})
    for service in facts.services:
        if is_enough(service.status, facts.config.environment):
            values = {"name": service.name, "status": service.status.value}
            yield Finding("service", True, f"{service.name} has status {service.status}", "service-status", values)


def _tokens(facts: PreflightFacts) -> Iterator[Finding]:
    service, municipalities = facts.service, facts.going_new
    if service is None or not municipalities:
        return
    if service.grant is Grant.TOKEN_EXCHANGE:
        text = "each sender's token is exchanged when it sends: that cannot be tried before"
        yield Finding("token", True, text, "token-exchanged")
        return
    for one in municipalities:
        values = {"municipality": one.key}
        wrong = "this process gets no tokens" if facts.tokens is None else facts.tokens.get(one.key, "it was not tried")
        if wrong is None:
            yield Finding("token", True, f"{one.key}: a token can be had", "token-given", values)
        else:
            code = "token-not-here" if facts.tokens is None else "token-refused"
            yield Finding("token", False, f"{one.key}: no token: {wrong}", code, values)


def _way_back(facts: PreflightFacts) -> Iterator[Finding]:
    """Look for our own clients of VKP: without one, what the new side gets cannot be sent back after a rollback."""
    config = facts.config
    for one in facts.going_new:
        named = {each.vendor for each in facts.cells.routes if each.mode in GOES_NEW and each.municipality == one.key}
        vendors = config.vendors_of(one.key) if None in named else sorted(filter(None, named))
        lacking = [vendor for vendor in vendors if config.client_of_vkp(one.key, vendor) is None]
        values = {"municipality": one.key, "vendors": lacking}
        text = f"{one.key}: no client of ours for {', '.join(lacking)} in upstreams.*.clients: a rollback could send nothing back"
        found = f"{one.key}: a rollback can send back what the new side got"
        code = "rollback-no-client" if lacking else "rollback-possible"
        yield Finding("rollback", True, text if lacking else found, code, values, warns=bool(lacking))


def _rehearsals(facts: PreflightFacts) -> Iterator[Finding]:
    yield from _gate(facts.record, facts.ledger.numbers)
    if facts.record.plan.gate_rule is not None and (types := facts.ledger.unrehearsed):
        text = f"nothing was {facts.ledger.numbers.how} of {', '.join(types)}"
        yield Finding("rehearsals", True, text, "rehearsals-types", {"types": types}, warns=True)


def _gate(record: Cutover, numbers: GateNumbers) -> Iterator[Finding]:
    gate = record.plan.gate_rule
    passing = judge_gate(gate, numbers)
    if gate is None:
        yield Finding("rehearsals", True, passing.text, "rehearsals-not-asked")
        return
    values: dict[str, float] = {
        "rehearsed": numbers.rehearsed,
        "clean": numbers.clean,
        "asked": gate.rehearsed_at_least,
    }
    values |= {"clean_asked": gate.clean_at_least, "within": gate.within}
    code = "rehearsals-passed" if passing.ok else "rehearsals-failed" if numbers.rehearsed else "rehearsals-nothing"
    yield Finding("rehearsals", passing.ok, passing.text, code, values, stops=True)


def _senders(facts: PreflightFacts) -> Iterator[Finding]:
    known = {sender.key for sender in facts.config.senders}
    seen = {one.sender for one in facts.ledger.seen}
    named = sorted(sender for sender in seen if sender is not None and sender in known)
    if named:
        text = f"registered senders seen in the last {_DAYS} days: {', '.join(named)}"
        yield Finding("senders", True, text, "senders-seen", {"senders": named, "days": _DAYS})
    else:
        text = f"no registered sender has sent anything of it in the last {_DAYS} days"
        yield Finding("senders", False, text, "senders-none", {"days": _DAYS})
    if strange := seen - set(named):
        told = sorted(sender or "one that names nobody in routes.yaml" for sender in strange)
        text = f"not registered, and refused from then on: {', '.join(told)}"
        yield Finding("senders", False, text, "senders-strange", {"senders": sorted(filter(None, strange))})


def _acknowledgements(facts: PreflightFacts) -> Finding:
    number = sum(one.messages for one in facts.ledger.overdue)
    if number:
        text = f"events of these cells that were not acknowledged in time: {number}"
        return Finding("acknowledgements", False, text, "acknowledgements-overdue", {"number": number})
    return Finding("acknowledgements", True, "no acknowledgement is overdue", "acknowledgements-in-time")


_UNREADY = {
    "first": (
        "has not been copied to its end yet, and searches would get temporary errors: "
        "vkp-gateway replica status says how far it is; switch when it says answers"
    ),
    "old": (
        "is too old to be answered from, and searches would get temporary errors: "
        "vkp-gateway replica status says what fails; mend that first"
    ),
}


def _copies(cells: Cells, config: Config, known: Sequence[CopyStatus]) -> Iterator[Finding]:
    """Look whether what retrieval is to be answered from is whole and fresh."""
    states = {(one.municipality, one.source): one.state for one in known}
    for one in cells.going_new(config):
        routes = (each for each in cells.routes if each.mode in GOES_NEW and each.municipality in (None, one.key))
        types = {each for route in routes for each in route.information or Information}
        for source in sources_of(one, types) if SERVICES[Information.PASIENTINFO] in one.epj.feeds else ():
            state, values = states.get((one.key, source), "first"), {"municipality": one.key, "source": source}
            if state == "answers":
                text = f"{one.key}: what {source} knows has been copied, and is fresh"
                yield Finding("copies", True, text, "copies-answer", values)
            else:
                text = f"{one.key}: what {source} knows {_UNREADY[state]}"
                yield Finding("copies", False, text, f"copies-{state}", values, stops=True)


def _time(facts: PreflightFacts) -> Finding:
    at = facts.record.plan.at
    for frozen in _frozen(at, facts.config):
        return frozen
    if facts.record.state is CutoverState.MISSED or timing(facts.record.at, facts.now) is Timing.PAST:
        text = f"{shown(at)} is past; start it, or give it another time"
        return Finding("time", False, text, "time-past", {"at": at}, stops=True)
    return Finding("time", True, f"it switches at {shown(at)}", "time-ahead", {"at": at})


def _frozen(at: datetime, config: Config) -> list[Finding]:
    if not (freeze := freeze_at(at, config.freezes)):
        return []
    values = {"begins": freeze.begins, "ends": freeze.ends, "reason": freeze.reason}
    return [Finding("time", False, frozen_by(at, config.freezes) or "", "time-frozen", values, stops=True)]


def _steps_back(record: Cutover, layers: Layers, config: Config, at: float) -> Iterator[Finding]:
    """Look for cells that go back to VKP: a rehearsal over what is new already takes it back."""
    found = steps_back(record.name, record.plan.routes, layers, config, at)
    if not found:
        yield Finding("step_back", True, "no cell goes back to VKP", "step-back-none")
    is_meant = record.plan.step_back
    meant = "as the plan says" if is_meant else "say step_back: true where that is meant"
    code = "step-back-meant" if is_meant else "step-back-not-meant"
    for text, change in _told(found):
        values = {"change": change, "more": len(found) - _MOST_TOLD}
        yield Finding("step_back", is_meant, f"takes back {text}; {meant}", code, values, stops=True)


def _rules(record: Cutover, layers: Layers, config: Config, at: float) -> Iterator[Finding]:
    """Look for what will win over the plan: it would be switched, and its cells would not be as it says."""
    found = decided_otherwise(record.name, record.plan.routes, layers, config, at)
    by: dict[tuple[str, str | None], list[Change]] = {}
    for one in found:
        by.setdefault((one.after.layer, one.after.rule), []).append(one)
    for (layer, rule), changes in by.items():
        for told, change in _told(changes):
            values = {"layer": layer, "rule": rule, "change": change, "more": len(changes) - _MOST_TOLD}
            text = f"{layer} {rule} will win over the plan: {told}"
            yield Finding("rules", False, text, "rules-win", values, stops=True)
    if not found:
        yield Finding("rules", True, "no panic, override or other cutover will win over the plan", "rules-none")


def _told(changes: Sequence[Change]) -> list[tuple[str, Change | None]]:
    """Return the first of the cells in words, and how many more there are."""
    more = [(f"{len(changes) - _MOST_TOLD} more", None)] if len(changes) > _MOST_TOLD else []
    return [*((str(each), each) for each in changes[:_MOST_TOLD]), *more]


_MOST_TOLD = 10
"""Cells that change alike, of one kind of finding."""


def _approvals(record: Cutover) -> Finding:
    text = f"{len(record.approvals)} of {record.plan.approvals}"
    values = {"given": record.plan.approvals - record.lacking, "needed": record.plan.approvals}
    if record.lacking:
        return Finding("approvals", False, f"{text}; {record.lacking} missing", "approvals-missing", values)
    return Finding("approvals", True, text, "approvals-given", values)


Obtain = Callable[[str, str], Awaitable[object]]
"""Fetches a token for an orgnr and a scope, as `TokenSource.token` does; raises `HelseIdUnavailable`."""
_WITHIN = 10.0
"""Seconds for one token."""
_AT_A_TIME = 8


async def tried(obtain: Obtain, service: JftUpstream, municipalities: Iterable[Municipality]) -> dict[str, str | None]:
    """Return what was wrong with the tokens of each municipality; None where nothing was."""
    turn = asyncio.Semaphore(_AT_A_TIME)
    scopes = dict.fromkeys((service.scopes.write, service.scopes.read))

    async def one(municipality: Municipality) -> str | None:
        try:
            async with turn, asyncio.timeout(_WITHIN):
                for scope in scopes:
                    await obtain(municipality.orgnr, scope)
        except HelseIdUnavailable as error:
            return str(error) or "HelseID gives none"
        except TimeoutError:
            return "HelseID does not answer in time"
        return None

    known = list(municipalities)
    return dict(zip((each.key for each in known), await asyncio.gather(*map(one, known)), strict=True))

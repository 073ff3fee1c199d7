"""Whether a cutover is ready, and why not: a list of findings; pure, what it needs to know is given."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from gateway.config.model import Config, Municipality
from gateway.config.places import Environment
from gateway.config.upstreams import Grant, JftUpstream, ServiceStatus
from gateway.cutovers.cells import GOES_NEW, Cells, overlap, stricter
from gateway.cutovers.gate import judge
from gateway.cutovers.gathering import SEEN_WITHIN, Gathered
from gateway.cutovers.plan import encoded, hash_of, of_file
from gateway.cutovers.record import Record
from gateway.cutovers.schedule import Timing, frozen_by, shown, timing
from gateway.cutovers.sound import faults
from gateway.cutovers.states import State
from gateway.model import RETRIEVAL, Mode
from gateway.routing.layers import Layers, Rule

_DAYS = int(SEEN_WITHIN / 86_400)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    check: str
    ok: bool
    text: str


@dataclass(frozen=True, slots=True)
class Facts:
    """What a preflight needs to know."""

    record: Record
    config: Config
    now: float
    """Seconds since the epoch."""
    ledger: Gathered
    layers: Layers | None
    """What lies over the routes now; None where this process does not know."""
    tokens: Mapping[str, str | None] | None
    """What was wrong with the token of each municipality, None for nothing; None where this process cannot get any."""

    @property
    def cells(self) -> Cells:
        """What the plan touches."""
        return self.record.cells

    @property
    def going_new(self) -> list[Municipality]:
        """Where messages go to an information service."""
        return self.cells.going_new(self.config)

    @property
    def jft(self) -> JftUpstream | None:
        """The journaling service."""
        return jft_of(self.config)


def jft_of(config: Config) -> JftUpstream | None:
    """Return the journaling service of a configuration."""
    return next((one for one in config.upstreams.values() if isinstance(one, JftUpstream)), None)


def findings(facts: Facts) -> list[Finding]:
    """Look at everything; a cutover is ready when all of it is ok."""
    return [
        *_plan(facts),
        *_epj(facts),
        *_service(facts),
        *_tokens(facts),
        _rehearsals(facts),
        *(Finding("losses", False, text) for text in stricter(facts.config, facts.cells)),
        *_senders(facts),
        _acknowledgements(facts),
        _time(facts),
        *_rules(facts),
        _approvals(facts),
    ]


def _plan(facts: Facts) -> Iterator[Finding]:
    wrong = faults(facts.record.plan, facts.config)
    yield Finding("plan", not wrong, "; ".join(wrong) or "everything that the plan names is in routes.yaml")
    written = facts.config.cutovers.get(facts.record.name)
    if written is not None:
        is_same = hash_of(encoded(of_file(written))) == facts.record.hash
        text = "is the one in routes.yaml" if is_same else "routes.yaml has another plan of this name"
        yield Finding("plan", is_same, f"the plan {text}" if is_same else text)


def _epj(facts: Facts) -> Iterator[Finding]:
    for one in facts.going_new:
        reads = "jft" in one.epj.reads
        yield Finding("epj", reads, f"{one.key}: {one.epj.system} {'reads' if reads else 'does not read'} jft")
    beside = {route.municipality for route in facts.cells.routes if route.mode not in (Mode.NEW, Mode.CLOSED)}
    for one in facts.cells.municipalities(facts.config):
        if one.epj.new_generation and (None in beside or one.key in beside):
            yield Finding(
                "epj", False, f"{one.key}: VKP does not reach {one.epj.system}, only new and closed are possible"
            )


def _service(facts: Facts) -> Iterator[Finding]:
    new = [route for route in facts.cells.routes if route.mode in GOES_NEW]
    if not new:
        yield Finding("service", True, "nothing of it goes to an information service")
        return
    if any(route.information is None or route.information & RETRIEVAL for route in new):
        yield Finding(
            "service", False, "retrieval from information services is not supported yet; name journaling types"
        )
    jft, environment = facts.jft, facts.config.environment
    if jft is None:
        yield Finding("service", False, "routes.yaml has no upstream of kind jft")
        return
    enough = (
        jft.status is ServiceStatus.PRODUCTION
        if environment is Environment.PRODUCTION
        else jft.status is not ServiceStatus.PROTOTYPE
    )
    yield Finding(
        "service", enough, f"{jft.name} has status {jft.status}{'' if enough else f', too little for {environment}'}"
    )


def _tokens(facts: Facts) -> Iterator[Finding]:
    jft, municipalities = facts.jft, facts.going_new
    if jft is None or not municipalities:
        return
    if jft.grant is Grant.TOKEN_EXCHANGE:
        yield Finding("token", True, "each sender's token is exchanged when it sends: that cannot be tried before")
        return
    for one in municipalities:
        wrong = "this process gets no tokens" if facts.tokens is None else facts.tokens.get(one.key, "it was not tried")
        yield Finding(
            "token", wrong is None, f"{one.key}: {'a token can be had' if wrong is None else f'no token: {wrong}'}"
        )


def _rehearsals(facts: Facts) -> Finding:
    passing = judge(facts.record.plan.gate_rule, facts.ledger.numbers)
    lacking = f"; none of {', '.join(facts.ledger.unrehearsed)}" if facts.ledger.unrehearsed else ""
    return Finding("rehearsals", passing.ok, passing.text + (lacking if facts.record.plan.gate else ""))


def _senders(facts: Facts) -> Iterator[Finding]:
    known = {sender.key for sender in facts.config.senders}
    seen = {one.sender for one in facts.ledger.seen}
    named = sorted(sender for sender in seen if sender is not None and sender in known)
    told = f"registered senders seen in the last {_DAYS} days: {', '.join(named)}" if named else ""
    yield Finding(
        "senders", bool(named), told or f"no registered sender has sent anything of it in the last {_DAYS} days"
    )
    strange = sorted(sender or "one that names nobody in routes.yaml" for sender in seen - set(named))
    if strange:
        yield Finding("senders", False, f"not registered, and refused from then on: {', '.join(strange)}")


def _acknowledgements(facts: Facts) -> Finding:
    number = sum(one.messages for one in facts.ledger.overdue)
    text = (
        f"{number} events of these cells were not acknowledged in time" if number else "no acknowledgement is overdue"
    )
    return Finding("acknowledgements", not number, text)


def _time(facts: Facts) -> Finding:
    at = facts.record.plan.at
    if freeze := frozen_by(at, facts.config.freezes):
        return Finding("time", False, freeze)
    if facts.record.state is State.MISSED or timing(facts.record.at, facts.now) is Timing.PAST:
        return Finding("time", False, f"{shown(at)} is past; start it, or give it another time")
    return Finding("time", True, f"it switches at {shown(at)}")


def _rules(facts: Facts) -> Iterator[Finding]:
    if facts.layers is None:
        yield Finding("rules", False, "what people have set over the routes is not known to this process")
        return
    at = facts.record.at
    above = [rule for rule in facts.layers.rules if rule.layer.value in ("panic", "override") and rule.holds(at)]
    found = [rule for rule in (*above, *facts.ledger.executed) if _touches(facts, rule)]
    for name in dict.fromkeys((rule.layer.value, rule.id) for rule in found):
        yield Finding("rules", False, f"{name[0]} {name[1]} decides some of these cells then")
    if not found:
        yield Finding("rules", True, "no panic, override or other cutover is on these cells then")


def _touches(facts: Facts, rule: Rule) -> bool:
    return any(overlap(rule.route, route) for route in facts.cells.routes)


def _approvals(facts: Facts) -> Finding:
    record = facts.record
    text = f"{len(record.approvals)} of {record.plan.approvals}"
    return Finding("approvals", not record.lacking, text if not record.lacking else f"{text}; {record.lacking} missing")

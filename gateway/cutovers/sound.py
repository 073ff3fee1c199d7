"""Whether a plan says something that can be done with a configuration; pure."""

import re
from collections.abc import Iterator

from gateway.config.model import Config
from gateway.config.places import Environment
from gateway.config.routes import AnswerWhen, OnOutage, Route, Unclear
from gateway.config.upstreams import Grant, JftUpstream
from gateway.cutovers.cells import GOES_NEW
from gateway.cutovers.plan import GateAsked, Plan, RollBackAsked
from gateway.model import Mode
from gateway.routing.index import Buckets
from translators.fhir.elements import r4

POSSIBLE = (Mode.LEGACY, Mode.REHEARSE, Mode.CANARY, Mode.NEW, Mode.CLOSED)
"""Modes that a cutover may set."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_PATH = re.compile(r"[A-Za-z0-9.:_\[\]-]{1,200}")
_NUMBER = re.compile(r"(?<!\d)\d{6}[ -]?\d{5}(?!\d)")
_MOST = 100
"""Changes, and people who approve."""
_LONGEST_TEXT = 500
_LONGEST = 90 * 86_400.0
"""Seconds that are looked back over, or watched."""


def is_name(text: str) -> bool:
    """Tell whether a cutover may be called so."""
    return _NAME.fullmatch(text) is not None and _NUMBER.search(text) is None


def faults(plan: Plan, config: Config) -> list[str]:
    """Return everything that is wrong with a plan."""
    if not is_name(plan.name):
        return ["name: letters, digits, dots, hyphens and underscores, at most 64, and no national identity number"]
    if not 0 < len(plan.set) <= _MOST:
        return [f"set: 1 to {_MOST} changes"]
    found = [
        f"set[{number}]: {fault}" for number, route in enumerate(plan.routes) for fault in _of_route(route, config)
    ]
    conflicts = Buckets(plan.routes).conflicts
    found += [
        f"set: two changes are equally specific on one cell ({one.information or 'any type'})" for one in conflicts
    ]
    found += [*_of_gate(plan.gate), *_of_watch(plan.roll_back_when)]
    if not 0 <= plan.approvals <= _MOST:
        found.append(f"approvals: 0 to {_MOST}")
    if config.environment is Environment.PRODUCTION and any(route.mode in GOES_NEW for route in plan.routes):
        found += [f"{name}: required in environment production" for name in _left_out(plan)]
    return found


def _left_out(plan: Plan) -> Iterator[str]:
    if plan.gate is None:
        yield "gate"
    if plan.roll_back_when is None:
        yield "roll_back_when"
    if plan.approvals < 1:
        yield "approvals"


def _of_route(route: Route, config: Config) -> Iterator[str]:
    yield from _names(route, config)
    if route.mode not in POSSIBLE:
        yield f"mode {route.mode} is not possible in a cutover"
    if (route.mode is Mode.CLOSED) != (route.text is not None):
        yield "text belongs to mode closed, which needs it"
    if route.text is not None and not _is_text(route.text):
        yield f"text: 1 to {_LONGEST_TEXT} characters on one line, without national identity numbers"
    if any(not _PATH.fullmatch(path) or path.partition(".")[0] not in r4().resources for path in route.losses):
        yield "losses: each begins with a resource of FHIR R4"
    yield from _shares(route, config)
    yield from _policies(route, config)


def _names(route: Route, config: Config) -> Iterator[str]:
    if route.municipality not in config.municipalities:
        yield "municipality: one of routes.yaml is required"
    vendor = config.vendors.get(route.vendor) if route.vendor is not None else None
    if route.vendor is not None and vendor is None:
        yield "vendor is not one of routes.yaml"
    if route.system is not None and (vendor is None or route.system not in vendor.systems):
        yield "system is not one of its vendor in routes.yaml"
    if route.information is not None and not route.information:
        yield "information names nothing; leave it out to mean every type"


def _shares(route: Route, config: Config) -> Iterator[str]:
    is_canary = route.mode is Mode.CANARY
    if is_canary != (route.share is not None):
        yield "share belongs to mode canary, which needs it"
    if route.share is not None and not 0 < route.share <= 1:
        yield "share: more than 0, at most 1"
    listed = {*route.always, *route.never}
    if listed and not is_canary:
        yield "always and never belong to mode canary"
    if listed - {sender.key for sender in config.senders}:
        yield "always and never name senders of routes.yaml"
    if set(route.always) & set(route.never):
        yield "a sender is in always and in never"
    if not 0 < route.sample <= 1:
        yield "sample: more than 0, at most 1"
    if route.sample != 1 and route.mode is not Mode.REHEARSE:
        yield "sample belongs to mode rehearse"


def _policies(route: Route, config: Config) -> Iterator[str]:
    if not 0 < route.acknowledge_within <= _LONGEST:
        yield "acknowledge_within: seconds, at most 90 days"
    holds = route.on_outage is OnOutage.HOLD
    if holds and route.answer is AnswerWhen.JOURNALED:
        yield "answer journaled is not possible with on_outage hold"
    if route.unclear is Unclear.RESEND and not holds:
        yield "unclear resend needs on_outage hold"
    upstreams = config.upstreams.values()
    if holds and any(isinstance(one, JftUpstream) and one.grant is Grant.TOKEN_EXCHANGE for one in upstreams):
        yield "on_outage hold is not possible with grant token_exchange"


def _of_gate(gate: GateAsked | None) -> Iterator[str]:
    if gate is None:
        return
    if gate.rehearsed_at_least < 1:
        yield "gate.rehearsed_at_least: at least 1, since no data is never a pass"
    if not 0 <= gate.clean_at_least <= 1:
        yield "gate.clean_at_least: from 0 to 1"
    if not 0 < gate.within <= _LONGEST:
        yield "gate.within: seconds, at most 90 days"


def _of_watch(watch: RollBackAsked | None) -> Iterator[str]:
    if watch is None:
        return
    if not 0 < watch.failed_at_least <= 1:
        yield "roll_back_when.failed_at_least: more than 0, at most 1"
    if watch.of_at_least < 1:
        yield "roll_back_when.of_at_least: at least 1"
    if not 0 < watch.within <= _LONGEST:
        yield "roll_back_when.within: seconds, at most 90 days"


def _is_text(text: str) -> bool:
    return 0 < len(text) <= _LONGEST_TEXT and text.isprintable() and _NUMBER.search(text) is None

"""Cutovers as the pages show them: what each change does to which cells as of now, and times as people read them; pure."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from gateway.admin.cutover_access import Offers, Submitted
from gateway.admin.cutovers import brief
from gateway.admin.pages.forms import Form, field
from gateway.admin.problems import Code, Problem
from gateway.config.model import Config
from gateway.migration import override_rules
from gateway.migration.cells import GOES_NEW
from gateway.migration.cutover import Cutover, CutoverState
from gateway.migration.cutover_plan import GateRequest, Plan, RollBackRequest
from gateway.migration.schedule import moment, shown
from gateway.model import Envelope, Information, Mode
from gateway.routing.route import KINDS, Route, RouteSpec, ValueKind, line_of
from gateway.routing.table import RouteTable

WAITS = (CutoverState.SUBMITTED, CutoverState.APPROVED)
"""States in which it is waited for a time."""
_SELECTORS = ("municipality", "vendor", "system", "information", "mode")
Pair = tuple[str | None, str | None]
"""A vendor and one of its systems."""


@dataclass(frozen=True, slots=True)
class Span:
    """A length of time in words that are counted."""

    days: int
    hours: int
    minutes: int
    seconds: int
    is_past: bool


@dataclass(frozen=True, slots=True)
class Now:
    """Which mode some cells of a change have now."""

    mode: str
    """Empty where nothing decides."""
    information: tuple[str, ...]
    systems: tuple[str, ...]
    """Of which this is said, where it is not all of them."""


def span(seconds: float) -> Span:
    """Return a length of time to the second."""
    whole = int(abs(seconds))
    return Span(whole // 86_400, whole // 3600 % 24, whole // 60 % 60, whole % 60, is_past=seconds < 0)


def percent(part: float) -> str:
    """Return a part of 1 in hundredths, as it was given."""
    text = f"{Decimal(repr(part)) * 100:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def list_item(record: Cutover, now: float) -> dict[str, Any]:
    """Return a cutover as the list has it."""
    left = span((record.at - now) // 60 * 60) if record.state in WAITS else None
    return {**brief(record), "needed": record.plan.approvals, "given": _given(record), "left": left}


def shown_cutover(record: Cutover, offers: Offers, now: float) -> dict[str, Any]:
    """Return a cutover as its own page has it, beside what its changes do."""
    plan = record.plan
    return {
        **list_item(record, now),
        "text": record.text,
        "gate": _gate(plan.gate),
        "watch": _watch(plan.roll_back_when),
        "approved_by": [{"by": one.by, "at": shown(moment(one.at))} for one in record.approvals],
        "step_back": plan.step_back,
        "report": record.report,
        "history": [
            {"at": shown(moment(one.at)), "what": one.what, "by": one.by, "node": one.node, "reason": one.reason}
            for one in record.history
        ],
        "offers": offers,
    }


def changes(plan: Plan, table: RouteTable, config: Config, now: float) -> list[dict[str, Any]]:
    """Return each change of a plan: its cells, their modes now, the mode that it sets and its policies."""
    at = moment(now)
    return [{**_change(route), "now": _now(route, table, _pairs(route, config), at)} for route in plan.routes]


def _given(record: Cutover) -> int:
    return sum(one.hash == record.hash for one in record.approvals)


def _gate(gate: GateRequest | None) -> dict[str, Any] | None:
    if gate is None:
        return None
    return {
        "messages": gate.rehearsed_at_least,
        "clean": percent(gate.clean_at_least),
        "within": span(gate.within),
    }


def _watch(rule: RollBackRequest | None) -> dict[str, Any] | None:
    if rule is None:
        return None
    held = None if rule.held_at_least is None else percent(rule.held_at_least)
    failed = percent(rule.failed_at_least)
    return {"failed": failed, "held": held, "messages": rule.of_at_least, "within": span(rule.within)}


def _change(route: Route) -> dict[str, Any]:
    found = override_rules.shown(route)
    rules = {name: _value(name, value) for name, value in found.items() if name not in _SELECTORS and value is not None}
    return {**{name: found[name] for name in _SELECTORS}, "rules": rules}


def _value(name: str, value: Any) -> str:
    if KINDS.get(name) is ValueKind.PART:
        return f"{percent(value)} %"
    if KINDS.get(name) is ValueKind.SECONDS:
        return f"{value:g} s"
    return ", ".join(map(line_of, value)) if isinstance(value, list) else str(value)


def _pairs(route: Route, config: Config) -> list[Pair]:
    """Return the systems that send there, or what the change itself names where none of them is registered."""
    found: dict[Pair, None] = {}
    for sender in config.senders:
        serves = sender.municipalities is None or route.municipality in sender.municipalities
        if serves and route.vendor in (None, sender.vendor) and route.system in (None, sender.system):
            found[sender.vendor, sender.system] = None
    return sorted(found, key=str) or [(route.vendor, route.system)]


def _now(route: Route, table: RouteTable, pairs: Sequence[Pair], at: datetime) -> list[Now]:
    found: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for information in (each for each in Information if route.information is None or each in route.information):
        by_mode: dict[str, list[Pair]] = {}
        for vendor, system in pairs:
            decided = table.decide(Envelope("any", route.municipality, None, vendor, system, information), at).route
            by_mode.setdefault(decided.mode.value if decided else "", []).append((vendor, system))
        for mode, alike in by_mode.items():
            named = () if len(alike) == len(pairs) else tuple(_words(alike))
            found.setdefault((mode, named), []).append(information.value)
    return [Now(mode, tuple(types), systems) for (mode, systems), types in found.items()]


def _words(pairs: Iterable[Pair]) -> Iterable[str]:
    return ("/".join(filter(None, pair)) for pair in pairs)


_DAY, _MINUTE = 86_400.0, 60.0
_WHOLE = re.compile(r"[0-9]{1,6}")
_HUNDREDTHS = re.compile(r"[0-9]{1,3}(?:[.,][0-9]{1,4})?")
_LONGEST = 500


def submitted_plan(form: Form) -> Submitted:
    """Return the plan that a form asks for; raises `Problem`, which repeats nothing of what was written."""
    if written := field(form, "from_file"):
        return Submitted(from_file=_short(written, "from_file"))
    change = _form_change(form)
    goes_new = change.mode in GOES_NEW
    approvals = _whole(form, "approvals")
    if not approvals:
        raise _wrong("approvals")
    return Submitted(
        name=_short(field(form, "name"), "name"),
        at=_short(field(form, "at"), "at"),
        set=(change,),
        gate=_form_gate(form) if goes_new else None,
        roll_back_when=_form_watch(form) if goes_new else None,
        step_back=bool(field(form, "step_back")),
        approvals=approvals,
    )


def _form_change(form: Form) -> RouteSpec:
    vendor, _, system = field(form, "sender").partition("/")
    try:
        mode = Mode(field(form, "mode"))
        types = tuple(Information(each).value for each in form.get("information", []))
    except ValueError:
        raise _wrong("mode, information") from None
    if not types:
        raise Problem(Code.BAD_REQUEST, "information: at least one type")
    share = _part(form, "share") if mode is Mode.CANARY else None
    return RouteSpec(
        municipality=field(form, "municipality") or None,
        vendor=vendor or None,
        system=system or None,
        information=types,
        mode=mode,
        text=(field(form, "text") or None) if mode is Mode.CLOSED else None,
        share=share,
    )


def _form_gate(form: Form) -> GateRequest | None:
    messages, clean, days = _whole(form, "gate_messages"), _part(form, "gate_clean"), _whole(form, "gate_days")
    if messages is None and clean is None and days is None:
        return None
    if messages is None or clean is None or days is None:
        raise Problem(Code.BAD_REQUEST, "gate: all of its numbers, or none")
    return GateRequest(rehearsed_at_least=messages, clean_at_least=clean, within=days * _DAY)


def _form_watch(form: Form) -> RollBackRequest | None:
    failed, of, minutes = _part(form, "back_failed"), _whole(form, "back_messages"), _whole(form, "back_minutes")
    held = _part(form, "back_held")
    if failed is None and held is None and of is None and minutes is None:
        return None
    if failed is None or of is None or minutes is None:
        raise Problem(Code.BAD_REQUEST, "roll_back_when: all of its numbers, or none; what is held may be left out")
    return RollBackRequest(failed_at_least=failed, of_at_least=of, within=minutes * _MINUTE, held_at_least=held)


def _whole(form: Form, name: str) -> int | None:
    text = field(form, name)
    if text and not _WHOLE.fullmatch(text):
        raise _wrong(name)
    return int(text) if text else None


def _part(form: Form, name: str) -> float | None:
    """Return hundredths as a part of 1, without what binary numbers add."""
    text = field(form, name)
    if text and not _HUNDREDTHS.fullmatch(text):
        raise _wrong(name)
    return float(f"{text.replace(',', '.')}e-2") if text else None


def _short(text: str, name: str) -> str:
    if not text or len(text) > _LONGEST or not text.isprintable():
        raise _wrong(name)
    return text


def _wrong(name: str) -> Problem:
    return Problem(Code.BAD_REQUEST, f"{name}: not as expected")

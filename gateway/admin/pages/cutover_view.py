"""Cutovers as the pages show them: the timeline, what changes with how many messages, what a preflight found; pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from msgspec import structs

from gateway.admin.cutover_access import Offers
from gateway.admin.cutover_facts import PlanEffects, Progress
from gateway.admin.pages import plan_words
from gateway.admin.pages.charts import Chart, Line, stack_chart
from gateway.admin.pages.words import Words
from gateway.ledger.cutovers import FailedMessage
from gateway.migration.cutover import APPROVAL, Cutover, CutoverState
from gateway.migration.cutover_plan import Plan
from gateway.migration.preflight import Finding, Part
from gateway.migration.traffic import ChangedTraffic, Side, WhatIf
from gateway.routing.diff import Effect
from gateway.routing.route import KINDS, RouteSpec, ValueKind, line_of

WAITS = (CutoverState.SUBMITTED, CutoverState.APPROVED)
"""States in which it is waited for a time."""
_WAY = (
    CutoverState.APPROVED,
    CutoverState.DRAINING,
    CutoverState.SWITCHED,
    CutoverState.WATCHING,
    CutoverState.FINISHED,
)
_ENDED_BADLY = (
    *(CutoverState.ROLLED_BACK, CutoverState.MISSED, CutoverState.REFUSED),
    *(CutoverState.REJECTED, CutoverState.CANCELLED),
)
KINDS_OF_STATES: Mapping[str, str] = {
    **dict.fromkeys(
        (CutoverState.ROLLED_BACK, CutoverState.MISSED, CutoverState.REFUSED, CutoverState.REJECTED), "bad"
    ),
    **dict.fromkeys((CutoverState.DRAINING, CutoverState.SWITCHED, CutoverState.WATCHING), "info"),
    CutoverState.SUBMITTED: "warn",
    CutoverState.APPROVED: "info",
    CutoverState.FINISHED: "good",
}
"""The kind of tag that a state has."""
_SIDES = ((Side.VKP, "c6"), (Side.NEW, "c2"), (Side.PATIENT, "c4"), (Side.NOBODY, "c3"))
_BAD = (Effect.GOES_BACK, Effect.CLOSES)


@dataclass(frozen=True, slots=True)
class Row:
    """Cells that change alike, as a table has them."""

    place: str
    whose: str
    types: str
    before: str
    """A mode; empty where nothing decides."""
    before_said: str
    after: str
    after_said: str
    effect: str
    effect_said: str
    per_day: str
    untyped: str
    """Of how many the type was not read; empty where that is none."""
    is_back: bool


def list_item(w: Words, record: Cutover, now: float) -> dict[str, Any]:
    """Return a cutover as the list has it."""
    return {
        "name": record.name,
        "state": record.state.value,
        "kind": KINDS_OF_STATES.get(record.state, ""),
        "at": record.at,
        "switched_at": record.switched_at,
        "waits": record.state in WAITS,
        "is_past": record.at < now,
        "by": w.person(record.submitted_by),
        "needed": record.plan.approvals,
        "given": _given(record),
        "changes": changes(w, record.plan),
    }


def changes(w: Words, plan: Plan) -> list[dict[str, Any]]:
    """Return each change of a plan as it was written."""
    return [
        {
            "place": w.municipality(one.municipality),
            "types": w.types(one.information),
            "mode": one.mode.value,
            "whose": w.vendor(one.vendor) if one.system is None else w.whole_system(one.vendor, one.system),
            "choices": choices(w, one),
        }
        for one in plan.set
    ]


def choices(w: Words, spec: RouteSpec) -> list[tuple[str, str]]:
    """Return what a change says beside its cells and mode, in words."""
    found = [("text", spec.text)] if spec.text else []
    told = [(name, value) for name, value in spec.as_keys().items() if name in KINDS and value is not None]
    return [(w.text_if_any(f"choice-{name}") or name, _choice(w, name, value)) for name, value in (*found, *told)]


def _choice(w: Words, name: str, value: Any) -> str:
    match KINDS.get(name):
        case ValueKind.PART:
            return w.percent(value, 4)
        case ValueKind.SECONDS:
            return w.span(value)
        case ValueKind.LIST | ValueKind.ENTRIES:
            return w.listed(list(map(line_of, value)))
        case ValueKind.WORD:
            return w.word({"answer": "answer-when", "on_outage": "on-outage"}.get(name, name), value)
        case _:
            return str(value)


def conditions(w: Words, plan: Plan) -> list[tuple[str, str]]:
    """Return the gate, the rule that rolls it back, and the approvals of a plan, in words."""
    gate, back = plan.gate, plan.roll_back_when
    asked, taken_back = w.text("cut_no_gate"), w.text("cut_no_back")
    if gate is not None:
        asked = w.text("cut_gate_said").format(
            messages=w.count(gate.rehearsed_at_least),
            clean=w.percent(gate.clean_at_least, 4),
            within=w.span(gate.within),
        )
    if back is not None:
        held = (
            "" if back.held_at_least is None else w.text("cut_held_said").format(held=w.percent(back.held_at_least, 4))
        )
        taken_back = w.text("cut_back_said").format(
            failed=w.percent(back.failed_at_least, 4),
            held=held,
            of=w.count(back.of_at_least),
            within=w.span(back.within),
        )
    found = [(w.text("cut_gate"), asked), (w.text("cut_back"), taken_back)]
    if plan.step_back:
        found.append((w.text("cut_step_back"), w.text("cut_step_back_meant")))
    return found


def stages(w: Words, one: Progress) -> list[tuple[str, str, str]]:
    """Return how far a cutover has come: each stage with done, now, ahead or bad, and a note."""
    record = one.record
    times = {event.what: event.at for event in record.history}
    ended = record.state in _ENDED_BADLY
    found = [(w.word("stage", "submitted"), "done", w.time(record.submitted_at))]
    reached = _WAY.index(record.state) if record.state in _WAY else -1
    for index, state in enumerate(_WAY):
        is_there = state.value in times if ended else index <= reached
        if not is_there and ended:
            continue
        if state is CutoverState.WATCHING and record.plan.roll_back_when is None:
            continue
        is_now = index == reached and record.state is not CutoverState.FINISHED
        kind = "now" if is_now else "done" if is_there else "ahead"
        found.append((w.word("stage", state.value), kind, _note(w, one, state, times)))
    if ended:
        said = w.word("cut", record.state.value)
        found.append((said[:1].upper() + said[1:], "bad", w.time(record.since(record.state))))
    return found


def _note(w: Words, one: Progress, state: CutoverState, times: Mapping[str, float]) -> str:
    record = one.record
    if state is CutoverState.APPROVED and record.lacking:
        return w.text("cut_lacking").replace("…", w.number(record.lacking))
    if state is CutoverState.DRAINING and record.state in WAITS:
        return f"{w.time(record.at)} ({w.ago(record.at)})"
    if state is CutoverState.DRAINING and record.state is state:
        return w.text("cut_under_way").format(number=w.count(one.under_way))
    if state is CutoverState.WATCHING and record.state in (state, CutoverState.SWITCHED):
        return w.text("cut_left").replace("…", w.countdown((one.watched_until or one.now) - one.now))
    return w.time(times[state.value]) if state.value in times else ""


def watched(w: Words, one: Progress) -> dict[str, str] | None:
    """Return the numbers of a cutover that has switched, and where its rule takes it back; None before it did."""
    if one.record.switched_at is None or one.record.state is CutoverState.APPROVED:
        return None
    rule, outcomes = one.record.plan.roll_back_when, one.outcomes
    told = {"fine": w.number(outcomes.fine), "failed": w.number(outcomes.failed), "limit": ""}
    if rule is not None:
        told["limit"] = w.text("cut_limit").format(
            part=w.percent(rule.failed_at_least, 4), of=w.number(rule.of_at_least)
        )
    waiting = w.text("cut_waiting_said").format(number=w.count(outcomes.waiting))
    told["waiting"] = waiting if outcomes.waiting else ""
    return told


def effects_view(w: Words, effects: PlanEffects) -> dict[str, Any]:
    """Return what a plan does: its rows, in sentences, and the last days as pictures."""
    return {
        "effects": rows(w, effects.cells),
        "sentences": plan_words.sentences(w, effects.cells),
        "past": effects.past,
        "past_by_patient": _by_patient(effects.past),
        "charts": _charts(w, effects.past),
    }


def rows(w: Words, cells: Sequence[ChangedTraffic]) -> list[Row]:
    """Return the rows of a table: steps back and cells with messages each, and what is quiet of a municipality together."""
    loud = [one for one in cells if one.per_day or one.untyped_per_day or one.effect in _BAD]
    quiet: dict[tuple[str | None, str, str], list[ChangedTraffic]] = {}
    for one in (each for each in cells if each not in loud):
        change = one.change
        quiet.setdefault((change.municipality, str(change.before), str(change.after)), []).append(one)
    return [*(row(w, one) for one in loud), *(_together(w, alike) for alike in quiet.values())]


def _together(w: Words, alike: Sequence[ChangedTraffic]) -> Row:
    """Return the row of cells that change alike and send nothing."""
    first = row(w, alike[0])
    if len(alike) == 1:
        return first
    types = dict.fromkeys(each for one in alike for each in one.change.information)
    information = tuple(sorted(types, key=lambda each: each or "~"))
    told = plan_words.types(w, structs.replace(alike[0].change, information=information))
    return replace(first, whose=w.text("cut_the_rest"), types=told)


def row(w: Words, one: ChangedTraffic) -> Row:
    """Return cells that change alike as a table has them."""
    change = one.change
    return Row(
        *(plan_words.place(w, change), plan_words.whose(w, change), plan_words.types(w, change)),
        before=change.before.mode or "",
        before_said=plan_words.state(w, change.before),
        after=change.after.mode or "",
        after_said=plan_words.state(w, change.after),
        effect=one.effect.value,
        effect_said=w.word("effect", plan_words.effect(one)),
        per_day=a_day(w, one.per_day),
        untyped=a_day(w, one.untyped_per_day) if one.untyped_per_day else "",
        is_back=one.effect in _BAD,
    )


def a_day(w: Words, messages: float) -> str:
    """Return how many messages come in a day."""
    return w.number(round(messages)) if messages >= 10 or messages == 0 else w.number(max(0.1, round(messages, 1)))


def _by_patient(past: WhatIf | None) -> bool:
    """Tell whether which messages would have gone another way depends on their patients."""
    return past is not None and any(day.after[Side.PATIENT] for day in past.days)


def _charts(w: Words, past: WhatIf | None) -> tuple[Chart, Chart] | None:
    if past is None or not past.messages:
        return None
    times = [w.date(day.begins) for day in past.days]
    told = []
    for title, counts in (
        ("cut_past_before", [day.before for day in past.days]),
        ("cut_past_after", [day.after for day in past.days]),
    ):
        lines = [
            Line(w.word("side", side.value), kind, tuple(float(day[side]) for day in counts))
            for side, kind in _SIDES
            if any(each[side] for day in past.days for each in (day.before, day.after))
        ]
        told.append(stack_chart(w.text(title), times, lines))
    return told[0], told[1]


def parts_view(w: Words, found: Iterable[Finding]) -> dict[str, list[dict[str, str]]]:
    """Return what a preflight found by what it means: `stops`, `warns`, `approval`, `ok`."""
    parts: dict[str, list[dict[str, str]]] = {part.value: [] for part in Part}
    for one in found:
        parts[one.part.value].append(
            {"check": w.word("cut-check", one.check), "code": one.code, "text": plan_words.finding(w, one)}
        )
    return parts


def shown_cutover(w: Words, record: Cutover, offers: Offers, now: float) -> dict[str, Any]:
    """Return a cutover as its own page has it, beside what its changes do."""
    return {
        **list_item(w, record, now),
        "text": record.text,
        "hash": record.hash,
        "version": record.version,
        "at_field": w.wall(record.at),
        "conditions": conditions(w, record.plan),
        "approved_by": [(w.person(one.by), one.at, one.comment or "") for one in record.approvals],
        "is_executed": record.is_executed,
        "report": record.report,
        "history": (told := history(w, record)),
        "stopped_by": told[0]["found"] if record.state is CutoverState.REFUSED else [],
        "offers": offers,
        "can_go_on": record.ended_at is None,
        "confirm": confirm_name(w, record.plan),
        "more_changed": 0 if record.report is None else len(record.report.changed),
    }


def confirm_name(w: Words, plan: Plan) -> str:
    """Return what is typed to confirm what cannot be undone: the municipality's name, or of several the cutover's."""
    places = {one.municipality for one in plan.set}
    only = next(iter(places))
    return w.municipality(only) if len(places) == 1 and only is not None else plan.name


def is_confirmed(typed: str, name: str) -> bool:
    """Tell whether somebody has typed a name; blanks around it, and capitals, say nothing."""
    return " ".join(typed.split()).casefold() == " ".join(name.split()).casefold()


def history(w: Words, record: Cutover) -> list[dict[str, Any]]:
    """Return what has happened, the last first."""
    return [
        {
            "at": one.at,
            "what": w.text_if_any(f"event-{one.what}") or w.word("cut", one.what),
            "by": w.person(one.by) if one.by else w.text("cut_by_itself"),
            # The gateway's own reasons are English, and told by the preflight and the numbers; people's are theirs.
            "reason": one.reason if one.by or not one.reason else _own_reason(w, record, one.what),
            "found": [plan_words.finding(w, each) for each in one.found],
            "is_approval": one.what == APPROVAL,
        }
        for one in reversed(record.history)
    ]


def _own_reason(w: Words, record: Cutover, what: str) -> str:
    """Return why the gateway did something, in the reader's words."""
    report = record.report
    if what == CutoverState.ROLLED_BACK and report is not None:
        values = {"failed": w.number(report.failed), "all": w.count(report.fine + report.failed)}
        return w.text("own-rolled_back").format_map(values)
    return w.text_if_any(f"own-{what}")


def failed_view(w: Words, found: Sequence[FailedMessage]) -> list[dict[str, Any]]:
    """Return messages that failed, as a table has them."""
    return [
        {
            "reference": one.reference,
            "at": one.at,
            "place": w.municipality(one.municipality),
            "sender": one.sender or "",
            "vendor": w.vendor(one.vendor) if one.vendor else "",
            "type": w.type(one.information) if one.information else w.word("cut", "untyped"),
            "why": w.text_if_any(f"fault-{one.outcome}")
            or w.text_if_any(f"state-{one.outcome}")
            or w.word("outcome", one.outcome),
        }
        for one in found
    ]


def _given(record: Cutover) -> int:
    return sum(one.hash == record.hash for one in record.approvals)

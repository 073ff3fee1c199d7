"""A plan as the wizard has it so far: what was written, which fields a step shows, and what is wrong with each; pure."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from gateway.admin.cutover_access import Submitted
from gateway.admin.pages import route_fields
from gateway.admin.pages.forms import Form, iso_of
from gateway.admin.pages.route_fields import DECIMAL
from gateway.admin.params import is_number_in
from gateway.migration.cutover_plan import GateRequest, Plan, RollBackRequest, is_name
from gateway.migration.gates import suggested_gate, suggested_watch
from gateway.migration.schedule import wall
from gateway.model import GOES_NEW, JOURNALING, RETRIEVAL, Information, Mode
from gateway.routing.route import KINDS, RouteSpec
from gateway.times import DAY

_MINUTE = 60.0
_WHOLE = re.compile(r"[0-9]{1,6}")
_LONGEST = 4000
_MOST = 100
"""Changes."""
OF_CHANGE = ("municipality", "sender", "information", "mode", "text", *KINDS)
OF_PLAN = (
    *("name", "at", "approvals", "gate_messages", "gate_clean", "gate_days", "back_failed", "back_held"),
    *("back_messages", "back_minutes", "step_back", "suggested", "named"),
)
"""`suggested`: the messages a week that the numbers were suggested by; `named`: the name that was."""
BY_HAND = "-"
"""Instead of `suggested`, where somebody wrote the numbers."""
_DOES: Mapping[str, str] = {
    Mode.REHEARSE: "provekjoring",
    Mode.COMPARE: "sammenligning",
    Mode.CANARY: "delvis",
    Mode.LEGACY: "tilbake",
    Mode.CLOSED: "stengt",
}
"""What a name says of a mode; what moves says nothing of it."""
_LETTERS = str.maketrans({"æ": "ae", "ø": "o", "å": "a", "Æ": "Ae", "Ø": "O", "Å": "A"})
_DAY_ALONE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_FEW_TYPES, _LONGEST_NAME = 2, 60
"""A name has at most 64 characters; some are left for one that makes it another."""
USUAL = {"approvals": "1", "gate_messages": "200", "gate_clean": "99,5", "gate_days": "7"}
USUAL |= {"back_failed": "5", "back_held": "50", "back_messages": "20", "back_minutes": "15"}
Values = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Wrong:
    """What is wrong with a field: the key of the text that says so."""

    field: str
    key: str


@dataclass(frozen=True, slots=True)
class Draft:
    """The values of all fields, by their names; a change's are kept apart."""

    changes: tuple[Values, ...] = ({},)
    plan: Values = field(default_factory=dict)

    def of(self, number: int, name: str) -> str:
        """Return what was written for a change; empty where nothing was."""
        return _first(self.changes[number], name)

    def said(self, name: str) -> str:
        """Return what was written for the plan."""
        return _first(self.plan, name)

    @property
    def goes_new(self) -> bool:
        """Whether a gate and a rollback rule say something of it."""
        return any(_first(one, "mode") in GOES_NEW for one in self.changes)

    def hidden(self, shown: int | None, plan_is_shown: bool) -> list[tuple[str, str]]:
        """Return the fields that a step does not show, and carries along."""
        found = [
            (f"c{number}_{name}", value)
            for number, values in enumerate(self.changes)
            for name, many in values.items()
            for value in many
            if number != shown
        ]
        if not plan_is_shown:
            found += [(name, value) for name, many in self.plan.items() for value in many]
        return found

    def kept(self, number: int, shown: Sequence[str]) -> list[tuple[str, str]]:
        """Return the fields of one change that a step about it does not show."""
        return [
            (f"c{number}_{name}", value)
            for name, many in self.changes[number].items()
            if name not in shown
            for value in many
        ]

    def without(self, number: int) -> "Draft":
        """Return it without one of its changes; there always is one."""
        return replace(self, changes=(*self.changes[:number], *self.changes[number + 1 :]) or ({},))

    def with_more(self) -> "Draft":
        """Return it with another change, of the same municipality as the last."""
        place = self.changes[-1].get("municipality", ())
        return replace(self, changes=(*self.changes, {"municipality": place})[:_MOST])


def of_form(form: Form) -> Draft:
    """Return what a form of the wizard has brought."""
    count = min(_whole(_first(form, "count")) or 1, _MOST)
    changes = [{name: _given(form, f"c{number}_{name}") for name in OF_CHANGE} for number in range(count)]
    kept = [{name: values for name, values in one.items() if any(values)} for one in changes]
    plan = {name: values for name in OF_PLAN if any(values := _given(form, name)) or name in form}
    if "name" in plan:
        plan["name"] = (name_of(_first(plan, "name")),)
    return Draft(tuple(kept), plan)


def of_query(query: Mapping[str, Sequence[str]]) -> Draft:
    """Return what a link prefills."""
    vendor, system = _first(query, "vendor"), _first(query, "system")
    change: dict[str, tuple[str, ...]] = {name: _given(query, name) for name in ("municipality", "information", "mode")}
    change["sender"] = (_first(query, "sender") or (f"{vendor}/{system}" if system else vendor),)
    given = {name: _given(query, name) for name in OF_PLAN if name in query}
    if "gate_messages" in given and not _first(given, "suggested").isdecimal():
        given["suggested"] = (BY_HAND,)
    return Draft(({name: values for name, values in change.items() if any(values)},), {**_usual(), **given})


def of_plan(plan: Plan) -> Draft:
    """Return what the wizard would have been told for a plan."""
    told: dict[str, str] = {
        "name": plan.name,
        "approvals": str(plan.approvals),
        "step_back": "yes" if plan.step_back else "",
    }
    told["at"] = wall(plan.at)
    if (gate := plan.gate) is not None:
        told |= {
            "gate_messages": str(gate.rehearsed_at_least),
            "gate_clean": route_fields.hundredths(gate.clean_at_least),
        }
        told["gate_days"] = route_fields.number(gate.within / DAY)
    if (back := plan.roll_back_when) is not None:
        told |= {"back_failed": route_fields.hundredths(back.failed_at_least), "back_messages": str(back.of_at_least)}
        told["back_held"] = "" if back.held_at_least is None else route_fields.hundredths(back.held_at_least)
        told["back_minutes"] = route_fields.number(back.within / _MINUTE)
    told["suggested"] = BY_HAND
    values = {name: (told.get(name, ""),) for name in OF_PLAN}
    return Draft(tuple(map(_of_spec, plan.set)), values)


def _of_spec(spec: RouteSpec) -> Values:
    sender = "/".join(filter(None, (spec.vendor, spec.system)))
    found: dict[str, tuple[str, ...]] = {"municipality": (spec.municipality or "",), "sender": (sender,)}
    found |= {"information": spec.information or (), "mode": (spec.mode.value,), "text": (spec.text or "",)}
    found |= {name: route_fields.shown(name, value) for name, value in spec.as_keys().items() if name in KINDS}
    return {name: values for name, values in found.items() if any(values)}


def wrong_cells(draft: Draft, number: int, municipalities: Sequence[str], senders: Sequence[str]) -> Iterator[Wrong]:
    """Say what is wrong with where a change is, and with its mode."""
    if draft.of(number, "municipality") not in municipalities:
        yield Wrong("municipality", "wrong_municipality")
    if draft.of(number, "sender") not in ("", *senders):
        yield Wrong("sender", "wrong_sender")
    given = draft.changes[number].get("information", ())
    if not given or any(one not in _TYPES for one in given):
        yield Wrong("information", "wrong_information")
    if draft.of(number, "mode") not in tuple(Mode):
        yield Wrong("mode", "wrong_mode")


_TYPES = frozenset(Information)


def wrong_choices(draft: Draft, number: int) -> Iterator[Wrong]:
    """Say what is wrong with the fields of a change's mode."""
    for name in route_fields.fields_of(draft.of(number, "mode")):
        value = draft.of(number, name)
        if name == "share" and not value:
            yield Wrong(name, "wrong_part")
        elif name == "text" and not (value and value.isprintable() and len(value) <= 500):
            yield Wrong(name, "wrong_text")
        elif key := route_fields.wrong(name, draft.changes[number].get(name, ())):
            yield Wrong(name, key)


def wrong_conditions(draft: Draft) -> Iterator[Wrong]:
    """Say what is wrong with name, numbers and approvals; the time is looked at by whoever knows the clock."""
    if not is_name(draft.said("name")):
        yield Wrong("name", "wrong_name")
    if not 1 <= (_whole(draft.said("approvals")) or 0) <= 100:
        yield Wrong("approvals", "wrong_approvals")
    if not draft.goes_new:
        return
    yield from _wrong_numbers(draft, {"gate_messages": _WHOLE, "gate_clean": DECIMAL, "gate_days": _WHOLE}, ())
    back = {"back_failed": DECIMAL, "back_messages": _WHOLE, "back_minutes": _WHOLE, "back_held": DECIMAL}
    yield from _wrong_numbers(draft, back, ("back_held",))


def _wrong_numbers(draft: Draft, names: Mapping[str, re.Pattern[str]], may_lack: Sequence[str]) -> Iterator[Wrong]:
    """All of a group's numbers stand there, or none."""
    given = {name: draft.said(name) for name in names}
    for name, value in given.items():
        if value and not names[name].fullmatch(value):
            yield Wrong(name, "wrong_number")
        elif not value and any(given.values()) and name not in may_lack:
            yield Wrong(name, "wrong_all_or_none")


def submitted(draft: Draft) -> Submitted:
    """Return the plan that a draft without anything wrong asks for."""
    return Submitted(
        name=draft.said("name"),
        at=iso_of(draft.said("at")) or "-",
        set=tuple(_spec(draft, number) for number in range(len(draft.changes))),
        gate=_gate(draft) if draft.goes_new else None,
        roll_back_when=_back(draft) if draft.goes_new else None,
        step_back=bool(draft.said("step_back")),
        approvals=_whole(draft.said("approvals")) or 1,
    )


def _spec(draft: Draft, number: int) -> RouteSpec:
    vendor, _, system = draft.of(number, "sender").partition("/")
    mode = Mode(draft.of(number, "mode"))
    given = draft.changes[number]
    values = {name: route_fields.meant(name, given.get(name, ())) for name in route_fields.fields_of(mode)}
    return RouteSpec(
        municipality=draft.of(number, "municipality"),
        vendor=vendor or None,
        system=system or None,
        information=tuple(Information(one).value for one in draft.changes[number].get("information", ())),
        mode=mode,
        **{name: value for name, value in values.items() if value is not None},
    )


def _gate(draft: Draft) -> GateRequest | None:
    if not draft.said("gate_messages"):
        return None
    days = int(draft.said("gate_days"))
    return GateRequest(
        rehearsed_at_least=int(draft.said("gate_messages")),
        clean_at_least=route_fields.part(draft.said("gate_clean")),
        within=days * DAY,
    )


def _back(draft: Draft) -> RollBackRequest | None:
    if not draft.said("back_failed"):
        return None
    held = draft.said("back_held")
    return RollBackRequest(
        failed_at_least=route_fields.part(draft.said("back_failed")),
        of_at_least=int(draft.said("back_messages")),
        within=int(draft.said("back_minutes")) * _MINUTE,
        held_at_least=route_fields.part(held) if held else None,
    )


def name_of(text: str) -> str:
    """Return what somebody calls a cutover as a name may be: `Furudal, nødmelding` becomes `Furudal-nodmelding`."""
    return re.sub(r"[\s,–]+(?:-[\s,–]*)?", "-", text.strip().translate(_LETTERS))


def suggested_name(draft: Draft, day: str) -> str:
    """Return a name that says where, whose, what and when; `day` is a date of ISO 8601."""
    change = draft.changes[0]
    vendor = draft.of(0, "sender").partition("/")[0] if len(draft.changes) == 1 else ""
    types = [Information(one) for one in change.get("information", ()) if one in _TYPES]
    about = "-".join(each.value for each in types) if len(types) <= _FEW_TYPES else "journalforing"
    if len(types) > _FEW_TYPES and not JOURNALING.issuperset(types):
        about = "oppslag" if RETRIEVAL.issuperset(types) else ""
    parts = (draft.of(0, "municipality"), vendor, about, _DOES.get(draft.of(0, "mode"), ""))
    name = name_of("-".join(filter(None, parts)))
    return f"{name[: _LONGEST_NAME - len(day) - 1]}-{day}" if _DAY_ALONE.fullmatch(day) else name[:_LONGEST_NAME]


def suggested_fields(messages_a_week: int) -> dict[str, str]:
    """Return a gate and a rule that rolls back, which cells with so much traffic can meet, as their fields have them."""
    gate, watch = suggested_gate(messages_a_week), suggested_watch(messages_a_week)
    return {
        "gate_messages": str(gate.rehearsed_at_least),
        "gate_clean": route_fields.hundredths(gate.clean_at_least),
        "gate_days": route_fields.number(gate.within / DAY),
        "back_failed": route_fields.hundredths(watch.failed_at_least),
        "back_held": route_fields.hundredths(watch.held_at_least or 0.5),
        "back_messages": str(watch.of_at_least),
        "back_minutes": route_fields.number(watch.within / _MINUTE),
        "suggested": str(messages_a_week),
    }


def _whole(text: str) -> int | None:
    return int(text) if _WHOLE.fullmatch(text) else None


def _usual() -> dict[str, tuple[str, ...]]:
    return {name: (value,) for name, value in USUAL.items()}


def _given(form: Mapping[str, Sequence[str]], name: str) -> tuple[str, ...]:
    # What may be a national identity number is not carried along.
    return tuple("" if is_number_in(value) else value.strip()[:_LONGEST] for value in form.get(name, ()))


def _first(values: Mapping[str, Sequence[str]], name: str) -> str:
    return next(iter(values.get(name, ())), "").strip()

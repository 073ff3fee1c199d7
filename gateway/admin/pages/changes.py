"""What the audit keeps of a change, and a plan as it is stored, as tables of words: each field before and after; pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from gateway.admin.pages.cutover_view import changes, choices, conditions
from gateway.admin.pages.words import Words
from gateway.migration.cutover_plan import Plan
from gateway.model import Mode
from gateway.routing.route import RouteSpec

_Said = dict[str, str]
"""What a table says, by the keys of its fields' texts."""


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One line of a table: a field, and what it was and is; empty where there was, or is, nothing."""

    field: str
    before: str
    after: str
    is_quoted: bool
    """Whether people wrote it."""


_QUOTED = ("because", "over_ticket", "choice-text")


def changed(w: Words, detail: str) -> list[FieldChange]:
    """Return what an entry of the audit tells of a change; nothing of what is no change."""
    try:
        told = msgspec.json.decode(detail)
        sides = [_said(w, told[name]) for name in ("before", "after")]
    except (msgspec.DecodeError, msgspec.ValidationError, KeyError, TypeError, AttributeError, ValueError):
        # Of an older version: the raw entry is there.
        return []
    before, after = sides
    return [
        FieldChange(w.text(name), before.get(name, ""), after.get(name, ""), name in _QUOTED)
        for name in dict.fromkeys([*before, *after])
        if before.get(name, "") != after.get(name, "")
    ]


def stored(w: Words, plan: Plan) -> list[tuple[str, str]]:
    """Return a plan's fields in words."""
    return [(w.text(name), value) for name, value in _plan(w, plan).items()]


def _said(w: Words, side: Any) -> _Said:
    if side is None or side == []:
        return {}
    return _rules(w, side) if isinstance(side, list) else _cutover(w, side)


def _cutover(w: Words, told: Mapping[str, Any]) -> _Said:
    found = {
        "state": w.word("cut", told["state"]),
        "cut_approvals": w.listed([w.person(each) for each in told["approvals"]]) if told["approvals"] else "",
        "chg_in_force": w.text("rep_yes" if told["is_executed"] else "rep_no"),
    }
    if "plan" in told:
        found |= _plan(w, msgspec.convert(told["plan"], Plan))
        found["cut_hash"] = str(told["hash"])
    return found


def _plan(w: Words, plan: Plan) -> _Said:
    asked = conditions(w, plan)
    lines = [_line(w, one, said) for one, said in zip(plan.set, changes(w, plan), strict=True)]
    found = {
        "name": plan.name,
        "cut_at": w.time(plan.at),
        "cut_what_changes": "; ".join(lines),
        "cut_gate": asked[0][1],
        "cut_back": asked[1][1],
        "cut_needed": w.number(plan.approvals),
    }
    return {**found, "cut_step_back": w.text("rep_yes")} if plan.step_back else found


def _line(w: Words, spec: RouteSpec, said: Mapping[str, Any]) -> str:
    more = "".join(f", {name}: {value}" for name, value in said["choices"])
    return f"{said['place']}, {said['whose']}, {said['types']}: {w.mode(spec.mode)}{more}"


def _rules(w: Words, rules: Sequence[Mapping[str, Any]]) -> _Said:
    """Return what rules of one override or panic say; each has the same maker, reason and end."""
    specs = [_spec(one) for one in rules]
    cells = [
        ", ".join(
            (
                w.municipality(one.municipality),
                w.whole_system(one.vendor, one.system) if one.system else w.vendor(one.vendor),
                w.types(one.information),
            )
        )
        for one in specs
    ]
    modes = list(dict.fromkeys(w.mode(one.mode) for one in specs))
    first = rules[0]
    found = {
        "cut_cells": "; ".join(cells),
        "cut_mode": modes[0]
        if len(modes) == 1
        else "; ".join(f"{cell}: {w.mode(one.mode)}" for cell, one in zip(cells, specs, strict=True)),
    }
    for name, value in choices(w, specs[0]):
        key = next((f"choice-{each}" for each in _POLICIES if w.text_if_any(f"choice-{each}") == name), "")
        found |= {key: value} if key else {}
    told: tuple[tuple[str, str, Callable[[Any], str]], ...] = (
        ("because", "reason", str),
        ("over_ticket", "ticket", str),
        ("over_by", "made_by", w.person),
        ("over_until", "until", w.time),
        ("over_ended_at", "ended_at", w.time),
        ("chg_ended_by", "ended_by", w.person),
    )
    return {**found, **{key: said(first[name]) for key, name, said in told if first.get(name) is not None}}


_POLICIES = tuple(name for name in RouteSpec.__struct_fields__ if name not in ("municipality", "vendor", "system"))


def _spec(rule: Mapping[str, Any]) -> RouteSpec:
    policies = {name: value for name, value in rule["policies"].items() if name != "grouped"}
    words = rule.get("information")
    values = {
        **policies,
        **{name: rule.get(name) for name in ("municipality", "vendor", "system", "text")},
        "information": None if words is None else words.split(),
        "mode": Mode(rule["mode"]),
    }
    return msgspec.convert(values, RouteSpec)

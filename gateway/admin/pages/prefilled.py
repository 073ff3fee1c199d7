"""Forms that are filled in for cells of one sender: to start a rehearsal, and to plan a cutover that their own traffic lets pass."""

from collections.abc import Sequence
from urllib.parse import urlencode

from gateway.admin.municipalities import CellView
from gateway.auth.people.principal import Principal
from gateway.auth.people.rbac import Action, may
from gateway.migration.gates import suggested_gate, suggested_watch
from gateway.migration.schedule import OSLO, moment
from gateway.migration.standing import Step
from gateway.model import JOURNALING, Mode
from gateway.times import DAY

_REHEARSAL = 14 * DAY
"""Seconds for which a rehearsal is offered as an override."""
_AHEAD = 3 * DAY
_FRIDAY, _HOUR = 4, 10
"""Nothing is suggested from Friday on; a cutover is suggested for this hour."""
_LONGEST = 64
Fields = list[tuple[str, str]]
_PLANNABLE = (Step.PLAN, Step.MEND, Step.REHEARSE_ON, Step.QUIET, Step.WIDEN, Step.DIRECT)


def rehearsal(who: Principal, views: Sequence[CellView], now: float) -> str | None:
    """Return the form for a rehearsal of cells of one sender, or for a comparison of its searches: an override for a time for operators, else a cutover for planners.

    None where the rules allow it for none of them, or whoever looks may set neither. An override would win over a cutover of the
    same cell, so it ends before one that is planned.
    """
    fitting = [one for one in views if _may_rehearse(one)]
    if not fitting:
        return None
    cell = fitting[0].cell
    mode = (Mode.REHEARSE if cell.information in JOURNALING else Mode.COMPARE).value
    if may(who.grants, Action.OPERATE, cell.municipality):
        planned = [one.switches for one in fitting if one.switches is not None and one.switches > now]
        until = min([now + _REHEARSAL, *planned])
        fields = [("municipality", cell.municipality), ("vendor", cell.vendor), ("system", cell.system)]
        fields += [*_types(fitting), ("mode", mode), ("until", _local(until))]
        return f"/overrides?{urlencode(fields)}#new"
    free = [one for one in fitting if one.cutover is None]
    if free and may(who.grants, Action.PLAN, cell.municipality):
        return f"/cutovers/new?{urlencode([*_planned(free, 'prove', now), ('mode', mode)])}"
    return None


def cutover(who: Principal, views: Sequence[CellView], now: float) -> str | None:
    """Return the form for a cutover, with a gate and a rollback rule that the cells' traffic can meet; None as above."""
    fitting = [one for one in views if one.cutover is None and one.step in _PLANNABLE]
    if not fitting or not may(who.grants, Action.PLAN, fitting[0].cell.municipality):
        return None
    weekly = sum(one.weekly for one in fitting)
    gate, watch = suggested_gate(weekly), suggested_watch(weekly)
    fields = [*_planned(fitting, "flytt", now), ("mode", Mode.NEW.value)]
    if any(one.cell.information in JOURNALING for one in fitting):
        fields += [("gate_messages", str(gate.rehearsed_at_least)), ("gate_clean", "99,5")]
        fields += [("gate_days", f"{gate.within / DAY:.0f}")]
    fields += [("back_failed", f"{watch.failed_at_least * 100:.0f}"), ("back_held", "50")]
    fields += [("back_messages", str(watch.of_at_least)), ("back_minutes", f"{watch.within / 60:.0f}")]
    return f"/cutovers/new?{urlencode([*fields, ('suggested', 'yes')])}"


def _may_rehearse(view: CellView) -> bool:
    cell = view.cell
    is_offered = cell.information in JOURNALING or view.step is Step.COMPARE
    return cell.mode is Mode.LEGACY and is_offered and view.step is not Step.DIRECT


def _types(views: Sequence[CellView]) -> Fields:
    return [("information", one.cell.information.value) for one in views]


def _planned(views: Sequence[CellView], word: str, now: float) -> Fields:
    """Return the fields of a plan: its name, and an hour of a working day in three days or a little later."""
    day = moment(now + _AHEAD).astimezone(OSLO).replace(hour=12)
    while day.weekday() >= _FRIDAY:
        day = moment(day.timestamp() + DAY).astimezone(OSLO)
    at = day.replace(hour=_HOUR, minute=0, second=0, microsecond=0)
    cell = views[0].cell
    about = f"-{cell.information.value}" if len(views) == 1 else ""
    name = f"{cell.municipality}-{cell.vendor}{about}-{word}-{at:%m%d}"[:_LONGEST]
    fields = [("municipality", cell.municipality), ("vendor", cell.vendor), ("system", cell.system)]
    fields += _types(views)
    return [*fields, ("name", name), ("at", at.strftime("%Y-%m-%dT%H:%M"))]


def _local(at: float) -> str:
    return moment(at).astimezone(OSLO).strftime("%Y-%m-%dT%H:%M")

"""Forms that are filled in for cells of one sender: to start a rehearsal, and to plan a cutover that their own traffic lets pass."""

from collections.abc import Sequence
from datetime import datetime
from urllib.parse import urlencode

from gateway.admin.municipality_view import CellView
from gateway.admin.pages.cutover_draft import suggested_fields
from gateway.auth.people.principal import Principal
from gateway.auth.people.rbac import Action, may
from gateway.migration.schedule import OSLO, moment, wall
from gateway.migration.standing import Step
from gateway.model import JOURNALING, Mode
from gateway.times import DAY

_REHEARSAL = 14 * DAY
"""Seconds for which a rehearsal is offered as an override."""
_AHEAD = 3 * DAY
_FRIDAY, _HOUR = 4, 10
"""Nothing is suggested from Friday on; a cutover is suggested for this hour."""
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
        fields = [*_cells(fitting), ("mode", mode), ("until", wall(moment(until)))]
        return f"/overrides?{urlencode(fields)}#new"
    free = [one for one in fitting if one.cutover is None]
    if free and may(who.grants, Action.PLAN, cell.municipality):
        return f"/cutovers/new?{urlencode([*_planned(free, now), ('mode', mode)])}"
    return None


def cutover(who: Principal, views: Sequence[CellView], now: float) -> str | None:
    """Return the form for a cutover, with a gate and a rollback rule that the cells' traffic can meet; None as above."""
    fitting = [one for one in views if one.cutover is None and one.step in _PLANNABLE]
    if not fitting or not may(who.grants, Action.PLAN, fitting[0].cell.municipality):
        return None
    fields = [*_planned(fitting, now), ("mode", Mode.NEW.value), *suggested_fields(weekly(fitting)).items()]
    return f"/cutovers/new?{urlencode(fields)}"


def weekly(views: Sequence[CellView]) -> int:
    """Return the messages of a week of some cells, by which a gate is suggested."""
    return round(sum(one.weekly for one in views))


def planned_for(now: float) -> datetime:
    """Return an hour of a working day in three days or a little later, in Norwegian time."""
    day = moment(now + _AHEAD).astimezone(OSLO).replace(hour=12)
    while day.weekday() >= _FRIDAY:
        day = moment(day.timestamp() + DAY).astimezone(OSLO)
    return day.replace(hour=_HOUR, minute=0, second=0, microsecond=0)


def _may_rehearse(view: CellView) -> bool:
    cell = view.cell
    is_offered = cell.information in JOURNALING or view.step is Step.COMPARE
    return cell.mode is Mode.LEGACY and is_offered and view.step is not Step.DIRECT


def _cells(views: Sequence[CellView]) -> Fields:
    cell = views[0].cell
    fields = [("municipality", cell.municipality), ("vendor", cell.vendor), ("system", cell.system)]
    return [*fields, *(("information", one.cell.information.value) for one in views)]


def _planned(views: Sequence[CellView], now: float) -> Fields:
    """Return the fields of a plan: its cells, and when; the wizard suggests a name once all of it is known."""
    return [*_cells(views), ("at", wall(planned_for(now)))]

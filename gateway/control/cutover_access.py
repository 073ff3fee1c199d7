"""Who may see, plan, approve and steer which cutover; pure."""

from dataclasses import dataclass

from gateway.auth.people.principal import Principal
from gateway.auth.people.rbac import Action, Where, may
from gateway.control.ledger_desk import reach
from gateway.control.refusals import Code, Refusal
from gateway.migration.cells import Cells
from gateway.migration.cutover import CANCELLABLE, STARTABLE, Cutover, CutoverState


@dataclass(frozen=True, slots=True)
class By:
    """Who asks for something."""

    person: Principal
    known: tuple[str, ...]
    """By what the same person is known again; whoever made an API token is who uses it."""


@dataclass(frozen=True, slots=True)
class Offers:
    """What somebody may do about a cutover as it stands."""

    approve: bool
    is_own: bool
    """Whether they would approve it, had they not written it."""
    start: bool
    cancel: bool
    roll_back: bool


def may_see(who: Principal, cells: Cells) -> bool:
    """Tell whether someone may view it: in one of its municipalities at least."""
    within, places = reach(who, Action.VIEW), cells.places
    return within is None or None in places or bool(within & set(places))


def may_everywhere(who: Principal, cells: Cells, action: Action) -> bool:
    """Tell whether someone may do this in every municipality that it names."""
    return all(may(who.grants, action, Where.EVERYWHERE if place is None else place) for place in cells.places)


def may_steer(who: Principal, cells: Cells) -> bool:
    """Tell whether someone may start it, call it off and roll it back: whoever plans there, or operates."""
    return any(may_everywhere(who, cells, action) for action in (Action.PLAN, Action.OPERATE))


def check_everywhere(who: Principal, cells: Cells, action: Action) -> None:
    """Raise `Refusal` unless someone may do this in every municipality that it names."""
    if not may_everywhere(who, cells, action):
        raise Refusal(Code.FORBIDDEN, f"{action} in every municipality that it names")


def has_written(by: By, record: Cutover) -> bool:
    """Tell whether somebody submitted the plan, or changed it."""
    return bool(record.writers & set(by.known))


def has_approved(by: By, record: Cutover) -> bool:
    """Tell whether somebody has approved the plan that is there."""
    return any(set(one.known) & set(by.known) for one in record.approvals)


def offers(by: By, record: Cutover) -> Offers:
    """Return what a page offers somebody; what is asked for is checked again."""
    approves = record.state is CutoverState.SUBMITTED and may_everywhere(by.person, record.cells, Action.APPROVE)
    is_own, steers = has_written(by, record), may_steer(by.person, record.cells)
    return Offers(
        approve=approves and not is_own and not has_approved(by, record),
        is_own=approves and is_own,
        start=steers and record.state in STARTABLE,
        cancel=steers and record.state in CANCELLABLE,
        roll_back=steers and record.is_executed,
    )

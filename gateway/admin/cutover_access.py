"""Who may see, plan, approve and steer which cutover, and which plan somebody means."""

from dataclasses import dataclass
from typing import Annotated

import msgspec
from aiohttp import web  # noqa: TID251 - the admin port is no part of the data plane

from gateway.admin.context import reach
from gateway.admin.endpoints import person, visitor
from gateway.admin.params import Word
from gateway.admin.problems import Code, Problem
from gateway.auth.people.principal import LoginMethod, Principal
from gateway.auth.people.rbac import Action, Where, may
from gateway.config.model import Config
from gateway.migration.cells import Cells
from gateway.migration.cutover import CANCELLABLE, REJECTABLE, STARTABLE, Cutover, CutoverState
from gateway.migration.cutover_plan import (
    CutoverRequest,
    GateRequest,
    Plan,
    RollBackRequest,
    faults,
    of_file,
    of_wanted,
    resolved,
)
from gateway.migration.schedule import TimeRefused
from gateway.routing.route import RouteSpec


@dataclass(frozen=True, slots=True)
class By:
    """Who asks for something."""

    person: Principal
    known: tuple[str, ...]
    """By what the same person is known again; whoever made an API token is who uses it."""

    @classmethod
    def of(cls, request: web.Request) -> "By":
        """Return who sent a request."""
        who = person(request)
        token = visitor(request).auth.tokens.get(who.known_as[0]) if who.via is LoginMethod.API_TOKEN else None
        return cls(who, (who.subject, *who.known_as, *(token.made_by if token else ())))


@dataclass(frozen=True, slots=True)
class Offers:
    """What somebody may do about a cutover as it stands."""

    approve: bool
    reject: bool
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
    """Raise `Problem` unless someone may do this in every municipality that it names."""
    if not may_everywhere(who, cells, action):
        raise Problem(Code.FORBIDDEN, f"{action} in every municipality that it names")


def has_written(by: By, record: Cutover) -> bool:
    """Tell whether somebody submitted the plan, or changed it."""
    return bool(record.writers & set(by.known))


def has_approved(by: By, record: Cutover) -> bool:
    """Tell whether somebody has approved the plan that is there."""
    return any(set(one.known) & set(by.known) for one in record.approvals)


def offers(by: By, record: Cutover) -> Offers:
    """Return what a page offers somebody; what is asked for is checked again."""
    judges = may_everywhere(by.person, record.cells, Action.APPROVE)
    approves = record.state is CutoverState.SUBMITTED and judges
    is_own, steers = has_written(by, record), may_steer(by.person, record.cells)
    return Offers(
        approve=approves and not is_own and not has_approved(by, record),
        reject=judges and not is_own and record.state in REJECTABLE,
        is_own=approves and is_own,
        start=steers and record.state in STARTABLE,
        cancel=steers and record.state in CANCELLABLE,
        roll_back=steers and record.is_executed,
    )


class Submitted(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A plan, or the name of one that is written in routes.yaml."""

    from_file: Word | None = None
    name: Word | None = None
    at: Word | None = None
    set: tuple[RouteSpec, ...] | None = None
    gate: GateRequest | None = None
    roll_back_when: RollBackRequest | None = None
    approvals: Annotated[int, msgspec.Meta(ge=1)] = 1
    step_back: bool = False


def planned(wanted: Submitted, config: Config) -> Plan:
    """Return the plan that is meant; raises `Problem`."""
    try:
        plan = _of_file(wanted, config) if wanted.from_file is not None else _of_body(wanted)
    except TimeRefused as error:
        raise Problem(Code.BAD_REQUEST, f"at: {error}") from None
    except ValueError:
        raise Problem(Code.BAD_REQUEST, "set: an information type that nobody knows") from None
    if wrong := faults(plan, config):
        raise Problem(Code.BAD_REQUEST, "; ".join(wrong))
    return plan if wanted.from_file is not None else resolved(plan, config)


def _of_file(wanted: Submitted, config: Config) -> Plan:
    if msgspec.structs.replace(wanted, from_file=None) != Submitted():
        raise Problem(Code.BAD_REQUEST, "from_file stands alone")
    written = config.cutovers.get(wanted.from_file or "")
    if written is None:
        raise Problem(Code.NOT_FOUND, "routes.yaml has no cutover of that name")
    return of_file(written)


def _of_body(wanted: Submitted) -> Plan:
    if wanted.name is None or wanted.at is None or wanted.set is None:
        raise Problem(Code.BAD_REQUEST, "expected: name, at and set; or from_file")
    fields = {name: getattr(wanted, name) for name in CutoverRequest.__struct_fields__}
    return of_wanted(CutoverRequest(**fields))

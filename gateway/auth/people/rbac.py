"""What each role may do, and where. Whatever is not said here is refused."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import Enum, StrEnum

from gateway.config.model import Role


class Action(StrEnum):
    """What an endpoint of the admin port is for."""

    VIEW = "view"
    PLAN = "plan"
    APPROVE = "approve"
    OPERATE = "operate"


MAY: dict[Role, frozenset[Action]] = {
    Role.VIEWER: frozenset({Action.VIEW}),
    Role.PLANNER: frozenset({Action.VIEW, Action.PLAN}),
    Role.APPROVER: frozenset({Action.VIEW, Action.APPROVE}),
    Role.OPERATOR: frozenset({Action.VIEW, Action.OPERATE}),
}
"""No role has all: who plans a change is not who approves it."""

TOKEN_ROLES = frozenset(Role) - {Role.APPROVER}
"""What an API token may be; approving is for a person."""


class Where(Enum):
    """A place that is not one municipality."""

    SOMEWHERE = "somewhere"
    """In whichever municipality; what is shown or done is narrowed afterwards."""
    EVERYWHERE = "everywhere"
    """What concerns all municipalities at once."""


@dataclass(frozen=True, slots=True)
class Grant:
    """A role, and the short names of the municipalities that it is for; None means all."""

    role: Role
    municipalities: frozenset[str] | None = None

    def holds(self, where: str | Where) -> bool:
        """Tell whether the grant reaches a place."""
        if self.municipalities is None:
            return True
        return bool(self.municipalities) if where is Where.SOMEWHERE else where in self.municipalities


def may(grants: Iterable[Grant], action: Action, where: str | Where) -> bool:
    """Tell whether any grant allows the action there."""
    return any(action in MAY[grant.role] and grant.holds(where) for grant in grants)


def covers(grants: Collection[Grant], wanted: Iterable[Grant]) -> bool:
    """Tell whether whoever has `grants` has every one of `wanted`, and so may hand it on."""
    return all(_has(grants, one.role, place) for one in wanted for place in _places(one))


def narrowed(wanted: Iterable[Grant], limits: Collection[Grant]) -> tuple[Grant, ...]:
    """Return what of `wanted` is also within `limits`, role by role."""
    both = (
        Grant(one.role, _common(one.municipalities, limit.municipalities))
        for one in wanted
        for limit in limits
        if limit.role is one.role
    )
    return tuple(grant for grant in both if grant.municipalities is None or grant.municipalities)


def _has(grants: Collection[Grant], role: Role, where: str | Where) -> bool:
    return any(grant.role is role and grant.holds(where) for grant in grants)


def _places(grant: Grant) -> Iterable[str | Where]:
    return (Where.EVERYWHERE,) if grant.municipalities is None else grant.municipalities


def _common(one: frozenset[str] | None, other: frozenset[str] | None) -> frozenset[str] | None:
    if one is None or other is None:
        return other if one is None else one
    return one & other

"""Which role may do what, and where."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.auth.people.rbac import MAY, Action, Grant, Where, covers, may, narrowed
from gateway.config.model import Role

TABLE = {
    #               view   plan   approve operate
    Role.VIEWER: (True, False, False, False),
    Role.PLANNER: (True, True, False, False),
    Role.APPROVER: (True, False, True, False),
    Role.OPERATOR: (True, False, False, True),
}
GRANTS = st.builds(
    Grant,
    st.sampled_from(Role),
    st.none() | st.frozensets(st.sampled_from(["a", "b", "c"]), min_size=1),
)
PLACES = [Where.SOMEWHERE, Where.EVERYWHERE, "a", "b", "c"]


@pytest.mark.parametrize("role", Role)
def test_roles_by_actions(role: Role) -> None:
    """The whole table, written out."""
    allowed = tuple(may([Grant(role)], action, Where.EVERYWHERE) for action in Action)
    assert allowed == TABLE[role]
    assert role in MAY


@pytest.mark.parametrize(
    ("where", "allowed"), [("nordfjell", True), ("sorvik", False), (Where.SOMEWHERE, True), (Where.EVERYWHERE, False)]
)
def test_limit_to_municipalities(where: str | Where, allowed: bool) -> None:
    """A role for one municipality is not one for another, nor for all."""
    assert may([Grant(Role.VIEWER, frozenset({"nordfjell"}))], Action.VIEW, where) is allowed


def test_nobody_may_nothing() -> None:
    """What is not granted is refused; a limit to no municipality is nowhere."""
    for action in Action:
        assert not may([], action, Where.SOMEWHERE)
        assert not may([Grant(Role.OPERATOR, frozenset())], action, Where.SOMEWHERE)


@given(st.lists(GRANTS, max_size=3), st.lists(GRANTS, max_size=3))
def test_narrowed_is_within_both(wanted: list[Grant], limits: list[Grant]) -> None:
    """What is left may be done with the wish alone and with the limits alone, everywhere that it may be done."""
    left = narrowed(wanted, limits)
    for action in Action:
        for where in PLACES:
            if may(left, action, where):
                assert may(wanted, action, where)
                assert may(limits, action, where)


@given(st.lists(GRANTS, max_size=3), st.lists(GRANTS, max_size=3))
def test_what_is_covered_is_not_narrowed(grants: list[Grant], wanted: list[Grant]) -> None:
    """Handing on what one has never makes more of it, and loses nothing."""
    if covers(grants, wanted):
        for action in Action:
            for where in ("a", "b", "c"):
                assert may(narrowed(wanted, grants), action, where) == may(wanted, action, where)
                assert may(grants, action, where) or not may(wanted, action, where)

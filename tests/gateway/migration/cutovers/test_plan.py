"""Plans: one way to write them, a hash of all of it, and approvals that hold for exactly one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from gateway.config.plans import CutoverPlan, Gate, RollBackWhen
from gateway.ledger import cutovers
from gateway.migration.cutover import Approval, Cutover, CutoverEvent, CutoverState, approved, of_row, replanned, to_row
from gateway.migration.cutover_plan import CutoverRequest, decoded, encoded, hash_of, of_file, of_wanted
from gateway.model import Group, Information, Mode, Place
from gateway.routing.route import Route, RouteSpec
from tests.gateway.ledger.conftest import NOW
from tests.gateway.migration.cutovers.scene import AT, GATE, OLA, WATCH, plan_of, submitted, with_approval

WORDS = st.sampled_from([each.value for each in (*Information, *Group)])
CHANGES = st.builds(
    RouteSpec,
    municipality=st.sampled_from([None, "nordfjell"]),
    vendor=st.sampled_from([None, "dignio"]),
    information=st.none() | st.lists(WORDS, min_size=1, max_size=5).map(tuple),
    mode=st.sampled_from(Mode),
    text=st.none() | st.text(max_size=5),
    losses=st.lists(st.sampled_from(["Flag.code", "Observation.note"]), max_size=3).map(tuple),
    share=st.none() | st.floats(0, 1),
    always=st.lists(st.sampled_from(["a", "b"]), max_size=3).map(tuple),
)
PLANS = st.builds(
    plan_of,
    at=st.datetimes(datetime(2025, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - with a zone
    set=st.lists(CHANGES, min_size=1, max_size=3).map(tuple),
    gate=st.sampled_from([None, GATE]),
    roll_back_when=st.sampled_from([None, WATCH]),
    approvals=st.integers(0, 3),
)
OTHER: list[dict[str, Any]] = [
    {"name": "nordfjell-2"},
    {"at": datetime.fromtimestamp(AT + 60, UTC)},
    {"set": (RouteSpec(municipality="nordfjell", information=("notat",), mode=Mode.NEW),)},
    {
        "set": (
            RouteSpec(municipality="nordfjell", information=("notat", "tilsyn"), mode=Mode.NEW, losses=("Flag.code",)),
        )
    },
    {"gate": structs.replace(GATE, clean_at_least=0.5)},
    {"gate": None},
    {"roll_back_when": structs.replace(WATCH, of_at_least=21)},
    {"roll_back_when": None},
    {"approvals": 2},
]


@given(PLANS)
def test_a_plan_is_written_in_one_way(plan: Any) -> None:
    """What is read is what was written, and is written alike again."""
    assert decoded(encoded(plan)) == plan
    assert encoded(decoded(encoded(plan))) == encoded(plan)


@given(CHANGES)
def test_a_change_comes_back_as_the_same_route(change: RouteSpec) -> None:
    """Groups stay groups, since a type beats a group."""
    (route,) = cutovers.routes("x", (change,))
    assert cutovers.routes("x", (RouteSpec.of(route),)) == (route,)
    assert RouteSpec.of(route) == RouteSpec.of(RouteSpec.of(route).route(route.place))


@pytest.mark.parametrize("changed", OTHER)
def test_every_part_of_a_plan_is_in_its_hash(changed: dict[str, Any]) -> None:
    """Any change is another plan."""
    assert hash_of(encoded(plan_of(**changed))) != hash_of(encoded(plan_of()))


def test_the_file_and_the_api_mean_the_same_plan() -> None:
    """Where it stands in the file, and which offset its time has, is no part of it."""
    place, notat = Place("routes.yaml", 7, 3), frozenset({Information.NOTAT, Information.TILSYN})
    route = Route("nordfjell", None, None, notat, frozenset(), Mode.NEW, None, place)
    at = datetime.fromtimestamp(AT, timezone(timedelta(hours=1)))
    written = CutoverPlan(
        "nordfjell-1", at, (route,), Gate(200, 0.995, 604_800.0), RollBackWhen(0.05, 20, 900.0), 1, place
    )
    change = RouteSpec(municipality="nordfjell", information=("tilsyn", "notat", "notat"), mode=Mode.NEW)
    wanted = CutoverRequest(name="nordfjell-1", at=at.isoformat(), set=(change,), gate=GATE, roll_back_when=WATCH)
    assert of_file(written) == of_wanted(wanted) == plan_of()
    assert of_file(written).gate_rule == written.gate
    assert of_file(written).watch_rule == written.roll_back_when


def test_enough_approvals_approve() -> None:
    """Each of another person; the state says so."""
    record = submitted(plan_of(approvals=2))
    record = with_approval(record)
    assert (record.state, record.lacking) == (CutoverState.SUBMITTED, 1)
    record = with_approval(record, ("sub-arne", "arne"))
    assert (record.state, record.lacking) == (CutoverState.APPROVED, 0)
    assert submitted(plan_of(approvals=0)).state is CutoverState.APPROVED


@pytest.mark.parametrize("changed", OTHER[1:-1])
def test_another_plan_has_no_approvals(changed: dict[str, Any]) -> None:
    """What was approved was another; an approval of it counts for nothing."""
    before = with_approval(submitted())
    after = replanned(before, plan_of(**changed), CutoverEvent(NOW, "node-a", "changed", "kari"))
    assert (after.state, after.approvals, after.lacking) == (CutoverState.SUBMITTED, (), 1)
    old = Approval(NOW, "ola", OLA, before.hash)
    with pytest.raises(ValueError, match="another plan"):
        approved(after, old, CutoverEvent(NOW, "node-a", "approval"))


def test_who_changes_the_plan_in_the_database_has_no_approvals() -> None:
    """The hash is of what is written, not what stands beside it."""
    row = to_row(with_approval(submitted()))
    assert of_row(row).lacking == 0
    forged = structs.replace(row, plan=row.plan.replace("tilsyn", "varsel"))
    assert of_row(forged).lacking == 1


@given(PLANS, st.sampled_from(CutoverState))
def test_a_record_comes_back_from_its_row(plan: Any, state: CutoverState) -> None:
    """With all that has happened to it."""
    record = structs.replace(submitted(plan), state=state, switched_at=NOW)
    again: Cutover = of_row(to_row(record))
    assert again == record


def test_no_state_follows_that_may_not() -> None:
    """It is a defect, and nothing is written."""
    with pytest.raises(ValueError, match="cannot be switched"):
        submitted().moved(CutoverState.SWITCHED, CutoverEvent(NOW, "node-a", "switched"))

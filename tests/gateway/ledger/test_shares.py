"""Shares: written with the message, sent by one node at a time, once; what may have been sent is never sent again."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import Connection, delete, insert, select

from gateway.ledger import message_actions, restore, shares
from gateway.ledger.audit import Note
from gateway.ledger.records import LeaseWatch, MessageState
from gateway.ledger.shares import DueShare, NewShare, ShareState
from gateway.ledger.tables import AUDIT, MESSAGE, SHARE
from tests.gateway.ledger.conftest import NOW, UNTIL, WINDOW, arrival, brought_to, payload, put, taken

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Row

    from gateway.ledger.database import Database
    from gateway.ledger.messages import Ledger
    from tests.gateway.clocks import FakeClock

NOTE = Note(NOW, "node-a", "kari", "did", "x", "because")
NEW = NewShare("pmd", b"sealed")


async def to_share(ledger: Ledger, reference: str, *, journaled: bool = True, patient: str | None = None) -> int:
    """Have a message that is to be shared arrive, and perhaps be delivered; its id."""
    message = await taken(ledger, reference, patient=patient)
    await ledger.store.write(lambda each: shares.note(each, message, reference, "havnes", NEW, NOW))
    if journaled:
        assert await ledger.delivered(message, f"event-{reference}", "Bundle", next_poll=NOW)
    return message


async def claimed(ledger: Ledger, now: float = NOW) -> list[DueShare]:
    """Return what a node gets to send."""
    return await ledger.store.write(
        lambda each: shares.claim(each, ledger.node, now=now, until=now + 60, most=8, longest=600.0)
    )


async def put_back(ledger: Ledger, due: DueShare, next_try: float) -> bool:
    """Say that the service has not got a share."""
    return await ledger.store.write(lambda each: shares.again(each, due, ledger.node, "away", next_try, NOW))


async def ended(ledger: Ledger, due: DueShare, state: ShareState = ShareState.SHARED) -> bool:
    """Say what became of a share."""
    return await ledger.store.write(lambda each: shares.end(each, due, ledger.node, state, None, NOW))


async def recovered(ledger: Ledger, leases: LeaseWatch, *, alone: bool) -> list[str]:
    """Take what was with nodes that are gone; the references."""
    work = lambda each: shares.recover(each, ledger.node, leases, alone=alone, longest=90.0, now=NOW)  # noqa: E731 - of one line
    return [reference for reference, _ in await ledger.store.write(work)]


async def given_up(ledger: Ledger) -> list[tuple[str, str, str]]:
    """Return what nobody was told of yet."""
    return await ledger.store.write(lambda each: shares.given_up(each, UNTIL))


async def rows(store: Database) -> list[Row[tuple[str, str | None, bytes | None]]]:
    """Return state, reason and payload of each share."""
    wanted = select(SHARE.c.state, SHARE.c.reason, SHARE.c.payload).order_by(SHARE.c.id)
    return await store.read(lambda each: list(each.execute(wanted)))


async def test_only_what_is_journaled_is_claimed_and_by_one_node(ledger: Ledger, other: Ledger) -> None:
    """The other gets nothing of it, nor does the same node twice."""
    await to_share(ledger, "one")
    await to_share(ledger, "two", journaled=False)
    (due,) = await claimed(ledger)
    assert (due.reference, due.municipality, due.payload) == ("one", "havnes", b"sealed")
    assert await claimed(other) == []
    assert await claimed(ledger) == []
    assert await ledger.store.read(shares.waiting) == {}


async def test_one_that_is_put_back_waits_for_its_time(ledger: Ledger) -> None:
    """And a clock that was ahead puts nothing off for long."""
    await to_share(ledger, "one")
    (due,) = await claimed(ledger)
    assert await put_back(ledger, due, NOW + 10)
    assert await ledger.store.read(shares.waiting) == {("pmd", "havnes"): 1}
    assert await claimed(ledger, NOW + 9) == []
    (again,) = await claimed(ledger, NOW + 10)
    assert again.tries == 1
    assert await put_back(ledger, again, NOW + 10_000)
    assert len(await claimed(ledger, NOW + 11)) == 1


async def test_one_that_has_ended_is_done_for_good(ledger: Ledger, other: Ledger) -> None:
    """Only who has it ends it, and nothing is kept of it then."""
    await to_share(ledger, "one")
    (due,) = await claimed(ledger)
    assert [await ended(node, due) for node in (other, ledger, ledger)] == [False, True, False]
    assert await rows(ledger.store) == [("shared", None, None)]
    assert not await put_back(ledger, due, NOW)


async def test_a_message_has_one_share_whoever_writes_it(ledger: Ledger) -> None:
    """A repeat that is taken up again finds its share there."""
    message = await to_share(ledger, "one")
    await ledger.store.write(lambda each: shares.note(each, message, "one", "havnes", NEW, NOW))
    assert len(await rows(ledger.store)) == 1


async def test_what_cannot_be_shared_is_written_down_as_such(ledger: Ledger) -> None:
    """With the reason, and what is left out."""
    message = await taken(ledger, "one")
    new = NewShare("pmd", None, "nothing to share", "Observation: it has no code")
    await ledger.store.write(lambda each: shares.note(each, message, "one", "havnes", new, NOW))
    (found,) = await ledger.store.read(lambda each: shares.of_message(each, "one"))
    assert (found.state, found.reason, found.left_out) == (ShareState.REFUSED, new.reason, new.left_out)


@pytest.mark.parametrize(("alone", "passed", "lost"), [(True, 0, ["one"]), (False, 59, []), (False, 61, ["one"])])
async def test_what_was_with_a_node_that_is_gone_is_unclear(
    ledger: Ledger, other: Ledger, clock: FakeClock, passed: float, lost: list[str], *, alone: bool
) -> None:
    """At once where no other shares the ledger, else when its lease has ended."""
    await to_share(ledger, "one")
    await claimed(ledger)
    clock.now += passed
    assert await recovered(other, LeaseWatch(clock), alone=alone) == lost
    assert (await rows(ledger.store))[0][0] == ("unclear" if lost else "sending")


async def test_a_clock_that_is_set_makes_nothing_unclear(ledger: Ledger, other: Ledger, clock: FakeClock) -> None:
    """What is under way is lost when it was seen unchanged for longer than it may take, whatever the clock says."""
    await to_share(ledger, "one")
    leases = LeaseWatch(clock)
    await claimed(ledger)
    clock.ahead += 3600
    assert await recovered(other, leases, alone=False) == []
    clock.now += 89
    assert await recovered(other, leases, alone=False) == []
    clock.now += 1
    assert await recovered(other, leases, alone=False) == ["one"]


async def test_who_had_a_share_that_was_taken_for_lost_knows_best_what_became_of_it(
    ledger: Ledger, other: Ledger, clock: FakeClock
) -> None:
    """Until a person has decided; what was found out by both is told once."""
    for name in ("shared", "not there", "unclear", "decided"):
        await to_share(ledger, name)
    first, second, third, fourth = await claimed(ledger)
    clock.now += 61
    assert len(await recovered(other, LeaseWatch(clock), alone=False)) == 4
    decided = lambda each: message_actions.decide_share(each, "decided", "pmd", None, NOTE, ShareState.DISCARDED)  # noqa: E731 - of one line
    assert await ledger.store.write(decided) is ShareState.DISCARDED
    assert await ended(ledger, first)
    assert await put_back(ledger, second, NOW)
    assert not await ended(ledger, third, ShareState.UNCLEAR)
    assert not await ended(ledger, fourth)
    assert [state for state, _, _ in await rows(ledger.store)] == ["shared", "waiting", "unclear", "discarded"]


async def test_what_waits_too_long_is_given_up_and_told_of_once(ledger: Ledger) -> None:
    """Nothing of it is kept."""
    await to_share(ledger, "one")
    await shares.clear(ledger.store, NOW)
    assert await given_up(ledger) == []
    await shares.clear(ledger.store, NOW + 1)
    assert await rows(ledger.store) == [("given-up", "retention ended", None)]
    assert await given_up(ledger) == [("one", "havnes", "retention ended")]
    assert await given_up(ledger) == []
    (shown,) = await ledger.store.read(lambda each: shares.of_message(each, "one"))
    assert (shown.due, shown.ended_at) == (None, UNTIL)


@pytest.mark.parametrize("state", [MessageState.HELD, MessageState.DELIVERING, MessageState.QUARANTINED])
async def test_what_is_to_be_shared_is_kept_while_its_message_is(ledger: Ledger, state: MessageState) -> None:
    """However old it is: once that is delivered it is shared."""
    message = await brought_to(ledger, state, "one")
    await ledger.store.write(lambda each: shares.note(each, message, "one", "havnes", NEW, NOW))
    await shares.clear(ledger.store, NOW + 1e9)
    assert await claimed(ledger) == []
    assert await ledger.delivered(message, "event", "Bundle", next_poll=NOW)
    assert [due.payload for due in await claimed(ledger)] == [b"sealed"]


async def test_what_is_refused_keeps_nothing_and_a_repeat_brings_it_anew(ledger: Ledger) -> None:
    """Its sender was told; nobody else need be."""
    first = arrival("one", copy="copy")
    share = lambda _: NEW  # noqa: E731 - of one line
    await ledger.arrive(first, payload, until=UNTIL, window=WINDOW, share=share)
    assert await ledger.refused(1, "no")
    assert await rows(ledger.store) == [("not-journaled", "its message was refused", None)]
    await ledger.arrive(arrival("two", copy="copy"), payload, until=UNTIL, window=WINDOW, share=share)
    assert await rows(ledger.store) == [("waiting", None, b"sealed")]
    assert await given_up(ledger) == []
    assert await ledger.delivered(1, "event", "Bundle", next_poll=NOW)
    assert [due.reference for due in await claimed(ledger)] == ["one"]


async def test_what_was_refused_and_journaled_after_all_is_not_passed_over(ledger: Ledger) -> None:
    """An answer may come after it was given up: whoever has its turn finds that nothing is kept, and says so."""
    message = await to_share(ledger, "one", journaled=False)
    assert await ledger.refused(message, "unclear")
    assert await ledger.delivered(message, "event", "Bundle", next_poll=NOW)
    assert [due.payload for due in await claimed(ledger)] == [None]


@pytest.mark.parametrize("state", [MessageState.DISCARDED, MessageState.RETURNED])
async def test_what_ends_otherwise_is_given_up_with_its_payload(ledger: Ledger, state: MessageState) -> None:
    """Whatever has ended it: the database sees to it, also to what is unclear, or is being sent at this moment."""
    for name in ("waiting", "unclear", "sending"):
        await to_share(ledger, name)
    for due in await claimed(ledger):
        await (put_back(ledger, due, NOW) if due.reference == "waiting" else ended(ledger, due, ShareState.UNCLEAR))
    await ledger.store.write(
        lambda each: (
            each.execute(
                SHARE.update().where(SHARE.c.reference == "sending").values(state="sending", owner="node-a", lease=1.0)
            ).rowcount
        )
    )
    for message in (1, 2, 3):
        await put(ledger, message, state=MessageState.RETURNING.value)
        assert await claimed(ledger) == []
        await put(ledger, message, state=state.value)
    why = f"its message was {state}"
    assert [(row[0], row[2]) for row in await rows(ledger.store)] == [
        ("given-up", None), ("unclear", None), ("sending", None)
    ]  # fmt: skip
    assert await given_up(ledger) == [("waiting", "havnes", why)]
    assert await put_back(ledger, DueShare(3, "sending", "havnes", "pmd", 0, None, 1.0), NOW)
    assert await given_up(ledger) == [("sending", "havnes", "nothing is kept of it any more")]


async def test_one_whose_message_comes_back_from_vkp_is_due_again(ledger: Ledger) -> None:
    """VKP did not take it; while it was on its way nothing was shared."""
    message = await to_share(ledger, "one")
    await put(ledger, message, state=MessageState.RETURNING.value)
    assert (await claimed(ledger), await ledger.store.read(shares.waiting)) == ([], {})
    await put(ledger, message, state=MessageState.DELIVERED.value)
    assert [due.reference for due in await claimed(ledger)] == ["one"]


async def test_a_forgotten_patient_has_nothing_shared_any_more_and_that_is_told(ledger: Ledger) -> None:
    """By the answer, the audit and what tells of what was given up; what is on its way stays to be shared."""
    await to_share(ledger, "mine", patient="mine")
    await to_share(ledger, "theirs", patient="theirs")
    await to_share(ledger, "on its way", journaled=False, patient="mine")
    line = ledger.line(NOW, "forgotten")
    done = await ledger.store.write(lambda each: message_actions.forget(each, "mine", None, NOTE, line))
    assert (done.messages, done.not_shared, len(done.left)) == (1, 1, 1)
    assert (
        await ledger.store.read(lambda each: each.scalar(select(AUDIT.c.detail))) == "1 forgotten, 1 left, 1 not shared"
    )
    assert await given_up(ledger) == [("mine", "havnes", "forgotten by a person")]
    assert [due.reference for due in await claimed(ledger)] == ["theirs"]
    assert [row[2] for row in await rows(ledger.store)] == [None, b"sealed", b"sealed"]


async def test_a_restored_ledger_shares_nothing_that_was_perhaps_shared(ledger: Ledger) -> None:
    """Since the copy was made it may have been."""
    await to_share(ledger, "one")
    line = restore.line_of(ledger.line, NOW)
    await ledger.store.write(lambda each: restore.make_safe(each, NOW - 60, None, NOTE, line))
    assert await claimed(ledger) == []
    ((state, _, _),) = await rows(ledger.store)
    assert state == "unclear"
    await shares.clear(ledger.store, NOW + 1)
    assert [payload for _, _, payload in await rows(ledger.store)] == [None]


async def test_shares_of_messages_that_are_gone_go_too(ledger: Ledger) -> None:
    """As the numbers of their patients do; one that still waited is told of first."""
    await to_share(ledger, "one")
    await to_share(ledger, "two")
    first, second = await claimed(ledger)
    assert await ended(ledger, first)
    await shares.clear(ledger.store, NOW)
    assert len(await rows(ledger.store)) == 2
    await ledger.store.write(lambda each: each.execute(delete(MESSAGE)).rowcount)
    await shares.clear(ledger.store, NOW)
    assert [state for state, _, _ in await rows(ledger.store)] == ["sending"]
    assert await put_back(ledger, second, NOW)
    for _ in range(2):
        await shares.clear(ledger.store, NOW + 1)
        assert [state for state, _, _ in await rows(ledger.store)] == ["given-up"]
    assert await given_up(ledger) == [("two", "havnes", "retention ended")]
    await shares.clear(ledger.store, NOW + 1)
    assert await rows(ledger.store) == []


async def test_much_is_cleared_in_parts(ledger: Ledger) -> None:
    """So that no message waits long for it."""
    await to_share(ledger, "one")
    await many(ledger.store, 1200, message=1, due=NOW)
    await shares.clear(ledger.store, NOW + 1)
    assert {state for state, _, _ in await rows(ledger.store)} == {"given-up"}
    assert [len(await given_up(ledger)) for _ in range(4)] == [500, 500, 201, 0]


async def many(store: Database, number: int, message: int, due: float | None) -> None:
    """Write shares that wait."""
    common = {"message": message, "municipality": "havnes", "state": "waiting", "created_at": NOW, "due": due}
    made = [{**common, "target": f"t-{index}", "reference": "one", "payload": b"sealed"} for index in range(number)]
    await store.write(lambda each: each.execute(insert(SHARE), made).rowcount)


async def steps(store: Database, work: Callable[[Connection], Sequence[object]]) -> int:
    """Return how many steps of its machine SQLite takes to find nothing, which do not depend on how busy anything is."""

    def counted(connection: Connection) -> int:
        taken: list[int] = []
        driver: Any = connection.connection.driver_connection
        driver.set_progress_handler(lambda: taken.append(1), 1)
        assert not work(connection)
        driver.set_progress_handler(None, 1)
        return len(taken)

    return await store.write(counted)


@pytest.mark.parametrize("ledger_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    "work",
    [
        partial(shares.claim, node="node-a", now=NOW, until=UNTIL, most=8, longest=600.0),
        partial(shares.of_message, reference="another"),
    ],
    ids=["claim", "show"],
)
async def test_work_costs_no_more_when_thousands_wait_for_their_messages(
    ledger: Ledger, store: Database, work: Callable[[Connection], Sequence[object]]
) -> None:
    """Neither who looks for what is due, nor who looks at one message."""
    message = await to_share(ledger, "one", journaled=False)
    few = await steps(store, work)
    await many(store, 3000, message=message, due=None)
    assert await steps(store, work) <= few + 10

"""What people do to messages happens once, where they may, and never without its entry in the audit."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text

from gateway.ledger import audit, message_actions, message_queries
from gateway.ledger.audit import Note
from gateway.ledger.database import LedgerUnavailable
from gateway.ledger.message_actions import Done, Left, NotDone, SealedMessage
from gateway.ledger.message_queries import MessageFilter
from gateway.ledger.records import MessageState, Waiting
from tests.gateway.ledger.conftest import NOW, UNTIL, arrive, brought_to, history, kept_numbers, put, row, waiting

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.ledger.messages import Ledger
    from tests.gateway.ledger.conftest import Clock

NOTE = Note(NOW, "node-a", "olga (s)", "act", "one", "because")
OTHERS = [state for state in MessageState if state is not MessageState.QUARANTINED]
CHANGES = [message_actions.release, message_actions.discard]


async def do(ledger: Ledger, change: Callable[..., Any], reference: str = "one", within: Any = None) -> Any:
    """Release or discard."""
    line = ledger.line(NOW, "changed", "by a person")
    return await ledger.store.write(lambda each: change(each, reference, within, NOTE, line))


async def audited(ledger: Ledger) -> int:
    """Return how many entries there are."""
    return len(await ledger.store.read(lambda each: audit.entries(each, 100)))


async def test_released_message_is_held_and_due(ledger: Ledger, clock: Clock) -> None:
    """With no attempts, and what is kept of it; the next dispatch takes it."""
    message = await waiting(ledger, "one")
    await ledger.claim(9, until=UNTIL)
    await ledger.held(message, "failed", next_try=NOW, counted=True)
    clock.now += 1
    await ledger.claim(9, until=UNTIL)
    await ledger.quarantined(message, "failed 12 times")
    assert await do(ledger, message_actions.release) == Done("one", "havnes", MessageState.HELD)
    written = await row(ledger, message)
    assert (written.state, written.due, written.attempts, written.reason) == ("held", NOW, 0, None)
    assert (written.possible_duplicate, written.payload) == (False, b"sealed one")
    assert (await history(ledger, message))[-1] == ("node-a", "changed", "by a person")
    assert [due.reference for due in await ledger.claim(9, until=UNTIL)] == ["one"]
    assert await audited(ledger) == 1


async def test_unclear_message_is_marked_when_it_is_released(ledger: Ledger) -> None:
    """Nobody knows whether it is there already."""
    message = await brought_to(ledger, MessageState.QUARANTINED, "one")
    await do(ledger, message_actions.release)
    assert (await row(ledger, message)).possible_duplicate


async def test_mark_of_an_earlier_time_stays(ledger: Ledger) -> None:
    """A message that was unclear before, and is in quarantine for another reason now."""
    message = await brought_to(ledger, MessageState.QUARANTINED, "one")
    await put(ledger, message, possible_duplicate=True, reason="held too long")
    await do(ledger, message_actions.release)
    assert (await row(ledger, message)).possible_duplicate


async def test_discarded_message_is_forgotten(ledger: Ledger) -> None:
    """Its payload is gone; that there was one stays known."""
    message = await brought_to(ledger, MessageState.QUARANTINED, "one", copy="copy")
    assert await do(ledger, message_actions.discard) == Done("one", "havnes", MessageState.DISCARDED)
    written = await row(ledger, message)
    assert (written.state, written.payload, written.due, written.copy) == ("discarded", None, None, "copy")
    assert await audited(ledger) == 1


@pytest.mark.parametrize("change", CHANGES)
async def test_second_call_changes_nothing(ledger: Ledger, change: Callable[..., Any]) -> None:
    """It is told why, and writes no entry."""
    message = await brought_to(ledger, MessageState.QUARANTINED, "one")
    await do(ledger, change)
    before = await row(ledger, message)
    for again in CHANGES:
        found = await do(ledger, again)
        assert found == NotDone(f"the message is {before.state}, not quarantined")
    assert await row(ledger, message) == before
    assert await audited(ledger) == 1


@pytest.mark.parametrize("state", OTHERS)
@pytest.mark.parametrize("change", CHANGES)
async def test_only_quarantine_is_decided_about(
    ledger: Ledger, change: Callable[..., Any], state: MessageState
) -> None:
    """In every other state a message goes its own way."""
    message = await brought_to(ledger, MessageState.QUARANTINED, "one")
    await put(ledger, message, state=state.value)
    before = await row(ledger, message)
    assert isinstance(await do(ledger, change), NotDone)
    assert await row(ledger, message) == before
    assert await audited(ledger) == 0


@pytest.mark.parametrize("change", CHANGES)
async def test_message_of_another_municipality_is_not_there(ledger: Ledger, change: Callable[..., Any]) -> None:
    """Neither for a change nor for what is said of it."""
    message = await brought_to(ledger, MessageState.QUARANTINED, "one", municipality="sorvik")
    assert await do(ledger, change, within={"havnes"}) is None
    assert await do(ledger, change, within=set()) is None
    assert await do(ledger, change, reference="two") is None
    assert (await row(ledger, message)).state == "quarantined"
    assert await audited(ledger) == 0
    assert isinstance(await do(ledger, change, within={"sorvik"}), Done)


async def test_message_without_payload_is_not_released(ledger: Ledger) -> None:
    """There is nothing to deliver."""
    await put(ledger, await brought_to(ledger, MessageState.QUARANTINED, "one"), payload=None)
    assert await do(ledger, message_actions.release) == NotDone("nothing is kept of the message any more")


async def test_message_that_the_service_has_is_not_released(ledger: Ledger) -> None:
    """It came into quarantine on its way back to VKP; delivered again it would be there twice."""
    await put(ledger, await brought_to(ledger, MessageState.DELIVERED, "one"), state="quarantined")
    assert await do(ledger, message_actions.release) == NotDone("the service has it already, as event event-one")
    assert isinstance(await do(ledger, message_actions.discard), Done)


async def test_one_of_two_at_once_is_done(ledger: Ledger, other: Ledger) -> None:
    """On two nodes, at the same time."""
    await brought_to(ledger, MessageState.QUARANTINED, "one")
    found = await asyncio.gather(*(do(node, change) for node in (ledger, other) for change in CHANGES))
    assert sorted(isinstance(one, Done) for one in found) == [False, False, False, True]
    assert await audited(ledger) == 1
    assert await ledger.store.read(audit.verify) is None


async def test_payload_is_given_with_an_entry(ledger: Ledger) -> None:
    """Who saw it is written down before anything is returned."""
    await brought_to(ledger, MessageState.QUARANTINED, "one")
    found = await ledger.store.write(lambda each: message_actions.payload(each, "one", None, NOTE))
    assert found == SealedMessage("one", b"sealed one")
    assert await audited(ledger) == 1
    assert await ledger.store.write(lambda each: message_actions.payload(each, "one", {"sorvik"}, NOTE)) is None
    assert await ledger.store.write(lambda each: message_actions.payload(each, "two", None, NOTE)) is None
    await do(ledger, message_actions.discard)
    empty = await ledger.store.write(lambda each: message_actions.payload(each, "one", None, NOTE))
    assert empty == NotDone("nothing is kept of the message any more")
    assert await audited(ledger) == 2


async def test_patient_is_forgotten(ledger: Ledger) -> None:
    """Where nothing waits for the message: payload and hash go, and by its copy it is still known."""
    mine = {"patient": "mine", "municipality": "havnes"}
    done = await brought_to(ledger, MessageState.DELIVERED, "delivered", copy="copy", **mine)
    refused = await brought_to(ledger, MessageState.REFUSED, "refused", **mine)
    kept = [
        await brought_to(ledger, MessageState.QUARANTINED, "quarantined", **mine),
        await brought_to(ledger, MessageState.HELD, "held", **mine),
        await brought_to(ledger, MessageState.DELIVERED, "theirs", patient="theirs"),
        await brought_to(ledger, MessageState.DELIVERED, "elsewhere", patient="mine", municipality="sorvik"),
    ]
    before = [await row(ledger, each) for each in kept]
    line = ledger.line(NOW, "forgotten", "by a person")
    found = await ledger.store.write(lambda each: message_actions.forget(each, "mine", {"havnes"}, NOTE, line))
    assert found.messages == 2
    assert found.left == (
        Left("quarantined", "havnes", MessageState.QUARANTINED),
        Left("held", "havnes", MessageState.HELD),
    )
    for message in (done, refused):
        written = await row(ledger, message)
        assert (written.payload, written.patient) == (None, None)
        assert (await history(ledger, message))[-1] == ("node-a", "forgotten", "by a person")
    assert [await row(ledger, each) for each in kept] == before
    known = await arrive(ledger, "again", copy="copy", patient="mine")
    assert known.reference == "delivered"
    (entry,) = await ledger.store.read(lambda each: audit.entries(each, 9))
    assert entry.note.detail == "2 forgotten, 2 left"


@pytest.mark.parametrize("number", ["national", "d-number"])
async def test_repeat_of_what_was_forgotten_is_the_patients_again(ledger: Ledger, number: str) -> None:
    """It keeps its turn behind the patient's others, and whoever asks to be forgotten once more finds it."""
    of_patient: dict[str, Any] = {"patient": "national", "others": ("d-number",)}
    first = await brought_to(ledger, MessageState.REFUSED, "first", copy="copy", **of_patient)
    line = ledger.line(NOW, "forgotten", "by a person")
    await ledger.store.write(lambda each: message_actions.forget(each, number, None, NOTE, line))
    await waiting(ledger, "second", **of_patient)
    found = await arrive(ledger, "repeat", copy="copy", **of_patient)
    assert found == Waiting(first, "first")
    again = await ledger.store.write(lambda each: message_actions.forget(each, number, None, NOTE, line))
    assert [one.reference for one in again.left] == ["first", "second"]


@pytest.mark.parametrize("number", ["national", "d-number", "third"])
async def test_patient_of_several_numbers_is_found_and_forgotten_by_each(ledger: Ledger, number: str) -> None:
    """What names another patient by one number stays, and so does who waits."""
    both = {"patient": "national", "others": ("d-number", "third")}
    done = await brought_to(ledger, MessageState.DELIVERED, "delivered", **both)
    await brought_to(ledger, MessageState.HELD, "held", **both)
    await brought_to(ledger, MessageState.DELIVERED, "theirs", patient="theirs", others=("of-theirs",))
    found = await ledger.store.read(lambda each: message_queries.messages(each, MessageFilter(None, patient=number), 9))
    assert [one.reference for one in found.messages] == ["held", "delivered"]
    line = ledger.line(NOW, "forgotten", "by a person")
    forgotten = await ledger.store.write(lambda each: message_actions.forget(each, number, None, NOTE, line))
    assert (forgotten.messages, [one.reference for one in forgotten.left]) == (1, ["held"])
    assert (await row(ledger, done)).patient is None
    assert await kept_numbers(ledger) == ["d-number", "of-theirs", "third"]


async def test_later_messages_of_a_patient_of_two_numbers_wait_for_the_first(ledger: Ledger) -> None:
    """By the number that stands first in an order of their own."""
    await waiting(ledger, "one", patient="national", others=("d-number",))
    assert isinstance(await arrive(ledger, "two", patient="national", others=("d-number",)), Waiting)


@pytest.mark.parametrize("action", ["release", "discard", "payload", "forget"])
async def test_action_whose_audit_cannot_be_written_does_not_happen(ledger: Ledger, action: str) -> None:
    """The change and its entry are one transaction, on either database."""
    message = await brought_to(ledger, MessageState.QUARANTINED, "one", patient="mine")
    gone = await brought_to(ledger, MessageState.DELIVERED, "two", patient="mine")
    before = [await row(ledger, each) for each in (message, gone)]
    await ledger.store.write(lambda each: each.execute(text("ALTER TABLE audit RENAME TO elsewhere")).rowcount)
    line = ledger.line(NOW, "changed")
    works: dict[str, Callable[..., Any]] = {
        "release": lambda each: message_actions.release(each, "one", None, NOTE, line),
        "discard": lambda each: message_actions.discard(each, "one", None, NOTE, line),
        "payload": lambda each: message_actions.payload(each, "one", None, NOTE),
        "forget": lambda each: message_actions.forget(each, "mine", None, NOTE, line),
    }
    with pytest.raises(LedgerUnavailable):
        await ledger.store.write(works[action])
    assert [await row(ledger, each) for each in (message, gone)] == before
    await ledger.store.write(lambda each: each.execute(text("ALTER TABLE elsewhere RENAME TO audit")).rowcount)
    assert await audited(ledger) == 0

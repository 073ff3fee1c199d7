"""Returning to VKP, as it is asked for and told of: which cells, which messages, how fast, and what came of each; pure."""

import asyncio
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from gateway.config.model import Config
from gateway.ledger.records import MessageState
from gateway.ledger.returns import UNCLEAR_AT_VKP, ReturnItem, Selection
from gateway.model import JOURNALING, Envelope, Information

MOST_TOLD = 1000
"""Messages that a job names; all are counted."""
RATE, FASTEST, SLOWEST = 5.0, 50.0, 0.1
"""Messages in a second: as a rule, and at most and at least."""


class ReturnOutcome(StrEnum):
    """What a job did with one message."""

    RETURNED = "returned"
    READ = "read-meanwhile"
    ACKNOWLEDGED = "acknowledged-meanwhile"
    CHANGED = "changed-meanwhile"
    STATUS_UNKNOWN = "status-unknown"
    AFTER_ANOTHER = "after-another"
    """An earlier message about the same patient has not been sent."""
    NO_CLIENT = "no-client"
    """No client of ours is registered with VKP for its municipality and vendor."""
    UNREADABLE = "payload-unreadable"
    REFUSED = "refused"
    NOT_DELIVERED = "not-delivered"
    UNCLEAR = "unclear"


@dataclass(frozen=True, slots=True)
class Done:
    """What became of one message."""

    reference: str
    outcome: ReturnOutcome
    reason: str = ""


class Progress(StrEnum):
    """How far a job is."""

    RUNNING = "running"
    DONE = "done"
    STOPPED = "stopped"
    GAVE_UP = "gave-up"
    """VKP, or the ledger, failed again and again; what is left can be asked for again."""


@dataclass(slots=True)
class Job:
    """One request to send what is unread; it can be asked for again, since each message is sent once by its state."""

    id: str
    selection: Selection
    rate: float
    began: float
    progress: Progress = Progress.RUNNING
    ended: float | None = None
    why: str = ""
    """Why it gave up."""
    counts: Counter[ReturnOutcome] = field(default_factory=Counter)
    told: list[Done] = field(default_factory=list)
    """What was not returned, with the reason."""
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    def note(self, done: Done) -> None:
        """Take note of what became of a message."""
        self.counts[done.outcome] += 1
        if done.outcome is not ReturnOutcome.RETURNED and len(self.told) < MOST_TOLD:
            self.told.append(done)


class Busy(Exception):  # noqa: N818 - the condition
    """Messages of the municipality are being returned already."""


class Spacing:
    """Says how long to wait so that no more than `rate` things are begun in a second; pure."""

    def __init__(self, rate: float) -> None:
        self._between = 1.0 / rate
        self._next = 0.0

    def wait(self, now: float) -> float:
        """Count one, and return the seconds until it may begin."""
        begin = max(now, self._next)
        self._next = begin + self._between
        return begin - now


def may_be_sent_alone(item: ReturnItem) -> str | None:
    """Return why a person cannot send this one; None for what may be in the record, or waits for a person."""
    if item.state is MessageState.QUARANTINED and item.reason == UNCLEAR_AT_VKP:
        return "VKP may have it already"
    if item.state in (MessageState.READ, MessageState.QUARANTINED) or (
        item.state is MessageState.HELD and item.possible_duplicate
    ):
        return item.cannot_be_sent
    return f"it is {item.standing.value}: only what may be in the record, or is in quarantine, is sent alone"


def cells_of(selection: Selection, config: Config) -> Iterator[Envelope]:
    """Go through the cells of a selection: every vendor and system of the file, and every type, that it does not name."""
    types: Collection[Information | None] = (None, *sorted(JOURNALING))
    if selection.information:
        types = [each for each in Information if each in selection.information]
    for vendor, system in _systems(selection, config):
        for information in types:
            yield Envelope("", selection.municipality, None, vendor, system, information)


def _systems(selection: Selection, config: Config) -> list[tuple[str | None, str | None]]:
    vendor, system = selection.vendor, selection.system
    known = [(each.key, name) for each in config.vendors.values() for name in each.systems]
    fitting = [pair for pair in known if vendor in (None, pair[0]) and system in (None, pair[1])]
    # A vendor that the file has no more may still have messages.
    return [*fitting] or [(vendor, system)]

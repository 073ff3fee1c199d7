"""What must hold when everything is over: nothing promised is missing, and nothing is there twice without a reason."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.chaos.messages import REFUSES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tests.chaos.messages import Message
    from tests.chaos.scene import Row


_DONE = ("delivered", "read", "acknowledged")


@dataclass
class Verdict:
    """What became of the messages."""

    counts: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return ", ".join(f"{count} {name}" for name, count in self.counts.items())


def judge(messages: Iterable[Message], rows: Mapping[str, Row], events: Iterable[str]) -> Verdict:
    """Compare what senders were told with what the ledger and JFT have."""
    verdict = Verdict()
    copies, untold = Counter(events), set(rows)
    for message in messages:
        untold -= message.references
        _judge(verdict, message, _row(message, rows), copies.pop(message.business_id, 0))
    verdict.faults += [f"{business_id}: an event that nobody sent" for business_id in copies]
    verdict.faults += [f"{reference}: a row that nobody was told of" for reference in untold]
    return verdict


def _row(message: Message, rows: Mapping[str, Row]) -> Row | None:
    return next((row for reference in message.references if (row := rows.get(reference))), None)


def _judge(verdict: Verdict, message: Message, row: Row | None, copies: int) -> None:
    verdict.counts["messages"] += 1
    verdict.counts["attempts without a clear answer"] += message.unclear
    verdict.counts["answers 503"] += message.refusals
    if fault := _fault(message, row, copies):
        story = f"{message.unclear} unclear, {message.refusals} refused, {copies} events, {row}"
        verdict.faults.append(f"{message.business_id} to {message.municipality}: {fault} ({story})")
    elif row is not None and row.state == "quarantined":
        verdict.counts["in quarantine"] += 1
    else:
        verdict.counts["delivered once" if copies == 1 else "delivered again, marked as possible duplicate"] += 1


def _fault(message: Message, row: Row | None, copies: int) -> str | None:
    """Say what is wrong with a message."""
    if not message.is_done:
        return "its sender was never told of success"
    if len(message.references) != 1:
        return f"its sender was told {len(message.references)} references"
    if row is None:
        return "not in the ledger"
    if row.state == "quarantined":
        if not row.reason:
            return "in quarantine without a reason"
    elif copies == 0:
        return "missing"
    elif row.state not in _DONE:
        return "done, and its row says otherwise"
    if copies > 1 and not (message.municipality == REFUSES and message.unclear and row.possible_duplicate):
        return "there several times"
    return None

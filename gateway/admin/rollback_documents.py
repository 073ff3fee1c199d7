"""What is told of going back to VKP: a selection, its messages, as a table too, and a job; nothing that a sender wrote."""

from collections.abc import Iterable
from typing import Any

from gateway.admin.csv import table_of
from gateway.ledger.message_queries import marks_of
from gateway.ledger.returns import ReturnItem, Selection
from gateway.outbox.return_jobs import Job, ReturnOutcome, may_be_sent_alone
from gateway.times import when, when_any

Document = dict[str, Any]
COLUMNS = (
    *("reference", "group", "received_at", "delivered_at", "municipality", "sender", "vendor", "system"),
    *("information", "event_id", "event_kind", "reason", "marks", "sent_in_bulk"),
)
"""Of an export."""
_PLAIN = (
    *("reference", "surface", "municipality", "sender", "vendor", "system", "information"),
    *("event_id", "event_kind"),
)


def csv_of(items: Iterable[Document], *, heading: bool = True) -> str:
    """Return items, as the list has them, as a table or as more of one."""
    return table_of(COLUMNS, map(_row, items), heading=heading)


def selection_document(selection: Selection) -> Document:
    """Return of which messages is spoken."""
    return {
        "municipality": selection.municipality,
        "since": when(selection.since),
        "vendor": selection.vendor,
        "system": selection.system,
        "information": sorted(selection.information),
    }


def item_document(item: ReturnItem) -> Document:
    """Return what may be shown of a message: nothing that its sender wrote."""
    return {
        **{name: getattr(item, name) for name in _PLAIN},
        "group": item.standing.value,
        "state": item.state.value,
        "reason": item.reason,
        "received_at": when(item.received_at),
        "delivered_at": when_any(item.delivered_at),
        "marks": marks_of(item.possible_duplicate, item.identifier_reused),
        "not_in_bulk": item.not_in_bulk,
        "can_be_sent_alone": may_be_sent_alone(item) is None,
    }


def job_document(job: Job) -> Document:
    """Return how far a job is, and what it could not send."""
    told = [{"reference": one.reference, "outcome": one.outcome.value, "reason": one.reason} for one in job.told]
    return {
        "id": job.id,
        "selection": selection_document(job.selection),
        "rate": job.rate,
        "progress": job.progress.value,
        "why": job.why or None,
        "began": when(job.began),
        "ended": when_any(job.ended),
        "counts": {outcome.value: job.counts[outcome] for outcome in ReturnOutcome},
        "not_returned": told,
        "not_returned_truncated": sum(job.counts.values()) - job.counts[ReturnOutcome.RETURNED] > len(told),
    }


def _row(item: Document) -> Document:
    shown = {"marks": " ".join(item["marks"]), "sent_in_bulk": "yes" if item["not_in_bulk"] is None else "no"}
    return {**item, **shown, "reason": item["reason"] or item["not_in_bulk"]}

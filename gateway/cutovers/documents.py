"""Cutovers as programs and pages show them: nothing of messages, and of people what the audit calls them; pure."""

from typing import Any

import msgspec

from gateway.migration.cutover import Cutover, CutoverEvent
from gateway.migration.preflight import Finding
from gateway.migration.schedule import shown
from gateway.times import when_any


def brief(record: Cutover) -> dict[str, Any]:
    """Return a cutover as a list has it."""
    return {
        "name": record.name,
        "state": record.state.value,
        "at": when_any(record.at),
        "at_oslo": shown(record.plan.at),
        "hash": record.hash,
        "submitted_by": record.submitted_by,
        "submitted_at": when_any(record.submitted_at),
        "approvals": [{"by": one.by, "at": when_any(one.at)} for one in record.approvals],
        "approvals_missing": record.lacking,
        "is_executed": record.is_executed,
        "switched_at": when_any(record.switched_at),
        "ended_at": when_any(record.ended_at),
        "version": record.version,
    }


def whole(record: Cutover) -> dict[str, Any]:
    """Return a cutover with its plan, what came of it, and its history."""
    report = None if record.report is None else msgspec.to_builtins(record.report)
    plan = msgspec.to_builtins(record.plan)
    return {**brief(record), "plan": plan, "report": report, "history": [_event(one) for one in record.history]}


def looked_at(record: Cutover, findings: list[Finding]) -> dict[str, Any]:
    """Return what a preflight found."""
    return {
        "name": record.name,
        "hash": record.hash,
        "ready": all(one.ok for one in findings),
        "findings": [{"check": one.check, "ok": one.ok, "text": one.text} for one in findings],
    }


def _event(event: CutoverEvent) -> dict[str, Any]:
    told = {"at": when_any(event.at), "node": event.node, "what": event.what, "by": event.by, "reason": event.reason}
    return {**told, "hash": event.hash}

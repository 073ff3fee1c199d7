"""What refused a cutover, in one line for programs, and as its history keeps it for people; pure."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from gateway.migration.cutover import Stopped, StoppedBy
from gateway.migration.preflight import Finding
from gateway.routing.diff import Change

_MOST = 20
"""Findings of one refusal that are kept."""


def said(found: Iterable[Finding]) -> str:
    """Return findings in one line."""
    return "; ".join(f"its gate: {one.text}" if one.check == "rehearsals" else one.text for one in found)


def kept(found: Sequence[Finding]) -> tuple[Stopped, ...]:
    """Return what a history keeps of findings; where there are very many, of the first."""
    return tuple(Stopped(one.check, one.text, one.code, _values(one.values)) for one in found[:_MOST])


def _values(values: Mapping[str, object]) -> dict[str, StoppedBy]:
    found: dict[str, StoppedBy] = {}
    for name, value in values.items():
        if isinstance(value, datetime):
            found[name] = value.timestamp()
        elif value is None or isinstance(value, str | int | float | Change):
            found[name] = value
    return found

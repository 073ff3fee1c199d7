"""How far a generation of a copy is: a window of changes in PIT, and where the next one begins."""

import math
import re
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from msgspec import structs

from gateway.replica.feeds import Generation
from gateway.replica.patient_seal import PatientSeal
from gateway.upstreams.pit import Page
from translators.fhir.moments import order_of

EVER = "1900-01-01T00:00Z"
"""Before any change that PIT knows."""
OVERLAP = 300.0
"""Seconds by which a window begins before the last one did: PIT writes what it was sent some time later."""
_ALIKE = re.compile(r"(?:\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}(?:Z|\+00:00)\n)+", re.ASCII)
"""Times whose order is that of their texts, as a page has them; others are compared one by one."""


def after(of: Generation, page: Page, now: float, seal: PatientSeal) -> Generation:
    """Return how far a generation is once a page is read."""
    asked_at = of.asked_at if of.asked_at is not None else now
    answered_at = page.answered_at if page.answered_at is not None else now
    window_at = of.window_at if of.window_at is not None else min(now, answered_at)
    read = structs.replace(of, pages=of.pages + 1, asked_at=asked_at, window_at=window_at, read_to=_read_to(of, page))
    if page.next is not None:
        return structs.replace(read, cursor=seal.seal_cursor(of.municipality, page.next))
    since = _written(min(window_at, asked_at) - OVERLAP)
    return structs.replace(
        read, cursor=None, read_to=None, asked_at=None, window_at=None, fresh_at=asked_at, since=since
    )


def _read_to(of: Generation, page: Page) -> str | None:
    """Return the last change that was read; empty from where PIT does not keep the order that it was asked for."""
    times = [*([of.read_to] if of.read_to is not None else []), *(one.updated for one in page.patients)]
    if times == sorted(times) and _ALIKE.fullmatch("".join(f"{one}\n" for one in times)):
        return times[-1]
    if "" in times or any(order_of(one, other) not in (-1, 0) for one, other in pairwise(times)):
        return ""
    return times[-1] if times else None


def _written(seconds: float) -> str:
    """Return a time as PIT is asked, to the second before it."""
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=math.floor(seconds))
    return at.isoformat(timespec="seconds").replace("+00:00", "Z")

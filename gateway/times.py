"""Times as answers tell them: seconds since the epoch inside, RFC 3339 in UTC outside."""

from datetime import UTC, datetime

DAY = 86_400.0
"""Seconds."""


def when(seconds: float) -> str:
    """Return a time as people and programs can both read it, to the second."""
    return datetime.fromtimestamp(int(seconds), UTC).isoformat().replace("+00:00", "Z")


def when_any(seconds: float | None) -> str | None:
    """Likewise, or nothing where there is no such time."""
    return None if seconds is None else when(seconds)

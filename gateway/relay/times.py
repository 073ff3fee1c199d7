"""How long a sender may take over each thing (slow senders must not use up the gateway)."""

from dataclasses import dataclass

IDLE = 75.0
"""Seconds between requests."""
HEAD = 15.0
"""Seconds for a head, from its first byte."""
SILENCE = 60.0
"""Seconds without a byte of a body that is awaited, and without a byte taken of an answer."""
LINGER = 2.0
"""Seconds that a connection is kept after an answer that was given before the request was complete."""


@dataclass(slots=True)
class Times:
    """When things last happened on a connection, in the event loop's seconds."""

    last_read: float
    head_since: float | None = None
    blocked_since: float | None = None
    lingers_since: float | None = None

    def read(self, now: float, *, in_head: bool) -> None:
        """Take note that bytes came; `in_head` tells whether a head had begun before them."""
        self.last_read = now
        if not in_head:
            self.head_since = now

    def answered(self, now: float) -> None:
        """Take note that a request was answered: the time for the next begins here."""
        self.last_read = now
        self.head_since = now

    def are_up(self, now: float, *, idle: bool, in_head: bool, waits_for_body: bool) -> bool:
        """Tell whether the sender takes too long over what it is doing."""
        if self.lingers_since is not None:
            return now - self.lingers_since > LINGER
        if self.blocked_since is not None and now - self.blocked_since > SILENCE:
            return True
        if in_head and self.head_since is not None:
            return now - self.head_since > HEAD
        if waits_for_body:
            return now - self.last_read > SILENCE
        return idle and now - self.last_read > IDLE

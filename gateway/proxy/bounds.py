"""How long senders may take over what they do on the data port, and how much of it goes on at a time."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bounds:
    """The patience of the data port; in seconds, where nothing else is said."""

    idle: float = 75.0
    """Between requests."""
    head: float = 15.0
    """For a head, from its first byte."""
    silence: float = 60.0
    """Without a byte of a body that is awaited, and without a byte taken of an answer."""
    linger: float = 2.0
    """For which a connection is kept after an answer that was given before the request was complete."""
    handshake: float = 10.0
    """For a handshake, and for a balancer's header before it."""
    handshakes: int = 512
    """At a time; one more ends the oldest, so that nobody who only begins them keeps others out."""
    stalled: float = 3.0
    """In which a body that is sent must make progress, while others wait for its connection."""
    grace: float = 10.0
    """That requests in flight get to finish when the gateway stops."""


USUAL_BOUNDS = Bounds()

"""What a check is, and how checks are grouped."""

from collections.abc import Callable
from dataclasses import dataclass, field

from gateway.cli.doctor.lane import HOST, Arrived, Lane
from gateway.cli.doctor.wire import Differs, Head, Message, Wire, require, same

_SPELLED = {
    "http 1 0": "HTTP/1.0",
    "latin 1": "Latin-1",
    "utf 8": "UTF-8",
    "ascii": "ASCII",
    "a post ": "a POST ",
}
"""Words of a name that a function's cannot have."""

Act = Callable[[Lane], None]
"""Plays sender and upstream; raises `Differs` when the gateway did something else than it must."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that the lane must do."""

    group: str
    name: str
    act: Act
    why: str = ""
    unreachable: bool = False
    """Whether nobody must listen where the upstream is."""


@dataclass(frozen=True, slots=True)
class Group:
    """Checks of one matter; `section` says which part of which RFC it is about."""

    name: str
    section: str
    checks: list[Check] = field(default_factory=list)

    def check(self, why: str, *, unreachable: bool = False) -> Callable[[Act], Act]:
        """Register a function; its name, read as a sentence, is the check's, and `why` says what it is good for."""

        def register(act: Act) -> Act:
            name = act.__name__.strip("_").replace("_", " ")
            for word, spelled in _SPELLED.items():
                name = name.replace(word, spelled)
            self.checks.append(Check(self.name, name, act, why, unreachable))
            return act

        return register

    def add(self, name: str, act: Act) -> None:
        """Register one of several alike, whose name says all."""
        self.checks.append(Check(self.name, name, act))


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a check."""

    check: Check
    difference: str | None
    """What differed; None when all was as it must be."""


ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
_ADORNMENTS = (b"date", b"server", b"content-type")


def head(*lines: bytes) -> bytes:
    """Return a head of these lines."""
    return b"\r\n".join(lines) + b"\r\n\r\n"


def chunked(*chunks: bytes, trailers: tuple[bytes, ...] = ()) -> bytes:
    """Return a body in these chunks."""
    parts = [b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks]
    return b"".join((*parts, b"0\r\n", *(trailer + b"\r\n" for trailer in trailers), b"\r\n"))


def head_passes(lane: Lane, *lines: bytes) -> None:
    """Send a head and require it at the upstream to the byte."""
    sent = head(*lines)
    sender = lane.send(sent)
    arrived = lane.arrives(sender)
    same("the request's head", sent, arrived.head.raw)
    finish(arrived.wire, sender)


def fields_pass(lane: Lane, *fields: bytes) -> None:
    """Send a GET with these fields and require them at the upstream to the byte."""
    head_passes(lane, lane.line(), *fields)


def body_passes(lane: Lane, content: bytes, *fields: bytes) -> None:
    """Send a POST with a length and require head and body at the upstream to the byte."""
    sent = head(lane.line(b"POST"), HOST, *fields, b"Content-Length: %d" % len(content))
    sender = lane.send(sent + content)
    arrived = lane.arrives(sender)
    same("the request's head", sent, arrived.head.raw)
    same("the body", content, arrived.wire.exactly(len(content)))
    finish(arrived.wire, sender)


def finish(upstream: Wire, sender: Wire) -> None:
    """Answer and require that the sender gets it; nothing may have followed the request."""
    upstream.nothing_more()
    upstream.write(ANSWER)
    is_ok(sender.answer())


def is_ok(answer: Message) -> None:
    """Require the usual answer; its head is other checks' matter."""
    require(answer.head.status == 200, f"the sender was answered {answer.head.line!r}")
    same("the answer's body", b"ok", answer.content)


def exchange(lane: Lane, sender: Wire, rest: bytes = b"") -> Arrived:
    """Let a connected sender do one whole GET."""
    sender.write(head(lane.line(rest=rest), HOST))
    arrived = lane.arrives(sender)
    finish(arrived.wire, sender)
    return arrived


def get(lane: Lane, *fields: bytes, method: bytes = b"GET") -> tuple[Arrived, Wire]:
    """Send a request without a body and return both ends of it."""
    sender = lane.send(head(lane.line(method), HOST, *fields))
    return lane.arrives(sender), sender


def answer_passes(lane: Lane, answer: bytes, *, method: bytes = b"GET") -> Wire:
    """Let the upstream answer and require the same bytes at the sender; return the sender's connection."""
    arrived, sender = get(lane, method=method)
    arrived.wire.write(answer)
    expected, end, body = answer.partition(b"\r\n\r\n")
    same("the answer's head", expected + end, unadorned(sender.head(), Head(expected + end)))
    same("the answer's body", body, sender.exactly(len(body)))
    sender.nothing_more()
    return sender


def unadorned(seen: Head, sent: Head) -> bytes:
    """Return a head without what HTTP servers like to add: that is a matter of checks of its own."""
    added = [name for name in _ADORNMENTS if not sent.values(name)]
    lines = seen.raw.removesuffix(b"\r\n\r\n").split(b"\r\n")
    return head(*(line for line in lines if line.partition(b":")[0].lower() not in added))


def has_status(answer: Head, *expected: int) -> None:
    """Require one of these statuses."""
    if answer.status not in expected:
        wanted = " or ".join(map(str, expected))
        raise Differs(f"expected {wanted}, the sender was answered {answer.line!r}")

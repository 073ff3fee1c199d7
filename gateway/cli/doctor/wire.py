"""One end of a connection as checks read and write it, and what they tell, in few bytes, where it is not as it must be."""

import select
import socket
import struct
import time
from contextlib import suppress
from dataclasses import dataclass

_SHOWN = 90
_BEFORE = 20


class Differs(Exception):  # noqa: N818 - the finding of a check, not an error of the suite
    """The lane did something else than it must; the text says what."""


def shown(data: bytes) -> str:
    """Return bytes as a person can read them, shortened."""
    return repr(data[:_SHOWN]) + (f" and {len(data) - _SHOWN} bytes more" if len(data) > _SHOWN else "")


def same(what: str, expected: bytes, seen: bytes) -> None:
    """Raise `Differs` unless both are equal to the byte, and show where they part."""
    if seen == expected:
        return
    pairs = zip(expected, seen, strict=False)
    at = next((index for index, (one, other) in enumerate(pairs) if one != other), min(len(expected), len(seen)))
    start = max(0, at - _BEFORE)
    place = f", at byte {at} of {len(expected)}" if start else ""
    raise Differs(f"{what}{place}: expected {shown(expected[start:])}, saw {shown(seen[start:])}")


def require(condition: bool, otherwise: str) -> None:
    """Raise `Differs` with the text unless the condition holds."""
    if not condition:
        raise Differs(otherwise)


_AT_ONCE = 65536
_LINGER_NOT_AT_ALL = struct.pack("ii", 1, 0)
_PATIENCE = 10.0
"""Seconds that a peer gets to close its end when ours is closed."""

Fields = list[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Head:
    """The bytes up to the empty line, and what they say."""

    raw: bytes

    @property
    def line(self) -> bytes:
        """The request line or status line."""
        return self.raw.partition(b"\r\n")[0]

    @property
    def fields(self) -> Fields:
        """Names and values in order, without the blanks around a value, which are no part of it."""
        lines = self.raw.removesuffix(b"\r\n\r\n").split(b"\r\n")[1:]
        return [(name, value.strip(b" \t")) for name, _, value in (line.partition(b":") for line in lines)]

    @property
    def status(self) -> int:
        """The status code of an answer; 0 when the line is none."""
        words = self.line.split(b" ", 2)
        return int(words[1]) if len(words) > 1 and words[1].isdigit() else 0

    def values(self, name: bytes) -> list[bytes]:
        """Every value of a field, in order; `name` in lower case."""
        return [value for field, value in self.fields if field.lower() == name]

    def without(self, *names: bytes) -> Fields:
        """All fields but those of these names (lower case)."""
        return [(name, value) for name, value in self.fields if name.lower() not in names]


@dataclass(frozen=True, slots=True)
class Message:
    """A whole message; `trailers` is None unless it came in chunks."""

    head: Head
    content: bytes
    trailers: list[bytes] | None = None


class Wire:
    """One end of a connection; every wait ends at the deadline with `Differs`."""

    def __init__(self, sock: socket.socket, name: str, deadline: float) -> None:
        self.sock = sock
        self.name = name
        self.was_reset = False
        self._deadline = deadline
        self._kept = b""
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    @property
    def has_kept(self) -> bool:
        """Whether bytes have come that nobody read yet."""
        return bool(self._kept)

    def write(self, data: bytes, *, may_break: bool = False) -> None:
        """Send everything; with `may_break` the peer may close before it has it all."""
        self._arm()
        try:
            self.sock.sendall(data)
        except TimeoutError:
            raise Differs(f"the gateway did not take all {len(data)} bytes from the {self.name} in time") from None
        except ConnectionError as error:
            if not may_break:
                raise Differs(f"the gateway closed the connection of the {self.name}: {error.strerror}") from None

    def head(self) -> Head:
        """Read a head."""
        return Head(self.until(b"\r\n\r\n"))

    def until(self, mark: bytes) -> bytes:
        """Read up to and with the mark."""
        while mark not in self._kept:
            self._more(f"{mark!r}")
        found, _, self._kept = self._kept.partition(mark)
        return found + mark

    def exactly(self, size: int) -> bytes:
        """Read so many bytes."""
        parts, missing = [self._kept[:size]], size - len(self._kept)
        self._kept = self._kept[size:]
        while missing > 0:
            self._more(f"{missing} bytes more")
            parts.append(self._kept[:missing])
            self._kept = self._kept[missing:]
            missing -= len(parts[-1])
        return b"".join(parts)

    def rest(self) -> bytes:
        """Read to the end of the connection, whichever way it ends."""
        parts = [self._kept]
        while received := self._receive("the end of the connection"):
            parts.append(received)
        self._kept = b""
        return b"".join(parts)

    def in_chunks(self, head: Head) -> Message:
        """Read a body in chunks with its trailers (RFC 9112 section 7.1)."""
        content = []
        while size := self._chunk_size():
            content.append(self.exactly(size))
            require(self.exactly(2) == b"\r\n", f"a chunk at the {self.name} has no line end")
        trailers = []
        while (line := self.until(b"\r\n")) != b"\r\n":
            trailers.append(line.removesuffix(b"\r\n"))
        return Message(head, b"".join(content), trailers)

    def body(self, head: Head) -> Message:
        """Read the body that a request's head announces."""
        if head.values(b"transfer-encoding"):
            return self.in_chunks(head)
        lengths = head.values(b"content-length")
        require(all(length.isdigit() for length in lengths), f"no length: {shown(b', '.join(lengths))}")
        return Message(head, self.exactly(int(lengths[0])) if lengths else b"")

    def answer(self) -> Message:
        """Read an answer that has a body; one without a length goes on to the end of the connection."""
        head = self.head()
        if head.values(b"transfer-encoding") or head.values(b"content-length"):
            return self.body(head)
        return Message(head, self.rest())

    def must_end(self) -> None:
        """Require that the peer closes without another byte."""
        more = self.rest()
        require(not more, f"more came to the {self.name}: {shown(more)}")

    def nothing_more(self) -> None:
        """Require that nothing else has come so far, and that the connection is still open."""
        if not self._kept and self.is_readable:
            require(bool(self._receive("nothing")), f"the gateway closed the connection of the {self.name}")
        require(not self._kept, f"more came to the {self.name}: {shown(self._kept)}")

    @property
    def is_readable(self) -> bool:
        """Whether bytes, or the end, can be read now."""
        return bool(select.select([self.sock], [], [], 0)[0])

    def has_ended(self) -> bool:
        """Tell whether the next thing to read is the end; waits for one of both."""
        return not self._kept and not self._receive("a request")

    def first(self) -> bytes:
        """Return what has come and was not read yet; empty at the end of the connection."""
        return self._kept or self._receive("anything")

    def end_writing(self) -> None:
        """Close our half: the peer reads the end, and may go on writing."""
        with suppress(OSError):
            self.sock.shutdown(socket.SHUT_WR)

    def abort(self) -> None:
        """Leave with a reset, which no peer can take for a half-closed connection."""
        with suppress(OSError):
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT_AT_ALL)
        self.sock.close()

    def close(self) -> None:
        """Close."""
        self.sock.close()

    def hang_up(self) -> None:
        """Close, and wait until the peer has closed as well, so that it cannot use this connection again."""
        self.end_writing()
        with suppress(OSError):
            self.sock.settimeout(_PATIENCE)
            while self.sock.recv(_AT_ONCE):
                pass
        self.sock.close()

    def _chunk_size(self) -> int:
        line = self.until(b"\r\n")
        try:
            return int(line.partition(b";")[0].strip(), 16)
        except ValueError:
            raise Differs(f"no size of a chunk at the {self.name}: {shown(line)}") from None

    def _more(self, awaited: str) -> None:
        if not self._receive(awaited):
            how = "was reset" if self.was_reset else "ended"
            raise Differs(f"the connection of the {self.name} {how} before {awaited}; came: {shown(self._kept)}")

    def _receive(self, awaited: str) -> bytes:
        """Keep and return what comes next; empty at the end, which a reset is too."""
        self._arm()
        try:
            received = self.sock.recv(_AT_ONCE)
        except TimeoutError:
            raise Differs(f"the {self.name} waited in vain for {awaited}; came: {shown(self._kept)}") from None
        except ConnectionError:
            self.was_reset = True
            return b""
        self._kept += received
        return received

    def _arm(self) -> None:
        self.sock.settimeout(max(0.001, self._deadline - time.monotonic()))

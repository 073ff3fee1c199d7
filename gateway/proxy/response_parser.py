"""Responses from bytes: parsed by llhttp (httptools), and never believed to be whole before they are."""

from typing import Protocol

import httptools

from gateway.model import Headers
from gateway.proxy.headers import MAX_FIELDS, MAX_HEAD, Framing, canonical

_HTTP = b"HTTP/"
_SPECIAL = frozenset({b"content-length", b"transfer-encoding"})


class BadResponse(Exception):  # noqa: N818 - the condition
    """Bytes from an upstream that are no HTTP/1.1 response to what was asked."""


class ResponseEvents(Protocol):
    """What becomes of the response to one request."""

    def response_informed(self, status: int, reason: bytes, headers: Headers) -> None:
        """Take an informational answer (1xx); the answer itself is still to come."""

    def response_started(self, status: int, reason: bytes, headers: Headers, framing: Framing) -> None:
        """Take the answer's head."""

    def response_body(self, data: bytes) -> None:
        """Take a piece of the answer's body."""

    def response_ended(self, trailers: Headers) -> None:
        """Take the end of the answer."""


class ResponseParser:
    """Reads the responses of one upstream connection, one request at a time."""

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._events: ResponseEvents | None = None
        self._to_head = False
        self._bodiless = False
        self.keeps_alive = False
        """Whether the upstream will take another request on this connection; known once a response has ended."""
        self._begins = b""
        """The first bytes of the response."""
        self._reason = b""
        self._fields: list[tuple[bytes, bytes]] = []
        self._special: dict[bytes, list[bytes]] = {}
        self._size = 0
        self._head_bytes = 0
        self._bodiless_bytes = 0
        self._in_head = False
        self._informational = False
        self._framing = Framing.NONE

    def expect(self, events: ResponseEvents, *, to_head: bool) -> None:
        """Get ready for the response to a request; `to_head` says that it has no body whatever its fields say."""
        self._events = events
        self._to_head = to_head
        self._begins = b""
        if self._bodiless:
            # llhttp still waits for the body that a response to HEAD only announces.
            self._parser = httptools.HttpResponseParser(self)
            self._bodiless = False

    def feed(self, data: bytes) -> None:
        """Read the next bytes; raises `BadResponse`, after which the connection is of no more use."""
        if self._events is None:
            if self._bodiless:
                self.keeps_alive = False
            elif data.strip(b"\r\n"):
                raise BadResponse("bytes that nobody asked for")
            return
        self._bodiless_bytes += len(data)
        self._check_protocol(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            raise BadResponse("an upgrade that nobody asked for") from None
        except httptools.HttpParserError as error:
            if self._is_past_head():
                # The answer to HEAD was complete; whatever follows it ends the connection, and harms nobody.
                self.keeps_alive = False
                return
            cause = error.__context__
            raise BadResponse(str(cause if isinstance(cause, BadResponse) else error)) from None
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD:
                raise BadResponse("the head is too large")
        elif self._framing is Framing.CHUNKED and self._bodiless_bytes > MAX_HEAD:
            raise BadResponse("the trailers, or what is said of a chunk, are too large")

    def _check_protocol(self, data: bytes) -> None:
        """Refuse another protocol whose status lines llhttp takes for HTTP's."""
        if len(self._begins) < len(_HTTP):
            self._begins = (self._begins + data).lstrip(b"\r\n")[: len(_HTTP)]
            if not _HTTP.startswith(self._begins):
                raise BadResponse("not a response of HTTP/1.1")

    def _is_past_head(self) -> bool:
        """Whether an answer without a body was complete, so that all that follows is nobody's."""
        return self._bodiless and self._events is None

    def closed(self) -> None:
        """Take the end of the connection: the end of a body that lasts until then; raises `BadResponse` otherwise."""
        if self._events is not None:
            if self._framing is not Framing.UNTIL_CLOSE:
                raise BadResponse("the connection closed before the answer was complete")
            self._end(())

    def release(self) -> None:
        """Let go of what would hold a closed connection in memory until the collector looks; nothing more is read."""
        del self._parser

    def on_message_begin(self) -> None:
        """llhttp: a response begins."""
        if self._events is None:
            raise BadResponse("more than one response")
        self._reset()
        self._in_head = True

    def on_status(self, reason: bytes) -> None:
        """llhttp: a piece of the reason phrase."""
        self._reason += reason

    def on_header(self, name: bytes, written: bytes) -> None:
        """llhttp: a field of the head, or of the trailers; blanks around a value are no part of it (RFC 9110 section 5.5)."""
        value = written.strip(b" \t")
        self._fields.append((name, value))
        self._size += len(name) + len(value)
        if (lower := name.lower()) in _SPECIAL and self._in_head:
            # With a tab behind it llhttp knows no coding, and would take the chunks for the body itself.
            self._special.setdefault(lower, []).append(written.strip(b" ") if lower == b"transfer-encoding" else value)
        if len(self._fields) > MAX_FIELDS:
            raise BadResponse("too many fields")
        if self._size > MAX_HEAD:
            raise BadResponse("the head is too large")

    def on_headers_complete(self) -> None:
        """llhttp: the head ends."""
        self._in_head = False
        self._bodiless_bytes = 0
        self._size = 0
        status = self._parser.get_status_code()
        headers = tuple(self._fields)
        self._fields = []
        if self._parser.get_http_version() not in ("1.0", "1.1") or not 100 <= status <= 599 or status == 101:
            raise BadResponse("not a response of HTTP/1.1")
        if status < 200:
            self._informational = True
            self._told().response_informed(status, self._reason, headers)
            return
        self._framing = framing = self._checked_framing(status)
        if self._special:
            headers = self._canonical(headers)
        self._told().response_started(status, self._reason, headers, framing)
        if self._to_head:
            self._bodiless = True
            self.keeps_alive = self._parser.should_keep_alive()
            self._end(())

    def on_chunk_header(self) -> None:
        """llhttp: a chunk begins; none may where no body was to come."""
        if self._events is None:
            raise BadResponse("a body in answer to HEAD")

    def on_body(self, data: bytes) -> None:
        """llhttp: a piece of the body."""
        self._bodiless_bytes = 0
        if self._informational:
            raise BadResponse("an informational answer with a body")
        if self._events is not None or data.strip(b"\r\n"):
            self._told().response_body(data)

    def on_message_complete(self) -> None:
        """llhttp: the response ends."""
        if self._informational:
            self._informational = False
        elif not self._bodiless:
            self.keeps_alive = self._parser.should_keep_alive()
            self._end(tuple(self._fields))

    def _checked_framing(self, status: int) -> Framing:
        codings = self._special.get(b"transfer-encoding")
        if codings and (len(codings) > 1 or codings[0].lower() != b"chunked"):
            raise BadResponse("a transfer coding other than chunked")
        if self._to_head or status in (204, 304):
            return Framing.NONE
        if codings:
            return Framing.CHUNKED
        if b"content-length" in self._special:
            return Framing.LENGTH
        return Framing.UNTIL_CLOSE

    def _canonical(self, headers: Headers) -> Headers:
        lengths = self._special.get(b"content-length")
        if lengths and not lengths[0].isdigit():
            raise BadResponse("a length that is no number")
        if lengths:
            return canonical(headers, Framing.LENGTH, int(lengths[0]), lengths)
        return canonical(headers, Framing.CHUNKED, 0, self._special[b"transfer-encoding"])

    def _told(self) -> ResponseEvents:
        if self._events is None:
            raise BadResponse("bytes after the end of the response")
        return self._events

    def _end(self, trailers: Headers) -> None:
        events, self._events = self._told(), None
        self._framing = Framing.NONE
        events.response_ended(trailers)

    def _reset(self) -> None:
        self._reason = b""
        self._fields = []
        self._special = {}
        self._size = 0
        self._head_bytes = 0
        self._bodiless_bytes = 0
        self._in_head = False
        self._informational = False
        self._framing = Framing.NONE

"""Requests from bytes: parsed by llhttp (httptools), then held to what a proxy may safely pass on (RFC 9112)."""

import re
from typing import Protocol

import httptools

from gateway.model import Headers, RequestHead
from gateway.proxy.headers import MAX_FIELDS, MAX_HEAD, MAX_TARGET, Framing, canonical

_METHODS = frozenset({b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"PATCH", b"OPTIONS"})
_SPECIAL = frozenset({b"host", b"content-length", b"transfer-encoding"})
_HOST = re.compile(rb"[^\s/\\?#@,]*")
_RTSP = re.compile(rb"RTSP/[0-9]\.[0-9]\r?\n")
"""How the request line of another protocol ends; llhttp reads it as HTTP's, and does not say so."""
_RTSP_BEGINS = b"RTSP/"
_LONGEST_END = 10
"""Bytes of such an end before its last."""


class BadRequest(Exception):  # noqa: N818 - the name of the status
    """A request that is not passed on and ends its connection; the text holds nothing of the request."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


class RequestEvents(Protocol):
    """What becomes of a stream of requests."""

    def request_started(self, head: RequestHead, version: str, framing: Framing, *, keep_alive: bool) -> None:
        """Take a head; `version` is 1.0 or 1.1."""

    def request_body(self, data: bytes) -> None:
        """Take a piece of the body."""

    def request_ended(self, trailers: Headers) -> None:
        """Take the end of the request."""


class RequestParser:
    """Reads the requests of one connection, however their bytes are split."""

    def __init__(self, events: RequestEvents) -> None:
        self._events = events
        self._replaying = False
        self.in_head = False
        """Whether a head has begun and not ended."""
        self._line_end = b""
        """The last bytes of a line that has not ended yet."""
        self._target = b""
        self._fields: list[tuple[bytes, bytes]] = []
        self._special: dict[bytes, list[bytes]] = {}
        self._size = 0
        self._head_bytes = 0
        self._bodiless_bytes = 0
        self._began = False
        self._length = 0
        self._framing = Framing.NONE
        self._upgrading = False
        self._start_parser()

    def feed(self, data: bytes) -> None:
        """Read the next bytes; raises `BadRequest`, after which the connection is of no more use."""
        begun = len(self._line_end)
        seen = self._line_end + data if begun else data
        self._line_end = seen[-_LONGEST_END:].rpartition(b"\n")[2]
        if _RTSP_BEGINS not in seen:
            self._read(data)
            return
        at = 0
        for found in _RTSP.finditer(seen):
            self._read(data[at : found.end() - begun])
            at = found.end() - begun
            if self.in_head and not self._size:
                raise BadRequest(505, "only HTTP/1.0 and HTTP/1.1 are spoken")
        self._read(data[at:] if at else data)

    def _read(self, data: bytes) -> None:
        while data:
            self._began = False
            self._bodiless_bytes += len(data)
            rest = self._feed(data)
            if self.in_head:
                # The first bytes of a head may follow the end of another request: they are not counted.
                self._head_bytes += 0 if self._began else len(data)
                if self._head_bytes > MAX_HEAD:
                    raise BadRequest(431, "the head is too large")
            elif self._framing is Framing.CHUNKED and self._bodiless_bytes > MAX_HEAD:
                raise BadRequest(431, "the trailers, or what is said of a chunk, are too large")
            data = rest

    def release(self) -> None:
        """Let go of what would hold a closed connection in memory until the collector looks; nothing more is read."""
        del self._parser, self._events

    def _feed(self, data: bytes) -> bytes:
        """Read bytes, and return those that come after the head of a request that asked for an upgrade."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            read = int(upgrade.args[0])
        except httptools.HttpParserInvalidMethodError:
            raise BadRequest(501, "the method is not supported") from None
        except httptools.HttpParserError as error:
            if isinstance(error.__context__, BadRequest):
                raise error.__context__ from None
            raise BadRequest(400, f"not HTTP/1.1: {error}") from None
        else:
            return b""
        self._without_upgrade()
        return data[read:]

    def on_message_begin(self) -> None:
        """llhttp: a request begins."""
        if not self._replaying:
            self._reset()
            self.in_head = True

    def on_url(self, url: bytes) -> None:
        """llhttp: a piece of the target."""
        self._target += url

    def on_header(self, name: bytes, written: bytes) -> None:
        """llhttp: a field of the head, or of the trailers; blanks around a value are no part of it (RFC 9110 section 5.5)."""
        if self._replaying:
            return
        value = written.strip(b" \t")
        self._fields.append((name, value))
        self._size += len(name) + len(value)
        if (lower := name.lower()) in _SPECIAL and self.in_head:
            # llhttp knows no coding with a tab behind it, and ends the request only after its head was told.
            self._special.setdefault(lower, []).append(written.strip(b" ") if lower == b"transfer-encoding" else value)
        if len(self._fields) > MAX_FIELDS:
            raise BadRequest(431, "too many fields")
        if self._size > MAX_HEAD:
            raise BadRequest(431, "the head is too large")

    def on_headers_complete(self) -> None:
        """llhttp: the head ends."""
        if self._replaying:
            return
        self.in_head = False
        self._bodiless_bytes = 0
        parser = self._parser
        version, method = parser.get_http_version(), parser.get_method()
        headers = tuple(self._fields)
        self._fields = []
        self._check_head(version, method)
        self._size = 0
        self._framing = framing = self._checked_framing(version)
        self._upgrading = parser.should_upgrade()
        if (
            written := self._special.get(b"transfer-encoding" if framing is Framing.CHUNKED else b"content-length")
        ) is not None:
            headers = canonical(headers, framing, self._length, written)
        head = RequestHead(method.decode("ascii"), self._target.decode("ascii"), headers)
        self._events.request_started(head, version, framing, keep_alive=parser.should_keep_alive())

    def on_body(self, data: bytes) -> None:
        """llhttp: a piece of the body."""
        self._bodiless_bytes = 0
        self._events.request_body(data)

    def on_message_complete(self) -> None:
        """llhttp: the request ends; for one that asks for an upgrade this comes too early, right after its head."""
        if self._upgrading:
            self._upgrading = False
        elif not self._replaying:
            self._events.request_ended(tuple(self._fields))

    def _without_upgrade(self) -> None:
        """Read the body of a request that asked for an upgrade, which is never granted: it is an ordinary request."""
        framing = self._framing
        self._start_parser()
        if framing is Framing.NONE:
            self._fields = []
            self._events.request_ended(())
        else:
            field = (
                b"Transfer-Encoding: chunked" if framing is Framing.CHUNKED else b"Content-Length: %d" % self._length
            )
            self._replaying = True
            self._parser.feed_data(b"POST / HTTP/1.1\r\n" + field + b"\r\n\r\n")
            self._replaying = False

    def _start_parser(self) -> None:
        self._parser = httptools.HttpRequestParser(self)

    def _reset(self) -> None:
        self._began = True
        self._target = b""
        self._fields = []
        self._special = {}
        self._size = 0
        self._head_bytes = 0
        self._bodiless_bytes = 0
        self._length = 0
        self._framing = Framing.NONE
        self._upgrading = False

    def _check_head(self, version: str, method: bytes) -> None:
        if version not in ("1.0", "1.1"):
            raise BadRequest(505, "only HTTP/1.0 and HTTP/1.1 are spoken")
        if method not in _METHODS:
            raise BadRequest(501, "the method is not supported")
        if len(self._target) > MAX_TARGET:
            raise BadRequest(414, "the target is too long")
        if not self._target.startswith(b"/"):
            raise BadRequest(400, "the target is not a path")
        if not self._target.isascii():
            raise BadRequest(400, "the target is not ASCII")
        if self._size + len(self._target) > MAX_HEAD:
            raise BadRequest(431, "the head is too large")
        hosts = self._special.get(b"host", ())
        if len(hosts) > 1 or (version == "1.1" and not hosts):
            raise BadRequest(400, "exactly one Host is needed")
        if hosts and not _HOST.fullmatch(hosts[0]):
            raise BadRequest(400, "Host is not a host")

    def _checked_framing(self, version: str) -> Framing:
        codings = self._special.get(b"transfer-encoding")
        lengths = self._special.get(b"content-length")
        if codings:
            if lengths or len(codings) > 1 or version == "1.0" or codings[0].lower() != b"chunked":
                raise BadRequest(400, "Transfer-Encoding may only be chunked, and alone")
            return Framing.CHUNKED
        if lengths:
            if len(lengths) > 1 or not lengths[0].isdigit():
                raise BadRequest(400, "Content-Length must be one number")
            self._length = int(lengths[0])
            return Framing.LENGTH if self._length else Framing.NONE
        return Framing.NONE

"""Logs: one wide event for each message, and nothing that could hold personal data."""

import asyncio
import contextlib
import json
import logging
import re
import sys
import threading
import time
from datetime import UTC, datetime
from functools import cache
from types import TracebackType
from typing import Any, TextIO, cast

import msgspec
import structlog
from prometheus_client import Counter, Histogram
from structlog.typing import EventDict, WrappedLogger

from gateway.model import Account, Information, Mode
from gateway.observability.metrics import LOSSES, MESSAGES, REGISTRY, REPAIRS, SECONDS
from translators.fhir.elements import r4, stu3

_ELEVEN_DIGITS = re.compile(r"(?<!\d)\d{11}(?!\d)(?<!-[0-9a-f]{4}-\d{11})(?<!-[0-9a-f]{4}-[a-f]\d{11})")
_COUNTERS: dict[tuple[str, ...], tuple[Counter, Histogram]] = {}
"""The counters of each combination of labels, found once."""
_LOG_DELAY = 0.1
"""Seconds that messages are gathered."""
_TOGETHER = 64
"""Messages that are written together at most: with more, those that come meanwhile would notice."""
_DOTTED = re.compile(r"(?<![A-Za-z0-9_-])[A-Za-z0-9_-]++\.[A-Za-z0-9_.-]*+")
"""What may end in a JWT: each begins at one place alone, so that a long text is gone through once."""
_JWT, _SHORTEST_HEADER = "eyJ", 11
_API_TOKEN = re.compile(r"vkpgw_[A-Za-z0-9_-]{8,}")

log = structlog.get_logger()


def configure(stream: TextIO | None = None) -> None:
    """Write log events as JSON lines to `stream`, standard error by default."""
    global _MESSAGE_LOG  # noqa: PLW0603 - one log for the process, as structlog's own
    _MESSAGE_LOG = MessageLog(stream)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _exception_type_only,
            mask,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        # A line in one write, so that those of several processes on one stream do not mix.
        logger_factory=structlog.WriteLoggerFactory(cast("TextIO", _Unbreakable(stream))),
    )
    root = logging.getLogger()
    for before in [each for each in root.handlers if isinstance(each, Libraries)]:
        root.removeHandler(before)
    root.addHandler(Libraries(logging.WARNING))


def log_uncaught() -> None:
    """Have what nobody catches logged as all else, by type and place: Python would print it with its text between the lines."""
    sys.excepthook = _uncaught
    threading.excepthook = lambda given: _uncaught(given.exc_type, given.exc_value, given.exc_traceback)
    sys.unraisablehook = lambda given: _uncaught(given.exc_type, given.exc_value, given.exc_traceback)


def _uncaught(kind: type[BaseException], error: BaseException | None, _trace: TracebackType | None) -> None:
    log.critical("process.uncaught", exc_info=error if error is not None else kind())


class Libraries(logging.Handler):
    """Has what libraries log in lines as all others are: Python would print it, with whatever is in it, between them."""

    def emit(self, record: logging.LogRecord) -> None:
        """Log the first line as it stands in the library, without the values that belong into it."""
        tell = log.error if record.levelno >= logging.ERROR else log.warning
        text = str(record.msg).partition("\n")[0]
        tell("library.told", library=record.name, text=text, exc_info=record.exc_info and record.exc_info[1])


def mask(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Hide what looks like a national identity number or a token; a second line of defence, since none is logged."""
    return {key: _masked(value) for key, value in event.items()}


class MessageEvent(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One message's line, as it is written."""

    event: str = "message"
    level: str = "info"
    correlation_id: str
    surface: str
    municipality: str | None
    sender: str | None
    information: Information | None
    mode: Mode | None
    canary: bool
    layer: str | None
    rule: str | None
    generation: int | None
    upstream: str | None
    route: str | None
    outcome: str
    status: int
    milliseconds: float
    diagnostics: str | None
    repairs: tuple[str, ...]
    losses: int
    """How many."""
    event_id: str | None
    first: str | None
    marks: tuple[str, ...]
    timestamp: str
    address: str | msgspec.UnsetType = msgspec.UNSET
    """Only of what was refused before its sender was trusted."""


class Answered(msgspec.Struct, frozen=True):
    """A message whose answer has been given."""

    account: Account
    status: int
    """The HTTP status that the sender got."""
    seconds: float
    at: float
    """Seconds since the epoch."""


def record(account: Account, status: int, seconds: float) -> None:
    """Log and count one message when its answer has been given; `status` is the HTTP status that the sender got.

    Both happen within a moment, with those that are answered meanwhile: one after the other they take a fraction of the time
    that each takes between other work. `REGISTRY` counts what has gathered before it shows anything.
    """
    _MESSAGE_LOG.add(Answered(account, status, seconds, time.time()))


def event_of(answered: Answered) -> MessageEvent:
    """Return a message's line."""
    account = answered.account
    envelope = account.envelope
    return MessageEvent(
        correlation_id=account.correlation_id,
        surface=envelope.surface,
        municipality=envelope.municipality,
        sender=envelope.sender,
        information=envelope.information,
        mode=account.mode,
        canary=account.canary,
        layer=account.layer,
        rule=account.rule,
        generation=account.generation,
        upstream=account.upstream,
        route=account.route,
        outcome=account.outcome,
        status=answered.status,
        milliseconds=round(answered.seconds * 1000, 3),
        diagnostics=diagnostics_of(account),
        repairs=account.repairs,
        losses=len(account.losses),
        event_id=account.event_id,
        first=account.first,
        marks=account.marks,
        timestamp=datetime.fromtimestamp(answered.at, UTC).isoformat(),
        address=msgspec.UNSET if account.address is None else account.address,
    )


def diagnostics_of(account: Account) -> str | None:
    """Return why a message was refused, without numbers of persons and names that a sender made up."""
    return _mask_text(_without_strange_names(account.diagnostics)) if account.diagnostics else None


def flush() -> None:
    """Write out and count the messages that were recorded and not yet written."""
    _MESSAGE_LOG.flush()


def _count(account: Account, seconds: float) -> None:
    envelope = account.envelope
    labels = (
        envelope.surface,
        envelope.municipality or "",
        envelope.information or "",
        account.mode or "",
        account.outcome,
    )
    counters = _COUNTERS.get(labels)
    if counters is None:
        counters = _COUNTERS[labels] = (MESSAGES.labels(*labels), SECONDS.labels(account.mode or ""))
    counters[0].inc()
    counters[1].observe(seconds)
    for rule in account.repairs:
        REPAIRS.labels(rule).inc()
    if account.losses:
        LOSSES.inc(len(account.losses))


class _Unbreakable:
    """A stream whose failures nobody hears of: a log on a full disk must not stop what is logged."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self._is_cut = False
        """Whether the last line has no end, so that the next would be lost with it."""

    def write(self, text: str) -> None:
        try:
            (self._stream or sys.stderr).write(f"\n{text}" if self._is_cut else text)
            self._is_cut = False
        except (OSError, ValueError):
            self._is_cut = True

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            (self._stream or sys.stderr).flush()


class MessageLog:
    """Writes and counts messages several at a time: one write for each message would cost more than the message."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = _Unbreakable(stream)
        self._gathered: list[Answered] = []
        self._due: asyncio.TimerHandle | None = None

    def add(self, answered: Answered) -> None:
        """Log and count a message within a moment; at once where no event loop runs."""
        self._gathered.append(answered)
        if len(self._gathered) >= _TOGETHER:
            self.flush()
        elif self._due is None:
            try:
                self._due = asyncio.get_running_loop().call_later(_LOG_DELAY, self.flush)
            except RuntimeError:
                self.flush()

    def flush(self) -> None:
        """Write and count what has been gathered."""
        due, self._due = self._due, None
        if due is not None:
            due.cancel()
        if self._gathered:
            gathered, self._gathered = self._gathered, []
            for each in gathered:
                _count(each.account, each.seconds)
            self._stream.write(_lines([event_of(each) for each in gathered]))
            self._stream.flush()


_ENCODER = msgspec.json.Encoder()


def _lines(events: list[MessageEvent]) -> str:
    try:
        return _ENCODER.encode_lines(events).decode()
    except (
        UnicodeEncodeError
    ):  # half of a surrogate pair, which JSON can have and no line: the others are not lost by it
        return "".join(json.dumps(msgspec.to_builtins(event)) + "\n" for event in events)


_MESSAGE_LOG = MessageLog(None)
REGISTRY.before_it_shows(flush)


def _mask_text(text: str) -> str:
    text = _API_TOKEN.sub("(token)", _ELEVEN_DIGITS.sub("(number)", text))
    return _DOTTED.sub(_without_jwt, text) if _JWT in text else text


def _without_jwt(dotted: re.Match[str]) -> str:
    place = 0
    for part in dotted[0].split(".")[:-1]:
        begin = part.find(_JWT)
        if begin >= 0 and len(part) - begin >= _SHORTEST_HEADER:
            return f"{dotted[0][: place + begin]}(token)"
        place += len(part) + 1
    return dotted[0]


_PATH = re.compile(r"\b[A-Z][A-Za-z]+(?:\[\d+\])?(?:\.[A-Za-z_][A-Za-z0-9_]*(?:\[\d+\])?)+")
_KEY = re.compile(r'(?<=the key ")[^"]*')
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def _without_strange_names(text: str) -> str:
    """Return what is told a sender as it is logged: names in it that are not FHIR's may be anything, also of a person."""
    return _KEY.sub(_known_name, _PATH.sub(lambda path: _NAME.sub(_known_name, path[0]), text))


def _known_name(name: re.Match[str]) -> str:
    return name[0] if name[0] in _fhir_names() else "(name)"


@cache
def _fhir_names() -> frozenset[str]:
    tables = [table for release in (r4(), stu3()) for table in release.types.items()]
    elements = {name for _, row in tables for name in row}
    return frozenset(elements | {kind.partition(".")[0] for kind, _ in tables})


def _masked(value: Any) -> Any:
    if isinstance(value, str):
        return _mask_text(value)
    if isinstance(value, list | tuple):
        return [_masked(item) for item in value]
    if isinstance(value, dict):
        return {key: _masked(item) for key, item in value.items()}
    return value


def _exception_type_only(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Log an exception by its type and place: its text and its variables may hold what a sender wrote."""
    given = event.pop("exc_info", None)
    if not given:
        return event
    error = given if isinstance(given, BaseException) else sys.exc_info()[1]
    trace = error.__traceback__ if error else None
    frames = []
    while trace is not None:
        code = trace.tb_frame.f_code
        frames.append(f"{code.co_name}:{trace.tb_lineno}")
        trace = trace.tb_next
    return {**event, "exception": type(error).__name__ if error else "unknown", "frames": frames}

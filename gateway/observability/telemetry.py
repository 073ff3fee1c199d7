"""Logs and metrics: one wide event for each message, and nothing that could hold personal data."""

import asyncio
import contextlib
import logging
import re
import sys
import time
from datetime import UTC, datetime
from functools import cache
from typing import Any, TextIO, cast

import msgspec
import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from structlog.typing import EventDict, WrappedLogger

from gateway.model import Account
from translators.fhir.elements import r4, stu3

REGISTRY = CollectorRegistry()

MESSAGES = Counter(
    "vkp_gateway_messages",
    "Requests answered, by what they were and what became of them.",
    ["surface", "municipality", "information", "mode", "outcome"],
    registry=REGISTRY,
)
SECONDS = Histogram(
    "vkp_gateway_message_seconds",
    "Seconds from a request's head to the end of its answer.",
    ["mode"],
    registry=REGISTRY,
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 90),
)
REPAIRS = Counter("vkp_gateway_repairs", "Corrections made to messages, by rule.", ["rule"], registry=REGISTRY)
LOSSES = Counter("vkp_gateway_losses", "Elements of messages that could not be carried.", registry=REGISTRY)
BOUND_AS_BEARER = Counter(
    "vkp_gateway_bound_tokens_as_bearer",
    "Tokens bound to a DPoP key that were sent, and accepted, as plain Bearer.",
    registry=REGISTRY,
)
OTHER_ORGANISATIONS = Counter(
    "vkp_gateway_tokens_of_other_organisations",
    "Requests that were accepted with a token whose orgnr_parent is not the municipality's.",
    ["municipality"],
    registry=REGISTRY,
)
CONTENT_NOT_READ = Counter(
    "vkp_gateway_content_not_read",
    "Requests whose routes differ by content that cannot be read, by why, and whether they passed to VKP or were refused.",
    ["reason", "outcome"],
    registry=REGISTRY,
)
ANSWERS_REFUSED = Counter(
    "vkp_gateway_answers_refused",
    "Answers to retrievals that are not what the contract of who gave them says: an alarm.",
    ["upstream"],
    registry=REGISTRY,
)
REPLICA_PAGES = Counter(
    "vkp_gateway_replica_pages",
    "Pages of PIT that were read for a municipality's copy.",
    ["municipality"],
    registry=REGISTRY,
)
REPLICA_PATIENTS = Gauge(
    "vkp_gateway_replica_patients",
    "Patients of a municipality's copy: of the one that answers, and of one that is being made.",
    ["municipality", "state"],
    registry=REGISTRY,
)
REPLICA_AGE = Gauge(
    "vkp_gateway_replica_age_seconds",
    "Seconds since a municipality's copy was as its service had it; past the service's freshness nothing is answered: an alarm.",
    ["municipality", "source"],
    registry=REGISTRY,
)
REPLICA_FAILURES = Counter(
    "vkp_gateway_replica_failures",
    "Steps of filling a municipality's copy that failed, by why: away, refused, shrinks.",
    ["municipality", "source", "why"],
    registry=REGISTRY,
)
REPLICA_DUPLICATES = Counter(
    "vkp_gateway_replica_duplicates",
    "Searches that found several records of one number in a municipality's copy, and were answered with the newest.",
    ["municipality"],
    registry=REGISTRY,
)
CONNECTIONS_REFUSED = Counter(
    "vkp_gateway_connections_refused",
    "Connections of senders that were closed at once: too many in all, or from one address.",
    ["bound"],
    registry=REGISTRY,
)
NOT_ACCEPTED = Counter(
    "vkp_gateway_connections_not_accepted",
    "Times that the system had no connection of a sender for us, for want of file descriptors: an alarm.",
    registry=REGISTRY,
)
PROXY_HEADERS_REFUSED = Counter(
    "vkp_gateway_proxy_headers_refused",
    "Connections of balancers that were closed since they did not begin with a header of the PROXY protocol.",
    registry=REGISTRY,
)
HANDSHAKES_FAILED = Counter(
    "vkp_gateway_handshakes_failed",
    "Connections of senders that ended before TLS was agreed on.",
    registry=REGISTRY,
)
CERTIFICATES_UNUSABLE = Gauge(
    "vkp_gateway_certificates_unusable",
    "1 while changed certificate files cannot be used, so that the ones before serve on.",
    ["of"],
    registry=REGISTRY,
)
NAMES_UNRESOLVED = Gauge(
    "vkp_gateway_names_unresolved",
    "1 while an upstream's name cannot be resolved, and its last known addresses are used.",
    ["host"],
    registry=REGISTRY,
)
DELIVERIES = Counter(
    "vkp_gateway_held_deliveries",
    "Tries to deliver held messages, by what came of them.",
    ["outcome"],
    registry=REGISTRY,
)
UNCLEAR = Counter(
    "vkp_gateway_unclear_deliveries",
    "Promised messages that were sent and never answered, and set aside for a person: an alarm.",
    ["municipality"],
    registry=REGISTRY,
)
QUARANTINED = Counter(
    "vkp_gateway_quarantined",
    "Promised messages that were set aside for a person: an alarm.",
    ["municipality"],
    registry=REGISTRY,
)
POLLS = Counter(
    "vkp_gateway_polls", "Questions how far an event has come, by the answer.", ["stage"], registry=REGISTRY
)
SERVICE_FILES_UNUSABLE = Gauge(
    "vkp_gateway_service_file_unusable",
    "Whether a municipality's file of services cannot be read, or has a line that is wrong: an alarm.",
    ["municipality"],
    registry=REGISTRY,
)
SWEEP_LEFT = Gauge(
    "vkp_gateway_okt_sweep_seconds_left",
    "Seconds that a municipality's sweep of OKT will at least take from now; 0 once it is complete.",
    ["municipality"],
    registry=REGISTRY,
)
OVERDUE_EVENTS = Counter(
    "vkp_gateway_overdue_events",
    "Events that were not acknowledged in time: an alarm.",
    ["municipality"],
    registry=REGISTRY,
)
LEDGER_MESSAGES = Gauge(
    "vkp_gateway_ledger_messages",
    "Messages that are held, being delivered, or in quarantine, and delivered ones that are overdue.",
    ["municipality", "state"],
    registry=REGISTRY,
)
LEDGER_OLDEST = Gauge(
    "vkp_gateway_ledger_oldest_seconds",
    "How long the oldest such message has been there.",
    ["state"],
    registry=REGISTRY,
)
LEDGER_RUNS = Gauge(
    "vkp_gateway_ledger_run_timestamp_seconds",
    "When each regular job on the ledger last ended well.",
    ["job"],
    registry=REGISTRY,
)
CLOCK_STEPS = Gauge(
    "vkp_gateway_clock_steps",
    "How often somebody set the machine's clock, seen by this process.",
    registry=REGISTRY,
)
CLOCK_DOUBTED = Gauge(
    "vkp_gateway_clock_doubted",
    "1 while nothing is cleared away because the clock may be ahead: an alarm.",
    registry=REGISTRY,
)
REHEARSED = Counter(
    "vkp_gateway_rehearsed",
    "Messages of mode rehearse that VKP answered, by what the new side would have made of them.",
    ["municipality", "vendor", "information", "verdict"],
    registry=REGISTRY,
)
COMPARED = Counter(
    "vkp_gateway_compared",
    "Searches of mode compare, by what the answers of VKP and of the new side have shown.",
    ["municipality", "vendor", "information", "outcome"],
    registry=REGISTRY,
)
SHARED = Counter(
    "vkp_gateway_shared",
    "Measurements of journaled messages that were to be shared with another service, by what became of it.",
    ["municipality", "target", "outcome"],
    registry=REGISTRY,
)
SHARES_WAITING = Gauge(
    "vkp_gateway_shares_waiting",
    "Journaled messages whose measurements wait to be shared with another service.",
    ["target", "municipality"],
    registry=REGISTRY,
)
DECISIONS_DROPPED = Counter(
    "vkp_gateway_decisions_dropped",
    "Decisions that are missing in the decision log: the ledger could not be written for too long.",
    registry=REGISTRY,
)
RELOADS = Counter("vkp_gateway_reloads", "Reloads of routes.yaml, by result.", ["result"], registry=REGISTRY)

# Not in the last group of a UUID: every 250th has eleven digits there, and an event is found again by its id.
_ELEVEN_DIGITS = re.compile(r"(?<!\d)\d{11}(?!\d)(?<!-[0-9a-f]{4}-\d{11})(?<!-[0-9a-f]{4}-[a-f]\d{11})")
_COUNTERS: dict[tuple[str, ...], tuple[Counter, Histogram]] = {}
"""The counters of each combination of labels, found once."""
_LOG_DELAY = 0.1
"""Seconds that message events are gathered."""
_TOKEN = re.compile(r"eyJ[A-Za-z0-9_-]{8,}(\.[A-Za-z0-9_-]*)+|vkpgw_[A-Za-z0-9_-]{8,}")

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


def mask(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Hide what looks like a national identity number or a token; a second line of defence, since none is logged."""
    return {key: _masked(value) for key, value in event.items()}


def record(account: Account, status: int, seconds: float) -> None:
    """Log and count one message when its answer has been given; `status` is the HTTP status that the sender got."""
    _count(account, seconds)
    envelope = account.envelope
    _MESSAGE_LOG.write(
        {
            "event": "message",
            "level": "info",
            "correlation_id": account.correlation_id,
            "surface": envelope.surface,
            "municipality": envelope.municipality,
            "sender": envelope.sender,
            "information": envelope.information,
            "mode": account.mode,
            "canary": account.canary,
            "layer": account.layer,
            "rule": account.rule,
            "generation": account.generation,
            "upstream": account.upstream,
            "route": account.route,
            "outcome": account.outcome,
            "status": status,
            "milliseconds": round(seconds * 1000, 3),
            "diagnostics": diagnostics_of(account),
            "repairs": account.repairs,
            "losses": len(account.losses),
            "event_id": account.event_id,
            "first": account.first,
            "marks": account.marks,
            "timestamp": datetime.fromtimestamp(time.time(), UTC).isoformat(),
        }
    )


def diagnostics_of(account: Account) -> str | None:
    """Return why a message was refused, without numbers of persons and names that a sender made up."""
    return _mask_text(_without_strange_names(account.diagnostics)) if account.diagnostics else None


def flush() -> None:
    """Write out the messages that were logged and not yet written."""
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

    def write(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            (self._stream or sys.stderr).write(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            (self._stream or sys.stderr).flush()


class MessageLog:
    """Writes message events several at a time: one write for each message would cost more than the message."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self._lines: list[str] = []

    def write(self, event: dict[str, object]) -> None:
        """Log an event within a moment; at once where no event loop runs."""
        self._lines.append(msgspec.json.encode(event).decode())
        if len(self._lines) > 1:
            return
        try:
            asyncio.get_running_loop().call_later(_LOG_DELAY, self.flush)
        except RuntimeError:
            self.flush()

    def flush(self) -> None:
        """Write what has been gathered."""
        if self._lines:
            lines, self._lines = self._lines, []
            stream = _Unbreakable(self._stream)
            stream.write("\n".join(lines) + "\n")
            stream.flush()


_MESSAGE_LOG = MessageLog(None)


def _mask_text(text: str) -> str:
    return _TOKEN.sub("(token)", _ELEVEN_DIGITS.sub("(number)", text))


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

"""Logs and metrics: one wide event for each message, and nothing that could hold personal data."""

import logging
import re
import sys
from typing import TextIO

import structlog
from prometheus_client import CollectorRegistry, Counter, Histogram
from structlog.typing import EventDict, WrappedLogger

from gateway.model import Account

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
RELOADS = Counter("vkp_gateway_reloads", "Reloads of routes.yaml, by result.", ["result"], registry=REGISTRY)

_ELEVEN_DIGITS = re.compile(r"(?<!\d)\d{11}(?!\d)")
_TOKEN = re.compile(r"eyJ[A-Za-z0-9_-]{8,}(\.[A-Za-z0-9_-]*)+")

log = structlog.get_logger()


def configure(stream: TextIO | None = None) -> None:
    """Write log events as JSON lines to `stream`, standard error by default."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _exception_type_only,
            mask,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(stream or sys.stderr),
    )


def mask(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Hide what looks like a national identity number or a token; a second line of defence, since none is logged."""
    return {key: _masked(value) if isinstance(value, str) else value for key, value in event.items()}


def record(account: Account, status: int, seconds: float) -> None:
    """Log and count one message when its answer has been given; `status` is the HTTP status that the sender got."""
    envelope = account.envelope
    MESSAGES.labels(
        envelope.surface,
        envelope.municipality or "",
        envelope.information or "",
        account.mode or "",
        account.outcome,
    ).inc()
    SECONDS.labels(account.mode or "").observe(seconds)
    for rule in account.repairs:
        REPAIRS.labels(rule).inc()
    if account.losses:
        LOSSES.inc(account.losses)
    log.info(
        "message",
        correlation_id=account.correlation_id,
        surface=envelope.surface,
        municipality=envelope.municipality,
        sender=envelope.sender,
        information=envelope.information,
        mode=account.mode,
        upstream=account.upstream,
        route=account.route,
        outcome=account.outcome,
        status=status,
        milliseconds=round(seconds * 1000, 3),
        diagnostics=account.diagnostics,
        repairs=list(account.repairs),
        losses=account.losses,
        event_id=account.event_id,
    )


def _masked(text: str) -> str:
    return _TOKEN.sub("(token)", _ELEVEN_DIGITS.sub("(number)", text))


def _exception_type_only(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Log an exception by its type and place: its text and its variables may hold what a sender wrote."""
    if not event.pop("exc_info", None):
        return event
    kind, _, trace = sys.exc_info()
    frames = []
    while trace is not None:
        code = trace.tb_frame.f_code
        frames.append(f"{code.co_name}:{trace.tb_lineno}")
        trace = trace.tb_next
    return {**event, "exception": kind.__name__ if kind else "unknown", "frames": frames}

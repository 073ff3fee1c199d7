"""What JFT's answers say: an event that was accepted, how far one has come, or a failure that tells what it means."""

import re
from dataclasses import dataclass
from enum import Enum, auto
from typing import Annotated

import msgspec
import structlog

from gateway.errors import Failure, Fault
from gateway.proxy.http_client import Answer
from gateway.upstreams.jft_refusal import refusal_reasons

log = structlog.get_logger()

STATUS_PATH = re.compile(r"/v1/([A-Za-z]+)/([A-Za-z0-9\-][A-Za-z0-9\-.]{0,63})/(?:\$|%24)status/?(?:[?#].*)?$")
_RETRY_AFTER = 30
"""Seconds that a sender is asked to wait when the service does not say how long."""
_NOT_ASKED = (401, 403, 408, 429)
"""Answers that say something of us, or of the service, and nothing of the event."""
_STATUS_LIMIT = 16 * 1024
"""Bytes of a status, which says three times."""


@dataclass(frozen=True, slots=True)
class Submitted:
    """An event that JFT has accepted (202): accepted, not yet journaled."""

    event_id: str
    kind: str
    """The resource type that its address names."""


@dataclass(frozen=True, slots=True)
class EventStatus:
    """How far an event has come: when each stage was reached, as JFT wrote it; None where it was not."""

    registered: str | None
    read: str | None
    acknowledged: str | None


class StatusUnknown(Exception):  # noqa: N818 - the condition
    """How far an event has come could not be learned; `reason` holds nothing of the answer."""

    def __init__(self, reason: str, *, gone: bool = False, is_temporary: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.is_temporary = is_temporary
        """Whether nobody could ask, which says nothing of the event: the service was away or busy, or took no token."""
        self.gone = gone
        """Whether JFT knows no such event of the municipality (404)."""


class SubmissionVerdict(Enum):
    """What a failure says of the service."""

    WELL = auto()
    """It answered, and it is the message that it does not take."""
    FAILS = auto()
    """It failed on this message, and perhaps fails on all."""
    AWAY = auto()
    """Nothing reached it, or it has no time for any message now."""
    NOTHING = auto()


class NotDelivered(Failure):
    """JFT did not accept a call, or did not say that it did."""

    def __init__(
        self, fault: Fault, diagnostics: str, verdict: SubmissionVerdict, retry_after: int | None = None
    ) -> None:
        super().__init__(fault, diagnostics, retry_after=retry_after)
        self.verdict = verdict
        self.hold_off = 0
        """Seconds that JFT itself asked to be left alone."""
        self.blames_message = False
        """Whether it may be because of this very message: JFT was at hand, and has failed too seldom to be what is wrong."""

    @property
    def blames_service(self) -> bool:
        """Whether it is because of how JFT is: a token that it refuses for one municipality says nothing of that."""
        return not self.blames_message and self.verdict in (SubmissionVerdict.FAILS, SubmissionVerdict.AWAY)


_Time = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}", max_length=64)]


class _Status(msgspec.Struct):
    """A status as JFT writes it; the page and the description of the interface have different names for the last."""

    registered: _Time | None = None
    read: _Time | None = None
    journaled: _Time | None = None
    acknowledged: _Time | None = msgspec.field(name="journalingAcknowledged", default=None)


_STATUS = msgspec.json.Decoder(_Status)


def submitted(answer: Answer, sent: bytes = b"") -> Submitted:
    """Return what was accepted; anything but a documented success is a failure, never a false success.

    `sent` is the body of the call: what JFT says of it is told without what it says itself.
    """
    status = answer.status
    if status == 202:
        event = STATUS_PATH.search(answer.value(b"location") or "")
        if event is None:
            text = "JFT answered 202 without the address of the event's status"
            raise NotDelivered(Fault.NO_ANSWER, text, SubmissionVerdict.FAILS)
        return Submitted(event.group(2), event.group(1))
    if status == 413:
        raise NotDelivered(
            Fault.REFUSED_BY_SERVICE, "JFT refused the message as too large (413)", SubmissionVerdict.WELL
        )
    if status == 400:
        reasons = refusal_reasons(answer.body, sent)
        text = "JFT refused the message as invalid FHIR R4 (400)" + (f": {reasons}" if reasons else "")
        raise NotDelivered(Fault.REFUSED_BY_SERVICE, text, SubmissionVerdict.WELL)
    if status in (401, 403):
        log.error("jft.refuses_our_token", status=status)
        # Perhaps the token of one municipality only: no reason to leave JFT alone.
        raise unavailable(f"JFT does not accept the gateway's token ({status})", SubmissionVerdict.NOTHING)
    if status == 504:
        # Something before JFT waited for it in vain: JFT may have the event.
        raise NotDelivered(Fault.NO_ANSWER, "JFT answered 504", SubmissionVerdict.FAILS)
    if status == 429 or 500 <= status <= 599:
        seconds = answer.retry_after
        # How much it is asked, and when it says that it will be back, is nothing that a message can be the cause of.
        says_when = status == 429 or (status == 503 and seconds is not None)
        verdict = SubmissionVerdict.AWAY if says_when else SubmissionVerdict.FAILS
        failure = unavailable(f"JFT answered {status}", verdict, _RETRY_AFTER if seconds is None else seconds)
        failure.hold_off = seconds or 0 if status in (429, 503) else 0
        raise failure
    log.error("jft.undocumented_answer", status=status)
    raise NotDelivered(Fault.NO_ANSWER, f"JFT answered {status}, which it does not document", SubmissionVerdict.FAILS)


def unavailable(diagnostics: str, verdict: SubmissionVerdict, retry_after: int = _RETRY_AFTER) -> NotDelivered:
    """Make the failure of a call that was certainly not accepted."""
    return NotDelivered(Fault.UNAVAILABLE, diagnostics, verdict, retry_after)


def event_status(answer: Answer) -> EventStatus:
    """Return what an answer says of an event; raises `StatusUnknown` for anything but a status."""
    if answer.status == 404:
        raise StatusUnknown("JFT knows no such event (404)", gone=True)
    if answer.status != 200:
        is_temporary = answer.status in _NOT_ASKED or answer.status >= 500
        raise StatusUnknown(f"JFT answered {answer.status}", is_temporary=is_temporary)
    if len(answer.body) > _STATUS_LIMIT:
        raise StatusUnknown("the status is too large")
    try:
        status = _STATUS.decode(answer.body)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        raise StatusUnknown("not a status") from None
    return EventStatus(status.registered, status.read, status.acknowledged or status.journaled)

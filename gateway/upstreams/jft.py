"""Client of Journalføringstjenesten (JFT): submits one event, asks how far one has come, and says honestly what became of it."""

import asyncio
import math
from typing import NoReturn

import structlog

from gateway.auth.helseid.access_tokens import Subject, TokenSource
from gateway.auth.helseid.dpop import DpopProver
from gateway.auth.helseid.http import HelseIdUnavailable
from gateway.config.upstreams import Grant, JftUpstream
from gateway.errors import Fault
from gateway.proxy.http_client import Answer, Caller, NoAnswer, Unreachable
from gateway.upstreams.circuit_breaker import Attempt, CircuitBreaker
from gateway.upstreams.dpop_caller import DpopCaller, NonceTooLate, RefusedTokens
from gateway.upstreams.jft_answers import (
    STATUS_PATH,
    EventStatus,
    NotDelivered,
    StatusUnknown,
    SubmissionVerdict,
    Submitted,
    event_status,
    submitted,
    unavailable,
)
from translators.contract import Call

log = structlog.get_logger()


class JftClient:
    """Submits events with a token for the municipality and a fresh DPoP proof for every attempt.

    While JFT fails, nothing is sent to it: `breaker` says so. While it refuses the tokens of one municipality, nothing is sent for
    that one. `read` has the connections to the host that tells how far an event has come.
    """

    def __init__(  # noqa: PLR0913 - what one client is made of
        self,
        upstream: JftUpstream,
        tokens: TokenSource,
        prover: DpopProver,
        *,
        write: Caller,
        read: Caller,
        breaker: CircuitBreaker,
    ) -> None:
        self._upstream = upstream
        self._tokens = tokens
        self._write = DpopCaller(upstream.write_url, write, prover)
        self._read = DpopCaller(upstream.read_url, read, prover)
        self.breaker = breaker
        self.refused_tokens = RefusedTokens(upstream.breaker)

    async def submit(self, call: Call, orgnr: str, sender: Subject | None, timeout: float) -> Submitted:  # noqa: ASYNC109 - given on to the call
        """Send one call for a municipality; raises `NotDelivered` unless JFT accepted it.

        `sender` is its token, where that is to be exchanged for ours; without one our own client asks for itself. `timeout` is
        in seconds. A failure with `NO_ANSWER` is unclear: JFT may have the event all the same. With `UNAVAILABLE` it has not:
        nothing was sent, or JFT answered that it failed.
        """
        now = asyncio.get_running_loop().time
        until = now() + timeout
        if self.breaker.is_open(now()):
            self._refuse(now())
        subject = sender if self._upstream.grant is Grant.TOKEN_EXCHANGE else None
        scope = self._upstream.scopes.write
        self._check_tokens(orgnr, scope, now())
        token = await self._token(orgnr, scope, subject)
        if (left := until - now()) <= 0:
            raise unavailable("HelseID's token came too late", SubmissionVerdict.NOTHING)
        attempt = self.breaker.may(now())
        if attempt is None:
            self._refuse(now())
        asked = self.refused_tokens.asked(orgnr, scope)
        try:
            answer = await _answer(self._write, call, token, left)
            self.refused_tokens.answered(asked, answer.status, now())
            if answer.status == 401:
                self._tokens.forget(orgnr, scope, token, subject)
            event = submitted(answer, call.body)
        except NotDelivered as failure:
            self._learn(attempt, failure, now())
            raise
        else:
            self._succeeded(attempt)
            return event
        finally:
            self.breaker.gave_up(attempt)

    async def status(self, event: Submitted, orgnr: str, timeout: float) -> EventStatus:  # noqa: ASYNC109 - given on to the call
        """Ask how far a municipality's event has come; raises `StatusUnknown`. The question marks nothing as read.

        `timeout` is in seconds. Its address is made from the configuration, whatever an answer of JFT said.
        """
        call = Call("jft", "GET", f"/v1/{event.kind}/{event.event_id}/$status", (), b"")
        if STATUS_PATH.fullmatch(call.path) is None:
            raise StatusUnknown("not an event of JFT")
        scope = self._upstream.scopes.read
        now = asyncio.get_running_loop().time
        try:
            self._check_tokens(orgnr, scope, now())
            token = await self._token(orgnr, scope, None)
            asked = self.refused_tokens.asked(orgnr, scope)
            answer = await _answer(self._read, call, token, timeout)
        except NotDelivered as failure:
            raise StatusUnknown(failure.diagnostics, is_temporary=True) from None
        self.refused_tokens.answered(asked, answer.status, now())
        if answer.status == 401:
            self._tokens.forget(orgnr, scope, token)
        return event_status(answer)

    async def _token(self, orgnr: str, scope: str, subject: Subject | None) -> str:
        try:
            return await self._tokens.token(orgnr, scope, subject)
        except HelseIdUnavailable as error:
            raise unavailable(f"no token from HelseID: {error}", SubmissionVerdict.NOTHING) from None

    def _check_tokens(self, orgnr: str, scope: str, now: float) -> None:
        """Raise `NotDelivered` while our tokens for a municipality were refused too often."""
        if (wait := self.refused_tokens.wait(orgnr, scope, now)) > 0:
            text = "JFT refuses the gateway's tokens for this municipality, and is left alone for it for a while"
            raise unavailable(text, SubmissionVerdict.NOTHING, max(1, math.ceil(wait)))

    def _refuse(self, now: float) -> NoReturn:
        seconds = max(1, math.ceil(self.breaker.wait(now)))
        raise unavailable("JFT has failed and is left alone for a while", SubmissionVerdict.NOTHING, seconds)

    def _succeeded(self, attempt: Attempt) -> None:
        was_closed = self.breaker.is_closed
        self.breaker.succeeded(attempt)
        if self.breaker.is_closed and not was_closed:
            log.info("jft.circuit_closed")

    def _learn(self, attempt: Attempt, failure: NotDelivered, now: float) -> None:
        """Tell the breaker what a failure says of JFT, and the failure what the breaker says of the message."""
        at_hand = not attempt.is_probe and self.breaker.is_current(attempt)
        failure.blames_message = failure.verdict is SubmissionVerdict.WELL or (
            failure.verdict is SubmissionVerdict.FAILS and at_hand
        )
        was_closed = self.breaker.is_closed
        match failure.verdict:
            case SubmissionVerdict.WELL:
                self._succeeded(attempt)
            case SubmissionVerdict.FAILS | SubmissionVerdict.AWAY:
                self.breaker.failed(attempt, now)
                self.breaker.hold_off(now, failure.hold_off)
        if was_closed and not self.breaker.is_closed:
            log.error("jft.circuit_open", seconds=math.ceil(self.breaker.wait(now)), reason=failure.diagnostics)


async def _answer(host: DpopCaller, call: Call, token: str, timeout: float) -> Answer:  # noqa: ASYNC109 - given on to the call
    """Return the answer to a call; raises `NotDelivered` when there is none."""
    try:
        return await host.ask(call, token, timeout)
    except NonceTooLate:
        raise unavailable("JFT asked for a nonce too late", SubmissionVerdict.NOTHING) from None
    except Unreachable as error:
        # Nothing was sent, so nothing can have been accepted.
        raise unavailable(f"JFT cannot be reached: {error}", SubmissionVerdict.AWAY) from None
    except NoAnswer as error:
        raise NotDelivered(Fault.NO_ANSWER, f"no usable answer from JFT: {error}", SubmissionVerdict.FAILS) from None

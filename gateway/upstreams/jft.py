"""Client of Journalføringstjenesten (JFT): submits one event and says honestly what became of it."""

import asyncio
import re
from dataclasses import dataclass

import structlog

from gateway.config.definitions import Grant, JftUpstream
from gateway.faults import Failure, Fault
from gateway.helseid.issuer import HelseIdUnavailable
from gateway.helseid.proof import Prover
from gateway.helseid.tokens import Subject, TokenSource
from gateway.upstreams.caller import Answer, Caller, NoAnswer, Unreachable
from translators.contract import Call

log = structlog.get_logger()

_STATUS_PATH = re.compile(r"/v1/[A-Za-z]+/([A-Za-z0-9\-.]{1,64})/\$status/?(?:[?#].*)?$")
_RETRY_AFTER = 30
"""Seconds that a sender is asked to wait when the service does not say how long."""
_MAX_RETRY_AFTER = 3600


@dataclass(frozen=True, slots=True)
class Submitted:
    """An event that JFT has accepted (202): accepted, not yet journaled."""

    event_id: str


class JftClient:
    """Submits events with a token for the municipality and a fresh DPoP proof for every attempt."""

    def __init__(self, upstream: JftUpstream, tokens: TokenSource, prover: Prover, caller: Caller) -> None:
        self._upstream = upstream
        self._tokens = tokens
        self._prover = prover
        self._caller = caller
        self._nonce: str | None = None

    async def submit(self, call: Call, orgnr: str, sender: Subject, timeout: float) -> Submitted:  # noqa: ASYNC109 - given on to the call
        """Send one call for a municipality; raises `Failure` unless JFT accepted it.

        `sender` is its token, where that is to be exchanged for ours. `timeout` is in seconds. A `Failure` with `NO_ANSWER` is unclear: JFT may have the event all the same.
        """
        scope = self._upstream.write_scope
        subject = sender if self._upstream.grant is Grant.TOKEN_EXCHANGE else None
        try:
            token = await self._tokens.token(orgnr, scope, subject)
        except HelseIdUnavailable as error:
            raise Failure(Fault.UNAVAILABLE, f"no token from HelseID: {error}", retry_after=_RETRY_AFTER) from None
        loop = asyncio.get_running_loop()
        until = loop.time() + timeout
        answer = await self._send(call, token, timeout)
        if answer.status == 401 and answer.value(b"dpop-nonce") is not None:
            answer = await self._send(call, token, until - loop.time())
        if answer.status == 401:
            self._tokens.forget(orgnr, scope, token, subject)
        return _judged(answer)

    async def _send(self, call: Call, token: str, timeout: float) -> Answer:  # noqa: ASYNC109 - as above
        url = self._upstream.write_url.rstrip("/") + call.path
        proof = self._prover.proof(call.method, url, token=token, nonce=self._nonce)
        headers = (
            *((name.encode(), value.encode()) for name, value in call.headers),
            (b"Authorization", f"DPoP {token}".encode()),
            (b"DPoP", proof.encode()),
        )
        try:
            answer = await self._caller.call(call.method, call.path, headers, call.body, timeout)
        except Unreachable as error:
            # Nothing was sent, so nothing can have been accepted.
            raise _unavailable(f"JFT cannot be reached: {error}") from None
        except NoAnswer as error:
            raise Failure(Fault.NO_ANSWER, f"no usable answer from JFT: {error}") from None
        self._nonce = answer.value(b"dpop-nonce") or self._nonce
        return answer


def _judged(answer: Answer) -> Submitted:
    """Return what was accepted; anything but a documented success is a failure, never a false success."""
    if answer.status == 202:
        event = _STATUS_PATH.search(answer.value(b"location") or "")
        if event is None:
            raise Failure(Fault.NO_ANSWER, "JFT answered 202 without the address of the event's status")
        return Submitted(event.group(1))
    if answer.status == 413:
        raise Failure(Fault.REFUSED_BY_SERVICE, "JFT refused the message as too large (413)")
    if answer.status == 400:
        raise Failure(Fault.REFUSED_BY_SERVICE, "JFT refused the message as invalid FHIR R4 (400)")
    if answer.status in (401, 403):
        log.error("jft.refuses_our_token", status=answer.status)
        raise _unavailable(f"JFT does not accept the gateway's token ({answer.status})")
    if answer.status == 429 or 500 <= answer.status <= 599:
        raise _unavailable(f"JFT answered {answer.status}", _seconds(answer.value(b"retry-after")))
    log.error("jft.undocumented_answer", status=answer.status)
    raise Failure(Fault.NO_ANSWER, f"JFT answered {answer.status}, which it does not document")


def _unavailable(diagnostics: str, retry_after: int = _RETRY_AFTER) -> Failure:
    return Failure(Fault.UNAVAILABLE, diagnostics, retry_after=retry_after)


def _seconds(retry_after: str | None) -> int:
    """Return the seconds that Retry-After asks for, within bounds; its date form counts as not said."""
    text = (retry_after or "").strip()
    return min(int(text), _MAX_RETRY_AFTER) if text.isascii() and text.isdigit() and len(text) < 10 else _RETRY_AFTER

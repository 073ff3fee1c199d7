"""Calls to one service with a token of ours and a fresh DPoP proof each (RFC 9449), and what refused tokens say."""

import asyncio
from dataclasses import dataclass

from gateway.auth.helseid.dpop import DpopProver
from gateway.config.upstreams import Breaker
from gateway.model import Headers
from gateway.proxy.http_client import Answer, Caller
from gateway.upstreams.circuit_breaker import CircuitBreaker
from translators.contract import Call


class NonceTooLate(Exception):  # noqa: N818 - the condition
    """The service asked for a nonce when no time was left to ask again: it has looked at nothing but the proof."""


class DpopCaller:
    """Sends calls with the nonce that the service gave last."""

    def __init__(self, url: str, caller: Caller, prover: DpopProver, *, as_bearer: bool = False) -> None:
        """With `as_bearer` the token is sent as a bearer token, to a server that knows no DPoP (RFC 9449 section 7.2)."""
        self._url = url.rstrip("/")
        self._caller = caller
        self._prover = prover
        self._as_bearer = as_bearer
        self._nonce: str | None = None

    async def ask(self, call: Call, token: str, timeout: float) -> Answer:  # noqa: ASYNC109 - given on to the call
        """Return the answer to a call, repeated once where the service asks for a nonce (RFC 9449 section 9).

        `timeout` is in seconds. Raises `Unreachable`, `NoAnswer` and `NonceTooLate`.
        """
        now = asyncio.get_running_loop().time
        until = now() + timeout
        answer = await self._send(call, token, timeout)
        if answer.status == 401 and answer.value(b"dpop-nonce") is not None:
            if (left := until - now()) <= 0:
                raise NonceTooLate
            answer = await self._send(call, token, left)
        return answer

    async def _send(self, call: Call, token: str, timeout: float) -> Answer:  # noqa: ASYNC109 - as above
        answer = await self._caller.call(
            call.method, call.path, (*fields_of(call), *self._credentials(call, token)), call.body, timeout
        )
        self._nonce = answer.value(b"dpop-nonce") or self._nonce
        return answer

    def _credentials(self, call: Call, token: str) -> Headers:
        if self._as_bearer:
            return ((b"Authorization", f"Bearer {token}".encode()),)
        url = self._url + call.path.partition("?")[0]
        proof = self._prover.proof(call.method, url, token=token, nonce=self._nonce)
        return ((b"Authorization", f"DPoP {token}".encode()), (b"DPoP", proof.encode()))


def fields_of(call: Call) -> Headers:
    """Return the header fields of a call as bytes."""
    return tuple((name.encode(), value.encode()) for name, value in call.headers)


@dataclass(frozen=True, slots=True)
class Asked:
    """One question with a token of ours, to be given back with its answer."""

    orgnr: str
    scope: str
    refusals: int
    """How many refusals had been counted when it began."""


class RefusedTokens:
    """While a service refuses our tokens for one municipality, nothing is sent for that one; others go on.

    Answers of 401 are counted in a row. Those to questions that were under way when the last one was counted tell nothing new -
    one token that ended, or one step of a clock, refuses all of them at once - and are not counted.
    """

    def __init__(self, settings: Breaker) -> None:
        self._settings = settings
        self._breakers: dict[tuple[str, str], CircuitBreaker] = {}
        self._refusals: dict[tuple[str, str], int] = {}

    def wait(self, orgnr: str, scope: str, now: float) -> float:
        """Return seconds until a question may be asked for a municipality; 0 when one may go now."""
        breaker = self._breakers.get((orgnr, scope))
        return 0.0 if breaker is None else breaker.wait(now)

    def asked(self, orgnr: str, scope: str) -> Asked:
        """Take note that a question begins."""
        return Asked(orgnr, scope, self._refusals.get((orgnr, scope), 0))

    def answered(self, asked: Asked, status: int, now: float) -> None:
        """Take note of what a question was answered."""
        key = (asked.orgnr, asked.scope)
        breaker = self._breakers.get(key)
        if status != 401:
            if breaker is not None and (attempt := breaker.may(now)) is not None:
                breaker.succeeded(attempt)
            return
        if asked.refusals != self._refusals.get(key, 0):
            return
        if breaker is None:
            breaker = self._breakers[key] = CircuitBreaker(self._settings)
        if (attempt := breaker.may(now)) is not None:
            self._refusals[key] = asked.refusals + 1
            breaker.failed(attempt, now)

    def refused_for(self, now: float) -> list[str]:
        """Return the orgnr of municipalities for which nothing is sent, since our tokens for them are refused."""
        return sorted({orgnr for (orgnr, _), breaker in self._breakers.items() if breaker.is_open(now)})

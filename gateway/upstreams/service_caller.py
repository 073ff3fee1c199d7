"""Questions to one of NHN's services that change nothing there: a token for the municipality, a fresh proof, and a breaker.

What JFT needs beside - to know whether an event was perhaps accepted - is in `jft`; here a call that failed is simply asked again.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable

import structlog

from gateway.auth.helseid.access_tokens import TokenSource
from gateway.auth.helseid.dpop import DpopProver
from gateway.auth.helseid.http import HelseIdUnavailable
from gateway.config.upstreams import Breaker
from gateway.model import Headers
from gateway.proxy.http_client import Answer, Caller, NoAnswer, Unreachable
from gateway.upstreams.circuit_breaker import Attempt, CircuitBreaker
from gateway.upstreams.dpop_caller import DpopCaller, NonceTooLate, RefusedTokens, fields_of
from translators.contract import Call

log = structlog.get_logger()

_RETRY_AFTER = 30
"""Seconds to wait where the service does not say how long."""


class ServiceUnavailable(Exception):  # noqa: N818 - the condition
    """The service could not be asked, or failed; the text holds nothing of question or answer."""

    def __init__(self, reason: str, retry_after: int = _RETRY_AFTER, *, is_silent: bool = False) -> None:
        super().__init__(reason)
        self.retry_after = retry_after
        """Seconds."""
        self.is_silent = is_silent
        """Whether it was asked and gave no usable answer in time."""


class AnswerRefused(Exception):  # noqa: N818 - the condition
    """The service answered what its contract does not say; the text names the place and holds no value."""


class ServiceCaller:
    """Asks one service on behalf of municipalities.

    While it fails, nothing is sent to it; while it refuses the tokens of one municipality, nothing is sent for that one.
    """

    def __init__(  # noqa: PLR0913 - what one is made of
        self,
        name: str,
        url: str,
        tokens: TokenSource | None,
        prover: DpopProver,
        caller: Caller,
        *,
        breaker: CircuitBreaker,
        settings: Breaker,
        as_bearer: bool = False,
    ) -> None:
        """Without `tokens` only `ask_with` asks. With `as_bearer` our token is sent as a bearer token, to a server that knows no DPoP (RFC 9449 section 7.2)."""
        self._name = name
        self._tokens = tokens
        self._caller = caller
        self._with_token = DpopCaller(url, caller, prover, as_bearer=as_bearer)
        self._breaker = breaker
        self.refused_tokens = RefusedTokens(settings)

    async def ask(self, call: Call, orgnr: str, scope: str, timeout: float) -> Answer:  # noqa: ASYNC109 - given on to the call
        """Return the service's answer, whatever its status below 500; raises `ServiceUnavailable`. `timeout` is in seconds.

        Also raised for 401, 403, 429 and 5xx: they say nothing of what was asked.
        """
        now = asyncio.get_running_loop().time
        until = now() + timeout
        self._check(self._breaker.wait(now()), self.refused_tokens.wait(orgnr, scope, now()))
        if self._tokens is None:
            raise ServiceUnavailable(f"{self._name} is asked with no token of ours")
        try:
            token = await self._tokens.token(orgnr, scope)
        except HelseIdUnavailable as error:
            raise ServiceUnavailable(f"no token from HelseID: {error}") from None
        asked = self.refused_tokens.asked(orgnr, scope)
        answer = await self._attempted(lambda: self._with_token.ask(call, token, until - now()), until)
        self.refused_tokens.answered(asked, answer.status, now())
        if answer.status == 401:
            self._tokens.forget(orgnr, scope, token)
        if answer.status in (401, 403):
            log.error("service.refuses_our_token", upstream=self._name, status=answer.status)
            raise ServiceUnavailable(f"{self._name} does not accept the gateway's token ({answer.status})")
        return answer

    async def ask_with(self, call: Call, fields: Headers, timeout: float) -> Answer:  # noqa: ASYNC109 - given on to the call
        """Ask with other credentials than a token of ours, or none: then 401 and 403 are answers too. Otherwise as `ask`."""
        now = asyncio.get_running_loop().time()
        self._check(self._breaker.wait(now))
        return await self._attempted(
            lambda: self._caller.call(call.method, call.path, (*fields_of(call), *fields), call.body, timeout),
            now + timeout,
        )

    def _check(self, *waits: float) -> None:
        if (wait := max(waits)) > 0:
            raise ServiceUnavailable(f"{self._name} has failed and is left alone for a while", math.ceil(wait))

    async def _attempted(self, call: Callable[[], Awaitable[Answer]], until: float) -> Answer:
        """Return the answer of a call that the breaker lets go, whatever its status below 500."""
        now = asyncio.get_running_loop().time
        if until <= now():
            # Nothing is sent that nobody can wait for; that a token came late says nothing of the service.
            raise ServiceUnavailable(f"no time was left to ask {self._name}")
        if (attempt := self._breaker.may(now())) is None:
            raise ServiceUnavailable(f"{self._name} has failed and is left alone for a while")
        try:
            answer = await call()
            self._learn(attempt, answer, now())
        except NonceTooLate:
            raise ServiceUnavailable(f"{self._name} asked for a nonce too late") from None
        except (Unreachable, NoAnswer) as error:
            self._failed(attempt, now(), str(error))
            is_silent = isinstance(error, NoAnswer)
            raise ServiceUnavailable(f"{self._name} cannot be asked: {error}", is_silent=is_silent) from None
        finally:
            self._breaker.gave_up(attempt)
        if answer.status in (408, 429) or answer.status >= 500:
            # With 504 whoever stands before the service has sent it on.
            is_silent = answer.status == 504
            text, seconds = f"{self._name} answered {answer.status}", answer.retry_after or _RETRY_AFTER
            raise ServiceUnavailable(text, seconds, is_silent=is_silent)
        return answer

    def _learn(self, attempt: Attempt, answer: Answer, now: float) -> None:
        if answer.status == 429 or answer.status >= 500:
            self._failed(attempt, now, f"{self._name} answered {answer.status}")
            if answer.status in (429, 503):
                self._breaker.hold_off(now, answer.retry_after or 0)
            return
        was_closed = self._breaker.is_closed
        self._breaker.succeeded(attempt)
        if self._breaker.is_closed and not was_closed:
            log.info("service.circuit_closed", upstream=self._name)

    def _failed(self, attempt: Attempt, now: float, reason: str) -> None:
        was_closed = self._breaker.is_closed
        self._breaker.failed(attempt, now)
        if was_closed and not self._breaker.is_closed:
            seconds = math.ceil(self._breaker.wait(now))
            log.error("service.circuit_open", upstream=self._name, seconds=seconds, reason=reason)

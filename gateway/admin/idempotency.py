"""What was asked for with an Idempotency-Key, so that the same again is done once, and answered as it was the first time."""

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps

from aiohttp import web  # noqa: TID251 - the admin port is no part of the data plane

from gateway.admin.context import actor
from gateway.admin.endpoints import Handler, person
from gateway.admin.params import idempotency_key
from gateway.admin.problems import Code, Problem

KEPT = 86_400.0
"""Seconds for which an answer is kept, in the memory of the process."""
_MOST = 10_000
_Key = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class _StoredAnswer:
    status: int
    content_type: str
    charset: str | None
    body: bytes
    location: str | None

    def again(self) -> web.Response:
        headers = {} if self.location is None else {"Location": self.location}
        return web.Response(
            body=self.body,
            status=self.status,
            content_type=self.content_type,
            charset=self.charset,
            headers=headers,
        )


@dataclass(slots=True)
class _IdempotentRequest:
    content: bytes
    """The hash of the body."""
    at: float
    answer: _StoredAnswer | None = None
    """None while it is being done."""


class IdempotencyStore:
    """Keeps what was done for which key, of whom, at which path; a refusal changed nothing, and is not kept."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._asked: OrderedDict[_Key, _IdempotentRequest] = OrderedDict()

    def of(self, handler: Handler) -> Handler:
        """Return a handler that does the same request with the same key once."""

        @wraps(handler)
        async def answered(request: web.Request) -> web.StreamResponse:
            given = idempotency_key(request)
            if given is None:
                return await handler(request)
            key = (actor(person(request)), request.path, given)
            content = hashlib.sha256(await request.read()).digest()
            self._forget()
            if (known := self._asked.get(key)) is not None:
                return _known(known, content)
            self._asked[key] = begun = _IdempotentRequest(content, self._now())
            try:
                response = await handler(request)
                begun.answer = _kept(response)
            finally:
                if begun.answer is None:
                    self._asked.pop(key, None)
            return response

        return answered

    def _forget(self) -> None:
        """Forget what is old, and the oldest where there is too much."""
        oldest_kept = self._now() - KEPT
        while self._asked:
            first = next(iter(self._asked))
            if len(self._asked) < _MOST and self._asked[first].at > oldest_kept:
                return
            del self._asked[first]


def _kept(response: web.StreamResponse) -> _StoredAnswer | None:
    if not isinstance(response, web.Response) or response.status >= 400:
        return None
    body = (response.text or "").encode()
    return _StoredAnswer(
        response.status, response.content_type, response.charset, body, response.headers.get("Location")
    )


def _known(known: _IdempotentRequest, content: bytes) -> web.Response:
    if known.content != content:
        raise Problem(Code.CONFLICT, "Idempotency-Key: it was used for something else")
    if known.answer is None:
        raise Problem(Code.CONFLICT, "Idempotency-Key: the same is being done now")
    return known.answer.again()

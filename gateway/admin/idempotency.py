"""Does a request with an Idempotency-Key once, across restarts and nodes, and answers the same again as the first time.

A problem that is raised has changed nothing, so the key is free again; what is returned is kept, a refusal included.
"""

import secrets
from functools import wraps

import msgspec
import structlog
from aiohttp import web  # noqa: TID251 - the admin port is no part of the data plane

from gateway.admin.context import CLAIM, LedgerContext, actor
from gateway.admin.endpoints import ANSWER_AGAIN, Endpoint, Handler, Once, person
from gateway.admin.params import idempotency_key
from gateway.admin.problems import Code, Problem
from gateway.ledger import idempotency
from gateway.ledger.crypto import PayloadUnreadable
from gateway.ledger.idempotency import Claim, KnownRequest

log = structlog.get_logger()

_UNDER_WAY = "Idempotency-Key: the same is being done now"
_UNKNOWN = (
    "Idempotency-Key: the same was begun and cut short, and what came of it is not known; "
    "look at what there is before asking with another key"
)


class _StoredAnswer(msgspec.Struct, frozen=True):
    status: int
    content_type: str
    charset: str | None
    body: str
    headers: dict[str, str]

    def again(self) -> web.Response:
        return web.Response(
            text=self.body,
            # What was made then is there now.
            status=200 if self.status == 201 else self.status,
            content_type=self.content_type,
            charset=self.charset,
            headers=self.headers,
        )


class IdempotencyStore:
    """Stands before the handlers of endpoints whose work is done once for a key of somebody at a path."""

    def __init__(self, context: LedgerContext, most: int = idempotency.MOST) -> None:
        """`most` answers are kept, of all requests together."""
        self._context = context
        self._most = most

    def of(self, endpoint: Endpoint) -> Handler:
        """Return a handler that looks at the key first; a request without one goes straight on."""
        if endpoint.once is Once.NO:
            return endpoint.handler

        @wraps(endpoint.handler)
        async def answered(request: web.Request) -> web.StreamResponse:
            given = idempotency_key(request)
            if given is None:
                return await endpoint.handler(request)
            hashed = self._context.keys.lookup.hash
            key = hashed("idempotency", actor(person(request)), request.method, request.path, given)
            content = hashed("idempotency-body", (await request.read()).decode("latin-1"))
            own, now = Claim(key, secrets.token_hex(8)), self._context.now()
            is_begun = endpoint.once is Once.OUTSIDE
            known = await self._context.write_unmarked(
                lambda each: idempotency.claim(each, own, content, now, is_begun=is_begun, most=self._most)
            )
            return await self._first(request, endpoint, own) if known is None else self._again(known, content, key)

        return answered

    async def _first(self, request: web.Request, endpoint: Endpoint, own: Claim) -> web.StreamResponse:
        token = CLAIM.set(own)
        try:
            response = await endpoint.handler(request)
        except BaseException as error:
            await self._release(own, unless_begun=not (isinstance(error, Problem) and error.status < 500))
            raise
        finally:
            CLAIM.reset(token)
        await self._keep(own, request.get(ANSWER_AGAIN, response))
        return response

    def _again(self, known: KnownRequest, content: str, key: str) -> web.Response:
        if known.content != content:
            raise Problem(Code.CONFLICT, "Idempotency-Key: it was used for something else")
        if known.answer is None:
            raise Problem(Code.CONFLICT, _UNDER_WAY if known.is_leased else _UNKNOWN)
        try:
            plain = self._context.keys.vault.open(known.answer, key)
        except PayloadUnreadable:
            raise Problem(Code.CONFLICT, "Idempotency-Key: the same was done, and its answer cannot be read") from None
        return msgspec.json.decode(plain, type=_StoredAnswer).again()

    async def _keep(self, own: Claim, response: web.StreamResponse) -> None:
        if not isinstance(response, web.Response):
            raise TypeError("only an answer with its whole body can be kept")
        headers = {name: response.headers[name] for name in ("ETag", "Location") if name in response.headers}
        answer = _StoredAnswer(response.status, response.content_type, response.charset, response.text or "", headers)
        sealed = self._context.keys.vault.seal(msgspec.json.encode(answer), own.key)
        try:
            await self._context.write_unmarked(lambda each: idempotency.keep_answer(each, own, sealed))
        except Problem as problem:
            # It was done, and is answered so; the same again is told that nobody knows.
            log.warning("idempotency.answer_not_kept", error=problem.detail)

    async def _release(self, own: Claim, *, unless_begun: bool) -> None:
        try:
            await self._context.write_unmarked(lambda each: idempotency.release(each, own, unless_begun=unless_begun))
        except Problem as problem:
            log.warning("idempotency.not_released", error=problem.detail)

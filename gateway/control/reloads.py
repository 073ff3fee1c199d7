"""Reading routes.yaml again because a person or a program says so; SIGHUP and a changed file do the same."""

from collections.abc import Awaitable, Callable

import structlog
from aiohttp import web  # noqa: TID251 - the admin port is no part of the data plane

from gateway.auth.people.principal import Principal
from gateway.auth.people.rbac import Action, Where
from gateway.control.asked import Because, of_body, reason_of, without_numbers
from gateway.control.endpoints import Endpoint, Needs, person
from gateway.control.ledger_desk import LedgerDesk, actor
from gateway.control.refusals import Code, Refusal
from gateway.control.status import Reload
from gateway.ledger import audit
from gateway.times import when

log = structlog.get_logger()


class Reloads:
    """The endpoint; `use` gives it what reads the file again."""

    def __init__(self, desk: LedgerDesk) -> None:
        self._desk = desk
        self._reload: Callable[[], Awaitable[Reload]] | None = None

    def use(self, reload: Callable[[], Awaitable[Reload]]) -> None:
        """Take what reloads the process that this port is of, and all its workers."""
        self._reload = reload

    def endpoints(self) -> list[Endpoint]:
        """Return the endpoint for programs; a file is of all municipalities, and so is who may have it read."""
        return [Endpoint("POST", "/api/v1/reload", self._post, Needs.role(Action.OPERATE, Where.EVERYWHERE))]

    async def _post(self, request: web.Request) -> web.Response:
        reason, who = reason_of((await of_body(request, Because)).reason), person(request)
        if self._reload is None:
            raise Refusal(Code.FAILED)
        await self._note(who, reason)
        done = await self._reload()
        problems = [without_numbers(problem) for problem in done.problems]
        if not done.taken:
            raise Refusal(Code.CONFLICT, "; ".join(problems))
        return web.json_response({"at": when(done.at), "generation": done.generation, "warnings": problems})

    async def _note(self, who: Principal, reason: str) -> None:
        """Tell the audit, where there is one: what is only logged otherwise is not lost for want of a ledger."""
        if self._desk.is_there:
            note = self._desk.note(who, "routes.reload", "routes.yaml", reason)
            await self._desk.write(lambda connection: audit.write(connection, note))
        log.info("people.action", action="routes.reload", target="routes.yaml", by=actor(who))

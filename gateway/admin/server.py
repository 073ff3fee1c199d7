"""The admin port: every endpoint it has, behind one guard."""

import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from aiohttp import web  # noqa: TID251 - the admin port is no part of the data plane
from prometheus_client import CollectorRegistry

from gateway.admin import cutovers_api, openapi, status
from gateway.admin import messages as messages_api
from gateway.admin import overrides as overrides_api
from gateway.admin import tokens as api
from gateway.admin.audit import Audits
from gateway.admin.context import LedgerContext
from gateway.admin.cutovers import Cutovers
from gateway.admin.endpoints import Handler
from gateway.admin.guard import Guard
from gateway.admin.messages import Messages
from gateway.admin.overrides import Overrides
from gateway.admin.pages import cutovers, overview, render, report
from gateway.admin.pages import messages as messages_page
from gateway.admin.pages import overrides as overrides_page
from gateway.admin.pages.login import LoginPages
from gateway.admin.pages.render import refusal_page
from gateway.admin.panics import Panics
from gateway.admin.report import Rehearsals, Report
from gateway.admin.rollback import Rollback
from gateway.admin.routes import Decisions, Reloads
from gateway.admin.status import Reload, StatusBoard
from gateway.admin.tokens import Tokens
from gateway.auth.people.authenticator import AuthConfig, Authenticator
from gateway.config.model import Config
from gateway.limits import Throttle

if TYPE_CHECKING:
    from gateway.config.places import Address

_LARGEST_BODY = 64 * 1024
_PER_MINUTE = 20
"""Tokens that an address may get wrong, and logins that it may begin."""


class AdminPort:
    """Listens for operators and their tools on `listen.admin`."""

    def __init__(
        self, registry: CollectorRegistry, *, dev_login: bool = False, clock: Callable[[], float] = time.time
    ) -> None:
        self.board = StatusBoard(clock)
        self.desk = Authenticator(clock, dev_login=dev_login)
        self.ledger = LedgerContext(clock)
        self.rollback = Rollback(self.ledger)
        self.report = Report(self.ledger)
        self.reloads = Reloads(self.ledger)
        self.cutovers = Cutovers(self.ledger)
        self.decisions = Decisions(self.ledger)
        tokens, messages = Tokens(), Messages(self.ledger)
        rehearsals = Rehearsals(self.ledger)
        overrides, panics = Overrides(self.ledger), Panics(self.ledger)
        self.endpoints = [
            *status.endpoints(registry),
            *LoginPages(self.desk, Throttle(_PER_MINUTE, 60, clock)).endpoints(),
            *overview.endpoints(self.board, tokens),
            *messages_page.endpoints(messages),
            *cutovers.endpoints(self.cutovers, self.ledger),
            *report.endpoints(self.report, rehearsals, self.ledger),
            *overrides_page.endpoints(self.ledger, overrides, panics),
            *api.endpoints(self.board, tokens),
            *messages_api.endpoints(messages, Audits(self.ledger)),
            *self.rollback.endpoints(),
            *self.report.endpoints(),
            *self.reloads.endpoints(),
            *cutovers_api.endpoints(self.cutovers),
            *overrides_api.endpoints(overrides, panics),
            *self.decisions.endpoints(),
            *rehearsals.endpoints(),
            *openapi.endpoints(),
        ]
        known = {(each.method, each.path): each for each in self.endpoints}
        guard = Guard(self.desk, known, Throttle(_PER_MINUTE, 60, clock), refusal_page)

        @web.middleware
        async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
            return await guard(request, handler)

        self.app = web.Application(middlewares=[guarded, render.counting(self.ledger)], client_max_size=_LARGEST_BODY)
        for each in self.endpoints:
            self.app.router.add_route(each.method, each.path, each.handler)
        self._runner = web.AppRunner(self.app, access_log=None, shutdown_timeout=1.0, keepalive_timeout=15.0)

    def prepare(self, config: Config) -> AuthConfig | None:
        """Return what a configuration lets in, without letting it in yet; raises `PeopleUnusable`."""
        return self.desk.prepare(config, Path(config.file).parent)

    async def start(self, config: Config, sockets: Sequence[socket.socket] = ()) -> int:
        """Listen as `config` says, or on sockets that listen already; return the port, which the system chose when it was 0.

        Raises `PeopleUnusable`, or `OSError` where the address is taken.
        """
        self.desk.use(self.prepare(config))
        self.board.started(config)
        self.decisions.use(config)
        address: Address = config.listen.admin
        await self._runner.setup()
        for each in sockets:
            await web.SockSite(self._runner, each).start()
        if not sockets:
            await web.TCPSite(self._runner, address.host, address.port).start()
        return int(self._runner.addresses[0][1])

    def use(
        self, config: Config, doors: AuthConfig | None, problems: Sequence[str], generation: int | None = None
    ) -> Reload:
        """Go on with another configuration, whose table has this number; `problems` are its warnings."""
        self.desk.use(doors)
        self.decisions.use(config)
        return self.board.taken(config, problems, generation)

    async def stop(self) -> None:
        """Stop listening."""
        await self._runner.cleanup()
        await self.desk.close()

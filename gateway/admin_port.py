"""The admin port: every endpoint it has, behind one guard."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from aiohttp import web  # noqa: TID251 - the admin port is no part of the data plane
from prometheus_client import CollectorRegistry

from gateway.auth.people.authenticator import AuthConfig, Authenticator
from gateway.config.model import Config
from gateway.control import api, cutovers_api, health, messages_api, openapi, overrides_api
from gateway.control.audits import Audits
from gateway.control.cutovers import Cutovers
from gateway.control.decisions import Decisions
from gateway.control.endpoints import Handler
from gateway.control.guard import Guard
from gateway.control.ledger_desk import LedgerDesk
from gateway.control.messages import Messages
from gateway.control.overrides import Overrides
from gateway.control.panics import Panics
from gateway.control.rehearsals import Rehearsals
from gateway.control.reloads import Reloads
from gateway.control.report import Report
from gateway.control.rollback import Rollback
from gateway.control.status import Board, Reload
from gateway.control.tokens import Tokens
from gateway.dashboard import banner, cutovers_page, messages_page, overrides_page, pages, report_page
from gateway.dashboard.login import LoginPages
from gateway.dashboard.rendering import refusal_page
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
        self.board = Board(clock)
        self.desk = Authenticator(clock, dev_login=dev_login)
        self.ledger = LedgerDesk(clock)
        self.rollback = Rollback(self.ledger)
        self.report = Report(self.ledger)
        self.reloads = Reloads(self.ledger)
        self.cutovers = Cutovers(self.ledger)
        self.decisions = Decisions(self.ledger)
        tokens, messages = Tokens(), Messages(self.ledger)
        rehearsals = Rehearsals(self.ledger)
        overrides, panics = Overrides(self.ledger), Panics(self.ledger)
        self.endpoints = [
            *health.endpoints(registry),
            *LoginPages(self.desk, Throttle(_PER_MINUTE, 60, clock)).endpoints(),
            *pages.endpoints(self.board, tokens),
            *messages_page.endpoints(messages),
            *cutovers_page.endpoints(self.cutovers, self.ledger),
            *report_page.endpoints(self.report, rehearsals, self.ledger),
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

        self.app = web.Application(middlewares=[guarded, banner.counting(self.ledger)], client_max_size=_LARGEST_BODY)
        for each in self.endpoints:
            self.app.router.add_route(each.method, each.path, each.handler)
        self._runner = web.AppRunner(self.app, access_log=None, shutdown_timeout=1.0, keepalive_timeout=15.0)

    def prepare(self, config: Config) -> AuthConfig | None:
        """Return what a configuration lets in, without letting it in yet; raises `PeopleUnusable`."""
        return self.desk.prepare(config, Path(config.file).parent)

    async def start(self, config: Config) -> int:
        """Listen as `config` says; return the port, which the system chose when it was 0; raises `PeopleUnusable`."""
        self.desk.use(self.prepare(config))
        self.board.started(config)
        self.decisions.use(config)
        address: Address = config.listen.admin
        await self._runner.setup()
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

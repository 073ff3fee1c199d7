"""The admin port: every endpoint it has, behind one guard."""

import asyncio
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from aiohttp import web  # noqa: TID251 - the admin port is no part of the data plane
from prometheus_client import CollectorRegistry

from gateway.admin.audit import Audit
from gateway.admin.bounds import USUAL_BOUNDS, Bounds
from gateway.admin.comparisons import Comparisons
from gateway.admin.connections import BoundedConnections
from gateway.admin.context import LedgerContext
from gateway.admin.cutover_facts import CutoverFacts, CutoverFactsApi
from gateway.admin.cutovers import Cutovers
from gateway.admin.cutovers_api import CutoversApi
from gateway.admin.endpoints import LARGEST_BODY, Endpoint, Handler
from gateway.admin.guard import Guard
from gateway.admin.health import Health, HealthApi
from gateway.admin.idempotency import IdempotencyStore
from gateway.admin.messages import Messages, MessagesApi
from gateway.admin.municipalities import Municipalities
from gateway.admin.openapi import Description
from gateway.admin.overrides import Overrides, OverridesApi
from gateway.admin.overview import Overview
from gateway.admin.pages.audit import AuditPages
from gateway.admin.pages.cutover_wizard import CutoverWizard
from gateway.admin.pages.cutovers import CutoverPages
from gateway.admin.pages.health import HealthPages
from gateway.admin.pages.live import BOUNDS, STOPPING
from gateway.admin.pages.login import LoginPages
from gateway.admin.pages.messages import MessagePages
from gateway.admin.pages.municipalities import MunicipalityPages
from gateway.admin.pages.overrides import OverridePages
from gateway.admin.pages.overview import OverviewPages
from gateway.admin.pages.panics import PanicPages
from gateway.admin.pages.render import SITE, Site, StaticFiles, counting, refusal_page
from gateway.admin.pages.report import ReportPages
from gateway.admin.pages.send_back import SendBackPages
from gateway.admin.pages.tokens import TokenPages
from gateway.admin.pages.trial import TrialPages
from gateway.admin.pages.vendors import VendorPages
from gateway.admin.pages.words import Names
from gateway.admin.panics import Panics, PanicsApi
from gateway.admin.replica import Copies
from gateway.admin.report import Rehearsals, Report
from gateway.admin.rollback import Rollback
from gateway.admin.routes import Decisions, Reloads
from gateway.admin.status import Reload, StatusApi, StatusBoard
from gateway.admin.tokens import Tokens, TokensApi
from gateway.admin.trial import Trials, TrialsApi
from gateway.admin.vendors import Vendors
from gateway.auth.people.authenticator import AuthConfig, Authenticator
from gateway.config.model import Config
from gateway.limits import Throttle
from gateway.times import Clock

if TYPE_CHECKING:
    from gateway.config.model import Address

_PER_MINUTE = 20
"""Tokens that an address may get wrong, and logins that it may begin."""


class AdminPort:
    """Listens for operators and their tools on `listen.admin`."""

    def __init__(
        self,
        registry: CollectorRegistry,
        *,
        dev_login: bool = False,
        clock: Clock | None = None,
        bounds: Bounds = USUAL_BOUNDS,
    ) -> None:
        clock = clock or Clock()
        self.board = StatusBoard(clock)
        self.authenticator = Authenticator(clock, dev_login=dev_login)
        self.ledger = LedgerContext(clock)
        self.rollback = Rollback(self.ledger, bounds.exported)
        self.report = Report(self.ledger)
        self.reloads = Reloads(self.ledger)
        self.cutovers = Cutovers(self.ledger)
        self.decisions = Decisions(self.ledger)
        self.trials = Trials(self.ledger)
        self._messages = Messages(self.ledger)
        self.health = Health(self.ledger, self._messages, clock)
        self.overview = Overview(self.ledger, self.report, self.health)
        self.endpoints = self._endpoints(registry, clock, bounds)
        known = {(each.method, each.path): each for each in self.endpoints}
        self._guard = Guard(self.authenticator, known, Throttle(_PER_MINUTE, 60, clock), refusal_page)
        middlewares = [self._guarded, counting(self.ledger)]
        self.app = web.Application(middlewares=middlewares, client_max_size=LARGEST_BODY)
        self.app[SITE] = self._site = Site(clock, known)
        self.app[STOPPING] = asyncio.Event()
        self.app[BOUNDS] = bounds
        once = IdempotencyStore(self.ledger)
        for each in self.endpoints:
            self.app.router.add_route(each.method, each.path, once.of(each))
        self._connections: BoundedConnections | None = None
        self._listening: list[asyncio.Server] = []
        self._runner = web.AppRunner(self.app, access_log=None, shutdown_timeout=1.0, keepalive_timeout=15.0)

    @web.middleware
    async def _guarded(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if self._connections is None:
            return await self._guard(request, handler)
        async with self._connections.answering(request.protocol):
            return await self._guard(request, handler)

    def _endpoints(self, registry: CollectorRegistry, clock: Clock, bounds: Bounds) -> list[Endpoint]:
        copies = Copies(self.ledger)
        tokens, messages, rehearsals = Tokens(), self._messages, Rehearsals(self.ledger)
        overrides, panics, audit = Overrides(self.ledger), Panics(self.ledger), Audit(self.ledger)
        municipalities, vendors = (
            Municipalities(self.ledger, self.overview, copies),
            Vendors(self.ledger, self.overview),
        )
        facts, back = CutoverFacts(self.ledger, self.cutovers), SendBackPages(self.rollback)
        subjects = (
            StatusApi(self.board, registry),
            StaticFiles(),
            LoginPages(self.authenticator, Throttle(_PER_MINUTE, 60, clock)),
            OverviewPages(self.board, self.overview),
            MunicipalityPages(municipalities),
            VendorPages(vendors),
            TokenPages(tokens),
            MessagePages(messages, self.decisions),
            TrialPages(self.trials),
            HealthPages(self.health),
            CutoverWizard(self.ledger, self.cutovers, facts, municipalities),
            CutoverPages(self.cutovers, facts, back, self.ledger, bounds.tokens),
            back,
            ReportPages(self.report, rehearsals, self.ledger, self.overview, bounds),
            OverridePages(self.ledger, overrides),
            PanicPages(self.ledger, panics, back),
            TokensApi(tokens),
            MessagesApi(messages),
            audit,
            AuditPages(audit, self.ledger),
            self.rollback,
            self.report,
            self.overview,
            municipalities,
            vendors,
            self.reloads,
            CutoversApi(self.cutovers),
            CutoverFactsApi(self.cutovers, facts),
            OverridesApi(overrides),
            PanicsApi(panics),
            self.decisions,
            TrialsApi(self.trials),
            HealthApi(self.health),
            rehearsals,
            Comparisons(self.ledger),
            copies,
            Description(lambda: self.endpoints),
        )
        return [endpoint for subject in subjects for endpoint in subject.endpoints()]

    def prepare(self, config: Config) -> AuthConfig | None:
        """Return what a configuration lets in, without letting it in yet; raises `StartupError`."""
        return self.authenticator.prepare(config, Path(config.file).parent)

    async def start(self, config: Config, sockets: Sequence[socket.socket] = (), auth: AuthConfig | None = None) -> int:
        """Listen as `config` says, or on sockets that listen already; return the port, which the system chose when it was 0.

        `auth` is what `prepare` returned. Raises `StartupError`, or `OSError` where the address is taken.
        """
        self.authenticator.use(auth or self.prepare(config))
        self.board.started(config)
        self._show(config)
        address: Address = config.listen.admin
        await self._runner.setup()
        if self._runner.server is None:
            raise RuntimeError("aiohttp has no server after its set-up")
        loop = asyncio.get_running_loop()
        self._connections = connections = BoundedConnections(self._runner.server)
        for each in sockets:
            self._listening.append(await loop.create_server(connections, sock=each))
        if not sockets:
            self._listening.append(await loop.create_server(connections, address.host, address.port))
        if (own := config.listen.metrics) is not None:
            self._guard.metrics_port = own.port
            self._listening.append(await loop.create_server(connections, own.host, own.port))
        return int(self._listening[0].sockets[0].getsockname()[1])

    def use(
        self, config: Config, auth: AuthConfig | None, problems: Sequence[str], generation: int | None = None
    ) -> Reload:
        """Go on with another configuration, whose table has this number; `problems` are its warnings."""
        self.authenticator.use(auth)
        self._show(config)
        return self.board.taken(config, problems, generation)

    def _show(self, config: Config) -> None:
        self._site.names = Names.of(config)
        self.decisions.use(config)
        self.trials.use(config)
        self.overview.use(config)

    async def stop(self) -> None:
        """Stop listening, and end what is being streamed."""
        self.app[STOPPING].set()
        for listening in self._listening:
            listening.close()
        await self._runner.cleanup()
        self.authenticator.close()

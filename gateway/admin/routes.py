"""Which way messages go and went: every route with what lies over it, and the decision about one message."""

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
from aiohttp import web  # noqa: TID251 - the admin port is no part of the data plane

from gateway.admin.context import LedgerContext, Reach, actor, log_action, reach, short_name
from gateway.admin.endpoints import UNAVAILABLE, Endpoint, Needs, person
from gateway.admin.params import (
    Narrowed,
    ReasonBody,
    of_body,
    of_query,
    part_of,
    reason_of,
    reference_of,
    without_numbers,
)
from gateway.admin.problems import Code, Problem
from gateway.admin.status import Reload
from gateway.auth.people.principal import Principal
from gateway.auth.people.rbac import Action, Where
from gateway.config.model import Config
from gateway.ledger import decision_log
from gateway.ledger.layers import layers_of
from gateway.migration.override_rules import shown
from gateway.routing.layers import ABOVE, NOTHING_ABOVE, Layer, Layers, Rule
from gateway.routing.route import Route
from gateway.times import when, when_any

_ROOT = "/api/v1"
_CURSOR = "route:"


@dataclass(frozen=True, slots=True)
class _InForce:
    generation: int
    layers: Layers


class Decisions:
    """The endpoints for routes and decisions, narrowed to the municipalities of the person's grants."""

    def __init__(self, context: LedgerContext) -> None:
        self._context = context
        self._config: Config | None = None
        self._in_force: _InForce | None = None

    def use(self, config: Config) -> None:
        """Go on with a configuration."""
        self._config = config

    def taken(self, generation: int, layers: Layers) -> None:
        """Say which table this process routes by; one that routes nothing says nothing, and shows what the ledger has."""
        self._in_force = _InForce(generation, layers)

    def endpoints(self) -> list[Endpoint]:
        """Return the endpoints for programs."""
        view = Needs.role(Action.VIEW)
        return [
            Endpoint(
                *("GET", f"{_ROOT}/routes", self._routes, view),
                summary="Every route in force with what lies over it, the strongest first",
                answer="generation file version layers_version routes next",
                query=Narrowed,
            ),
            Endpoint(
                *("GET", f"{_ROOT}/decisions/{{reference}}", self._decision, view),
                summary="Which way one message went, and what said so",
                answer="reference at mode",
            ),
        ]

    async def _routes(self, request: web.Request) -> web.Response:
        config = self._config
        if config is None:
            raise Problem(Code.FAILED)
        asked, within = of_query(request, Narrowed), reach(person(request), Action.VIEW)
        shows = _shows(within, short_name(config, asked.municipality))
        layers = await self._layers()
        now = self._context.now()
        above = (rule for layer in ABOVE for rule in layers.of(layer) if rule.holds(now))
        found = [*(_rule(rule) for rule in above if shows(rule.route)), *_of_file(config, shows)]
        part, more = part_of(found, asked, _CURSOR)
        document = {
            "generation": self._in_force.generation if self._in_force else None,
            "file": config.file,
            "version": config.version,
            "layers_version": layers.version,
            "routes": part,
            "next": more,
        }
        return web.json_response(document)

    async def _decision(self, request: web.Request) -> web.Response:
        found = await self.of(person(request), reference_of(request))
        if found is None:
            raise Problem(Code.NOT_FOUND)
        return web.json_response(found)

    async def of(self, who: Principal, reference: str) -> dict[str, Any] | None:
        """Return which way a message went, and what said so; None where it is not, or no longer, known. Raises `Problem`."""
        within = reach(who, Action.VIEW)
        found = await self._context.read(lambda each: decision_log.by_reference(each, reference))
        if found is None or not (within is None or found.municipality in within):
            return None
        return {**msgspec.to_builtins(found), "at": when(found.at)}

    async def _layers(self) -> Layers:
        """Return what lies over the routes: as this process has it, or else as the ledger does."""
        if self._in_force is not None:
            return self._in_force.layers
        if not self._context.is_there:
            return NOTHING_ABOVE
        now = self._context.now()
        return await self._context.read(lambda each: layers_of(each, now))


def _shows(within: Reach, municipality: str | None) -> Callable[[Route], bool]:
    """Return what tells whether a route may be shown: it is of one of these municipalities, or names none."""

    def tell(route: Route) -> bool:
        named = route.municipality
        return named is None or ((within is None or named in within) and municipality in (None, named))

    return tell


def _rule(rule: Rule) -> dict[str, Any]:
    return _shown(rule.layer, rule.id, rule.route, when_any(rule.until))


def _shown(layer: Layer, identifier: str | None, route: Route, until: str | None) -> dict[str, Any]:
    return {"layer": layer.value, "id": identifier, "place": str(route.place), **shown(route), "until": until}


def _of_file(config: Config, shows: Callable[[Route], bool]) -> Iterator[dict[str, Any]]:
    for route in filter(shows, config.routes):
        yield _shown(Layer.ROUTES, None, route, None)


class Reloads:
    """The endpoint; `use` gives it what reads the file again."""

    def __init__(self, context: LedgerContext) -> None:
        self._context = context
        self._reload: Callable[[], Awaitable[Reload]] | None = None

    def use(self, reload: Callable[[], Awaitable[Reload]]) -> None:
        """Take what reloads the process that this port is of."""
        self._reload = reload

    def endpoints(self) -> list[Endpoint]:
        """Return the endpoint for programs; a file is of all municipalities, and so is who may have it read."""
        return [
            Endpoint(
                *("POST", f"{_ROOT}/reload", self._post, Needs.role(Action.OPERATE, Where.EVERYWHERE)),
                summary="Read routes.yaml again; what it warns of",
                answer="at generation warnings",
                body=ReasonBody,
                also=(409, UNAVAILABLE),
            )
        ]

    async def _post(self, request: web.Request) -> web.Response:
        reason, who = reason_of((await of_body(request, ReasonBody)).reason), person(request)
        if self._reload is None:
            raise Problem(Code.FAILED)
        await self._note(who, reason)
        done = await self._reload()
        problems = [without_numbers(problem) for problem in done.problems]
        if not done.taken:
            raise Problem(Code.CONFLICT, "; ".join(problems))
        return web.json_response({"at": when(done.at), "generation": done.generation, "warnings": problems})

    async def _note(self, who: Principal, reason: str) -> None:
        """Tell the audit, where there is one: what is only logged otherwise is not lost for want of a ledger."""
        if self._context.is_there:
            note = self._context.note(who, "routes.reload", "routes.yaml", reason)
            await self._context.write_note(note)
        log_action("routes.reload", "routes.yaml", actor(who))

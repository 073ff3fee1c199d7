"""Which way messages go and went: every route with what lies over it, and the decision about one message."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from aiohttp import web  # noqa: TID251 - the admin port is no part of the data plane

from gateway.auth.people.rbac import Action
from gateway.config.model import Config
from gateway.config.routes import Route
from gateway.control.asked import Page, of_query, part_of, reference_of
from gateway.control.endpoints import Endpoint, Needs, person
from gateway.control.ledger_desk import LedgerDesk, Reach, reach
from gateway.control.refusals import Code, Refusal
from gateway.layering.layering import layers_of
from gateway.ledger import decision_log
from gateway.migration.override_rules import shown
from gateway.routing.layers import ABOVE, NOTHING_ABOVE, Layer, Layers, Rule
from gateway.times import when

_ROOT = "/api/v1"
_CURSOR = "route:"
_Word = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class Narrowed(Page, frozen=True, forbid_unknown_fields=True):
    """Of which municipality routes are shown, and which part of them."""

    municipality: _Word | None = None
    """Short name or orgnr."""


@dataclass(frozen=True, slots=True)
class _InForce:
    generation: int
    layers: Layers


class Decisions:
    """The endpoints for routes and decisions, narrowed to the municipalities of the person's grants."""

    def __init__(self, desk: LedgerDesk) -> None:
        self._desk = desk
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
            Endpoint("GET", f"{_ROOT}/routes", self._routes, view),
            Endpoint("GET", f"{_ROOT}/decisions/{{reference}}", self._decision, view),
        ]

    async def _routes(self, request: web.Request) -> web.Response:
        config = self._config
        if config is None:
            raise Refusal(Code.FAILED)
        asked, within = of_query(request, Narrowed), reach(person(request), Action.VIEW)
        named = next((one.key for one in config.municipalities.values() if one.orgnr == asked.municipality), None)
        shows = _shows(within, named or asked.municipality)
        layers = await self._layers()
        now = self._desk.now()
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
        reference, within = reference_of(request), reach(person(request), Action.VIEW)
        found = await self._desk.read(lambda each: decision_log.by_reference(each, reference))
        if found is None or not (within is None or found.municipality in within):
            raise Refusal(Code.NOT_FOUND)
        return web.json_response({**msgspec.to_builtins(found), "at": when(found.at)})

    async def _layers(self) -> Layers:
        """Return what lies over the routes: as this process has it, or else as the ledger does."""
        if self._in_force is not None:
            return self._in_force.layers
        if not self._desk.is_there:
            return NOTHING_ABOVE
        now = self._desk.now()
        return await self._desk.read(lambda each: layers_of(each, now))


def _shows(within: Reach, municipality: str | None) -> Callable[[Route], bool]:
    """Return what tells whether a route may be shown: it is of one of these municipalities, or names none."""

    def tell(route: Route) -> bool:
        named = route.municipality
        return named is None or ((within is None or named in within) and municipality in (None, named))

    return tell


def _rule(rule: Rule) -> dict[str, Any]:
    until = None if rule.until is None else when(rule.until)
    return {
        "layer": rule.layer.value,
        "id": rule.id,
        "place": str(rule.route.place),
        **shown(rule.route),
        "until": until,
    }


def _of_file(config: Config, shows: Callable[[Route], bool]) -> Iterator[dict[str, Any]]:
    for route in filter(shows, config.routes):
        yield {"layer": Layer.ROUTES.value, "id": None, "place": str(route.place), **shown(route), "until": None}

"""How the gateway and what it depends on stand: upstreams, tokens, keys, copies, what waits, other nodes, clocks."""

import asyncio
import math
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from aiohttp import web  # noqa: TID251 - the admin port is no part of the data plane
from msgspec import Struct, structs
from sqlalchemy import Connection

from gateway.admin.context import LedgerContext, Reach, reach
from gateway.admin.endpoints import Endpoint, Needs, person
from gateway.admin.messages import Messages
from gateway.admin.replica import document as copy_document
from gateway.auth.helseid import client_assertion
from gateway.auth.helseid.issuer import Issuer
from gateway.auth.people.principal import Principal
from gateway.auth.people.rbac import Action
from gateway.config.upstreams import VkpUpstream
from gateway.errors import StartupError
from gateway.ledger import key_files, message_queries, nodes, retention
from gateway.ledger.nodes import Away, Beat, NodeSeen
from gateway.proxy.tls import Certificates
from gateway.replica.status import CopyStatus, copies, freshness_of
from gateway.times import DAY, Clock, when, when_any
from gateway.upstreams.registry import ConfiguredClients, standings

GONE = 60.0
"""Seconds without a word after which a node is taken for gone."""
SOON = 30 * DAY
"""Seconds before a certificate ends from which somebody should look."""
UNSURE = 2.0
"""Seconds that clocks may differ before somebody should look; beyond five HelseID refuses what we sign."""


class NodeState(Struct, frozen=True):
    """What runs in this process."""

    beat: Beat
    clients: ConfiguredClients
    certificates: Certificates
    folder: Path
    """Where the files are that the configuration names."""


class _Written(Struct, frozen=True):
    seen: list[NodeSeen]
    copies: list[CopyStatus]
    doubted_since: float | None
    last_purge: float | None


class Health:
    """Tells it within the municipalities that someone may view; `use` gives it what runs here."""

    def __init__(self, context: LedgerContext, messages: Messages, clock: Clock) -> None:
        self._context = context
        self._messages = messages
        self._clock = clock
        self._state: Callable[[], NodeState | None] = lambda: None

    def use(self, state: Callable[[], NodeState | None]) -> None:
        """Take what returns what runs in the process that this port is of."""
        self._state = state

    def away(self, seen: Iterable[NodeSeen] = ()) -> list[Away]:
        """Return what does not answer: by the calls of this process now, and by what each other node that runs has said last."""
        now, state = self._clock(), self._state()
        own = self._context.ledger.node if self._context.is_there else ""
        told = [] if state is None else list(state.clients.away(now))
        told += [away for one in seen if one.name != own and now - one.at <= GONE for away in one.beat.away]
        earliest: dict[tuple[str, str], Away] = {}
        for one in sorted(told, key=lambda one: one.since):
            earliest.setdefault((one.kind, one.upstream), one)
        return list(earliest.values())

    async def document(self, who: Principal) -> dict[str, Any]:
        """Return how everything stands now; raises `Problem` where the ledger cannot be read."""
        within, now, state = reach(who, Action.VIEW), self._clock(), self._state()
        seen: list[NodeSeen] = []
        document: dict[str, Any] = {"at": when(now), "node": None, "upstreams": [], "helseid": None, "tokens": []}
        document |= {"keys": [], "certificates": [], "nodes": [], "replica": [], "backlog": [], "last_purge": None}
        document["clock"] = {"steps": self._clock.steps, "doubted_since": None}
        if state is not None:
            document |= _of_process(state, within, now)
            document["keys"] += await asyncio.to_thread(_keys, state, now)
        if self._context.is_there:
            freshness = freshness_of(self._context.config)
            written = await self._context.read(lambda each: _written(each, freshness, now))
            node = self._context.ledger.node
            document["node"] = node
            document["nodes"] = [_node(one, node, now) for one in written.seen]
            document["replica"] = [
                copy_document(one) for one in written.copies if within is None or one.municipality in within
            ]
            document["backlog"] = (await self._messages.overview(who))["counts"]
            document["clock"]["doubted_since"] = when_any(written.doubted_since)
            document["last_purge"] = when_any(written.last_purge)
            seen = written.seen
        document["away"] = [{**structs.asdict(one), "since": when(one.since)} for one in self.away(seen)]
        document["trouble"] = _trouble(document)
        return document


def _of_process(state: NodeState, within: Reach, now: float) -> dict[str, Any]:
    clients, loop_now = state.clients, asyncio.get_running_loop().time()
    names = {one.orgnr: one.key for one in clients.config.municipalities.values()}

    def may_see(orgnr: str) -> bool:
        return within is None or names.get(orgnr) in within

    upstreams = [
        {
            "name": one.name,
            "kind": one.kind,
            "url": one.url,
            "breaker": one.breaker,
            "wait": math.ceil(one.wait),
            "refused_for": [names.get(orgnr, orgnr) for orgnr in one.refused_for if may_see(orgnr)],
        }
        for one in standings(clients, loop_now)
    ]
    tokens = [
        {
            "client": client or "helseid",
            "municipality": names.get(held.orgnr, held.orgnr),
            "scope": held.scope,
            "age": int(held.age),
            "left": int(held.left),
        }
        for client, source in clients.parts.token_sources()
        for held in source.held()
        if may_see(held.orgnr)
    ]
    certificates = [
        {"of": what, "begins": when(begins), "ends": when(ends), "left": int(ends - now)}
        for what, (begins, ends) in state.certificates.validities().items()
    ]
    issuer = clients.parts.issuer
    helseid = None if issuer is None else _helseid(issuer)
    return {"upstreams": upstreams, "tokens": tokens, "certificates": certificates, "helseid": helseid}


def _helseid(issuer: Issuer) -> dict[str, Any]:
    age = issuer.keys_age
    return {
        "url": issuer.url,
        "keys_age": None if age is None else int(age),
        "is_failing": issuer.is_failing,
        "ahead": issuer.ahead,
    }


def _keys(state: NodeState, now: float) -> list[dict[str, Any]]:
    """Return how old each key is; reads their files, and leaves out what cannot be read here."""
    config = state.clients.config
    found: list[dict[str, Any]] = [
        {"name": one.name, "id": one.id, "age": int(now - one.made_at), "older": one.older}
        for one in key_files.ages(config.keys, state.folder)
    ]
    signing = {"helseid": config.helseid.key_file}
    for upstream in config.upstreams.values():
        if isinstance(upstream, VkpUpstream):
            signing |= {f"{upstream.name} {client.client_id}": client.key_file for client in upstream.clients}
    for name, file in signing.items():
        with suppress(StartupError):
            kid, made_at = client_assertion.age(file, state.folder)
            found.append({"name": name, "id": kid, "age": None if made_at is None else int(now - made_at), "older": 0})
    return found


def _written(connection: Connection, freshness: Mapping[str, float], now: float) -> _Written:
    _, doubted = retention.last_look(connection)
    purged = message_queries.last_run(connection, retention.PURGE)
    return _Written(nodes.seen(connection), copies(connection, freshness, now), doubted, purged)


def _node(one: NodeSeen, own: str, now: float) -> dict[str, Any]:
    beat = one.beat
    return {
        "name": one.name,
        "is_this": one.name == own,
        "is_gone": now - one.at > GONE,
        "seen_at": when(one.at),
        "since": when(beat.since),
        "generation": beat.generation,
        "version": beat.version,
        "layers": beat.layers,
        "ahead_of_database": round(beat.ahead_of_database, 1),
        "ahead_of_helseid": None if beat.ahead_of_helseid is None else round(beat.ahead_of_helseid, 1),
    }


def _trouble(document: dict[str, Any]) -> list[str]:
    """Return in short words what somebody should look at; each has a text on the page."""
    alive = [one for one in document["nodes"] if not one["is_gone"]]
    ahead = [one[name] or 0.0 for one in alive for name in ("ahead_of_database", "ahead_of_helseid")]
    looked_at = {
        "upstream-away": any(one["kind"] != "helseid" for one in document["away"]),
        "token-refused-there": any(one["refused_for"] for one in document["upstreams"]),
        "helseid-away": any(one["kind"] == "helseid" for one in document["away"]),
        "node-gone": len(alive) < len(document["nodes"]),
        "nodes-differ": len({(one["version"], one["layers"]) for one in alive}) > 1,
        "clock-differs": any(abs(each) > UNSURE for each in ahead),
        "clock-doubted": document["clock"]["doubted_since"] is not None,
        "certificate-ends": any(one["left"] < SOON for one in document["certificates"]),
        "copy-fails": any(one["failures"] for one in document["replica"]),
        "messages-wait": any(one["state"] in ("quarantined", "overdue") for one in document["backlog"]),
    }
    return [name for name, is_so in looked_at.items() if is_so]


class HealthApi:
    """Health, for programs."""

    def __init__(self, health: Health) -> None:
        self._health = health

    def endpoints(self) -> list[Endpoint]:
        """Return the endpoint for programs."""
        return [
            Endpoint(
                *("GET", "/api/v1/health", self._get, Needs.role(Action.VIEW)),
                summary="How the gateway and what it depends on stand",
                answer="at node nodes upstreams helseid tokens keys certificates replica backlog clock away trouble",
            )
        ]

    async def _get(self, request: web.Request) -> web.Response:
        return web.json_response(await self._health.document(person(request)))

"""Panics, as the API and the pages both turn them on and off: each with who and why, and with the way to roll back."""

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec
from aiohttp import web  # noqa: TID251 - the admin port is no part of the data plane
from sqlalchemy import Connection

from gateway.admin.context import LedgerContext, reach, short_name, tell
from gateway.admin.cutover_facts import change_document
from gateway.admin.endpoints import UNAVAILABLE, Endpoint, Needs, Once, person
from gateway.admin.params import ReasonBody, Word, of_body, of_query, part_of, reason_of
from gateway.admin.problems import Code, Problem
from gateway.admin.rule_service import (
    REASONED,
    RulesQuery,
    check_reach,
    done,
    may_operate,
    may_view,
    only_holding,
    put,
    reason_to_end,
    text_of,
    told,
)
from gateway.auth.people.principal import Principal
from gateway.auth.people.rbac import Action
from gateway.config.model import Entry, Role
from gateway.config.read_panics import CLOSED_TEXT
from gateway.ledger import overrides
from gateway.ledger.decision_log import PastGroup, grouped
from gateway.ledger.layers import layers_of
from gateway.ledger.overrides import RuleFilter, SetRule
from gateway.migration import panics
from gateway.migration.override_rules import new_name, shown
from gateway.migration.traffic import DAYS, ChangedTraffic, with_traffic
from gateway.model import Information
from gateway.routing.diff import Change, effect_of
from gateway.routing.layers import Layer, Layers
from gateway.times import DAY, when_any

_CURSOR = "panic:"
_MOST_RULES = 10_000
"""Rules of panics that are looked through for one list."""


class PanicBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What goes back to VKP at once: everything of one of these."""

    reason: str
    municipality: Word | None = None
    """Short name or orgnr."""
    vendor: Word | None = None
    information: Information | None = None
    text: str | None = None
    """What senders are told where VKP cannot answer."""
    dry_run: bool = False
    """Say what it would do to each cell, and set nothing."""


class PanicScope(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What would go back: everything of one of these."""

    municipality: Word | None = None
    """Short name or orgnr."""
    vendor: Word | None = None
    information: Information | None = None


class Panics:
    """Each method raises `Problem`; what is shown or done is narrowed to the municipalities of the person's grants."""

    def __init__(self, context: LedgerContext) -> None:
        self._context = context

    async def listed(self, who: Principal, asked: RulesQuery) -> dict[str, Any]:
        """Return panics, the newest first."""
        within = reach(who, Action.VIEW)
        listing = RuleFilter(Layer.PANIC, within, only_holding(self._context, asked), _MOST_RULES)
        together: dict[str, list[SetRule]] = {}
        for one in await self._context.read(lambda each: overrides.listed(each, listing)):
            together.setdefault(one.name, []).append(one)
        part, more = part_of(list(together.values()), asked, _CURSOR)
        return {"panics": [self.document(each) for each in part], "next": more}

    async def one(self, who: Principal, name: str, action: Action) -> list[SetRule]:
        """Return the rules of a panic, ended or not, where someone may do this."""
        found = await self._context.read(lambda each: overrides.named(each, Layer.PANIC, name))
        reaches = may_view if action is Action.VIEW else may_operate
        if not found or not reaches(who, found[0].route.municipality):
            raise Problem(Code.NOT_FOUND, f"no such panic where you {action}")
        return found

    async def set(self, who: Principal, asked: PanicBody) -> dict[str, Any]:
        """Turn everything of a scope back; return the panic with the cells that it changes, and with its rollback.

        A dry run returns the same of a panic that has no id, and sets nothing.
        """
        scope = panics.Scope(short_name(self._context.config, asked.municipality), asked.vendor, asked.information)
        check_reach(who, scope.municipality)
        if problems := panics.problems_of(scope, self._context.config):
            raise Problem(Code.BAD_REQUEST, "; ".join(problems))
        reason, text = reason_of(asked.reason), text_of("text", asked.text) or CLOSED_TEXT
        name = new_name("p")
        note = self._context.note(who, "panic.on", name, reason)
        set_ = [
            SetRule(overrides.part(name, number), Layer.PANIC, route, reason, None, note.actor, note.at, None)
            for number, route in enumerate(panics.panic_routes(scope, self._context.config, name, text), 1)
        ]
        before = await self._context.read(lambda each: layers_of(each, note.at))
        if not asked.dry_run:
            await put(self._context, set_, note)
        # After it is set: a country has many cells, and nobody waits for them to be counted.
        routes = [one.route for one in set_]
        changes = await asyncio.to_thread(panics.effects, routes, before, self._context.config, note.at)
        document = {**self.document(set_), "dry_run": asked.dry_run, "cells": [_cells(each) for each in changes]}
        if asked.dry_run:
            document |= {"id": None, "holds": False, "made_at": None}
        return {**document, "rollback": await self._rollbacks(scope)}

    async def effects(self, who: Principal, asked: PanicScope) -> tuple[panics.Scope, list[ChangedTraffic]]:
        """Return what a panic would do to each cell that someone may view, beside what it sends; nothing is set."""
        scope = panics.Scope(short_name(self._context.config, asked.municipality), asked.vendor, asked.information)
        config, now = self._context.config, self._context.now()
        if problems := panics.problems_of(scope, config):
            raise Problem(Code.BAD_REQUEST, "; ".join(problems))
        if scope.municipality is not None and not may_view(who, scope.municipality):
            raise Problem(Code.NOT_FOUND, "no such municipality where you may view")
        within = reach(who, Action.VIEW) if scope.municipality is None else frozenset({scope.municipality})
        routes = panics.panic_routes(scope, config, "", CLOSED_TEXT)

        def looked(connection: Connection) -> tuple[Layers, list[PastGroup]]:
            return layers_of(connection, now), grouped(connection, now - DAYS * DAY, now + 1, within)

        layers, groups = await self._context.read(looked)
        changes = await asyncio.to_thread(panics.effects, routes, layers, config, now)
        mine = [one for one in changes if within is None or one.municipality in within]
        return scope, await asyncio.to_thread(with_traffic, mine, groups, config, DAYS)

    def operators(self, scope: panics.Scope) -> list[Entry]:
        """Return who may turn a panic of this scope on, by the configuration: whom others call."""
        people = self._context.config.people
        return [
            one
            for one in (people.entries if people is not None else ())
            if Role.OPERATOR in one.roles and (one.municipalities is None or scope.municipality in one.municipalities)
        ]

    async def end(self, who: Principal, before: Sequence[SetRule], reason: str) -> dict[str, Any]:
        """End every rule of a panic."""
        note = self._context.note(who, "panic.off", before[0].name, reason_of(reason))
        ended = done(await self._context.write(lambda each: overrides.end(each, Layer.PANIC, note.target, None, note)))
        tell(note)
        return self.document(ended)

    async def rollbacks(self, who: Principal, together: Sequence[SetRule]) -> list[dict[str, Any]]:
        """Offer to send back what the new service has of a panic's cells, in the municipalities where someone operates."""
        return await self._rollbacks(panics.scope_of(one.route for one in together), reach(who, Action.OPERATE))

    def document(self, together: Sequence[SetRule]) -> dict[str, Any]:
        """Return a panic as it is shown, by all its rules."""
        first = _first(together)
        scope = msgspec.to_builtins(panics.scope_of(one.route for one in together))
        holds = first.holds(self._context.now())
        shown_rules = [shown(one.route) for one in sorted(together, key=lambda one: one.id)]
        return {"id": first.name, "holds": holds, **scope, **told(first), "rules": shown_rules}

    async def _rollbacks(self, scope: panics.Scope, within: frozenset[str] | None = None) -> list[dict[str, Any]]:
        """Offer to send back what the new service has, for each municipality that may have sent something."""
        config = self._context.config
        moments = await self._context.read(lambda each: panics.since_when(each, scope, config))
        return [
            panics.rollback_of(scope, name, when_any(moment))
            for name, moment in moments.items()
            if within is None or name in within
        ]


def _cells(change: Change) -> dict[str, Any]:
    """Return cells that a panic changes alike, and how."""
    effect = effect_of(change.before, change.after).value
    return {**change_document(change), "effect": effect, "text": str(change)}


def _first(together: Sequence[SetRule]) -> SetRule:
    """Return the rule of a panic that says its whole scope: the one that names no municipality where there is one."""
    return min(together, key=lambda one: (one.route.municipality is not None, one.id))


_ROOT = "/api/v1/panics"
_NAMES = "id holds rules reason made_by made_at ended_at ended_by ended_why"


class PanicsApi:
    """Panics, for programs."""

    def __init__(self, panics: Panics) -> None:
        self._panics = panics

    def endpoints(self) -> list[Endpoint]:
        """Return the endpoints for programs."""
        view, operate = Needs.role(Action.VIEW), Needs.role(Action.OPERATE)
        return [
            Endpoint(
                *("GET", _ROOT, self._list, view),
                summary="Panics, the newest first",
                answer="panics next",
                query=RulesQuery,
            ),
            Endpoint(
                *("GET", f"{_ROOT}/effects", self._effects, view),
                summary="What a panic would do to each cell, what they send, and who may turn it on; nothing is set",
                answer="days cells operators",
                query=PanicScope,
            ),
            Endpoint(
                *("POST", _ROOT, self._set, operate),
                summary="Take everything of a municipality, vendor or type back to VKP at once",
                answer=f"{_NAMES} rollback cells dry_run",
                status=201,
                body=PanicBody,
                once=Once.LEDGER,
            ),
            Endpoint(
                *("DELETE", f"{_ROOT}/{{id}}", self._end, operate),
                summary=f"End a panic; {REASONED}",
                answer=_NAMES,
                query=ReasonBody,
                body=ReasonBody,
                may_lack_body=True,
                also=(409, 412, UNAVAILABLE),
            ),
        ]

    async def _list(self, request: web.Request) -> web.Response:
        return web.json_response(await self._panics.listed(person(request), of_query(request, RulesQuery)))

    async def _effects(self, request: web.Request) -> web.Response:
        scope, cells = await self._panics.effects(person(request), of_query(request, PanicScope))
        called = [{"name": one.name, "contact": one.contact or None} for one in self._panics.operators(scope)]
        told = [{**_cells(one.change), "messages_a_day": round(one.per_day + one.untyped_per_day, 1)} for one in cells]
        return web.json_response({"days": DAYS, "cells": told, "operators": called})

    async def _set(self, request: web.Request) -> web.Response:
        wanted = await of_body(request, PanicBody)
        document = await self._panics.set(person(request), wanted)
        return web.json_response(document, status=200 if wanted.dry_run else 201)

    async def _end(self, request: web.Request) -> web.Response:
        who = person(request)
        before = await self._panics.one(who, request.match_info["id"], Action.OPERATE)
        return web.json_response(await self._panics.end(who, before, await reason_to_end(request)))

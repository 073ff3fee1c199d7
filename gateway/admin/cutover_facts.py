"""What a cutover would change, changes and has changed, for people and programs: its cells with their traffic, past days, progress."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import msgspec
from aiohttp import web  # noqa: TID251 - the admin port is no part of the data plane
from sqlalchemy import Connection

from gateway.admin.context import LedgerContext
from gateway.admin.cutover_access import By, Submitted, check_everywhere, may_everywhere, offers, planned
from gateway.admin.cutovers import Cutovers, brief
from gateway.admin.endpoints import Endpoint, Needs, person
from gateway.admin.params import of_body
from gateway.admin.rule_service import may_view
from gateway.auth.people.principal import Principal
from gateway.auth.people.rbac import Action
from gateway.config.model import Config
from gateway.ledger import cutovers as store
from gateway.ledger.cutovers import FailedMessage
from gateway.ledger.decision_log import PastGroup, grouped
from gateway.migration.cells import Cells, changes_of
from gateway.migration.cutover import Cutover, CutoverEvent, CutoverState, begun, of_row
from gateway.migration.cutover_plan import Plan
from gateway.migration.gates import FAILED, Outcomes
from gateway.migration.gathered import gathered, outcomes_since, still_delivering
from gateway.migration.preflight import Finding, PreflightFacts, findings
from gateway.migration.schedule import OSLO, moment
from gateway.migration.traffic import DAYS, ChangedTraffic, WhatIf, what_if, with_traffic
from gateway.routing.diff import Change
from gateway.routing.layers import Layer, Layers, Rule
from gateway.routing.route import RouteSpec
from gateway.routing.table import RouteTable
from gateway.times import when, when_any

_ONE = "/api/v1/cutovers/{name}"
_MOST_SUBMITTED = 1000
_MOST_FAILED = 200
WATCHED = (CutoverState.SWITCHED, CutoverState.WATCHING)


@dataclass(frozen=True, slots=True)
class PlanEffects:
    """What a plan does to its cells, and would have done to the last days."""

    cells: tuple[ChangedTraffic, ...]
    """What was before is as of now, or as it was when it switched."""
    past: WhatIf | None
    """None once it has switched."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How a cutover goes at this moment; times in seconds since the epoch."""

    record: Cutover
    now: float
    outcomes: Outcomes
    """Since it switched; of one that is not watched any more, as its report has them."""
    under_way: int
    """Messages of its cells that are let finish before it switches."""

    @property
    def watched_until(self) -> float | None:
        """Return when it is not watched any more; None where it is not, or has no rule."""
        rule, switched = self.record.plan.roll_back_when, self.record.switched_at
        return None if rule is None or switched is None else switched + rule.within


class CutoverFacts:
    """Each method raises `Problem`."""

    def __init__(self, context: LedgerContext, cutovers: Cutovers) -> None:
        self._context = context
        self._cutovers = cutovers

    async def inbox(self, by: By) -> list[Cutover]:
        """Return the cutovers that wait for somebody's approval, by their times."""
        states = (CutoverState.SUBMITTED.value,)
        rows = await self._context.read(lambda each: store.listed(each, _MOST_SUBMITTED, states=states))
        records = [record for record in map(of_row, rows) if offers(by, record).approve]
        return sorted(records, key=lambda record: record.at)

    async def effects(self, who: Principal, record: Cutover) -> PlanEffects:
        """Return what a cutover changes, as far as somebody may view: of other municipalities neither cells nor traffic."""
        config, now, cells = self._context.config, self._context.now(), record.cells
        days = _days(now)
        table = await self._cutovers.in_force()
        places = None if None in cells.places else frozenset(filter(None, cells.places))
        groups = await self._context.read(lambda each: [grouped(each, *day, places) for day in days])
        past = list(zip((begins for begins, _ in days), groups, strict=True))
        found = await asyncio.to_thread(_effects, record, table, past, config, now)
        if may_everywhere(who, cells, Action.VIEW):
            return found
        return PlanEffects(tuple(one for one in found.cells if _is_seen(who, one)), None)

    async def of_plan(self, by: By, wanted: Submitted) -> tuple[Cutover, PlanEffects]:
        """Return the cutover that a plan would be, and what it would change; nothing is written."""
        plan = planned(wanted, self._context.config)
        record = self.draft(by, plan)
        check_everywhere(by.person, record.cells, Action.VIEW)
        return record, await self.effects(by.person, record)

    async def outlook(self, record: Cutover) -> list[Finding]:
        """Return what a preflight would find of a plan that nobody has submitted, but for tokens and approvals."""
        config, now = self._context.config, self._context.now()
        found = await self._context.read(lambda each: gathered(each, record, config, now))
        facts = PreflightFacts(record, config, now, found, {})
        told = await asyncio.to_thread(findings, facts)
        return [one for one in told if one.check not in ("token", "approvals")]

    async def volume(self, who: Principal, changes: Sequence[RouteSpec]) -> int:
        """Return how many messages the cells of some changes sent in the last days; of unread types where no others are known.

        Raises `Problem` for cells of a municipality where somebody may not view.
        """
        cells = Cells(store.routes("draft", changes))
        check_everywhere(who, cells, Action.VIEW)
        now, places = self._context.now(), frozenset(filter(None, cells.places))
        begins = _days(now)[0][0]
        groups = await self._context.read(lambda each: grouped(each, begins, now + 1, places))
        typed = sum(one.messages for one in cells.of(groups) if one.information)
        return typed or sum(one.messages for one in groups if cells.may_be(one))

    def draft(self, by: By, plan: Plan) -> Cutover:
        """Return the cutover that a plan would be."""
        return begun(plan, CutoverEvent(self._context.now(), "", CutoverState.SUBMITTED.value, known=by.known))

    async def progress(self, record: Cutover) -> Progress:
        """Return how a cutover goes now."""
        now = self._context.now()
        if record.state in WATCHED:
            _, outcomes = await self._context.read(lambda each: outcomes_since(each, record))
            return Progress(record, now, outcomes, 0)
        under_way = 0
        if record.state is CutoverState.DRAINING:
            under_way = await self._context.read(lambda each: still_delivering(each, record))
        report = record.report
        outcomes = Outcomes(report.fine, report.failed) if report is not None else Outcomes(0, 0)
        return Progress(record, now, outcomes, under_way)

    async def failed(self, record: Cutover) -> list[FailedMessage]:
        """Return the newest messages that failed because they went new, or were set aside since it switched."""
        since = record.switched_at
        if since is None:
            return []

        def work(connection: Connection) -> list[FailedMessage]:
            aside = record.cells.of(store.set_aside(connection, since, _MOST_FAILED))
            return [*store.failed(connection, record.name, since, FAILED, _MOST_FAILED), *aside]

        found = {one.reference: one for one in await self._context.read(work)}
        return sorted(found.values(), key=lambda one: one.at, reverse=True)[:_MOST_FAILED]


def _days(now: float) -> list[tuple[float, float]]:
    """Return the beginnings and ends of the last days in Norway, the one that is not over yet included."""
    today = moment(now).astimezone(OSLO).replace(hour=0, minute=0, second=0, microsecond=0)
    begins = [(today - timedelta(days=back)) for back in range(DAYS - 1, -1, -1)]
    starts = [one.timestamp() for one in begins]
    return list(zip(starts, [*starts[1:], now + 1], strict=True))


def _effects(
    record: Cutover, table: RouteTable, past: Sequence[tuple[float, list[PastGroup]]], config: Config, now: float
) -> PlanEffects:
    groups = [one for _, day in past for one in day]
    if record.report is not None and record.report.changed:
        return PlanEffects(tuple(with_traffic(record.report.changed, groups, config, DAYS)), None)
    name, routes, layers = record.name, record.plan.routes, table.layers
    changes = changes_of(name, routes, layers, config, max(record.at, now))
    cells = tuple(with_traffic(changes, groups, config, DAYS))
    if record.is_executed:
        return PlanEffects(cells, None)
    others = [rule for rule in layers.rules if (rule.layer, rule.id) != (Layer.CUTOVER, name)]
    after = table.with_layers(Layers([*(Rule(Layer.CUTOVER, name, route) for route in routes), *others]))
    return PlanEffects(cells, what_if(past, Cells(routes), after, table))


class CutoverFactsApi:
    """The same, for programs."""

    def __init__(self, cutovers: Cutovers, facts: CutoverFacts) -> None:
        self._cutovers = cutovers
        self._facts = facts

    def endpoints(self) -> list[Endpoint]:
        """Return the endpoints for programs."""
        view = Needs.role(Action.VIEW)
        return [
            Endpoint(
                *("GET", "/api/v1/inbox", self._inbox, view),
                summary="Cutovers that wait for your approval, by their times",
                answer="cutovers",
            ),
            Endpoint(
                *("POST", "/api/v1/cutovers/preview", self._preview, view),
                summary="What a plan would do to its cells, and would have done to the last days; nothing is written",
                answer="hash days cells past",
                body=Submitted,
            ),
            Endpoint(
                *("GET", f"{_ONE}/effects", self._effects, view),
                summary="What a cutover does to its cells, beside what they send",
                answer="hash days cells past",
            ),
            Endpoint(
                *("GET", f"{_ONE}/progress", self._progress, view),
                summary="How a cutover goes now: what went well and what failed since it switched",
                answer="name state at now watched_until under_way fine failed waiting roll_back_when",
            ),
            Endpoint(
                *("GET", f"{_ONE}/failed", self._failed, view),
                summary="The newest messages that failed because a cutover sent them to the new side",
                answer="name messages",
            ),
        ]

    async def _inbox(self, request: web.Request) -> web.Response:
        records = await self._facts.inbox(By.of(request))
        return web.json_response({"cutovers": [brief(one) for one in records]})

    async def _preview(self, request: web.Request) -> web.Response:
        record, effects = await self._facts.of_plan(By.of(request), await of_body(request, Submitted))
        return web.json_response(effects_document(record, effects))

    async def _effects(self, request: web.Request) -> web.Response:
        record = await self._one(request)
        return web.json_response(effects_document(record, await self._facts.effects(person(request), record)))

    async def _progress(self, request: web.Request) -> web.Response:
        return web.json_response(progress_document(await self._facts.progress(await self._one(request))))

    async def _failed(self, request: web.Request) -> web.Response:
        record = await self._one(request)
        found = narrowed(person(request), await self._facts.failed(record))
        messages = [{**msgspec.structs.asdict(one), "at": when(one.at)} for one in found]
        return web.json_response({"name": record.name, "messages": messages})

    async def _one(self, request: web.Request) -> Cutover:
        return await self._cutovers.shown(person(request), request.match_info["name"])


def _is_seen(who: Principal, one: ChangedTraffic) -> bool:
    place = one.change.municipality
    return place is not None and may_view(who, place)


def narrowed(who: Principal, found: Sequence[FailedMessage]) -> list[FailedMessage]:
    """Return those messages that are of municipalities where someone may view."""
    return [one for one in found if one.municipality is not None and may_view(who, one.municipality)]


def effects_document(record: Cutover, effects: PlanEffects) -> dict[str, Any]:
    """Return what a plan does to its cells."""
    past = effects.past
    days = (
        []
        if past is None
        else [{"begins": when(one.begins), "before": one.before, "after": one.after} for one in past.days]
    )
    told = (
        None
        if past is None
        else {
            "messages": past.messages,
            "another_way": past.another_way,
            "type_unknown": past.type_unknown,
            "days": days,
        }
    )
    return {"hash": record.hash, "days": DAYS, "cells": [cell_document(one) for one in effects.cells], "past": told}


def cell_document(one: ChangedTraffic) -> dict[str, Any]:
    """Return cells that change alike, how, and what they send."""
    return {
        **change_document(one.change),
        "effect": one.effect.value,
        "messages_a_day": round(one.per_day, 1),
        "untyped_a_day": round(one.untyped_per_day, 1),
        "vendors": list(one.vendors),
    }


def change_document(change: Change) -> dict[str, Any]:
    """Return which cells change, from what to what."""
    before, after = change.before, change.after
    return {
        "municipality": change.municipality,
        "senders": change.whose.name.lower(),
        "vendor": change.vendor,
        "system": change.system,
        "information": list(change.information),
        "before": {"mode": before.mode, "share": before.share, "layer": before.layer, "id": before.rule},
        "after": {"mode": after.mode, "share": after.share, "layer": after.layer, "id": after.rule},
    }


def progress_document(one: Progress) -> dict[str, Any]:
    """Return how a cutover goes."""
    record, rule = one.record, one.record.plan.roll_back_when
    return {
        "name": record.name,
        "state": record.state.value,
        "at": when(record.at),
        "now": when(one.now),
        "switched_at": when_any(record.switched_at),
        "watched_until": when_any(one.watched_until),
        "under_way": one.under_way,
        "fine": one.outcomes.fine,
        "failed": one.outcomes.failed,
        "waiting": one.outcomes.waiting,
        "roll_back_when": None if rule is None else msgspec.to_builtins(rule),
    }

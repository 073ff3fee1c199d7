"""Overrides, as the API and the pages both set, change and end them: each with who and why, by who has seen what is there."""

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any

import msgspec
from aiohttp import web  # noqa: TID251 - the admin port is no part of the data plane

from gateway.admin.context import LedgerContext, reach
from gateway.admin.endpoints import Endpoint, Needs, person
from gateway.admin.panics import PanicBody, Panics
from gateway.admin.params import ReasonBody, idempotency_key, of_body, of_query, reason_of, row_of, without_numbers
from gateway.admin.problems import Code, Problem, asked_versions
from gateway.admin.set_rules import (
    Listed,
    check_reach,
    done,
    may_operate,
    may_view,
    new_name,
    only_holding,
    part_of,
    put,
    short_name,
    tell,
    text_of,
    told,
)
from gateway.auth.people.principal import Principal
from gateway.auth.people.rbac import Action
from gateway.ledger import overrides
from gateway.ledger.overrides import Listing, SetRule
from gateway.migration import override_rules
from gateway.migration.override_rules import etag, shown
from gateway.observability.telemetry import mask
from gateway.routing.layers import Layer

_CURSOR = "override:"
_Word = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
_Words = Annotated[list[_Word], msgspec.Meta(max_length=100)]
_Number = _Word | float
_Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class OverrideBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is set: the keys of a route, with the values that they have in routes.yaml, why, and until when."""

    mode: _Word
    reason: str
    ticket: str
    until: _Moment
    municipality: _Word | None = None
    """Short name or orgnr."""
    vendor: _Word | None = None
    system: _Word | None = None
    information: _Words | None = None
    text: str | None = None
    share: _Number | None = None
    """A part of 1, or as in routes.yaml; likewise `sample`, and `acknowledge_within` in seconds."""
    always: _Words | None = None
    never: _Words | None = None
    sample: _Number | None = None
    losses: _Words | None = None
    answer: _Word | None = None
    on_outage: _Word | None = None
    unclear: _Word | None = None
    acknowledge_within: _Number | None = None


_BESIDE = frozenset({"reason", "ticket", "until", "text"})
"""What an override says beside its route, or is checked by itself."""


class Overrides:
    """Each method raises `Problem`; what is shown or done is narrowed to the municipalities of the person's grants."""

    def __init__(self, desk: LedgerContext) -> None:
        self._desk = desk

    async def listed(self, who: Principal, asked: Listed) -> dict[str, Any]:
        """Return overrides, the newest first."""
        within, skipped = reach(who, Action.VIEW), row_of(_CURSOR, asked.cursor) or 0
        listing = Listing(Layer.OVERRIDE, within, only_holding(self._desk, asked), asked.limit + 1, skipped)
        found = await self._desk.read(lambda each: overrides.listed(each, listing))
        return part_of("overrides", [self.document(one) for one in found], asked, skipped, _CURSOR)

    async def one(self, who: Principal, name: str, action: Action) -> SetRule:
        """Return an override, ended or not, where someone may do this."""
        found = await self._desk.read(lambda each: overrides.named(each, Layer.OVERRIDE, name))
        reaches = may_view if action is Action.VIEW else may_operate
        if not found or not reaches(who, found[0].route.municipality):
            raise Problem(Code.NOT_FOUND)
        return found[0]

    async def set(self, who: Principal, asked: OverrideBody, key: str | None = None) -> tuple[dict[str, Any], bool]:
        """Set an override; return it, and whether it is new: the same again with the same `key` is done once."""
        accepted, name = self._accepted(who, asked), new_name("o", who, key, asked)
        note = self._desk.note(who, "override.set", name.name, accepted.reason)
        rule = SetRule(
            id=name.name,
            layer=Layer.OVERRIDE,
            made_by=note.actor,
            made_at=note.at,
            **msgspec.structs.asdict(_placed(accepted, name.name)),
        )
        known = await put(self._desk, [rule], note, name)
        return self.document(known[0] if known else rule), not known

    async def change(
        self, who: Principal, before: SetRule, asked: OverrideBody, versions: Collection[int]
    ) -> dict[str, Any]:
        """Make an override another, the whole of it, if it still is one of the versions that someone has seen."""
        changed = _placed(self._accepted(who, asked), before.id)
        note = self._desk.note(who, "override.change", before.id, changed.reason)
        after = done(await self._desk.write(lambda each: overrides.change(each, before, changed, versions, note)))
        tell(note)
        return self.document(after)

    async def end(self, who: Principal, before: SetRule, reason: str, versions: Collection[int]) -> dict[str, Any]:
        """End an override before its time, if it still is one of the versions that someone has seen."""
        note = self._desk.note(who, "override.end", before.id, reason_of(reason))
        ended = done(
            await self._desk.write(lambda each: overrides.end(each, Layer.OVERRIDE, before.id, versions, note))
        )
        tell(note)
        return self.document(ended[0])

    def document(self, rule: SetRule) -> dict[str, Any]:
        """Return an override as it is shown; what it sets can be asked for again."""
        holds = rule.holds(self._desk.now())
        return {"id": rule.id, "holds": holds, **shown(rule.route), "ticket": rule.ticket, **told(rule)}

    def _accepted(self, who: Principal, asked: OverrideBody) -> overrides.Changed:
        """Return what is to be set; raises `Problem`."""
        municipality = short_name(self._desk, asked.municipality)
        check_reach(who, municipality)
        reason, ticket = reason_of(asked.reason), text_of("ticket", asked.ticket)
        given = {name: value for name, value in msgspec.structs.asdict(asked).items() if name not in _BESIDE}
        given |= {"municipality": municipality, "text": text_of("text", asked.text)}
        end = asked.until.timestamp()
        problems = override_rules.problems_of(
            override_rules.OverrideRequest(given, end), self._desk.config, self._desk.now()
        )
        route, _ = override_rules.route_of(given, self._desk.config)
        if problems or route is None:
            # What is wrong is told in words of the file, which may repeat what was written.
            said = without_numbers(mask(None, "", {"told": "; ".join(problems)})["told"])
            raise Problem(Code.BAD_REQUEST, said)
        return overrides.Changed(route, reason, ticket, end)


def _placed(changed: overrides.Changed, name: str) -> overrides.Changed:
    route = replace(changed.route, place=overrides.place(Layer.OVERRIDE, name))
    return msgspec.structs.replace(changed, route=route)


_ROOT = "/api/v1"


def endpoints(overrides: Overrides, panics: Panics) -> list[Endpoint]:
    """Return the endpoints for programs."""
    view, operate = Needs.role(Action.VIEW), Needs.role(Action.OPERATE)
    handlers = _Handlers(overrides, panics)
    return [
        Endpoint("GET", f"{_ROOT}/overrides", handlers.listed, view),
        Endpoint("POST", f"{_ROOT}/overrides", handlers.set, operate),
        Endpoint("GET", f"{_ROOT}/overrides/{{id}}", handlers.shown, view),
        Endpoint("PUT", f"{_ROOT}/overrides/{{id}}", handlers.change, operate),
        Endpoint("DELETE", f"{_ROOT}/overrides/{{id}}", handlers.end, operate),
        Endpoint("GET", f"{_ROOT}/panics", handlers.listed_panics, view),
        Endpoint("POST", f"{_ROOT}/panics", handlers.panic, operate),
        Endpoint("DELETE", f"{_ROOT}/panics/{{id}}", handlers.end_panic, operate),
    ]


class _Handlers:
    def __init__(self, overrides: Overrides, panics: Panics) -> None:
        self._overrides = overrides
        self._panics = panics

    async def listed(self, request: web.Request) -> web.Response:
        return web.json_response(await self._overrides.listed(person(request), of_query(request, Listed)))

    async def shown(self, request: web.Request) -> web.Response:
        found = await self._overrides.one(person(request), request.match_info["id"], Action.VIEW)
        return _answer(self._overrides.document(found))

    async def set(self, request: web.Request) -> web.Response:
        asked = await of_body(request, OverrideBody)
        document, is_new = await self._overrides.set(person(request), asked, idempotency_key(request))
        location = {"Location": f"{_ROOT}/overrides/{document['id']}"}
        return _answer(document, 201 if is_new else 200, location)

    async def change(self, request: web.Request) -> web.Response:
        who = person(request)
        before = await self._overrides.one(who, request.match_info["id"], Action.OPERATE)
        versions = asked_versions(request)
        return _answer(await self._overrides.change(who, before, await of_body(request, OverrideBody), versions))

    async def end(self, request: web.Request) -> web.Response:
        who = person(request)
        before = await self._overrides.one(who, request.match_info["id"], Action.OPERATE)
        versions = asked_versions(request)
        return _answer(await self._overrides.end(who, before, await _reason(request), versions))

    async def listed_panics(self, request: web.Request) -> web.Response:
        return web.json_response(await self._panics.listed(person(request), of_query(request, Listed)))

    async def panic(self, request: web.Request) -> web.Response:
        asked = await of_body(request, PanicBody)
        document, is_new = await self._panics.set(person(request), asked, idempotency_key(request))
        return web.json_response(document, status=201 if is_new else 200)

    async def end_panic(self, request: web.Request) -> web.Response:
        who = person(request)
        before = await self._panics.one(who, request.match_info["id"], Action.OPERATE)
        return web.json_response(await self._panics.end(who, before, await _reason(request)))


def _answer(document: dict[str, Any], status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    found = {"ETag": etag(document["version"]), **(headers or {})}
    return web.json_response(document, status=status, headers=found)


async def _reason(request: web.Request) -> str:
    """Return why something is ended: in the body, or as a parameter, since not everybody sends bodies with DELETE."""
    asked = await of_body(request, ReasonBody) if request.can_read_body else of_query(request, ReasonBody)
    return asked.reason

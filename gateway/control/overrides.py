"""Overrides and panics, for people and programs: each with who and why, and changed only by who has seen what is there."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, TypeVar

import msgspec
import structlog
from aiohttp import web  # noqa: TID251 - the admin port is no part of the data plane
from sqlalchemy import Connection

from gateway.control.asked import Because, Page, cursor_after, of_body, of_query, reason_of, row_of, without_numbers
from gateway.control.conditions import Unmet, asked_versions
from gateway.control.endpoints import Endpoint, Needs, person
from gateway.control.ledger_desk import LedgerDesk, actor, reach
from gateway.control.refusals import Code, Refusal
from gateway.layering import panic, wanted
from gateway.layering.naming import Name, etag, name_of
from gateway.layering.showing import shown
from gateway.layering.switches import last_switch
from gateway.ledger import audit, rules
from gateway.ledger.rules import Known, Listing, SetRule, Stale
from gateway.model import Information
from gateway.moments import when_any
from gateway.people.access import Action, Where, may
from gateway.people.person import Person
from gateway.routing.layers import Layer
from gateway.telemetry import mask

log = structlog.get_logger()
T = TypeVar("T")

_ROOT = "/api/v1"
_CURSOR = {Layer.OVERRIDE: "override:", Layer.PANIC: "panic:"}
_MOST_RULES = 10_000
"""Rules of panics that are looked through for one list."""
_LONGEST_KEY = 200
_Word = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
_Words = Annotated[list[_Word], msgspec.Meta(max_length=100)]
_Number = _Word | float
_Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class Override(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
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


class Panic(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What goes back to VKP at once: everything of one of these."""

    reason: str
    municipality: _Word | None = None
    """Short name or orgnr."""
    vendor: _Word | None = None
    information: Information | None = None
    text: str | None = None
    """What senders are told where VKP cannot answer."""


class Listed(Page, frozen=True, forbid_unknown_fields=True):
    """Which part of a list, and whether of what has ended too."""

    ended: bool = False


class Overrides:
    """The endpoints for what is set over the routes; narrowed to the municipalities of the person's grants."""

    def __init__(self, desk: LedgerDesk) -> None:
        self._desk = desk

    def endpoints(self) -> list[Endpoint]:
        """Return the endpoints for programs."""
        view, operate = Needs.role(Action.VIEW), Needs.role(Action.OPERATE)
        return [
            Endpoint("GET", f"{_ROOT}/overrides", self._list, view),
            Endpoint("POST", f"{_ROOT}/overrides", self._set, operate),
            Endpoint("GET", f"{_ROOT}/overrides/{{id}}", self._show, view),
            Endpoint("PUT", f"{_ROOT}/overrides/{{id}}", self._change, operate),
            Endpoint("DELETE", f"{_ROOT}/overrides/{{id}}", self._end, operate),
            Endpoint("GET", f"{_ROOT}/panics", self._list_panics, view),
            Endpoint("POST", f"{_ROOT}/panics", self._panic, operate),
            Endpoint("DELETE", f"{_ROOT}/panics/{{id}}", self._end_panic, operate),
        ]

    async def _list(self, request: web.Request) -> web.Response:
        asked, within = of_query(request, Listed), reach(person(request), Action.VIEW)
        skipped = row_of(_CURSOR[Layer.OVERRIDE], asked.cursor) or 0
        listing = Listing(Layer.OVERRIDE, within, self._only_holding(asked), asked.limit + 1, skipped)
        found = await self._desk.read(lambda each: rules.listed(each, listing))
        documents = [self._document(one) for one in found]
        return _page("overrides", documents, asked, skipped, _CURSOR[Layer.OVERRIDE])

    async def _show(self, request: web.Request) -> web.Response:
        return self._answer(await self._one(request, Action.VIEW))

    async def _set(self, request: web.Request) -> web.Response:
        asked, who = await of_body(request, Override), person(request)
        accepted, name = self._accepted(who, asked), _name("o", request, who, asked)
        note = self._desk.note(who, "override.set", name.name, accepted.reason)
        rule = SetRule(
            id=name.name,
            layer=Layer.OVERRIDE,
            made_by=note.actor,
            made_at=note.at,
            **msgspec.structs.asdict(_placed(accepted, name.name)),
        )
        known = await self._put([rule], note, name)
        location = {"Location": f"{_ROOT}/overrides/{name.name}"}
        if known:
            return self._answer(known[0], headers=location)
        return self._answer(rule, 201, location)

    async def _change(self, request: web.Request) -> web.Response:
        before, versions = await self._one(request, Action.OPERATE), asked_versions(request)
        asked, who = await of_body(request, Override), person(request)
        changed = _placed(self._accepted(who, asked), before.id)
        note = self._desk.note(who, "override.change", before.id, changed.reason)
        after = _done(await self._desk.write(lambda each: rules.change(each, before, changed, versions, note)))
        _tell(note)
        return self._answer(after)

    async def _end(self, request: web.Request) -> web.Response:
        before, versions = await self._one(request, Action.OPERATE), asked_versions(request)
        note = self._desk.note(person(request), "override.end", before.id, await _reason(request))
        ended = _done(await self._desk.write(lambda each: rules.end(each, Layer.OVERRIDE, before.id, versions, note)))
        _tell(note)
        return self._answer(ended[0])

    async def _list_panics(self, request: web.Request) -> web.Response:
        asked, within = of_query(request, Listed), reach(person(request), Action.VIEW)
        skipped = row_of(_CURSOR[Layer.PANIC], asked.cursor) or 0
        listing = Listing(Layer.PANIC, within, self._only_holding(asked), _MOST_RULES)
        together: dict[str, list[SetRule]] = {}
        for one in await self._desk.read(lambda each: rules.listed(each, listing)):
            together.setdefault(one.name, []).append(one)
        some = list(together.values())[skipped : skipped + asked.limit + 1]
        return _page("panics", [self._panic_document(each) for each in some], asked, skipped, _CURSOR[Layer.PANIC])

    async def _panic(self, request: web.Request) -> web.Response:
        asked, who = await of_body(request, Panic), person(request)
        scope = panic.Scope(self._short_name(asked.municipality), asked.vendor, asked.information)
        _check_reach(who, scope.municipality)
        if problems := panic.problems_of(scope, self._desk.config):
            raise Refusal(Code.BAD_REQUEST, "; ".join(problems))
        reason, text = reason_of(asked.reason), _text("text", asked.text) or panic.CLOSED_TEXT
        name = _name("p", request, who, asked)
        note = self._desk.note(who, "panic.on", name.name, reason)
        set_ = [
            SetRule(rules.part(name.name, number), Layer.PANIC, route, reason, None, note.actor, note.at, None)
            for number, route in enumerate(panic.routes_of(scope, self._desk.config, name.name, text), 1)
        ]
        known = await self._put(set_, note, name)
        document = {**self._panic_document(known or set_), "rollback": await self._rollbacks(scope)}
        return web.json_response(document, status=200 if known else 201)

    async def _end_panic(self, request: web.Request) -> web.Response:
        name, who = request.match_info["id"], person(request)
        found = await self._desk.read(lambda each: rules.named(each, Layer.PANIC, name))
        if not found or not may(who.grants, Action.OPERATE, found[0].route.municipality or Where.EVERYWHERE):
            raise Refusal(Code.NOT_FOUND, "no such panic where you operate")
        note = self._desk.note(who, "panic.off", found[0].name, await _reason(request))
        ended = _done(await self._desk.write(lambda each: rules.end(each, Layer.PANIC, note.target, None, note)))
        _tell(note)
        return web.json_response(self._panic_document(ended))

    async def _put(self, set_: Sequence[SetRule], note: audit.Note, name: Name) -> tuple[SetRule, ...]:
        """Set rules; return what is there already where it was asked for before. Raises `Refusal`."""
        done = await self._desk.write(lambda each: rules.put(each, set_, note, name.key))
        if isinstance(done, Known):
            return done.rules
        _done(done)
        _tell(note)
        return ()

    async def _one(self, request: web.Request, action: Action) -> SetRule:
        """Return the override that a path names; raises `Refusal` where there is none within someone's grants."""
        name, who = request.match_info["id"], person(request)
        found = await self._desk.read(lambda each: rules.named(each, Layer.OVERRIDE, name))
        if not found or not _reaches(who, action, found[0]):
            raise Refusal(Code.NOT_FOUND)
        return found[0]

    async def _rollbacks(self, scope: panic.Scope) -> list[dict[str, Any]]:
        """Offer to send back what the new service has, for each municipality that may have sent something."""
        names = panic.municipalities_of(scope, self._desk.config)

        def work(connection: Connection) -> list[float | None]:
            return [last_switch(connection, name, scope.vendor, scope.information) for name in names]

        moments = await self._desk.read(work)
        return [panic.rollback_of(scope, name, when_any(moment)) for name, moment in zip(names, moments, strict=True)]

    def _accepted(self, who: Person, asked: Override) -> rules.Changed:
        """Return what is to be set; raises `Refusal`."""
        municipality = self._short_name(asked.municipality)
        _check_reach(who, municipality)
        reason, ticket = reason_of(asked.reason), _text("ticket", asked.ticket)
        given = {name: value for name, value in msgspec.structs.asdict(asked).items() if name not in _BESIDE}
        given |= {"municipality": municipality, "text": _text("text", asked.text)}
        end = asked.until.timestamp()
        problems = wanted.problems_of(wanted.Wanted(given, end), self._desk.config, self._desk.now())
        route, _ = wanted.route_of(given, self._desk.config)
        if problems or route is None:
            # What is wrong is told in words of the file, which may repeat what was written.
            told = without_numbers(mask(None, "", {"told": "; ".join(problems)})["told"])
            raise Refusal(Code.BAD_REQUEST, told)
        return rules.Changed(route, reason, ticket, end)

    def _short_name(self, named: str | None) -> str | None:
        known = self._desk.config.municipalities.values()
        return next((one.key for one in known if one.orgnr == named), named)

    def _only_holding(self, asked: Listed) -> float | None:
        return None if asked.ended else self._desk.now()

    def _answer(self, rule: SetRule, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
        found = {"ETag": etag(rule.version), **(headers or {})}
        return web.json_response(self._document(rule), status=status, headers=found)

    def _document(self, rule: SetRule) -> dict[str, Any]:
        return {"id": rule.id, **self._standing(rule), **shown(rule.route), "ticket": rule.ticket, **_told(rule)}

    def _panic_document(self, together: Sequence[SetRule]) -> dict[str, Any]:
        first = min(together, key=lambda one: (one.route.municipality is not None, one.id))
        scope = msgspec.to_builtins(panic.scope_of(first.route))
        told = {**_told(first), "rules": [shown(one.route) for one in sorted(together, key=lambda one: one.id)]}
        return {"id": first.name, **self._standing(first), **scope, **told}

    def _standing(self, rule: SetRule) -> dict[str, Any]:
        return {"holds": rule.holds(self._desk.now())}


_BESIDE = frozenset({"reason", "ticket", "until", "text"})
"""What an override says beside its route, or is checked by itself."""


def _told(rule: SetRule) -> dict[str, Any]:
    moments = {name: when_any(getattr(rule, name)) for name in ("made_at", "until", "ended_at")}
    said = {name: getattr(rule, name) for name in ("reason", "made_by", "ended_by", "ended_why", "version")}
    return {**said, **moments}


def _placed(changed: rules.Changed, name: str) -> rules.Changed:
    route = replace(changed.route, place=rules.place(Layer.OVERRIDE, name))
    return msgspec.structs.replace(changed, route=route)


def _page(name: str, documents: list[dict[str, Any]], asked: Listed, skipped: int, kind: str) -> web.Response:
    more = cursor_after(kind, skipped + asked.limit) if len(documents) > asked.limit else None
    return web.json_response({name: documents[: asked.limit], "next": more})


def _name(kind: str, request: web.Request, who: Person, asked: msgspec.Struct) -> Name:
    given = request.headers.get("Idempotency-Key")
    if given is not None and not (0 < len(given) <= _LONGEST_KEY and given.isprintable()):
        raise Refusal(Code.BAD_REQUEST, f"Idempotency-Key: 1 to {_LONGEST_KEY} characters")
    return name_of(kind, actor(who), given, msgspec.json.encode(asked))


async def _reason(request: web.Request) -> str:
    """Return why something is ended: in the body, or as a parameter, since not everybody sends bodies with DELETE."""
    asked = await of_body(request, Because) if request.can_read_body else of_query(request, Because)
    return reason_of(asked.reason)


def _text(name: str, text: str | None) -> str | None:
    """Return a text as it is kept and shown; raises `Refusal`."""
    try:
        return None if text is None else reason_of(text)
    except Refusal as refusal:
        raise Refusal(refusal.code, refusal.detail.replace("reason", name, 1)) from None


def _check_reach(who: Person, municipality: str | None) -> None:
    if not may(who.grants, Action.OPERATE, municipality or Where.EVERYWHERE):
        where = "there" if municipality else "in all municipalities"
        raise Refusal(Code.FORBIDDEN, f"{Action.OPERATE} {where}")


def _reaches(who: Person, action: Action, rule: SetRule) -> bool:
    """Tell whether someone may do this with a rule; what names no municipality concerns, and is shown to, everybody."""
    everywhere = Where.SOMEWHERE if action is Action.VIEW else Where.EVERYWHERE
    return may(who.grants, action, rule.route.municipality or everywhere)


def _done(found: T | rules.Refused | Stale) -> T:
    """Return what was done; raises `Refusal` where nothing was."""
    if isinstance(found, Stale):
        raise Unmet(found.version)
    if isinstance(found, rules.Refused):
        raise Refusal(Code.CONFLICT, found.reason)
    return found


def _tell(note: audit.Note) -> None:
    """Log what the audit has been told, without the reason: a person wrote that."""
    log.info("people.action", action=note.action, target=note.target, by=note.actor)

"""Overrides, as the API and the pages both set, change and end them: each with who and why, by who has seen what is there."""

from collections.abc import Collection
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from aiohttp import web  # noqa: TID251 - the admin port is no part of the data plane

from gateway.admin.context import LedgerContext, reach, short_name, tell
from gateway.admin.endpoints import UNAVAILABLE, Endpoint, Needs, Once, person
from gateway.admin.params import (
    Moment,
    ReasonBody,
    Word,
    cursor_after,
    of_body,
    of_query,
    reason_of,
    row_of,
    without_numbers,
)
from gateway.admin.problems import Code, Problem, asked_versions
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
from gateway.ledger import overrides
from gateway.ledger.overrides import RuleFilter, SetRule
from gateway.migration import override_rules
from gateway.migration.override_rules import etag, shown
from gateway.observability.telemetry import mask
from gateway.routing.layers import Layer
from gateway.routing.route import KINDS, ValueKind

_CURSOR = "override:"
_Words = Annotated[list[Word], msgspec.Meta(max_length=100)]
_Line = Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]
_Number = Word | float


_AS_WRITTEN: dict[ValueKind, Any] = {
    ValueKind.PART: _Number,
    ValueKind.SECONDS: _Number,
    ValueKind.LIST: _Words,
    ValueKind.ENTRIES: Annotated[list[_Line | dict[str, str]], msgspec.Meta(max_length=100)],
    ValueKind.FLAG: bool,
    ValueKind.WORD: Word,
}
"""The type of a policy's value where it may stand as in routes.yaml too."""


if TYPE_CHECKING:

    class _PolicyKeys(msgspec.Struct, frozen=True, kw_only=True):
        """Every policy of a route: parts of 1 or as in routes.yaml, and seconds or as in routes.yaml."""

else:
    _PolicyKeys = msgspec.defstruct(
        "_PolicyKeys",
        [(name, _AS_WRITTEN[kind] | None, None) for name, kind in KINDS.items()],
        frozen=True,
        kw_only=True,
    )


class OverrideBody(_PolicyKeys, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is set: the keys of a route, with the values that they have in routes.yaml, why, and until when."""

    mode: Word
    reason: str
    ticket: str
    until: Moment
    municipality: Word | None = None
    """Short name or orgnr."""
    vendor: Word | None = None
    system: Word | None = None
    information: _Words | None = None
    text: str | None = None


_BESIDE = frozenset({"reason", "ticket", "until", "text"})
"""What an override says beside its route, or is checked by itself."""


class Overrides:
    """Each method raises `Problem`; what is shown or done is narrowed to the municipalities of the person's grants."""

    def __init__(self, context: LedgerContext) -> None:
        self._context = context

    async def listed(self, who: Principal, asked: RulesQuery) -> dict[str, Any]:
        """Return overrides, the newest first."""
        within, skipped = reach(who, Action.VIEW), row_of(_CURSOR, asked.cursor) or 0
        listing = RuleFilter(Layer.OVERRIDE, within, only_holding(self._context, asked), asked.limit + 1, skipped)
        found = await self._context.read(lambda each: overrides.listed(each, listing))
        more = cursor_after(_CURSOR, skipped + asked.limit) if len(found) > asked.limit else None
        return {"overrides": [self.document(one) for one in found[: asked.limit]], "next": more}

    async def one(self, who: Principal, name: str, action: Action) -> SetRule:
        """Return an override, ended or not, where someone may do this."""
        found = await self._context.read(lambda each: overrides.named(each, Layer.OVERRIDE, name))
        reaches = may_view if action is Action.VIEW else may_operate
        if not found or not reaches(who, found[0].route.municipality):
            raise Problem(Code.NOT_FOUND)
        return found[0]

    async def set(self, who: Principal, asked: OverrideBody) -> dict[str, Any]:
        """Set an override and return it."""
        accepted, name = self._accepted(who, asked), override_rules.new_name("o")
        note = self._context.note(who, "override.set", name, accepted.reason)
        rule = SetRule(
            id=name,
            layer=Layer.OVERRIDE,
            made_by=note.actor,
            made_at=note.at,
            **msgspec.structs.asdict(_placed(accepted, name)),
        )
        await put(self._context, [rule], note)
        return self.document(rule)

    async def change(
        self, who: Principal, before: SetRule, asked: OverrideBody, versions: Collection[int]
    ) -> dict[str, Any]:
        """Make an override another, the whole of it, if it still is one of the versions that someone has seen."""
        changed = _placed(self._accepted(who, asked), before.id)
        note = self._context.note(who, "override.change", before.id, changed.reason)
        after = done(await self._context.write(lambda each: overrides.change(each, before, changed, versions, note)))
        tell(note)
        return self.document(after)

    async def end(self, who: Principal, before: SetRule, reason: str, versions: Collection[int]) -> dict[str, Any]:
        """End an override before its time, if it still is one of the versions that someone has seen."""
        note = self._context.note(who, "override.end", before.id, reason_of(reason))
        ended = done(
            await self._context.write(lambda each: overrides.end(each, Layer.OVERRIDE, before.id, versions, note))
        )
        tell(note)
        return self.document(ended[0])

    def document(self, rule: SetRule) -> dict[str, Any]:
        """Return an override as it is shown; what it sets can be asked for again."""
        holds = rule.holds(self._context.now())
        return {"id": rule.id, "holds": holds, **shown(rule.route), "ticket": rule.ticket, **told(rule)}

    def _accepted(self, who: Principal, asked: OverrideBody) -> overrides.Changed:
        """Return what is to be set; raises `Problem`."""
        municipality = short_name(self._context.config, asked.municipality)
        check_reach(who, municipality)
        reason, ticket = reason_of(asked.reason), text_of("ticket", asked.ticket)
        given = {name: value for name, value in msgspec.structs.asdict(asked).items() if name not in _BESIDE}
        given |= {"municipality": municipality, "text": text_of("text", asked.text)}
        end = asked.until.timestamp()
        problems = override_rules.problems_of(
            override_rules.OverrideRequest(given, end), self._context.config, self._context.now()
        )
        route, _ = override_rules.route_of(given, self._context.config)
        if problems or route is None:
            # What is wrong is told in words of the file, which may repeat what was written.
            said = without_numbers(mask(None, "", {"told": "; ".join(problems)})["told"])
            raise Problem(Code.BAD_REQUEST, said)
        return overrides.Changed(route, reason, ticket, end)


def _placed(changed: overrides.Changed, name: str) -> overrides.Changed:
    route = msgspec.structs.replace(changed.route, place=overrides.place(Layer.OVERRIDE, name))
    return msgspec.structs.replace(changed, route=route)


_ROOT = "/api/v1/overrides"
_ONE = f"{_ROOT}/{{id}}"
_NAMES = "id holds mode reason ticket until made_by made_at version ended_at ended_by ended_why"
_CONDITION = ("If-Match",)
_CHANGE = (409, 412, 428, UNAVAILABLE)


class OverridesApi:
    """Overrides, for programs."""

    def __init__(self, overrides: Overrides) -> None:
        self._overrides = overrides

    def endpoints(self) -> list[Endpoint]:
        """Return the endpoints for programs."""
        view, operate = Needs.role(Action.VIEW), Needs.role(Action.OPERATE)
        return [
            Endpoint(
                *("GET", _ROOT, self._list, view),
                summary="Overrides, the newest first",
                answer="overrides next",
                query=RulesQuery,
            ),
            Endpoint(
                *("POST", _ROOT, self._set, operate),
                summary="Set a mode over the routes, until a time",
                answer=_NAMES,
                status=201,
                body=OverrideBody,
                gives=("ETag", "Location"),
                once=Once.LEDGER,
            ),
            Endpoint(*("GET", _ONE, self._show, view), summary="One override", answer=_NAMES, gives=("ETag",)),
            Endpoint(
                *("PUT", _ONE, self._change, operate),
                summary="Change an override",
                answer=_NAMES,
                body=OverrideBody,
                reads=_CONDITION,
                also=_CHANGE,
            ),
            Endpoint(
                *("DELETE", _ONE, self._end, operate),
                summary=f"End an override; {REASONED}",
                answer=_NAMES,
                query=ReasonBody,
                body=ReasonBody,
                may_lack_body=True,
                reads=_CONDITION,
                also=_CHANGE,
            ),
        ]

    async def _list(self, request: web.Request) -> web.Response:
        return web.json_response(await self._overrides.listed(person(request), of_query(request, RulesQuery)))

    async def _show(self, request: web.Request) -> web.Response:
        return _answer(self._overrides.document(await self._one(request, Action.VIEW)))

    async def _set(self, request: web.Request) -> web.Response:
        document = await self._overrides.set(person(request), await of_body(request, OverrideBody))
        return _answer(document, 201, {"Location": f"{_ROOT}/{document['id']}"})

    async def _change(self, request: web.Request) -> web.Response:
        before, versions = await self._one(request, Action.OPERATE), asked_versions(request)
        wanted = await of_body(request, OverrideBody)
        return _answer(await self._overrides.change(person(request), before, wanted, versions))

    async def _end(self, request: web.Request) -> web.Response:
        before, versions = await self._one(request, Action.OPERATE), asked_versions(request)
        return _answer(await self._overrides.end(person(request), before, await reason_to_end(request), versions))

    async def _one(self, request: web.Request, action: Action) -> SetRule:
        return await self._overrides.one(person(request), request.match_info["id"], action)


def _answer(document: dict[str, Any], status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    found = {"ETag": etag(document["version"]), **(headers or {})}
    return web.json_response(document, status=status, headers=found)

"""The pages for what people set over the routes: what holds, and forms to set, change and end it."""

from collections.abc import Mapping
from typing import Any

from aiohttp import web  # noqa: TID251 - the admin port is no part of the data plane

from gateway.admin.context import LedgerContext
from gateway.admin.endpoints import Endpoint, Needs, person
from gateway.admin.overrides import Overrides
from gateway.admin.pages import route_fields
from gateway.admin.pages.forms import field, form_of, kept, see_other, version_of
from gateway.admin.pages.overrides_view import filled, override_of, written, wrong_fields
from gateway.admin.pages.render import page, words
from gateway.admin.problems import Code, Problem
from gateway.admin.rule_service import RulesQuery, may_operate, may_view
from gateway.auth.people.principal import Principal
from gateway.auth.people.rbac import Action
from gateway.ledger import cutovers
from gateway.migration.override_rules import shown
from gateway.migration.standing import by_name
from gateway.model import MEMBERS, Information, Mode
from gateway.routing.route import KINDS, WORDS

_MOST = 200
_MOST_ENDED = 20
_LIST = "/overrides"


class OverridePages:
    """The list, and a page for each override."""

    def __init__(self, context: LedgerContext, overrides: Overrides) -> None:
        self._context = context
        self._overrides = overrides

    def endpoints(self) -> list[Endpoint]:
        """Return the endpoints for people."""
        view, operate = Needs.role(Action.VIEW), Needs.role(Action.OPERATE, person=True)
        return [
            Endpoint("GET", _LIST, self._list, view),
            Endpoint("POST", _LIST, self._set, operate),
            Endpoint("GET", f"{_LIST}/{{id}}", self._show, view),
            Endpoint("POST", f"{_LIST}/{{id}}/change", self._change, operate),
            Endpoint("POST", f"{_LIST}/{{id}}/end", self._end, operate),
        ]

    async def _list(self, request: web.Request) -> web.Response:
        given = {name: request.query.getall(name) for name in request.query}
        return await self._page(request, written(given), {})

    async def _page(self, request: web.Request, values: dict[str, Any], wrong: Mapping[str, str]) -> web.Response:
        who = person(request)
        overrides = await self._overrides.listed(who, RulesQuery(limit=_MOST))
        return page(
            request,
            "overrides.html",
            status=400 if wrong else 200,
            overrides=overrides["overrides"],
            there_are_more=bool(overrides["next"]),
            cutovers=await self._cutovers(who),
            ended=await self._ended(who),
            values=values,
            wrong=wrong,
            **self._choices(who),
        )

    async def _show(self, request: web.Request) -> web.Response:
        who = person(request)
        document = self._overrides.document(await self._overrides.one(who, request.match_info["id"], Action.VIEW))
        return self._one(request, document, filled(document), {})

    async def _refused(
        self,
        request: web.Request,
        problem: Problem,
        wrong: Mapping[str, str],
        values: dict[str, Any] | None = None,
        typed: str = "",
    ) -> web.Response:
        """Return the page of an override as it is now, with why a change of it was refused."""
        now = await self._overrides.one(person(request), request.match_info["id"], Action.VIEW)
        document = self._overrides.document(now)
        response = self._one(
            request, document, {**(values or filled(document)), "end_reason": typed}, wrong, problem.status
        )
        response.headers.update(problem.headers)
        return response

    def _one(
        self,
        request: web.Request,
        document: dict[str, Any],
        values: dict[str, Any],
        wrong: Mapping[str, str],
        status: int = 200,
    ) -> web.Response:
        who = person(request)
        may = document["holds"] and may_operate(who, document["municipality"])
        told: dict[str, Any] = {
            "address": f"{_LIST}/{document['id']}",
            "one": document,
            "values": values,
            "wrong": wrong,
            "may_change": may,
        }
        return page(request, "overrides_one.html", status=status, **told, **self._choices(who))

    async def _set(self, request: web.Request) -> web.Response:
        form = await form_of(request)
        try:
            await self._overrides.set(person(request), override_of(form))
        except Problem as problem:
            return await self._page(request, written(form), wrong_fields(words(request), problem))
        return see_other(_LIST)

    async def _change(self, request: web.Request) -> web.Response:
        who, form = person(request), await form_of(request)
        before = await self._overrides.one(who, request.match_info["id"], Action.OPERATE)
        versions = version_of(form)
        try:
            await self._overrides.change(who, before, override_of(form), versions)
        except Problem as problem:
            wrong = wrong_fields(words(request), problem)
            return await self._refused(request, problem, wrong, written(form))
        return see_other(_LIST)

    async def _end(self, request: web.Request) -> web.Response:
        who, form = person(request), await form_of(request)
        before = await self._overrides.one(who, request.match_info["id"], Action.OPERATE)
        try:
            await self._overrides.end(who, before, field(form, "reason"), version_of(form))
        except Problem as problem:
            if problem.code is Code.BAD_REQUEST:
                wrong = {"end-reason": words(request).text("wrong_reason")}
            else:
                wrong = wrong_fields(words(request), problem)
            return await self._refused(request, problem, wrong, typed=kept(form, "reason"))
        return see_other(_LIST)

    async def _cutovers(self, who: Principal) -> list[dict[str, Any]]:
        """Return the routes of executed cutovers that still lie over those of the file."""
        found = await self._context.read(cutovers.executed)
        return [{"id": rule.id, **shown(rule.route)} for rule in found if may_view(who, rule.route.municipality)]

    async def _ended(self, who: Principal) -> list[dict[str, Any]]:
        """Return what has ended of the newest overrides, the last first."""
        found = (await self._overrides.listed(who, RulesQuery(limit=_MOST, ended=True)))["overrides"]
        ended = [{**each, "ended_at": each["ended_at"] or each["until"]} for each in found if not each["holds"]]
        return sorted(ended, key=lambda each: str(each["ended_at"]), reverse=True)[:_MOST_ENDED]

    def _choices(self, who: Principal) -> dict[str, Any]:
        """Return what the forms offer; nothing more is looked up than what someone may set."""
        config = self._context.config
        return {
            "municipalities": by_name(each for each in config.municipalities.values() if may_operate(who, each.key)),
            "everywhere": may_operate(who, None),
            "vendors": by_name(config.vendors.values()),
            "types": [*(group.value for group in MEMBERS), *(each.value for each in Information)],
            "modes": [mode.value for mode in Mode],
            "field_names": route_fields.NAMES,
            "of_modes": {name: route_fields.modes_of(name) for name in route_fields.NAMES},
            "kinds": KINDS,
            "value_words": WORDS,
            "ticked": route_fields.senders(config),
        }

"""The pages for panics: what one would do before it is turned on, whom to call, what is on, and what the new service has got."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import msgspec
from aiohttp import web  # noqa: TID251 - the admin port is no part of the data plane

from gateway.admin.context import LedgerContext
from gateway.admin.endpoints import Endpoint, Needs, person
from gateway.admin.pages import plan_words
from gateway.admin.pages.cutover_view import is_confirmed, rows
from gateway.admin.pages.forms import Form, field, form_of, kept, see_other
from gateway.admin.pages.render import page, words
from gateway.admin.pages.send_back import SendBackPages
from gateway.admin.pages.words import Words
from gateway.admin.panics import PanicBody, Panics, PanicScope
from gateway.admin.problems import Code, Problem
from gateway.admin.rule_service import RulesQuery, may_operate, may_view
from gateway.auth.people.principal import Principal
from gateway.auth.people.rbac import Action
from gateway.migration import panics as rules
from gateway.migration.standing import by_name
from gateway.model import Information
from gateway.routing.diff import Effect

_LIST = "/panics"
_MOST, _MOST_ENDED = 200, 20
_MOST_ROWS = 200
SCOPES = ("municipality", "vendor", "information")
"""By what everything goes back; a form has one of these and its name, with a colon between."""
_GRAVEST = (Effect.CLOSES, Effect.OPENS, Effect.GOES_BACK, Effect.STAYS, Effect.GOES_NEW)
"""What a panic does, in the order in which it is to be seen."""


class PanicPages:
    """The list with what a panic would do, and a page for each."""

    def __init__(self, context: LedgerContext, panics: Panics, back: SendBackPages) -> None:
        self._context = context
        self._panics = panics
        self._back = back

    def endpoints(self) -> list[Endpoint]:
        """Return the endpoints for people."""
        view, operate = Needs.role(Action.VIEW), Needs.role(Action.OPERATE, person=True)
        return [
            Endpoint("GET", _LIST, self._list, view),
            Endpoint("POST", _LIST, self._set, operate),
            Endpoint("GET", f"{_LIST}/{{id}}", self._show, view),
            Endpoint("POST", f"{_LIST}/{{id}}/end", self._end, operate),
        ]

    async def _list(self, request: web.Request) -> web.Response:
        return await self._page(request, request.query.get("scope", ""), {}, {})

    async def _page(
        self, request: web.Request, scope: str, form: Form, wrong: Mapping[str, str], status: int = 200
    ) -> web.Response:
        who, w, config = person(request), words(request), self._context.config
        found = (await self._panics.listed(who, RulesQuery(limit=_MOST, ended=True)))["panics"]
        previewed = await self._previewed(who, w, scope) if scope else {"scope": "", "effects": None}
        return page(
            request,
            "panics.html",
            status=status,
            panics=[one for one in found if one["holds"]],
            ended=[one for one in found if not one["holds"]][:_MOST_ENDED],
            of_file=[
                (scope, f"{at.file}:{at.line}")
                for scope, at in rules.of_file(config)
                if may_view(who, scope.municipality)
            ],
            municipalities=by_name(one for one in config.municipalities.values() if may_view(who, one.key)),
            vendors=by_name(config.vendors.values()),
            types=[each.value for each in Information],
            typed={name: kept(form, name) for name in ("reason", "text")},
            holding=next((one["id"] for one in found if one["holds"] and scope and _named(one) == scope), None),
            wrong=wrong,
            address=f"{_LIST}?{urlencode({'scope': scope})}" if wrong else "",
            **previewed,
        )

    async def _previewed(self, who: Principal, w: Words, scope: str) -> dict[str, Any]:
        """Return what a panic of a scope would do, and who may turn it on."""
        asked, cells = await self._panics.effects(who, _scope_of(scope))
        # What closes or opens must not stand below hundreds of cells that go back as they are meant to.
        ordered = sorted(cells, key=lambda one: _GRAVEST.index(one.effect))
        shown = rows(w, ordered)
        return {
            "scope": scope,
            "name": name_of(w, asked),
            "effects": shown[:_MOST_ROWS],
            "left_out": len(shown[_MOST_ROWS:]),
            "sentences": plan_words.sentences(w, ordered),
            "closes": any(one.effect is Effect.CLOSES for one in cells),
            "may_set": may_operate(who, asked.municipality),
            "operators": self._operators(w, asked),
        }

    def _operators(self, w: Words, scope: rules.Scope) -> list[tuple[str, str | None]]:
        """Return who may turn a panic of a scope on and off, with how to reach them."""
        return [(w.person(one.name), one.contact) for one in self._panics.operators(scope)]

    async def _set(self, request: web.Request) -> web.Response:
        form, w = await form_of(request), words(request)
        scope, reason, text = field(form, "scope"), field(form, "reason"), field(form, "text")
        asked = _scope_of(scope)
        known = rules.Scope(asked.municipality, asked.vendor, asked.information)
        if not is_confirmed(field(form, "typed"), name_of(w, known)):
            return await self._page(request, scope, form, {"panic-typed": w.text("wrong_typed")}, 400)
        body = PanicBody(**msgspec.structs.asdict(asked), reason=reason, text=text or None)
        try:
            document = await self._panics.set(person(request), body)
        except Problem as problem:
            about = problem.detail.partition(":")[0]
            if problem.code is Code.CONFLICT:
                wrong = {"panic-all": w.text("panic_is_on")}
            elif problem.code is Code.BAD_REQUEST and about in ("reason", "text"):
                wrong = {f"panic-{about}": w.text("wrong_reason" if about == "reason" else "wrong_panic_text")}
            else:
                raise
            return await self._page(request, scope, form, wrong, problem.status)
        return see_other(f"{_LIST}/{document['id']}")

    async def _show(self, request: web.Request) -> web.Response:
        return await self._one(request, {})

    async def _one(
        self, request: web.Request, wrong: Mapping[str, str], status: int = 200, typed: str = ""
    ) -> web.Response:
        """Return the page of a panic as it is now, with why turning it off was refused."""
        who = person(request)
        together = await self._panics.one(who, request.match_info["id"], Action.VIEW)
        told = self._panics.document(together)
        told["rules"] = [rule for rule in told["rules"] if may_view(who, rule["municipality"])]
        offered = await self._panics.rollbacks(who, together)
        known = [one["selection"] for one in offered if one["selection"]["since"] is not None]
        wanted = [
            {"system": None, **one, "information": [one["information"]] if one["information"] else []} for one in known
        ]
        return page(
            request,
            "panic.html",
            status=status,
            address=f"{_LIST}/{told['id']}",
            one=told,
            sent_back=await self._back.offered(who, wanted),
            may_end=told["holds"] and may_operate(who, told["municipality"]),
            operators=self._operators(words(request), _scope_told(told)),
            wrong=wrong,
            typed=typed,
        )

    async def _end(self, request: web.Request) -> web.Response:
        who, form, w = person(request), await form_of(request), words(request)
        before = await self._panics.one(who, request.match_info["id"], Action.OPERATE)
        try:
            await self._panics.end(who, before, field(form, "reason"))
        except Problem as problem:
            told = {Code.BAD_REQUEST: ("end-reason", "wrong_reason"), Code.CONFLICT: ("all", "panic_is_off")}
            if problem.code not in told:
                raise
            where, text = told[problem.code]
            return await self._one(request, {where: w.text(text)}, problem.status, kept(form, "reason"))
        return see_other(f"{_LIST}/{before[0].name}")


def name_of(w: Words, scope: rules.Scope) -> str:
    """Return what goes back by its name, which is typed to confirm it."""
    if scope.municipality is not None:
        return w.municipality(scope.municipality)
    return w.vendor(scope.vendor) if scope.vendor is not None else w.type(scope.information or "")


def _named(told: Mapping[str, Any]) -> str:
    return next((f"{kind}:{told[kind]}" for kind in SCOPES if told[kind]), "")


def _scope_told(told: Mapping[str, Any]) -> rules.Scope:
    return rules.Scope(told["municipality"], told["vendor"], told["information"])


def _scope_of(text: str) -> PanicScope:
    """Return what a form or a link means; raises `Problem`, which does not repeat it."""
    kind, _, name = text.partition(":")
    if kind not in SCOPES or not name.isprintable():
        raise Problem(Code.BAD_REQUEST, f"scope: one of {', '.join(SCOPES)}")
    try:
        return msgspec.convert({kind: name}, PanicScope)
    except msgspec.ValidationError:
        raise Problem(Code.BAD_REQUEST, f"{kind}: not as expected") from None

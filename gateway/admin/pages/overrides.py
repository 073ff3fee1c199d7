"""The pages for what people set over the routes: what holds, and forms to set, change and end it."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from aiohttp import web  # noqa: TID251 - the admin port is no part of the data plane

from gateway.admin.context import LedgerContext
from gateway.admin.endpoints import Endpoint, Needs, person
from gateway.admin.overrides import Overrides
from gateway.admin.pages.forms import field, form_of, see_other, version_of
from gateway.admin.pages.overrides_view import filled, of_query, override_of, panic_of
from gateway.admin.pages.render import page
from gateway.admin.panics import Panics
from gateway.admin.rule_service import Listed, may_operate, may_view
from gateway.auth.people.principal import Principal
from gateway.auth.people.rbac import Action
from gateway.ledger import cutovers
from gateway.migration.override_rules import shown
from gateway.migration.schedule import OSLO
from gateway.model import MEMBERS, Information, Mode
from gateway.routing.diff import Effect
from gateway.routing.route import KINDS, POLICIES, WORDS

_MOST = 200
_MOST_ENDED = 20
_LIST = "/overrides"
_GRAVEST = (Effect.CLOSES, Effect.OPENS, Effect.GOES_BACK, Effect.STAYS, Effect.GOES_NEW)
"""What a panic does, in the order in which it is to be seen."""
_TIMES = ("made_at", "until", "ended_at")


class OverridePages:
    """The list, and a page for each override and panic."""

    def __init__(self, context: LedgerContext, overrides: Overrides, panics: Panics) -> None:
        self._context = context
        self._overrides = overrides
        self._panics = panics

    def endpoints(self) -> list[Endpoint]:
        """Return the endpoints for people."""
        view, operate = Needs.role(Action.VIEW), Needs.role(Action.OPERATE, person=True)
        return [
            Endpoint("GET", _LIST, self._list, view),
            Endpoint("POST", _LIST, self._set, operate),
            Endpoint("GET", f"{_LIST}/{{id}}", self._show, view),
            Endpoint("POST", f"{_LIST}/{{id}}/change", self._change, operate),
            Endpoint("POST", f"{_LIST}/{{id}}/end", self._end, operate),
            Endpoint("POST", "/panics", self._set_panic, operate),
            Endpoint("POST", "/panics/preview", self._preview_panic, operate),
            Endpoint("GET", "/panics/{id}", self._show_panic, view),
            Endpoint("POST", "/panics/{id}/end", self._end_panic, operate),
        ]

    async def _list(self, request: web.Request) -> web.Response:
        who, holding = person(request), Listed(limit=_MOST)
        panics = await self._panics.listed(who, holding)
        overrides = await self._overrides.listed(who, holding)
        return page(
            request,
            "overrides.html",
            panics=_in_oslo(panics["panics"]),
            overrides=_in_oslo(overrides["overrides"]),
            there_are_more=bool(panics["next"] or overrides["next"]),
            cutovers=await self._cutovers(who),
            ended=await self._ended(who),
            values=of_query(request.query),
            **self._choices(who),
        )

    async def _show(self, request: web.Request) -> web.Response:
        who = person(request)
        document = self._overrides.document(await self._overrides.one(who, request.match_info["id"], Action.VIEW))
        (told,) = _in_oslo([document])
        may = document["holds"] and may_operate(who, document["municipality"])
        return page(
            request, "overrides_one.html", one=told, values=filled(document), may_change=may, **self._choices(who)
        )

    async def _set(self, request: web.Request) -> web.Response:
        await self._overrides.set(person(request), override_of(await form_of(request)))
        return see_other(_LIST)

    async def _change(self, request: web.Request) -> web.Response:
        who, form = person(request), await form_of(request)
        before = await self._overrides.one(who, request.match_info["id"], Action.OPERATE)
        versions = version_of(form)
        await self._overrides.change(who, before, override_of(form), versions)
        return see_other(_LIST)

    async def _end(self, request: web.Request) -> web.Response:
        who, form = person(request), await form_of(request)
        before = await self._overrides.one(who, request.match_info["id"], Action.OPERATE)
        await self._overrides.end(who, before, field(form, "reason"), version_of(form))
        return see_other(_LIST)

    async def _set_panic(self, request: web.Request) -> web.Response:
        document = await self._panics.set(person(request), panic_of(await form_of(request)))
        return see_other(f"/panics/{document['id']}")

    async def _preview_panic(self, request: web.Request) -> web.Response:
        form = await form_of(request)
        found = await self._panics.set(person(request), panic_of(form, dry_run=True))
        # What closes or opens must not stand below hundreds of cells that go back as they are meant to.
        cells = sorted(found["cells"], key=lambda each: _GRAVEST.index(each["effect"]))
        return page(
            request,
            "overrides_panic_preview.html",
            values={name: field(form, name) for name in ("scope", "reason", "text")},
            one=found,
            cells=cells[:_MOST],
            left_out=len(cells[_MOST:]),
            counts={each: number for each in _GRAVEST if (number := sum(one["effect"] == each for one in cells))},
        )

    async def _show_panic(self, request: web.Request) -> web.Response:
        who = person(request)
        together = await self._panics.one(who, request.match_info["id"], Action.VIEW)
        (told,) = _in_oslo([self._panics.document(together)])
        told["rules"] = [rule for rule in told["rules"] if may_view(who, rule["municipality"])]
        return page(
            request,
            "overrides_panic.html",
            one=told,
            rollback=await self._panics.rollbacks(who, together),
            may_end=told["holds"] and may_operate(who, told["municipality"]),
        )

    async def _end_panic(self, request: web.Request) -> web.Response:
        who, form = person(request), await form_of(request)
        before = await self._panics.one(who, request.match_info["id"], Action.OPERATE)
        await self._panics.end(who, before, field(form, "reason"))
        return see_other(_LIST)

    async def _cutovers(self, who: Principal) -> list[dict[str, Any]]:
        """Return the routes of executed cutovers that still lie over those of the file."""
        found = await self._context.read(cutovers.executed)
        return [{"id": rule.id, **shown(rule.route)} for rule in found if may_view(who, rule.route.municipality)]

    async def _ended(self, who: Principal) -> list[dict[str, Any]]:
        """Return what has ended of the newest panics and overrides, the last first."""
        all_of_them = Listed(limit=_MOST, ended=True)
        panics = (await self._panics.listed(who, all_of_them))["panics"]
        overrides = (await self._overrides.listed(who, all_of_them))["overrides"]
        both = [
            *({**each, "is_panic": True, "mode": None, "system": None} for each in panics),
            *({**each, "is_panic": False} for each in overrides),
        ]
        ended = [{**each, "ended_at": each["ended_at"] or each["until"]} for each in both if not each["holds"]]
        return _in_oslo(sorted(ended, key=lambda each: each["ended_at"], reverse=True)[:_MOST_ENDED])

    def _choices(self, who: Principal) -> dict[str, Any]:
        """Return what the forms offer; nothing more is looked up than what someone may set."""
        config = self._context.config
        return {
            "municipalities": [each for each in config.municipalities.values() if may_operate(who, each.key)],
            "everywhere": may_operate(who, None),
            "vendors": list(config.vendors.values()),
            "types": [*(group.value for group in MEMBERS), *(each.value for each in Information)],
            "modes": [mode.value for mode in Mode],
            "policies": POLICIES,
            "value_kinds": KINDS,
            "value_words": WORDS,
        }


def _in_oslo(documents: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what is told with its times as clocks in Norway show them, and the offset, so that each means one instant."""
    return [{**each, **{name: _oslo(each[name]) for name in _TIMES}} for each in documents]


def _oslo(moment: str | None) -> str | None:
    return None if moment is None else datetime.fromisoformat(moment).astimezone(OSLO).isoformat(" ", "minutes")

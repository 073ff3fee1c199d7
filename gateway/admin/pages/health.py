"""The page *Helse*: how the gateway and what it depends on stand, kept up to date while it is open."""

from collections.abc import Mapping
from typing import Any

from aiohttp import web  # noqa: TID251 - the admin port is no part of the data plane
from markupsafe import Markup

from gateway.admin.endpoints import Endpoint, Needs, person
from gateway.admin.health import GONE, SOON, UNSURE, Health
from gateway.admin.pages.live import stream
from gateway.admin.pages.render import fragment, page, words
from gateway.admin.pages.words import Words
from gateway.auth.people.rbac import Action

_PARTS = "health_parts.html"
_MOST = 100
"""Tokens of a kind that are told one by one; the API has all."""
_EVERY = 5.0
"""Seconds between two looks."""


class HealthPages:
    """The page, and its stream."""

    def __init__(self, health: Health) -> None:
        self._health = health

    def endpoints(self) -> list[Endpoint]:
        """Return the endpoints for people."""
        view = Needs.role(Action.VIEW, person=True)
        return [
            Endpoint("GET", "/health", self._show, view),
            Endpoint("GET", "/health/live", self._live, view, is_live=True),
        ]

    async def _show(self, request: web.Request) -> web.Response:
        return page(request, "health.html", **await self._values(request))

    async def _live(self, request: web.Request) -> web.StreamResponse:
        async def regions() -> Mapping[str, str]:
            return {"health": fragment(request, _PARTS, **await self._values(request))}

        return await stream(request, regions, every=_EVERY)

    async def _values(self, request: web.Request) -> dict[str, Any]:
        document, w = await self._health.document(person(request)), words(request)
        waiting: dict[str, int] = {}
        for one in document["backlog"]:
            waiting[one["state"]] = waiting.get(one["state"], 0) + one["messages"]
        return {
            "health": document,
            "trouble": [_trouble(each, document, w) for each in document["trouble"]],
            "waiting": [(w.word("mark" if state == "overdue" else "state", state), n) for state, n in waiting.items()],
            "tokens": _grouped(document["tokens"]),
            "most": _MOST,
            "keys": [{**one, "name": _key_name(one["name"], w)} for one in document["keys"]],
            "gone": GONE,
            "soon": SOON,
            "unsure": UNSURE,
        }


def _trouble(kind: str, document: dict[str, Any], w: Words) -> str:
    """Return what somebody should look at, with which services it is about."""
    if kind != "upstream-away":
        return w.word("look", kind)
    away = [
        w.text("hea_since").format(name=w.upstream(one["upstream"]), time=w.time(one["since"]))
        for one in document["away"]
        if one["kind"] != "helseid"
    ]
    return w.word("look", kind).format(names=w.listed(away))


def _grouped(tokens: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return tokens by what they are for: a country has hundreds of each."""
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for one in tokens:
        found.setdefault((one["client"], one["scope"]), []).append(one)
    return [
        {
            "client": client,
            "scope": scope,
            "tokens": each,
            "age": max(one["age"] for one in each),
            "left": min(one["left"] for one in each),
        }
        for (client, scope), each in sorted(found.items())
    ]


def _key_name(name: str, w: Words) -> str:
    told = w.word("key", name)
    return told if told != name else Markup("{} <code>{}</code>").format(w.word("key", "client"), name)

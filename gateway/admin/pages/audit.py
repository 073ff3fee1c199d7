"""The page for the audit: who did what, when and why; whether that is whole; and its end, to be kept elsewhere."""

from collections import Counter
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

import msgspec
from aiohttp import web  # noqa: TID251 - the admin port is no part of the data plane

from gateway.admin.audit import Audit
from gateway.admin.context import LedgerContext
from gateway.admin.endpoints import Endpoint, Needs
from gateway.admin.pages.changes import changed
from gateway.admin.pages.forms import LONGEST_SEARCHED, between, field, form_of, going_on, searched
from gateway.admin.pages.render import page, words
from gateway.admin.pages.words import Words
from gateway.admin.params import AuditQuery
from gateway.auth.people.rbac import Action, Where
from gateway.ledger import audit
from gateway.migration.standing import alphabetical

_FIELDS = ("actor", "action", "target", "since", "until")
_BY_ITSELF = {"gateway": "aud_gateway", "command": "aud_command"}
"""Who is no person."""
_OWN = "gateway ("
_OF_MESSAGES = ("message.", "quarantine.")


class AuditPages:
    """For those who may view all municipalities: an entry may be of any."""

    def __init__(self, entries: Audit, context: LedgerContext) -> None:
        self._audit = entries
        self._context = context

    def endpoints(self) -> list[Endpoint]:
        """Return the endpoints for people."""
        everything = Needs.role(Action.VIEW, Where.EVERYWHERE, person=True)
        return [
            Endpoint("GET", "/audit", self._list, everything),
            Endpoint("POST", "/audit/verify", self._verify, everything),
            Endpoint("GET", "/audit/head.json", self._head, everything),
        ]

    async def _list(self, request: web.Request) -> web.Response:
        return await self._page(request)

    async def _verify(self, request: web.Request) -> web.Response:
        """Go through the whole chain; compared with a head that was kept, where one is given."""
        form, w = await form_of(request), words(request)
        written = field(form, "head")
        if not written:
            return await self._page(request, found=await self._audit.verified())
        try:
            kept = msgspec.json.decode(written, type=audit.ExportedHead)
        except (msgspec.DecodeError, RecursionError):
            return await self._page(request, errors={"head": w.text("aud_no_head")}, head=written)
        return await self._page(request, found=await self._audit.compared(kept), head=written)

    async def _head(self, _request: web.Request) -> web.Response:
        body = msgspec.json.encode(await self._audit.head())
        headers = {"Content-Disposition": 'attachment; filename="revisjon.json"'}
        return web.Response(body=body, content_type="application/json", headers=headers)

    async def _page(
        self,
        request: web.Request,
        *,
        found: dict[str, Any] | None = None,
        errors: dict[str, str] | None = None,
        head: str = "",
    ) -> web.Response:
        w, wrong = words(request), errors or {}
        asked = searched(request, _FIELDS)
        times = between(asked, w, wrong)
        wanted = AuditQuery(
            actor=asked["actor"] or None,
            action=asked["action"] or None,
            target=asked["target"] or None,
            since=times.get("since"),
            until=times.get("until"),
            cursor=request.query.get("cursor", "")[:LONGEST_SEARCHED] or None,
        )
        listed = await self._audit.listed(wanted)
        people = await self._context.read(audit.actors)
        actions = await self._context.read(audit.actions)
        return page(
            request,
            "audit.html",
            status=400 if errors else 200,
            asked=asked,
            errors=wrong,
            head=head,
            found=found,
            rows=[_row(one, w) for one in listed["entries"]],
            next=going_on("/audit", asked, listed["next"]),
            is_searched=any(asked.values()),
            people=_people(people, w),
            actions=sorted(((each, w.word("action", each)) for each in actions), key=lambda item: item[1]),
        )


def _row(entry: dict[str, Any], w: Words) -> dict[str, Any]:
    action, target = entry["action"], entry["target"]
    link = ""
    if action.startswith(_OF_MESSAGES) and action != "message.search":
        link = f"/messages/{quote(target, safe='')}"
    elif action.startswith("cutover."):
        link = f"/cutovers/{quote(target, safe='')}"
    elif action.startswith(("panic.", "override.")):
        link = f"/{action.partition('.')[0]}s/{quote(target, safe='')}"
    elif w.municipality(target) != target:
        link = f"/municipalities/{quote(target, safe='')}"
    is_own = entry["actor"].startswith(_OWN)
    told = changed(w, entry["detail"]) if entry["detail"] else []
    return {
        **entry,
        "target": w.municipality(target),
        "who": _who(entry["actor"], w),
        "is_own": is_own,
        "action": w.word("action", action),
        "link": link,
        "changes": told,
    }


def _people(actors: Sequence[str], w: Words) -> list[tuple[str, str]]:
    """Return who can be searched for; processes of the gateway, of which each start is another, with what tells them apart."""
    named = [(each, _who(each, w)) for each in actors]
    counts = Counter(name for _, name in named)
    told = [
        (each, f"{name} {each.partition(' ')[2]}" if counts[name] > 1 and each.startswith(_OWN) else name)
        for each, name in named
    ]
    return sorted(told, key=lambda item: alphabetical(item[1]))


def _who(actor: str, w: Words) -> str:
    key = _BY_ITSELF.get(actor.partition(" (")[0])
    return w.text(key) if key else w.person(actor)

"""The pages of vendors: what was found in a vendor's messages, explained, and what remains; also as a file to send to it."""

from aiohttp import web  # noqa: TID251 - the admin port is no part of the data plane

from gateway.admin.endpoints import Endpoint, Needs, person
from gateway.admin.pages.render import page, piece, static_files, words
from gateway.admin.pages.words import RULES
from gateway.admin.problems import Code, Problem
from gateway.admin.vendors import Vendors
from gateway.auth.people.rbac import Action
from gateway.errors import Fault
from gateway.model import JOURNALING

_FAULTS = frozenset(each.value for each in Fault)


class VendorPages:
    """The list, a page for each vendor with its file, and a page for each rule that findings name."""

    def __init__(self, vendors: Vendors) -> None:
        self._vendors = vendors

    def endpoints(self) -> list[Endpoint]:
        """Return the endpoints for people."""
        view = Needs.role(Action.VIEW, person=True)
        return [
            Endpoint("GET", "/vendors", self._list, view),
            Endpoint("GET", "/vendors/{vendor}", self._show, view),
            Endpoint("GET", "/vendors/{vendor}/file", self._file, view),
            Endpoint("GET", "/rules/{rule}", self._rule, view),
        ]

    async def _list(self, request: web.Request) -> web.Response:
        return page(request, "vendors.html", lines=await self._vendors.listed(person(request)))

    async def _show(self, request: web.Request) -> web.Response:
        view = await self._vendors.seen_by(person(request), request.match_info["vendor"])
        return page(request, "vendor.html", view=view, is_file=False, journaling_types=len(JOURNALING))

    async def _file(self, request: web.Request) -> web.Response:
        """Answer with the same as one file that needs nothing else: it opens wherever the vendor gets it."""
        view, says = await self._vendors.seen_by(person(request), request.match_info["vendor"]), words(request)
        text = piece(
            says,
            "vendor_file.html",
            view=view,
            is_file=True,
            journaling_types=len(JOURNALING),
            style=static_files()["style.css"][0],
        )
        name = f"{view.vendor.key}-{says.iso(view.at)[:10]}.html"
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        return web.Response(text=str(text), content_type="text/html", charset="utf-8", headers=headers)

    async def _rule(self, request: web.Request) -> web.Response:
        rule = request.match_info["rule"]
        if rule not in RULES and rule not in _FAULTS:
            raise Problem(Code.NOT_FOUND)
        return page(request, "rule.html", rule=rule, is_fault=rule in _FAULTS, is_repair=rule in RULES)

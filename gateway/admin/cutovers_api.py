"""The API for cutovers; commands use it."""

import msgspec
from aiohttp import web  # noqa: TID251 - the admin port is no part of the data plane

from gateway.admin.cutover_access import By, Submitted
from gateway.admin.cutovers import Cutovers, CutoversQuery, Postponing, Step, brief, preflight_document, whole
from gateway.admin.endpoints import UNAVAILABLE, Endpoint, Needs, Once, person
from gateway.admin.params import ReasonBody, Word, of_body, of_query
from gateway.admin.problems import unchanged, versions_if_asked
from gateway.auth.people.rbac import Action
from gateway.migration.cutover import Cutover
from gateway.migration.override_rules import etag

_ROOT = "/api/v1/cutovers"
_ONE = f"{_ROOT}/{{name}}"
_NAMES = "name state at at_oslo hash approvals approvals_missing version plan report history"


class Approving(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of exactly which plan somebody approves, and what they say of it."""

    hash: Word
    comment: str = ""


class Rejecting(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """To exactly which plan somebody says no, and why."""

    hash: Word
    reason: str


class CutoversApi:
    """Cutovers, for programs; whoever plans, and whoever operates, may start, cancel and roll back."""

    def __init__(self, cutovers: Cutovers) -> None:
        self._cutovers = cutovers

    def endpoints(self) -> list[Endpoint]:
        """Return the endpoints for programs."""
        view, plan = Needs.role(Action.VIEW), Needs.role(Action.PLAN)
        return [
            Endpoint(
                *("GET", _ROOT, self._list, view),
                summary="Cutovers by name",
                answer="cutovers next",
                query=CutoversQuery,
            ),
            Endpoint(
                *("POST", _ROOT, self._submit, plan),
                summary="Submit a plan, or one that is written in routes.yaml; the same again is there already",
                answer=_NAMES,
                status=201,
                body=Submitted,
                gives=("ETag", "Location"),
                also=(200, 409, UNAVAILABLE),
                once=Once.LEDGER,
            ),
            Endpoint(
                *("GET", _ONE, self._show, view),
                summary="One cutover with its plan and history",
                answer=_NAMES,
                reads=("If-None-Match",),
                also=(304, UNAVAILABLE),
            ),
            Endpoint(
                *("PUT", _ONE, self._change, plan),
                summary="Change a plan; approvals of what it was are void",
                answer=_NAMES,
                body=Submitted,
                reads=("If-Match",),
                also=(409, 412, 428, UNAVAILABLE),
            ),
            Endpoint(
                *("POST", f"{_ONE}/preflight", self._preflight, view),
                summary="Whether it may switch now, and if not why",
                answer="name hash ready findings",
            ),
            Endpoint(
                *("POST", f"{_ONE}/approve", self._approve, Needs.role(Action.APPROVE, person=True)),
                summary="Approve exactly the plan with this hash",
                answer=_NAMES,
                body=Approving,
                gives=("ETag",),
                also=(409, UNAVAILABLE),
                once=Once.LEDGER,
            ),
            Endpoint(
                *("POST", f"{_ONE}/reject", self._reject, Needs.role(Action.APPROVE, person=True)),
                summary="Say no to exactly the plan with this hash",
                answer=_NAMES,
                body=Rejecting,
                gives=("ETag",),
                also=(409, UNAVAILABLE),
                once=Once.LEDGER,
            ),
            Endpoint(
                *("POST", f"{_ONE}/postpone", self._postpone, plan),
                summary="Give it another time; approvals of what it was are void",
                answer=_NAMES,
                body=Postponing,
                reads=("If-Match",),
                also=(409, 412, UNAVAILABLE),
                once=Once.LEDGER,
            ),
            self._step(
                "start", self._cutovers.start, "Begin it now; for who plans or operates wherever it changes something"
            ),
            self._step("cancel", self._cutovers.cancel, "Call it off; for who plans or operates there"),
            self._step(
                "rollback", self._cutovers.roll_back, "Take back what it switched; for who plans or operates there"
            ),
        ]

    def _step(self, name: str, step: Step, summary: str) -> Endpoint:
        """Return the endpoint that takes a cutover one step on, or back."""

        async def taken(request: web.Request) -> web.Response:
            reason, versions = (await of_body(request, ReasonBody)).reason, versions_if_asked(request)
            return _answer(await step(By.of(request), request.match_info["name"], reason, versions))

        return Endpoint(
            *("POST", f"{_ONE}/{name}", taken, Needs.role(Action.VIEW)),
            summary=summary,
            answer=_NAMES,
            body=ReasonBody,
            reads=("If-Match",),
            also=(409, 412, UNAVAILABLE),
            once=Once.LEDGER,
        )

    async def _list(self, request: web.Request) -> web.Response:
        records, more = await self._cutovers.listed(person(request), of_query(request, CutoversQuery))
        return web.json_response({"cutovers": [brief(one) for one in records], "next": more})

    async def _show(self, request: web.Request) -> web.Response:
        record = await self._cutovers.shown(person(request), request.match_info["name"])
        return unchanged(request, record.version) or _answer(record)

    async def _submit(self, request: web.Request) -> web.Response:
        record, is_new = await self._cutovers.submit(By.of(request), await of_body(request, Submitted))
        return _answer(record, 201 if is_new else 200)

    async def _change(self, request: web.Request) -> web.Response:
        wanted, name = await of_body(request, Submitted), request.match_info["name"]
        return _answer(await self._cutovers.change(By.of(request), name, wanted, versions_if_asked(request)))

    async def _preflight(self, request: web.Request) -> web.Response:
        record, found = await self._cutovers.preflight(person(request), request.match_info["name"])
        return web.json_response(preflight_document(record, found))

    async def _approve(self, request: web.Request) -> web.Response:
        wanted, name = await of_body(request, Approving), request.match_info["name"]
        return _answer(await self._cutovers.approve(By.of(request), name, wanted.hash, wanted.comment))

    async def _reject(self, request: web.Request) -> web.Response:
        wanted, name = await of_body(request, Rejecting), request.match_info["name"]
        return _answer(await self._cutovers.reject(By.of(request), name, wanted.hash, wanted.reason))

    async def _postpone(self, request: web.Request) -> web.Response:
        wanted, name = await of_body(request, Postponing), request.match_info["name"]
        return _answer(await self._cutovers.postpone(By.of(request), name, wanted, versions_if_asked(request)))


def _answer(record: Cutover, status: int = 200) -> web.Response:
    headers = {"ETag": etag(record.version)} | ({"Location": f"{_ROOT}/{record.name}"} if status == 201 else {})
    return web.json_response(whole(record), status=status, headers=headers)

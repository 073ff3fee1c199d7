"""Every operation of the admin API: where it is, who may, what it reads, and what it answers.

Tests compare this with what the admin port serves, and with what its handlers read.
"""

from dataclasses import dataclass
from typing import Any

import msgspec

from gateway.admin import (
    cutover_access,
    cutovers,
    cutovers_api,
    overrides,
    panics,
    params,
    report,
    rollback,
    routes,
    set_rules,
)
from gateway.admin import report as rehearsals
from gateway.admin.endpoints import Needs
from gateway.auth.people import api_tokens
from gateway.auth.people.rbac import Action, Where

PATH = "/api/v1/openapi.json"
V1 = "/api/v1"
ALWAYS = (401, 403, 404, 421, 429, 500)
"""What every operation may answer: who asks is not known, may not, or asks for nothing that is there; and a defect."""
UNAVAILABLE = 503
_REASONED = "why in `reason`, in the body or as a parameter"


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One method of one path, as it is told to programs."""

    method: str
    path: str
    summary: str
    needs: Needs
    answer: tuple[str, ...] = ()
    """Names that the JSON of a success has."""
    status: int = 200
    also: tuple[int, ...] = ()
    """Other statuses than `status`, `ALWAYS`, and those that what it reads brings."""
    query: type[msgspec.Struct] | None = None
    body: type[msgspec.Struct] | None = None
    may_lack_body: bool = False
    fields: tuple[str, ...] = ()
    """What it looks at in the head of a request."""
    heads: tuple[str, ...] = ()
    """What the head of an answer has; ETag is there too wherever one is looked at."""
    csv: bool = False
    """Whether an answer may be a table."""

    @property
    def statuses(self) -> tuple[int, ...]:
        """Every status that it may answer with."""
        reads = self.query or self.body or self.method != "GET"
        return tuple(sorted({self.status, *self.also, *ALWAYS, *((400,) if reads else ())}))


def _table(needs: Needs, *rows: tuple[str, str, str, dict[str, Any]]) -> list[Operation]:
    return [
        Operation(method=method, path=path, summary=summary, needs=needs, **more)
        for method, path, summary, more in rows
    ]


def _answers(names: str, **more: Any) -> dict[str, Any]:
    """Return what one operation has beside its name; those under /api/v1 use the ledger where nothing else is said."""
    return {"answer": tuple(names.split()), "also": (UNAVAILABLE,), **more}


_VIEW, _OPERATE, _PLAN = (Needs.role(action) for action in (Action.VIEW, Action.OPERATE, Action.PLAN))
_OPERATORS = Needs.role(Action.OPERATE, person=True)
_ONCE = ("Idempotency-Key",)
_MADE = ("ETag", "Location")
_DECIDED = _answers("reference municipality state", body=params.ReasonBody, fields=_ONCE, also=(409, UNAVAILABLE))
_TOKEN = "id name roles municipalities made_by made_at expires_at state token"  # noqa: S105 - names, no secret
_OVERRIDE = "id holds mode reason ticket until made_by made_at version ended_at ended_by ended_why"
_PANIC = "id holds rules reason made_by made_at ended_at ended_by ended_why"
_CUTOVER = "name state at at_oslo hash approvals approvals_missing version plan report history"
_JOB = "id selection rate progress why began ended counts not_returned not_returned_truncated"
_UNDER = _answers(_CUTOVER, body=params.ReasonBody, fields=("If-Match",), also=(409, 412, UNAVAILABLE))

OPERATIONS: tuple[Operation, ...] = (
    *_table(
        _VIEW,
        ("GET", "/api/me", "Who asks, and what they may", _answers("name known_as via grants dev_login csrf", also=())),
        ("GET", "/api/status", "The configuration that runs, and what became of the last reload",
         _answers("file version environment since reload", also=())),
        ("GET", PATH, "This description",
         _answers("openapi paths", fields=("If-None-Match",), also=(304,))),
        ("GET", f"{V1}/ledger", "How many messages wait, by municipality and state", _answers("node counts last_purge")),
        ("GET", f"{V1}/messages", "Messages, the newest first", _answers("messages next", query=params.ListQuery)),
        ("GET", f"{V1}/messages/{{reference}}", "One message with its history", _answers("reference state history")),
        ("GET", f"{V1}/report", "How far each cell has migrated, and who still holds VKP back",
         _answers("cells holding_back next", query=report.ReportQuery, csv=True)),
        ("GET", f"{V1}/rehearsals", "What rehearsals have shown, cell by cell; of seven days where nothing else is asked",
         _answers("since rehearsals next", query=rehearsals.RehearsalsQuery)),
        ("GET", f"{V1}/routes", "Every route in force with what lies over it, the strongest first",
         _answers("generation file version layers_version routes next", query=routes.Narrowed)),
        ("GET", f"{V1}/decisions/{{reference}}", "Which way one message went, and what said so",
         _answers("reference at mode")),
        ("GET", f"{V1}/overrides", "Overrides, the newest first", _answers("overrides next", query=set_rules.Listed)),
        ("GET", f"{V1}/overrides/{{id}}", "One override", _answers(_OVERRIDE, heads=("ETag",))),
        ("GET", f"{V1}/panics", "Panics, the newest first", _answers("panics next", query=set_rules.Listed)),
        ("GET", f"{V1}/cutovers", "Cutovers by name", _answers("cutovers next", query=cutovers.Listing)),
        ("GET", f"{V1}/cutovers/{{name}}", "One cutover with its plan and history",
         _answers(_CUTOVER, fields=("If-None-Match",), also=(304, UNAVAILABLE))),
        ("POST", f"{V1}/cutovers/{{name}}/preflight", "Whether it may switch now, and if not why",
         _answers("name hash ready findings")),
        ("POST", f"{V1}/cutovers/{{name}}/start", "Begin it now; for who plans or operates wherever it changes something",
         _UNDER),
        ("POST", f"{V1}/cutovers/{{name}}/cancel", "Call it off; for who plans or operates there", _UNDER),
        ("POST", f"{V1}/cutovers/{{name}}/rollback", "Take back what it switched; for who plans or operates there",
         _UNDER),
        ("POST", f"{V1}/rollback/list", "What the new side got since a time",
         _answers("selection sending groups items next", body=rollback.Listed)),
        ("POST", f"{V1}/rollback/export", "Likewise, all of it as CSV",
         _answers("", body=rollback.Selected, csv=True, also=(409, UNAVAILABLE))),
        ("GET", f"{V1}/rollback/jobs/{{id}}", "How far sending back has come", _answers(_JOB, also=(409,))),
    ),
    *_table(
        Needs.role(Action.VIEW, Where.EVERYWHERE),
        ("GET", f"{V1}/audit", "Who did what, when and why, the newest first", _answers("entries next", query=params.Page)),
        ("GET", f"{V1}/audit/verify", "Whether the chain of the audit is whole", _answers("ok broken_at newest")),
    ),
    *_table(
        _OPERATE,
        ("POST", f"{V1}/messages/search", "Messages of one patient", _answers("messages next", body=params.Search)),
        ("POST", f"{V1}/messages/{{reference}}/resend", "Deliver a quarantined message after all", _DECIDED),
        ("POST", f"{V1}/quarantine/{{reference}}/release", "Likewise", _DECIDED),
        ("POST", f"{V1}/quarantine/{{reference}}/discard", "Give a quarantined message up for good", _DECIDED),
        ("POST", f"{V1}/forget", "Forget a patient's messages that nothing waits for",
         _answers("forgotten left", body=params.Forget)),
        ("POST", f"{V1}/rollback/send", "Send back to VKP what nobody has read",
         _answers(_JOB, status=202, body=rollback.Sending, fields=_ONCE, heads=("Location",), also=(409, UNAVAILABLE))),
        ("POST", f"{V1}/rollback/send-one", "Send one message back",
         _answers("reference outcome reason", body=rollback.SendingOne, fields=_ONCE, also=(409, UNAVAILABLE))),
        ("POST", f"{V1}/rollback/jobs/{{id}}/stop", "Send no further messages back",
         _answers(_JOB, status=202, also=(409, UNAVAILABLE))),
        ("POST", f"{V1}/overrides", "Set a mode over the routes, until a time",
         _answers(_OVERRIDE, status=201, body=overrides.OverrideBody, fields=_ONCE, heads=_MADE,
                  also=(200, 409, UNAVAILABLE))),
        ("PUT", f"{V1}/overrides/{{id}}", "Change an override",
         _answers(_OVERRIDE, body=overrides.OverrideBody, fields=("If-Match",), also=(409, 412, 428, UNAVAILABLE))),
        ("DELETE", f"{V1}/overrides/{{id}}", f"End an override; {_REASONED}",
         _answers(_OVERRIDE, query=params.ReasonBody, body=params.ReasonBody, may_lack_body=True, fields=("If-Match",),
                  also=(409, 412, 428, UNAVAILABLE))),
        ("POST", f"{V1}/panics", "Take everything of a municipality, vendor or type back to VKP at once",
         _answers(f"{_PANIC} rollback", status=201, body=panics.PanicBody, fields=_ONCE,
                  also=(200, 409, UNAVAILABLE))),
        ("DELETE", f"{V1}/panics/{{id}}", f"End a panic; {_REASONED}",
         _answers(_PANIC, query=params.ReasonBody, body=params.ReasonBody, may_lack_body=True, also=(409, 412, UNAVAILABLE))),
    ),
    *_table(
        Needs.role(Action.OPERATE, Where.EVERYWHERE),
        ("POST", f"{V1}/reload", "Read routes.yaml again; what it warns of",
         _answers("at generation warnings", body=params.ReasonBody, also=(409, UNAVAILABLE))),
    ),
    *_table(
        _OPERATORS,
        ("GET", "/api/tokens", "API tokens, the newest first, without what they are",
         _answers("tokens next", query=params.Page, also=())),
        ("POST", "/api/tokens", "Make an API token; it is shown this once",
         _answers(_TOKEN, status=201, body=api_tokens.TokenRequest, heads=("Location",))),
        ("DELETE", "/api/tokens/{id}", "End an API token for good", _answers("", status=204)),
        ("POST", f"{V1}/messages/{{reference}}/payload", "What the sender sent, and what is sent for it",
         _answers("reference request call", body=params.ReasonBody, also=(409, UNAVAILABLE))),
    ),
    *_table(
        _PLAN,
        ("POST", f"{V1}/cutovers", "Submit a plan, or one that is written in routes.yaml; the same again is there already",
         _answers(_CUTOVER, status=201, body=cutover_access.Submitted, heads=_MADE, also=(200, 409, UNAVAILABLE))),
        ("PUT", f"{V1}/cutovers/{{name}}", "Change a plan; approvals of what it was are void",
         _answers(_CUTOVER, body=cutover_access.Submitted, fields=("If-Match",), also=(409, 412, 428, UNAVAILABLE))),
    ),
    *_table(
        Needs.role(Action.APPROVE, person=True),
        ("POST", f"{V1}/cutovers/{{name}}/approve", "Approve exactly the plan with this hash",
         _answers(_CUTOVER, body=cutovers_api.Approving, heads=("ETag",), also=(409, UNAVAILABLE))),
    ),
)  # fmt: skip

"""The admin API described for programs (OpenAPI 3.1): made of one table, and of the types that requests are read into.

Tests compare the table with what the admin port serves, and with what its handlers read.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
from aiohttp import web  # noqa: TID251 - the admin port is no part of the data plane

from gateway.control import asked, cookies, cutovers, decisions, overrides, rehearsals, rollback
from gateway.control.endpoints import Endpoint, Needs
from gateway.control.guard import CSRF_HEADER
from gateway.control.refusals import STATUS, Code
from gateway.people import api_tokens
from gateway.people.access import MAY, TOKEN_ROLES, Action, Where

PATH = "/api/v1/openapi.json"
ALWAYS = (401, 403, 404, 421, 429, 500)
"""What every operation may answer: who asks is not known, may not, or asks for nothing that is there; and a defect."""
UNAVAILABLE = 503
_V1 = "/api/v1"
_ERROR = "Error"
_TITLES = {
    200: "Done, or as it is",
    201: "Made",
    202: "Begun",
    204: "Done",
    304: "As it was: the ETag is the one of If-None-Match",
    400: "Something is not as expected, or missing; `detail` says what",
    401: "Neither logged in nor a token that holds",
    403: "No role for it there, only for people, or a change that no page of this port asked for",
    404: "Nothing of that name, or not where you may see it",
    409: "Not as things stand; `detail` says why",
    412: "Changed meanwhile: the ETag is what there is now",
    421: "A name of another server",
    428: "If-Match is missing",
    429: "Too many wrong tokens from one address",
    500: "A defect of the gateway",
    503: "No ledger, or it cannot be used now, or a token could not be kept",
}
_FIELDS = {
    "If-Match": "The ETag of what you have seen",
    "If-None-Match": "The ETag of what you have",
    "Idempotency-Key": "1 to 200 characters of your choice: the same again with the same key is done once",
}
_REASONED = "why in `reason`, in the body or as a parameter"


class Format(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """In which form the report is wanted."""

    format: Literal["json", "csv"] = "json"


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
_DECIDED = _answers("reference municipality state", body=asked.Because, also=(409, UNAVAILABLE))
_TOKEN = "id name roles municipalities made_by made_at expires_at state token"  # noqa: S105 - names, no secret
_OVERRIDE = "id holds mode reason ticket until made_by made_at version ended_at ended_by ended_why"
_PANIC = "id holds rules reason made_by made_at ended_at ended_by ended_why"
_CUTOVER = "name state at at_oslo hash approvals approvals_missing version plan report history"
_JOB = "id selection rate progress why began ended counts not_returned not_returned_truncated"
_UNDER = _answers(_CUTOVER, body=asked.Because, fields=("If-Match",), also=(409, 412, UNAVAILABLE))

OPERATIONS: tuple[Operation, ...] = (
    *_table(
        _VIEW,
        ("GET", "/api/me", "Who asks, and what they may", _answers("name known_as via grants dev_login csrf", also=())),
        ("GET", "/api/status", "The configuration that runs, and what became of the last reload",
         _answers("file version environment since reload", also=())),
        ("GET", PATH, "This description", {"answer": ("openapi", "paths")}),
        ("GET", f"{_V1}/ledger", "How many messages wait, by municipality and state", _answers("node counts last_purge")),
        ("GET", f"{_V1}/messages", "Messages, the newest first", _answers("messages next", query=asked.Wanted)),
        ("GET", f"{_V1}/messages/{{reference}}", "One message with its history", _answers("reference state history")),
        ("GET", f"{_V1}/report", "How far each cell has migrated, and who still holds VKP back",
         _answers("cells holding_back", query=Format, csv=True)),
        ("GET", f"{_V1}/rehearsals", "What rehearsals have shown, cell by cell; of seven days where nothing else is asked",
         _answers("since rehearsals", query=rehearsals.Asked)),
        ("GET", f"{_V1}/routes", "Every route in force with what lies over it, the strongest first",
         _answers("generation file version layers_version routes", query=decisions.Narrowed)),
        ("GET", f"{_V1}/decisions/{{reference}}", "Which way one message went, and what said so",
         _answers("reference at mode")),
        ("GET", f"{_V1}/overrides", "Overrides, the newest first", _answers("overrides next", query=overrides.Listed)),
        ("GET", f"{_V1}/overrides/{{id}}", "One override", _answers(_OVERRIDE)),
        ("GET", f"{_V1}/panics", "Panics, the newest first", _answers("panics next", query=overrides.Listed)),
        ("GET", f"{_V1}/cutovers", "Cutovers by name", _answers("cutovers next", query=cutovers.Listing)),
        ("GET", f"{_V1}/cutovers/{{name}}", "One cutover with its plan and history",
         _answers(_CUTOVER, fields=("If-None-Match",), also=(304, UNAVAILABLE))),
        ("POST", f"{_V1}/cutovers/{{name}}/preflight", "Whether it may switch now, and if not why",
         _answers("name hash ready findings")),
        ("POST", f"{_V1}/cutovers/{{name}}/start", "Begin it now; for who plans or operates wherever it changes something",
         _UNDER),
        ("POST", f"{_V1}/cutovers/{{name}}/cancel", "Call it off; for who plans or operates there", _UNDER),
        ("POST", f"{_V1}/cutovers/{{name}}/rollback", "Take back what it switched; for who plans or operates there",
         _UNDER),
        ("POST", f"{_V1}/rollback/list", "What the new side got since a time",
         _answers("selection sending groups items next", body=rollback.Listed)),
        ("POST", f"{_V1}/rollback/export", "Likewise, all of it as CSV", _answers("", body=rollback.Selected, csv=True)),
        ("GET", f"{_V1}/rollback/jobs/{{id}}", "How far sending back has come", _answers(_JOB, also=(409,))),
    ),
    *_table(
        Needs.role(Action.VIEW, Where.EVERYWHERE),
        ("GET", f"{_V1}/audit", "Who did what, when and why, the newest first", _answers("entries next", query=asked.Page)),
        ("GET", f"{_V1}/audit/verify", "Whether the chain of the audit is whole", _answers("ok broken_at newest")),
    ),
    *_table(
        _OPERATE,
        ("POST", f"{_V1}/messages/search", "Messages of one patient", _answers("messages next", body=asked.Search)),
        ("POST", f"{_V1}/messages/{{reference}}/resend", "Deliver a quarantined message after all", _DECIDED),
        ("POST", f"{_V1}/quarantine/{{reference}}/release", "Likewise", _DECIDED),
        ("POST", f"{_V1}/quarantine/{{reference}}/discard", "Give a quarantined message up for good", _DECIDED),
        ("POST", f"{_V1}/forget", "Forget a patient's messages that nothing waits for",
         _answers("forgotten left", body=asked.Forget)),
        ("POST", f"{_V1}/rollback/send", "Send back to VKP what nobody has read",
         _answers(_JOB, status=202, body=rollback.Sending, also=(409, UNAVAILABLE))),
        ("POST", f"{_V1}/rollback/send-one", "Send one message back",
         _answers("reference outcome reason", body=rollback.SendingOne, also=(409, UNAVAILABLE))),
        ("POST", f"{_V1}/rollback/jobs/{{id}}/stop", "Send no further messages back",
         _answers(_JOB, status=202, also=(409, UNAVAILABLE))),
        ("POST", f"{_V1}/overrides", "Set a mode over the routes, until a time",
         _answers(_OVERRIDE, status=201, body=overrides.Override, fields=("Idempotency-Key",), also=(200, 409, UNAVAILABLE))),
        ("PUT", f"{_V1}/overrides/{{id}}", "Change an override",
         _answers(_OVERRIDE, body=overrides.Override, fields=("If-Match",), also=(409, 412, 428, UNAVAILABLE))),
        ("DELETE", f"{_V1}/overrides/{{id}}", f"End an override; {_REASONED}",
         _answers(_OVERRIDE, query=asked.Because, body=asked.Because, may_lack_body=True, fields=("If-Match",),
                  also=(409, 412, 428, UNAVAILABLE))),
        ("POST", f"{_V1}/panics", "Take everything of a municipality, vendor or type back to VKP at once",
         _answers(f"{_PANIC} rollback", status=201, body=overrides.Panic, fields=("Idempotency-Key",),
                  also=(200, 409, UNAVAILABLE))),
        ("DELETE", f"{_V1}/panics/{{id}}", f"End a panic; {_REASONED}",
         _answers(_PANIC, query=asked.Because, body=asked.Because, may_lack_body=True, also=(409, 412, UNAVAILABLE))),
    ),
    *_table(
        _OPERATORS,
        ("GET", "/api/tokens", "API tokens, without what they are", _answers("tokens", also=())),
        ("POST", "/api/tokens", "Make an API token; it is shown this once",
         _answers(_TOKEN, status=201, body=api_tokens.Wanted)),
        ("DELETE", "/api/tokens/{id}", "End an API token for good", _answers("", status=204)),
        ("POST", f"{_V1}/messages/{{reference}}/payload", "What the sender sent, and what is sent for it",
         _answers("reference request call", body=asked.Because, also=(409, UNAVAILABLE))),
    ),
    *_table(
        _PLAN,
        ("POST", f"{_V1}/cutovers", "Submit a plan, or one that is written in routes.yaml; the same again is there already",
         _answers(_CUTOVER, status=201, body=cutovers.Submitted, also=(200, 409, UNAVAILABLE))),
        ("PUT", f"{_V1}/cutovers/{{name}}", "Change a plan; approvals of what it was are void",
         _answers(_CUTOVER, body=cutovers.Submitted, fields=("If-Match",), also=(409, 412, 428, UNAVAILABLE))),
    ),
    *_table(
        Needs.role(Action.APPROVE, person=True),
        ("POST", f"{_V1}/cutovers/{{name}}/approve", "Approve exactly the plan with this hash",
         _answers(_CUTOVER, body=cutovers.Approving, also=(409, UNAVAILABLE))),
    ),
)  # fmt: skip


def document(operations: Sequence[Operation]) -> dict[str, Any]:
    """Return the description of these operations."""
    paths: dict[str, dict[str, Any]] = {}
    for each in operations:
        paths.setdefault(each.path, {})[each.method.lower()] = _operation(each)
    bodies = dict.fromkeys(each.body for each in operations if each.body is not None)
    _, schemas = msgspec.json.schema_components(bodies, ref_template="#/components/schemas/{name}")
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "VKP migration gateway: admin API",
            "version": "1",
            "description": "What is told of is narrowed to the municipalities of the roles of who asks.",
        },
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": {**schemas, _ERROR: _error_schema()},
            "responses": _refusals(),
            "securitySchemes": _schemes(),
        },
    }


def endpoints() -> list[Endpoint]:
    """Return the endpoint that tells the description."""

    async def described(_request: web.Request) -> web.Response:
        return web.Response(body=_ENCODED, content_type="application/json")

    return [Endpoint("GET", PATH, described, _VIEW)]


def _operation(each: Operation) -> dict[str, Any]:
    places = {"somewhere": "wherever you have the role", "everywhere": "the role must be for all municipalities"}
    found: dict[str, Any] = {
        "operationId": _name(each),
        "summary": each.summary,
        "tags": [each.path.removeprefix(_V1).removeprefix("/api").split("/")[1]],
        "description": f"Needs the action *{each.needs.action}*; {places[each.needs.where.value]}.",
        "security": _security(each),
        "parameters": [*_in_path(each.path), *_in_query(each.query), *_in_head(each)],
        "responses": {str(status): _response(each, status) for status in each.statuses},
        "x-action": each.needs.action.value,
        "x-where": each.needs.where.value,
        "x-people-only": each.needs.person,
        "x-roles": sorted(role.value for role, actions in MAY.items() if each.needs.action in actions),
    }
    if each.body is not None:
        schema = {"$ref": f"#/components/schemas/{each.body.__name__}"}
        content = {"application/json": {"schema": schema}}
        found["requestBody"] = {"required": not each.may_lack_body, "content": content}
    return found


def _name(each: Operation) -> str:
    words = (word.strip("{}").replace("-", "_").removesuffix(".json") for word in each.path.split("/")[2:])
    return "_".join((each.method.lower(), *words))


def _security(each: Operation) -> list[dict[str, list[str]]]:
    """Return how someone may say who they are; each entry is one way, and has all that it takes."""
    session: dict[str, list[str]] = {"session": []} if each.method == "GET" else {"session": [], "csrf": []}
    by_token = not each.needs.person and any(each.needs.action in MAY[role] for role in TOKEN_ROLES)
    return [{"token": []}, session] if by_token else [session]


def _in_path(path: str) -> Iterable[dict[str, Any]]:
    for part in path.split("/"):
        if part.startswith("{"):
            yield {"name": part.strip("{}"), "in": "path", "required": True, "schema": {"type": "string"}}


def _in_query(struct: type[msgspec.Struct] | None) -> Iterable[dict[str, Any]]:
    """Return a parameter for each field; a null of the type is a parameter that is left out."""
    if struct is None:
        return
    _, found = msgspec.json.schema_components([struct], ref_template="{name}")
    own = found.pop(struct.__name__)
    for name, schema in own["properties"].items():
        kept = [found.get(one.get("$ref", ""), one) for one in schema.get("anyOf", [schema]) if one != {"type": "null"}]
        default = {"default": schema["default"]} if schema.get("default") is not None else {}
        told = kept[0] if len(kept) == 1 else {"anyOf": kept}
        shape = {key: value for key, value in {**told, **default}.items() if key not in ("title", "$ref")}
        # The body may say why as well.
        required = name in own.get("required", ()) and struct is not asked.Because
        yield {"name": name, "in": "query", "required": required, "schema": shape}


def _in_head(each: Operation) -> Iterable[dict[str, Any]]:
    for name in each.fields:
        required = name == "If-Match" and each.method != "POST"
        yield {
            "name": name,
            "in": "header",
            "required": required,
            "description": _FIELDS[name],
            "schema": {"type": "string"},
        }


def _response(each: Operation, status: int) -> dict[str, Any]:
    if status >= 400:
        return {"$ref": f"#/components/responses/{status}"}
    has_content = status not in (204, 304)
    return {"description": _TITLES[status], **({"content": _content(each)} if has_content else {})}


def _refusals() -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{_ERROR}"}}}
    return {
        str(status): {"description": title, "content": content} for status, title in _TITLES.items() if status >= 400
    }


def _content(each: Operation) -> dict[str, Any]:
    content: dict[str, Any] = {}
    if each.answer:
        shape = {"type": "object", "required": list(each.answer), "properties": {name: {} for name in each.answer}}
        content["application/json"] = {"schema": shape}
    if each.csv:
        content["text/csv"] = {"schema": {"type": "string"}}
    return content


def _error_schema() -> dict[str, Any]:
    codes = [code.value for code in STATUS if code not in (Code.LOGIN, Code.NO_ROLE, Code.HELSEID)]
    error = {
        "type": "object",
        "required": ["code", "detail"],
        "properties": {
            "code": {"type": "string", "enum": codes},
            "detail": {"type": "string", "description": "For people; may change, and may be empty"},
        },
    }
    return {"type": "object", "required": ["error"], "properties": {"error": error}}


def _schemes() -> dict[str, Any]:
    cookie = f"Of a login; over https its name begins with __Host-. Changes need {CSRF_HEADER} too."
    csrf = "As GET /api/me has it in `csrf`; Origin or Sec-Fetch-Site must say that a page of this port asks."
    return {
        "token": {"type": "http", "scheme": "bearer", "description": "An API token, which an operator makes"},
        "session": {"type": "apiKey", "in": "cookie", "name": cookies.SESSION, "description": cookie},
        "csrf": {"type": "apiKey", "in": "header", "name": CSRF_HEADER, "description": csrf},
    }


DOCUMENT = document(OPERATIONS)
_ENCODED = msgspec.json.encode(DOCUMENT)

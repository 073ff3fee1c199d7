"""The admin API described for programs (OpenAPI 3.1): made of its endpoints, and of the types that they read."""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import Any

import msgspec
from aiohttp import web  # noqa: TID251 - the admin port is no part of the data plane

from gateway.admin import guard, params
from gateway.admin.endpoints import Endpoint, Needs, Once
from gateway.admin.guard import CSRF_HEADER
from gateway.admin.problems import PROBLEM_TYPE, STATUS, Code
from gateway.auth.people.rbac import MAY, TOKEN_ROLES, Action

PATH = "/api/v1/openapi.json"
_PROBLEM = "Problem"
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
_ANSWERED = {
    "ETag": "The version that there is",
    "Location": "Where what was made or begun is",
}
_FIELDS = {
    "If-Match": "The ETag of what you have seen",
    "If-None-Match": "The ETag of what you have",
    "Idempotency-Key": "1 to 200 characters of your choice: the same again with the same key is done once",
}


def document(endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    """Return the description of those endpoints that are for programs."""
    paths: dict[str, dict[str, Any]] = {}
    for each in (one for one in endpoints if one.is_api):
        paths.setdefault(each.path, {})[each.method.lower()] = _operation(each)
    bodies = dict.fromkeys(each.body for each in endpoints if each.body is not None)
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
            "schemas": {**schemas, _PROBLEM: _problem_schema()},
            "responses": _refusals(),
            "securitySchemes": _schemes(),
        },
    }


class Description:
    """The endpoint of the description; `all_of_them` returns every endpoint that there is, this one too."""

    def __init__(self, all_of_them: Callable[[], Sequence[Endpoint]]) -> None:
        self._all = all_of_them

    def endpoints(self) -> list[Endpoint]:
        """Return the endpoints for programs."""
        return [
            Endpoint(
                *("GET", PATH, self._described, Needs.role(Action.VIEW)),
                summary="This description",
                answer="openapi paths",
                reads=("If-None-Match",),
                also=(304,),
            )
        ]

    @cached_property
    def _encoded(self) -> bytes:
        return msgspec.json.encode(document(self._all()))

    async def _described(self, request: web.Request) -> web.Response:
        tag = hashlib.sha256(self._encoded).hexdigest()[:16]
        headers = {"ETag": f'"{tag}"'}
        if {each.value for each in request.if_none_match or ()} & {tag, "*"}:
            return web.Response(status=304, headers=headers)
        return web.Response(body=self._encoded, content_type="application/json", headers=headers)


def _operation(each: Endpoint) -> dict[str, Any]:
    places = {"somewhere": "wherever you have the role", "everywhere": "the role must be for all municipalities"}
    found: dict[str, Any] = {
        "operationId": _name(each),
        "summary": each.summary,
        "tags": [each.path.removeprefix("/api/v1").removeprefix("/api").split("/")[1]],
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


def _name(each: Endpoint) -> str:
    words = (word.strip("{}").replace("-", "_").removesuffix(".json") for word in each.path.split("/")[2:])
    return "_".join((each.method.lower(), *words))


def _security(each: Endpoint) -> list[dict[str, list[str]]]:
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
        required = name in own.get("required", ()) and struct is not params.ReasonBody
        yield {"name": name, "in": "query", "required": required, "schema": shape}


def _in_head(each: Endpoint) -> Iterable[dict[str, Any]]:
    for name in (*each.reads, *(("Idempotency-Key",) if each.once is not Once.NO else ())):
        required = name == "If-Match" and each.method != "POST"
        yield {
            "name": name,
            "in": "header",
            "required": required,
            "description": _FIELDS[name],
            "schema": {"type": "string"},
        }


def _response(each: Endpoint, status: int) -> dict[str, Any]:
    if status >= 400:
        return {"$ref": f"#/components/responses/{status}"}
    told: dict[str, Any] = {"description": _TITLES[status]}
    if headers := _answered_fields(each, status):
        told["headers"] = headers
    return told if status in (204, 304) else {**told, "content": _content(each)}


def _answered_fields(each: Endpoint, status: int) -> dict[str, Any]:
    # Where a thing is, is told once: when it is made or begun.
    names = {name for name in each.gives if name != "Location" or status == each.status}
    if {"If-Match", "If-None-Match"} & set(each.reads):
        names.add("ETag")
    told = {"required": True, "schema": {"type": "string"}}
    return {name: {"description": _ANSWERED[name], **told} for name in sorted(names)}


def _refusals() -> dict[str, Any]:
    content = {PROBLEM_TYPE: {"schema": {"$ref": f"#/components/schemas/{_PROBLEM}"}}}
    return {
        str(status): {"description": title, "content": content} for status, title in _TITLES.items() if status >= 400
    }


def _content(each: Endpoint) -> dict[str, Any]:
    content: dict[str, Any] = {}
    if each.answer:
        names = each.answer.split()
        shape = {"type": "object", "required": names, "properties": {name: {} for name in names}}
        content["application/json"] = {"schema": shape}
    if each.csv:
        content["text/csv"] = {"schema": {"type": "string"}}
    return content


def _problem_schema() -> dict[str, Any]:
    codes = [code.value for code in STATUS if code not in (Code.LOGIN, Code.NO_ROLE, Code.HELSEID)]
    members = {
        "type": {"const": "about:blank"},
        "title": {"type": "string", "description": "The phrase of the status"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "For people; may change, and may be empty"},
        "code": {"type": "string", "enum": codes},
    }
    return {"type": "object", "required": list(members), "properties": members, "additionalProperties": False}


def _schemes() -> dict[str, Any]:
    cookie = f"Of a login; over https its name begins with __Host-. Changes need {CSRF_HEADER} too."
    csrf = "As GET /api/me has it in `csrf`; Origin or Sec-Fetch-Site must say that a page of this port asks."
    return {
        "token": {"type": "http", "scheme": "bearer", "description": "An API token, which an operator makes"},
        "session": {"type": "apiKey", "in": "cookie", "name": guard.SESSION, "description": cookie},
        "csrf": {"type": "apiKey", "in": "header", "name": CSRF_HEADER, "description": csrf},
    }

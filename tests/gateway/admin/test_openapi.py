"""The description of the admin API says what the admin port has, and what its handlers read."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from gateway.admin import operations, params
from gateway.admin.openapi import DOCUMENT
from gateway.admin.operations import OPERATIONS, Operation
from gateway.admin.server import AdminPort
from gateway.auth.people.rbac import MAY, Action

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gateway.admin.endpoints import Endpoint
    from tests.gateway.office import Browser

SERVED = {(each.method, each.path): each for each in AdminPort(CollectorRegistry()).endpoints if each.is_api}
TOLD = {(each.method, each.path): each for each in OPERATIONS}
KEYS = sorted(SERVED)


def named(function: Any, call: ast.Call) -> Iterator[tuple[str, Any]]:
    """Return what a call reads a request into."""
    names = inspect.unwrap(function).__globals__
    if isinstance(call.func, ast.Name) and call.func.id in ("of_body", "of_query"):
        argument = call.args[1]
        assert isinstance(argument, ast.Name)
        yield call.func.id, names[argument.id]
    for keyword in call.keywords:
        if keyword.arg == "type" and isinstance(keyword.value, ast.Name):
            yield "of_body", names[keyword.value.id]


def called(function: Any, call: ast.Call) -> Iterator[Any]:
    """Return the function of the same object or module that a call is of."""
    found: Any = None
    if isinstance(call.func, ast.Attribute) and isinstance(call.func.value, ast.Name) and call.func.value.id == "self":
        found = getattr(function.__self__, call.func.attr)
    elif isinstance(call.func, ast.Name):
        found = inspect.unwrap(function).__globals__.get(call.func.id)
    if inspect.isroutine(found) and found.__module__ == function.__module__:
        yield found


def reads(function: Callable[..., Any]) -> set[tuple[str, Any]]:
    """Return what a handler reads a request into, wherever in its module it does so."""
    found: set[tuple[str, Any]] = set()
    waiting, seen = [inspect.unwrap(function)], set()
    while waiting:
        one = waiting.pop()
        if one.__qualname__ in seen:
            continue
        seen.add(one.__qualname__)
        tree = ast.parse(textwrap.dedent(inspect.getsource(one)))
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
            found |= set(named(one, call))
            waiting += called(one, call)
    return found


def told_of(operation: Operation) -> set[tuple[str, Any]]:
    """Return what the table says that a handler reads."""
    both = {("of_body", operation.body), ("of_query", operation.query)}
    return {(how, struct) for how, struct in both if struct is not None}


def references(value: object) -> Iterator[str]:
    """Return every reference in a document."""
    if isinstance(value, dict):
        for name, part in value.items():
            if name == "$ref":
                yield part
            yield from references(part)
    elif isinstance(value, list):
        for part in value:
            yield from references(part)


def test_every_endpoint_for_programs_is_described_and_no_other() -> None:
    """In both directions, each once."""
    assert TOLD.keys() == SERVED.keys()
    assert len(OPERATIONS) == len(TOLD)
    told = {(method.upper(), path) for path, methods in DOCUMENT["paths"].items() for method in methods}
    assert told == SERVED.keys()


@pytest.mark.parametrize("key", KEYS, ids=" ".join)
def test_who_may_is_told_as_it_is(key: tuple[str, str]) -> None:
    """The action, the place, whether tokens are let in, and the roles."""
    endpoint: Endpoint = SERVED[key]
    assert TOLD[key].needs == endpoint.needs
    found = DOCUMENT["paths"][key[1]][key[0].lower()]
    assert found["x-action"] == endpoint.needs.action.value
    assert found["x-roles"] == sorted(role for role in MAY if endpoint.needs.action in MAY[role])
    by_token = {"token": []} in found["security"]
    assert by_token is (not endpoint.needs.person and endpoint.needs.action is not Action.APPROVE)
    assert ({"session": []} in found["security"]) is (key[0] == "GET")


@pytest.mark.parametrize("key", KEYS, ids=" ".join)
def test_request_is_told_as_the_handler_reads_it(key: tuple[str, str]) -> None:
    """The types of the body and of the parameters are those that the code of the handler names."""
    assert told_of(TOLD[key]) == reads(SERVED[key].handler)


@pytest.mark.parametrize("key", KEYS, ids=" ".join)
def test_parameters_are_those_of_the_path_and_of_the_type(key: tuple[str, str]) -> None:
    """Each name of a path is told, and each field of what parameters are read into."""
    parameters = DOCUMENT["paths"][key[1]][key[0].lower()]["parameters"]
    assert [one["name"] for one in parameters if one["in"] == "path"] == re.findall(r"\{(\w+)\}", key[1])
    query = TOLD[key].query
    assert {one["name"] for one in parameters if one["in"] == "query"} == set(query.__struct_fields__ if query else ())
    assert all(one["required"] for one in parameters if one["in"] == "path")


def test_every_reference_leads_somewhere_and_everything_is_used() -> None:
    """A description that a generator of clients can read."""
    found = set(references(DOCUMENT))
    there = {
        f"#/components/{kind}/{name}" for kind in ("schemas", "responses") for name in DOCUMENT["components"][kind]
    }
    assert found == there


def test_operations_have_names_of_their_own() -> None:
    """Since clients are made of them."""
    names = [one["operationId"] for methods in DOCUMENT["paths"].values() for one in methods.values()]
    assert len(set(names)) == len(names)
    assert all(name.isidentifier() for name in names)


def test_bodies_have_schemas_of_their_own() -> None:
    """No two types share a name, so that each reference means one."""
    bodies = {each.body for each in OPERATIONS if each.body is not None}
    assert len({body.__name__ for body in bodies}) == len(bodies)
    because = DOCUMENT["components"]["schemas"][params.ReasonBody.__name__]
    assert (because["required"], because["additionalProperties"]) == (["reason"], False)


async def test_description_is_served_to_those_who_may_look(olga: Browser) -> None:
    """As it is, in JSON."""
    page = await olga.get(operations.PATH)
    assert (page.status, page.headers["Content-Type"]) == (200, "application/json")
    assert page.text.encode() == msgspec.json.encode(DOCUMENT)
    for known in (page.headers["ETag"], f'"other", {page.headers["ETag"]}', f"W/{page.headers['ETag']}", "*"):
        again = await olga.get(operations.PATH, headers={"If-None-Match": known})
        assert (again.status, again.text, again.headers["ETag"]) == (304, "", page.headers["ETag"])
    assert (await olga.get(operations.PATH, headers={"If-None-Match": '"other"'})).status == 200

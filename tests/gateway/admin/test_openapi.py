"""The description of the admin API says what the endpoints of the admin port declare."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec
import pytest
from aiohttp.test_utils import make_mocked_request
from prometheus_client import CollectorRegistry

from gateway.admin.endpoints import ENDPOINT
from gateway.admin.openapi import PATH, document
from gateway.admin.params import ListQuery, ReasonBody, of_body, of_query
from gateway.admin.server import AdminPort
from gateway.auth.people.rbac import MAY, Action
from tests.each import each_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.gateway.office import Browser

ALL = AdminPort(CollectorRegistry()).endpoints
ENDPOINTS = {(each.method, each.path): each for each in ALL if each.is_api}
KEYS = sorted(ENDPOINTS)
DOCUMENT = document(ALL)


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


def test_every_endpoint_for_programs_is_described_and_no_page_is() -> None:
    """Each with a summary, and with the names of its answer where it answers in JSON."""
    described = {(method.upper(), path) for path, methods in DOCUMENT["paths"].items() for method in methods}
    assert described == ENDPOINTS.keys()
    assert all(each.summary for each in ENDPOINTS.values())
    assert all(each.answer or each.csv or each.status == 204 for each in ENDPOINTS.values())


@each_of([(key,) for key in KEYS])
def test_who_may_is_told_as_it_is(key: tuple[str, str]) -> None:
    """The action, the place, whether tokens are let in, and the roles."""
    endpoint = ENDPOINTS[key]
    found = DOCUMENT["paths"][key[1]][key[0].lower()]
    assert found["x-action"] == endpoint.needs.action.value
    assert found["x-roles"] == sorted(role for role in MAY if endpoint.needs.action in MAY[role])
    by_token = {"token": []} in found["security"]
    assert by_token is (not endpoint.needs.person and endpoint.needs.action is not Action.APPROVE)
    assert ({"session": []} in found["security"]) is (key[0] == "GET")


async def test_handler_reads_nothing_that_its_endpoint_does_not_declare() -> None:
    """So that the description cannot leave out what a handler reads."""
    request = make_mocked_request("POST", "/api/v1/forget")
    request[ENDPOINT] = ENDPOINTS["POST", "/api/v1/forget"]
    with pytest.raises(TypeError, match="the endpoint reads ListQuery, and does not say so"):
        of_query(request, ListQuery)
    with pytest.raises(TypeError, match="the endpoint reads ListQuery, and does not say so"):
        await of_body(request, ListQuery)


@each_of([(key,) for key in KEYS])
def test_parameters_are_those_of_the_path_and_of_the_type(key: tuple[str, str]) -> None:
    """Each name of a path is told, and each field of what parameters are read into."""
    parameters = DOCUMENT["paths"][key[1]][key[0].lower()]["parameters"]
    assert [one["name"] for one in parameters if one["in"] == "path"] == re.findall(r"\{(\w+)\}", key[1])
    query = ENDPOINTS[key].query
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
    bodies = {each.body for each in ALL if each.body is not None}
    assert len({body.__name__ for body in bodies}) == len(bodies)
    because = DOCUMENT["components"]["schemas"][ReasonBody.__name__]
    assert (because["required"], because["additionalProperties"]) == (["reason"], False)


async def test_description_is_served_to_those_who_may_look(olga: Browser) -> None:
    """As it is, in JSON."""
    page = await olga.get(PATH)
    assert (page.status, page.headers["Content-Type"]) == (200, "application/json")
    assert page.text.encode() == msgspec.json.encode(DOCUMENT)
    for known in (page.headers["ETag"], f'"other", {page.headers["ETag"]}', f"W/{page.headers['ETag']}", "*"):
        again = await olga.get(PATH, headers={"If-None-Match": known})
        assert (again.status, again.text, again.headers["ETag"]) == (304, "", page.headers["ETag"])
    assert (await olga.get(PATH, headers={"If-None-Match": '"other"'})).status == 200

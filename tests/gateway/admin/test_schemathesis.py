"""Schemathesis drives the admin port by its own description: requests as described and otherwise, and what is answered.

What people write by hand to do harm is in `test_api_fuzzed.py`.
"""

from __future__ import annotations

import asyncio
import copy
from typing import TYPE_CHECKING, Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks

from gateway.admin.openapi import document
from gateway.admin.server import AdminPort
from tests.gateway.admin.api_scene import CALLERS, EVERYBODY, Scene, scene_of
from tests.gateway.admin.shelf import OTHER_PATIENT, PATIENT, at
from tests.gateway.office import NOW

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from schemathesis import Case

    from tests.gateway.admin.shelf import Shelf
    from tests.gateway.office import Office

pytestmark = pytest.mark.slow

HASH = "@hash@"
"""Stands for the hash of the plan that a path names."""
MEANT: dict[str, list[Any]] = {
    "municipality": ["nordfjell", "sorvik", "312229544"],
    "reason": ["Avtalt med kommunen"],
    "ticket": ["INC-7"],
    "patient": [PATIENT, OTHER_PATIENT],
    "until": [at(NOW + 3600)],
    "since": [at(NOW - 3600)],
    "at": [at(NOW + 900), "2026-12-01T06:00"],
    "gate": [{"rehearsed_at_least": 1, "clean_at_least": 0.5, "within": 3600}],
    "roll_back_when": [{"failed_at_least": 0.5, "of_at_least": 20, "within": 900}],
    "vendor": ["dignio", "evondos"],
    "mode": ["legacy", "new", "rehearse"],
    "days": [30],
    "roles": [["viewer"], ["operator", "planner"]],
    "municipalities": [["nordfjell"]],
    "set": [[{"municipality": "nordfjell", "information": ["varsel"], "mode": "rehearse"}]],
    "hash": [HASH],
    "If-Match": ['"1"', '"2"'],
    "If-None-Match": ['"1"'],
    "Idempotency-Key": ["once", "twice"],
}
"""What means something here, in place of anything that fits a type."""


def with_meaning(document: dict[str, Any]) -> dict[str, Any]:
    """Return the description, narrowed to what means something here."""
    found = copy.deepcopy(document)
    for schema in found["components"]["schemas"].values():
        for name in schema["properties"].keys() & MEANT.keys() if "additionalProperties" in schema else ():
            schema["properties"][name] = {"enum": MEANT[name]}
    for methods in found["paths"].values():
        for parameter in (each for one in methods.values() for each in one["parameters"]):
            if parameter["name"] in MEANT:
                parameter["schema"] = {"enum": MEANT[parameter["name"]]}
    return found


CONFIG = schemathesis.Config()
# Who asks is said by whom a request is sent for.
CONFIG.projects.default.generation.update(with_security_parameters=False)
SCHEMA = schemathesis.openapi.from_dict(with_meaning(document(AdminPort(CollectorRegistry()).endpoints)), config=CONFIG)
OPERATIONS = [one.ok() for one in SCHEMA.get_all_operations()]
CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
    checks.response_headers_conformance,
]
"""All but those that ask for another login, or for what 404 and 409 are no answer to."""


@st.composite
def cases(draw: st.DrawFn) -> tuple[Case, str]:
    """Return a request to some operation, as described or otherwise, for what is there or not; and who sends it."""
    mode = draw(st.sampled_from([GenerationMode.POSITIVE, GenerationMode.POSITIVE, GenerationMode.NEGATIVE]))
    case = draw(draw(st.sampled_from(OPERATIONS)).as_strategy(generation_mode=mode))
    return case, draw(st.sampled_from(CALLERS))


@pytest.fixture
async def office(open_office: Callable[..., Awaitable[Office]]) -> Office:
    """Start an admin port with one person who has every role, beside the others."""
    return await open_office(persons=EVERYBODY)


@pytest.fixture
async def scene(office: Office, shelf: Shelf, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """Put something of everything there."""
    return await scene_of(office, shelf, tmp_path_factory.mktemp("running"))


@settings(
    max_examples=250,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.filter_too_much],
)
@given(asked=cases(), number=st.integers(0, 8))
async def test_port_answers_as_it_is_described(scene: Scene, asked: tuple[Case, str], number: int) -> None:
    """With a status, a type, fields and a form that the description has; never with a defect."""
    case, who = asked
    if number == 0:
        await scene.stock()
    if number < 8 and case.path_parameters:
        name = scene.named(case.operation.path, number)
        case.path_parameters = dict.fromkeys(case.path_parameters, name)
        if isinstance(case.body, dict) and case.body.get("hash") == HASH:
            case.body["hash"] = scene.hashes.get(name, "")
    with requests.Session() as session:
        await asyncio.to_thread(
            case.call_and_validate,
            base_url=scene.office.address,
            session=session,
            headers=scene.callers[who],
            checks=CHECKS,
        )
    assert not scene.office.logged.named("admin.failed")

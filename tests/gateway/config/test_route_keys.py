"""A key of a route is added in few places: a field of `Policies`, a key of `ROUTE`, and the code that asks for it.

Everything else takes the keys from there: a key is tried here as a file, the API, a cutover and the ledger have it.
"""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from gateway.admin.overrides import OverrideBody
from gateway.config.route_keys import POLICY_KEYS, as_written
from gateway.ledger.overrides import StoredPolicies
from gateway.model import Mode, Place
from gateway.routing.route import POLICIES, AcceptedDifference, AnswerWhen, OnOutage, Route, RouteSpec, Unclear

OTHER: dict[str, Any] = {
    "losses": ("Flag.note",),
    "answer": AnswerWhen.JOURNALED,
    "on_outage": OnOutage.HOLD,
    "unclear": Unclear.RESEND,
    "acknowledge_within": 60.0,
    "share": 0.25,
    "always": ("a",),
    "never": ("b",),
    "sample": 0.1,
    "share_with": ("pmd",),
    "accept_differences": (AcceptedDifference("Patient.telecom", "2026-12-31", "the EPJ has none", "missing"),),
}
"""Of each key, a value that is not the default; a new key stands here too."""


def test_each_policy_has_its_key_in_the_file() -> None:
    """And each key its policy."""
    assert set(POLICY_KEYS) == set(POLICIES) == set(OTHER)
    assert all(key.modes and key.read for key in POLICY_KEYS.values())


@pytest.mark.parametrize("name", POLICIES)
def test_a_key_is_carried_by_every_form_of_a_route(name: str) -> None:
    """Written, compiled, shown, asked for and stored: nobody names the keys again."""
    route = Route(None, None, None, None, frozenset(), Mode.NEW, None, Place("f", 1, 1), **{name: OTHER[name]})
    spec = RouteSpec.of(route)
    assert spec.route(route.place) == route
    assert route.said != Route(None, None, None, None, frozenset(), Mode.NEW, None, route.place).said
    assert name in spec.as_keys()
    assert name in as_written(spec.as_keys())
    assert msgspec.json.decode(msgspec.json.encode(spec), type=RouteSpec) == spec
    asked = {**spec.as_keys(), "reason": "r", "ticket": "t", "until": "2026-12-01T08:00:00+01:00"}
    assert getattr(msgspec.convert(asked, OverrideBody), name) == spec.as_keys()[name]
    stored = msgspec.json.encode(StoredPolicies(**route.policies))
    assert getattr(msgspec.json.decode(stored, type=StoredPolicies), name) == OTHER[name]

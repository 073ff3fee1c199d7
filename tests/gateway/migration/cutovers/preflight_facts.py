"""The facts of a cutover that is ready, for tests of what a preflight finds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gateway.ledger.cutovers import Seen
from gateway.migration.gates import GateNumbers
from gateway.migration.gathered import Gathered
from gateway.migration.preflight import PreflightFacts
from gateway.model import Mode
from gateway.routing.layers import Layers
from gateway.routing.route import RouteSpec
from tests.gateway.ledger.conftest import NOW
from tests.gateway.migration.cutovers.scene import SELECTOR, plan_of, submitted, with_approval

if TYPE_CHECKING:
    from gateway.config.model import Config

DIGNIO = Seen("nordfjell", "dignio", "prevent", "notat", "Dignio_Nordfjell")
LEDGER = Gathered(GateNumbers(200, 200), (), (DIGNIO,), (), Layers())


def facts_of(config: Config, **changed: Any) -> PreflightFacts:
    """Return the facts of a cutover that is ready, with what a test says of them."""
    values: dict[str, Any] = {
        "record": with_approval(submitted()),
        "config": config,
        "now": NOW,
        "ledger": LEDGER,
        "tokens": {"nordfjell": None},
        **changed,
    }
    return PreflightFacts(**values)


def plan_to(**change: Any) -> Any:
    """Return an approved cutover with one change."""
    return with_approval(submitted(plan_of(set=(RouteSpec(**{**SELECTOR, "mode": Mode.NEW, **change}),))))

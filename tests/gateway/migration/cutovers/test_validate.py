"""Plans that cannot be done with a configuration are refused, each with what is wrong."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from msgspec import structs

from gateway.config.places import Environment
from gateway.config.routes import AnswerWhen, OnOutage, Unclear
from gateway.config.upstreams import Grant, JftUpstream
from gateway.ledger.cutovers import Change
from gateway.migration.cutover_plan import faults
from gateway.model import Mode
from tests.gateway.migration.cutovers.scene import GATE, SELECTOR, WATCH, plan_of

if TYPE_CHECKING:
    from gateway.config.model import Config

NEW = {**SELECTOR, "mode": Mode.NEW}
CANARY = {**SELECTOR, "mode": Mode.CANARY, "share": 0.25}
CLOSED = {**SELECTOR, "mode": Mode.CLOSED, "text": "Nei."}
GOOD: list[dict[str, Any]] = [
    NEW,
    CLOSED,
    {**CANARY, "always": ("Dignio_Nordfjell",)},
    {**SELECTOR, "mode": Mode.REHEARSE, "sample": 0.1},
    {**NEW, "vendor": "dignio", "system": "prevent", "losses": ("DetectedIssue.note",)},
    {**NEW, "on_outage": OnOutage.HOLD, "unclear": Unclear.RESEND},
]
BAD: list[tuple[dict[str, Any], str]] = [
    ({**NEW, "municipality": None}, "municipality"),
    ({**NEW, "municipality": "oslo"}, "municipality"),
    ({**NEW, "vendor": "nobody"}, "vendor"),
    ({**NEW, "system": "prevent"}, "system"),
    ({**NEW, "vendor": "dignio", "system": "e300"}, "system"),
    ({**NEW, "information": ()}, "information names nothing"),
    ({**NEW, "mode": Mode.EPJ}, "mode epj"),
    ({**NEW, "mode": Mode.COMPARE}, "mode compare"),
    ({**NEW, "mode": Mode.CLOSED}, "text belongs"),
    ({**NEW, "text": "Nei."}, "text belongs"),
    ({**CLOSED, "text": "Ring 12834010060."}, "without national identity numbers"),
    ({**CLOSED, "text": "a\nb"}, "on one line"),
    ({**NEW, "losses": ("Nothing.code",)}, "losses"),
    ({**NEW, "losses": ("Flag.code\x00",)}, "losses"),
    ({**NEW, "share": 0.5}, "share belongs"),
    ({**CANARY, "share": None}, "share belongs"),
    ({**CANARY, "share": 0.0}, "share:"),
    ({**CANARY, "share": 1.5}, "share:"),
    ({**NEW, "always": ("Dignio_Nordfjell",)}, "belong to mode canary"),
    ({**CANARY, "never": ("nobody",)}, "name senders"),
    ({**CANARY, "never": ("Dignio_Nordfjell",), "always": ("Dignio_Nordfjell",)}, "in always and in never"),
    ({**NEW, "sample": 0.5}, "sample belongs"),
    ({**NEW, "sample": 0.0}, "sample:"),
    ({**NEW, "acknowledge_within": 0.0}, "acknowledge_within"),
    ({**NEW, "answer": AnswerWhen.JOURNALED, "on_outage": OnOutage.HOLD}, "answer journaled"),
    ({**NEW, "unclear": Unclear.RESEND}, "unclear resend"),
]
BAD_PLANS: list[tuple[dict[str, Any], str]] = [
    ({"name": "a/b"}, "name:"),
    ({"name": ""}, "name:"),
    ({"name": "cutover-12834010060"}, "name:"),
    ({"set": ()}, "set:"),
    ({"set": (Change(**NEW), Change(**CLOSED))}, "equally specific"),
    ({"gate": structs.replace(GATE, rehearsed_at_least=0)}, "no data is never a pass"),
    ({"gate": structs.replace(GATE, clean_at_least=1.1)}, "clean_at_least"),
    ({"gate": structs.replace(GATE, within=0.0)}, "gate.within"),
    ({"roll_back_when": structs.replace(WATCH, failed_at_least=0.0)}, "failed_at_least"),
    ({"roll_back_when": structs.replace(WATCH, of_at_least=0)}, "of_at_least"),
    ({"roll_back_when": structs.replace(WATCH, within=1e9)}, "roll_back_when.within"),
    ({"approvals": -1}, "approvals"),
]


@pytest.mark.parametrize("change", GOOD)
def test_what_can_be_done_has_no_faults(config: Config, change: dict[str, Any]) -> None:
    """Every mode that a cutover may set."""
    assert faults(plan_of(set=(Change(**change),)), config) == []


@pytest.mark.parametrize(("change", "told"), BAD)
def test_a_change_that_cannot_be_done_is_refused(config: Config, change: dict[str, Any], told: str) -> None:
    """By its number in the set, and without what was written."""
    found = faults(plan_of(set=(Change(**change),)), config)
    assert any(told in fault and fault.startswith("set[0]: ") for fault in found), found
    assert "12834010060" not in "".join(found)


@pytest.mark.parametrize(("changed", "told"), BAD_PLANS)
def test_a_plan_that_cannot_be_done_is_refused(config: Config, changed: dict[str, Any], told: str) -> None:
    """With everything that is wrong."""
    assert any(told in fault for fault in faults(plan_of(**changed), config))


def test_production_asks_for_all_conditions(config: Config) -> None:
    """Where something goes new: a gate, a rule for rolling back, an approval; the way back to VKP needs none."""
    real = replace(config, environment=Environment.PRODUCTION)
    bare = {"gate": None, "roll_back_when": None, "approvals": 0}
    assert len(faults(plan_of(**bare), real)) == 3
    assert faults(plan_of(**bare), config) == []
    assert faults(plan_of(set=(Change(**{**NEW, "mode": Mode.LEGACY}),), **bare), real) == []


def test_what_is_exchanged_is_not_held(config: Config) -> None:
    """The sender's token has ended when the message is delivered."""
    jft = next(each for each in config.upstreams.values() if isinstance(each, JftUpstream))
    exchanging = replace(config, upstreams={"jft": replace(jft, grant=Grant.TOKEN_EXCHANGE)})
    plan = plan_of(set=(Change(**NEW, on_outage=OnOutage.HOLD),))
    assert "set[0]: on_outage hold is not possible with grant token_exchange" in faults(plan, exchanging)

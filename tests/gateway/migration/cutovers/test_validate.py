"""Plans that cannot be done with a configuration are refused, each with what is wrong."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from msgspec import structs

from gateway.config.load import load_text
from gateway.config.model import Environment
from gateway.config.route_keys import as_written
from gateway.config.upstreams import Grant, JftUpstream, ServiceStatus
from gateway.migration.cutover_plan import faults, resolved
from gateway.migration.override_rules import OverrideRequest, problems_of
from gateway.model import Mode
from gateway.routing.route import AnswerWhen, OnOutage, RouteSpec, Unclear
from tests.gateway.ledger.conftest import NOW
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
    ({**NEW, "municipality": None}, 'a route of a cutover needs "municipality"'),
    ({**NEW, "municipality": "oslo"}, "unknown municipality"),
    ({**NEW, "vendor": "nobody"}, "unknown vendor"),
    ({**NEW, "system": "prevent"}, '"system" needs "vendor"'),
    ({**NEW, "vendor": "dignio", "system": "e300"}, "unknown system of dignio"),
    ({**NEW, "information": ()}, "no information is named"),
    ({**NEW, "mode": Mode.EPJ}, "epj is not possible for journaling"),
    ({**NEW, "mode": Mode.COMPARE}, "compare is not possible for journaling"),
    ({**NEW, "mode": Mode.CLOSED}, 'mode "closed" needs "text"'),
    ({**NEW, "text": "Nei."}, '"text" belongs to mode closed only'),
    ({**CLOSED, "text": "Ring 12834010060."}, "a national identity number"),
    ({**CLOSED, "text": "a\nb"}, "on one line"),
    ({**NEW, "losses": ("Nothing.code",)}, "is not a resource of FHIR R4"),
    ({**NEW, "losses": ("Flag\x00.code",)}, "is not a resource of FHIR R4"),
    ({**NEW, "losses": ("12834010060",)}, "a national identity number"),
    ({**NEW, "municipality": "12834010060"}, "a national identity number"),
    ({**NEW, "share": 0.5}, '"share" belongs to mode canary only'),
    ({**CANARY, "share": None}, 'mode "canary" needs "share"'),
    ({**CANARY, "share": 0.0}, "expected a part"),
    ({**CANARY, "share": 1.5}, "expected a part"),
    ({**NEW, "always": ("Dignio_Nordfjell",)}, '"always" belongs to mode canary only'),
    ({**CANARY, "never": ("nobody",)}, 'unknown sender "nobody"'),
    ({**CANARY, "never": ("Dignio_Nordfjell",), "always": ("Dignio_Nordfjell",)}, 'stands in "always" and in "never"'),
    ({**NEW, "sample": 0.5}, '"sample" belongs to mode rehearse only'),
    ({**NEW, "sample": 0.0}, "expected a part"),
    ({**NEW, "acknowledge_within": 0.0}, "expected a duration"),
    ({**NEW, "answer": AnswerWhen.JOURNALED, "on_outage": OnOutage.HOLD}, 'answer "journaled" is not possible'),
    ({**NEW, "unclear": Unclear.RESEND}, 'unclear "resend" needs on_outage "hold"'),
]
BAD_PLANS: list[tuple[dict[str, Any], str]] = [
    ({"name": "a/b"}, "name:"),
    ({"name": ""}, "name:"),
    ({"name": "cutover-12834010060"}, "name:"),
    ({"set": ()}, "set:"),
    ({"set": (RouteSpec(**NEW), RouteSpec(**CLOSED))}, "equally specific"),
    ({"gate": structs.replace(GATE, rehearsed_at_least=0)}, "a gate without data must not open"),
    ({"gate": structs.replace(GATE, clean_at_least=1.1)}, "clean_at_least"),
    ({"gate": structs.replace(GATE, within=0.0)}, "gate.within"),
    ({"roll_back_when": structs.replace(WATCH, failed_at_least=0.0)}, "failed_at_least"),
    ({"roll_back_when": structs.replace(WATCH, of_at_least=0)}, "of_at_least"),
    ({"roll_back_when": structs.replace(WATCH, held_at_least=0.0)}, "held_at_least"),
    ({"roll_back_when": structs.replace(WATCH, within=1e9)}, "roll_back_when.within"),
    ({"approvals": -1}, "approvals"),
]


@pytest.mark.parametrize("change", GOOD)
def test_what_can_be_done_has_no_faults(config: Config, change: dict[str, Any]) -> None:
    """Every mode that a cutover may set."""
    assert faults(plan_of(set=(RouteSpec(**change),)), config) == []


@pytest.mark.parametrize(("change", "told"), BAD)
def test_a_change_that_cannot_be_done_is_refused(config: Config, change: dict[str, Any], told: str) -> None:
    """By its number in the set, in the words that `check` has for the same in the file, and without a number of a patient."""
    found = faults(plan_of(set=(RouteSpec(**change),)), config)
    assert any(told in fault and fault.startswith("set[0]: ") for fault in found), found
    assert "12834010060" not in "".join(found)


CELLS: list[tuple[dict[str, Any], str]] = [
    ({**NEW, "municipality": "sorvik"}, "new needs jft in epj.reads of sorvik: sorvik, tilsyn, notat"),
    ({**CANARY, "municipality": "sorvik"}, "canary needs jft in epj.reads of sorvik"),
    ({**NEW, "municipality": "havnes", "mode": Mode.LEGACY}, "legacy is not possible where epj.generation is new"),
    ({**NEW, "municipality": "havnes", "mode": Mode.REHEARSE}, "rehearse is not possible where epj.generation is new"),
    ({**CANARY, "municipality": "havnes"}, "canary is not possible where epj.generation is new"),
    ({**NEW, "information": ("pasientinfo",)}, "new needs pit in epj.feeds of nordfjell"),
    ({**NEW, "information": ("tiltaksplan",)}, "new is not possible, there is no information service yet"),
    ({**NEW, "information": None}, "new needs pit in epj.feeds of nordfjell"),
    ({**NEW, "information": ("retrieval",), "mode": Mode.REHEARSE}, "rehearse is not possible for retrieval"),
]


@pytest.mark.parametrize(("change", "told"), CELLS)
def test_a_cutover_is_held_to_the_rules_of_cells_as_the_file_and_an_override_are(
    config: Config, change: dict[str, Any], told: str
) -> None:
    """What the record system reads, what generation it is of, and which types a service takes."""
    found = faults(plan_of(set=(RouteSpec(**change),)), config)
    assert any(told in fault and fault.startswith("set[0]: ") for fault in found), found
    refused = problems_of(OverrideRequest(RouteSpec(**change).as_keys(), NOW + 60), config, NOW)
    assert any(told in problem for problem in refused), refused
    in_file = load_text(_text_with(config, change), config.file)
    assert any(told in problem.text for problem in in_file.problems), in_file.problems


def test_a_service_that_is_not_far_enough_takes_no_cutover(config: Config) -> None:
    """A prototype is never enough."""
    jft = replace(config.upstreams["jft"], status=ServiceStatus.PROTOTYPE)  # type: ignore[call-arg] # it is JFT
    (found,) = faults(plan_of(), replace(config, upstreams={**config.upstreams, "jft": jft}))
    assert found.startswith("set[0]: new needs a service with status test or production")


@pytest.mark.parametrize(("mode", "name"), [(Mode.LEGACY, "vkp"), (Mode.REHEARSE, "vkp"), (Mode.NEW, "jft")])
def test_a_mode_without_its_server_is_refused(config: Config, mode: Mode, name: str) -> None:
    """As in the file."""
    others = {key: one for key, one in config.upstreams.items() if key != name}
    found = faults(plan_of(set=(RouteSpec(**{**NEW, "mode": mode}),)), replace(config, upstreams=others))
    assert any(f"upstream of kind {name}" in fault for fault in found), found


def test_senders_become_what_messages_name_them(config: Config) -> None:
    """One that is named by its HER-id has its vkp-id in envelopes."""
    (first, *rest) = config.senders
    known = replace(config, senders=(replace(first, her_id="135233"), *rest))
    plan = plan_of(set=(RouteSpec(**CANARY, always=("135233",)),))
    assert faults(plan, known) == []
    assert resolved(plan, known).routes[0].always == ("Dignio_Nordfjell",)


def _text_with(config: Config, change: dict[str, Any]) -> str:
    """Return the file of a configuration with another route."""
    return (
        Path(config.file).read_text(encoding="utf-8") + "  - " + json.dumps(as_written(RouteSpec(**change).as_keys()))
    )


@pytest.mark.parametrize(("changed", "told"), BAD_PLANS)
def test_a_plan_that_cannot_be_done_is_refused(config: Config, changed: dict[str, Any], told: str) -> None:
    """With everything that is wrong."""
    assert any(told in fault for fault in faults(plan_of(**changed), config))


def test_production_asks_for_all_conditions(config: Config) -> None:
    """Where something goes new: a gate, a rule for rolling back, an approval; the way back to VKP needs none."""
    jft = replace(config.upstreams["jft"], status=ServiceStatus.PRODUCTION)  # type: ignore[call-arg] # it is JFT
    real = replace(config, environment=Environment.PRODUCTION, upstreams={**config.upstreams, "jft": jft})
    bare = {"gate": None, "roll_back_when": None, "approvals": 0}
    assert len(faults(plan_of(**bare), real)) == 3
    assert faults(plan_of(**bare), config) == []
    assert faults(plan_of(set=(RouteSpec(**{**NEW, "mode": Mode.LEGACY}),), **bare), real) == []


def test_what_is_exchanged_is_not_held(config: Config) -> None:
    """The sender's token has ended when the message is delivered."""
    jft = next(each for each in config.upstreams.values() if isinstance(each, JftUpstream))
    exchanging = replace(config, upstreams={"jft": replace(jft, grant=Grant.TOKEN_EXCHANGE)})
    plan = plan_of(set=(RouteSpec(**NEW, on_outage=OnOutage.HOLD),))
    assert any(
        'on_outage "hold" is not possible with grant "token_exchange"' in each for each in faults(plan, exchanging)
    )

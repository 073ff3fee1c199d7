"""What a preflight finds, and in which words; ready is when all of it is ok."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from msgspec import structs

from gateway.auth.helseid.http import HelseIdUnavailable
from gateway.config.plans import CutoverPlan, Freeze
from gateway.config.read_panics import panic_routes
from gateway.config.upstreams import Grant, JftUpstream, VkpClient
from gateway.ledger.cutovers import CellCount, Seen, routes
from gateway.migration.cells import Cells, overlap
from gateway.migration.gates import GateNumbers
from gateway.migration.gathered import Gathered, gathered
from gateway.migration.preflight import Finding, Part, PreflightFacts, findings, tried
from gateway.migration.schedule import moment
from gateway.model import Mode, Place
from gateway.routing.layers import Layer, Layers, Rule
from gateway.routing.route import RouteSpec
from tests.gateway.ledger.conftest import NOW, taken
from tests.gateway.migration.cutovers.preflight_facts import DIGNIO, LEDGER, facts_of, plan_to
from tests.gateway.migration.cutovers.scene import AT, SELECTOR, config_of, plan_of, submitted, with_approval

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.config.model import Config
    from gateway.ledger.messages import Ledger
from tests.gateway.migration.cutovers.scene import Site


def noes(facts: PreflightFacts) -> list[tuple[str, str]]:
    """Return what is not ok."""
    return [(one.check, one.text) for one in findings(facts) if not one.ok]


def override(mode: Mode = Mode.LEGACY, until: float | None = None, **selector: Any) -> Rule:
    """Return an override."""
    (route,) = routes("x", (RouteSpec(mode=mode, **selector),))
    return Rule(Layer.OVERRIDE, "override-1", route, until)


def over(*rules: Rule) -> Gathered:
    """Return a ledger where these lie over the routes."""
    return replace(LEDGER, layers=Layers(rules))


def test_a_cutover_that_is_ready_has_nothing_against_it(config: Config) -> None:
    """Every check says so in words."""
    found = findings(facts_of(config))
    assert all(one.ok for one in found)
    assert Finding("epj", True, "nordfjell: Gerica reads jft") in found
    assert Finding("service", True, "jft has status test") in found
    assert Finding("token", True, "nordfjell: a token can be had") in found
    assert Finding("senders", True, "registered senders seen in the last 30 days: Dignio_Nordfjell") in found
    assert Finding("time", True, "it switches at 2026-05-28 23:26:40 Europe/Oslo (UTC+02:00)") in found
    assert Finding("approvals", True, "1 of 1") in found


@pytest.mark.fact("vkp-client-per-municipality")
def test_a_cutover_that_could_not_be_rolled_back_with_what_it_sent_is_warned_of(config: Config) -> None:
    """It keeps nothing from being switched; with a client of the municipality, or of each vendor, there is a way back."""
    (warned,) = [one for one in findings(facts_of(config)) if one.check == "rollback"]
    assert (warned.ok, warned.warns) == (True, True)
    assert "no client of ours for dignio, evondos in upstreams.*.clients" in warned.text
    vkp = config.vkp
    assert vkp is not None
    for vendors in ((None,), ("dignio", "evondos")):
        clients = tuple(VkpClient("nordfjell", one, "a", "a.json", "nhn:vkp", Place("f", 1, 1)) for one in vendors)
        upstreams = {**config.upstreams, vkp.name: replace(vkp, clients=clients)}
        (found,) = [one for one in findings(facts_of(replace(config, upstreams=upstreams))) if one.check == "rollback"]
        assert found == Finding("rollback", True, "nordfjell: a rollback can send back what the new side got")


def test_a_record_system_that_reads_nothing_is_told(config: Config) -> None:
    """What is journaled would never reach the record."""
    facts = facts_of(config, record=plan_to(municipality="sorvik"), tokens={"sorvik": None})
    assert noes(facts) == [("plan", "set[0]: new needs jft in epj.reads of sorvik: sorvik, tilsyn, notat")]


def test_vkp_does_not_reach_the_new_generation(config: Config) -> None:
    """A way back to VKP is none there."""
    facts = facts_of(config, record=plan_to(municipality="havnes", mode=Mode.LEGACY))
    ((check, text),) = [one for one in noes(facts) if "epj.generation" in one[1]]
    assert check == "plan"
    assert text.startswith("set[0]: legacy is not possible where epj.generation is new")


def test_the_service_must_be_far_enough(tmp_path: Path) -> None:
    """And there at all; prototype is never enough."""
    prototype = config_of(tmp_path, status="prototype")
    ((check, text),) = noes(facts_of(prototype))
    assert check == "plan"
    assert "needs a service with status test or production in environment test, and jft has prototype" in text
    none = replace(prototype, upstreams={})
    ((check, text),) = noes(facts_of(none))
    assert check == "plan"
    assert "needs an upstream of kind jft" in text


def test_retrieval_needs_what_the_file_would_need(config: Config) -> None:
    """Also where a plan names no type at all."""
    found = noes(facts_of(config, record=plan_to(information=None)))
    assert [check for check, text in found if "new needs pit in epj.feeds of nordfjell" in text] == ["plan"]


@pytest.mark.parametrize(
    ("tokens", "told"),
    [
        ({"nordfjell": "HelseID does not answer in time"}, "nordfjell: no token: HelseID does not answer in time"),
        (None, "nordfjell: no token: this process gets no tokens"),
        ({}, "nordfjell: no token: it was not tried"),
    ],
)
def test_a_token_that_cannot_be_had_is_told(config: Config, tokens: Any, told: str) -> None:
    """With the reason; what was not tried is not ok."""
    assert noes(facts_of(config, tokens=tokens)) == [("token", told)]


def test_exchanged_tokens_cannot_be_tried(config: Config) -> None:
    """They are got with the sender's."""
    jft = next(each for each in config.upstreams.values() if isinstance(each, JftUpstream))
    exchanging = replace(config, upstreams={"jft": replace(jft, grant=Grant.TOKEN_EXCHANGE)})
    assert noes(facts_of(exchanging, tokens=None)) == []


def test_no_rehearsals_are_no_pass(config: Config) -> None:
    """And the types that nothing was rehearsed of are named."""
    lacking = replace(LEDGER, numbers=GateNumbers(0, 0), unrehearsed=("notat", "tilsyn"))
    assert noes(facts_of(config, ledger=lacking)) == [
        ("rehearsals", "nothing was rehearsed in the last 7 days; 200 are asked for")
    ]
    warned = [one.text for one in findings(facts_of(config, ledger=lacking)) if one.check == "rehearsals" and one.warns]
    assert warned == ["nothing was rehearsed of notat, tilsyn"]


def test_what_refuses_a_cutover_at_its_time_stops_and_the_rest_warns(config: Config) -> None:
    """The same that `obstacles` looks at; a word that is missing is neither."""
    lacking = replace(
        LEDGER, numbers=GateNumbers(0, 0), overdue=(CellCount("nordfjell", "dignio", "prevent", "notat", 2),)
    )
    facts = facts_of(config, ledger=lacking, tokens=None, record=submitted())
    parts = {one.code: one.part for one in findings(facts)}
    assert {code: part for code, part in parts.items() if part is not Part.OK} == {
        "rehearsals-nothing": Part.STOPS,
        "token-not-here": Part.WARNS,
        "rollback-no-client": Part.WARNS,
        "acknowledgements-overdue": Part.WARNS,
        "approvals-missing": Part.APPROVAL,
    }


@pytest.mark.parametrize("strange", [None, "Removed_Nordfjell"])
def test_senders_that_are_not_registered_are_told(config: Config, strange: str | None) -> None:
    """They would be refused from then on."""
    unknown = Seen("nordfjell", None, None, None, strange)
    found = noes(facts_of(config, ledger=replace(LEDGER, seen=(DIGNIO, unknown))))
    assert [check for check, _ in found] == ["senders"]
    assert "refused from then on" in found[0][1]


def test_nobody_seen_is_not_ready(config: Config) -> None:
    """Nothing is known of what it would mean."""
    assert [check for check, _ in noes(facts_of(config, ledger=replace(LEDGER, seen=())))] == ["senders"]


def test_overdue_acknowledgements_are_told(config: Config) -> None:
    """Somebody waits for them already."""
    late = replace(LEDGER, overdue=(CellCount("nordfjell", "dignio", "prevent", "notat", 3),))
    assert noes(facts_of(config, ledger=late)) == [
        ("acknowledgements", "events of these cells that were not acknowledged in time: 3")
    ]


def test_a_freeze_or_a_time_that_is_past_is_told(config: Config) -> None:
    """Whichever it is."""
    freeze = Freeze(moment(AT), moment(AT + 1), "Valg", Place("routes.yaml", 1, 1))
    assert "Valg" in noes(facts_of(replace(config, freezes=(freeze,))))[0][1]
    assert "is past" in noes(facts_of(config, now=AT + 601))[0][1]


@pytest.mark.parametrize(
    ("rule", "conflicts"),
    [
        (override(**SELECTOR), True),
        (override(vendor="dignio"), True),
        (override(until=AT + 1), True),
        (override(until=AT), False),
        (override(municipality="sorvik"), False),
        (override(information=("varsel",)), False),
    ],
)
def test_what_people_set_over_its_cells_is_told(config: Config, rule: Rule, conflicts: bool) -> None:
    """Unless it has ended by then."""
    found = noes(facts_of(config, ledger=over(rule)))
    assert [check for check, _ in found] == ["rules"] * len(found)
    assert bool(found) is conflicts
    assert all(text.startswith("override override-1 will win over the plan: nordfjell, ") for _, text in found)


def test_a_panic_of_the_file_over_its_cells_is_told(config: Config) -> None:
    """As one that people turned on: the plan would be switched, and decide nothing."""
    at = Place("routes.yaml", 1, 1)
    panics = tuple(panic_routes("nordfjell", None, None, config.municipalities, at, "Stengt."))
    found = noes(facts_of(replace(config, panics=panics)))
    assert found
    assert {check for check, _ in found} == {"rules"}
    assert all(text.startswith("panic routes.yaml will win over the plan: nordfjell, ") for _, text in found)


def test_what_says_the_same_as_the_plan_is_not_in_its_way(config: Config) -> None:
    """A trial by an override is made to stay by a cutover, without a gap between the two."""
    assert noes(facts_of(config, ledger=over(override(Mode.NEW, **SELECTOR)))) == []


def test_what_another_cutover_sets_more_specifically_wins(config: Config) -> None:
    """What is as specific, or less, gives way to the cutover that switches last."""
    canary = {"mode": Mode.CANARY, "share": 0.25}
    for selector, conflicts in (
        (SELECTOR, False),
        ({"municipality": "nordfjell"}, False),
        ({**SELECTOR, "vendor": "dignio"}, True),
    ):
        (route,) = routes("x", (RouteSpec(**canary, **selector),))
        found = noes(facts_of(config, ledger=over(Rule(Layer.CUTOVER, "nordfjell-0", route))))
        told = "cutover nordfjell-0 will win over the plan: nordfjell, dignio prevent, tilsyn, notat: new -> canary 25%"
        assert found == ([("rules", told)] if conflicts else [])


@pytest.mark.parametrize(
    ("now", "change", "told"),
    [
        ("new", {"mode": Mode.REHEARSE}, "new -> rehearse"),
        ("new", {"mode": Mode.LEGACY}, "new -> legacy"),
        ("new", {"mode": Mode.CANARY, "share": 0.5}, "new -> canary 50%"),
        ("canary, share: 50%", {"mode": Mode.CANARY, "share": 0.25}, "canary 50% -> canary 25%"),
        ("closed, text: Nei.", {"mode": Mode.LEGACY}, "closed -> legacy"),
        ("canary, share: 50%", {"mode": Mode.CANARY, "share": 0.75}, None),
        ("new", {"mode": Mode.CLOSED, "text": "Nei."}, None),
        ("closed, text: Nei.", {"mode": Mode.NEW}, None),
        ("rehearse", {"mode": Mode.LEGACY}, None),
    ],
)
def test_a_step_back_is_told_unless_it_is_meant(tmp_path: Path, now: str, change: Any, told: str | None) -> None:
    """Whether the file says what is now, or another cutover does."""
    more = f"  - {{municipality: nordfjell, information: [notat, tilsyn], mode: {now}}}\n"
    config, record = config_of(tmp_path, more=more), plan_to(**change)
    expected = [
        (
            "step_back",
            f"takes back nordfjell, every sender, tilsyn, notat: {told}; say step_back: true where that is meant",
        )
    ]
    assert noes(facts_of(config, record=record)) == (expected if told else [])
    (route,) = config.routes[2:]
    cutover = Rule(Layer.CUTOVER, "nordfjell-0", route)
    assert noes(facts_of(config_of(tmp_path), record=record, ledger=over(cutover))) == (expected if told else [])
    panics = panic_routes("nordfjell", None, None, config.municipalities, Place("routes.yaml", 1, 1), "Stengt.")
    found = noes(facts_of(replace(config, panics=tuple(panics)), record=record))
    assert [one for one in found if one[0] == "step_back"] == (expected if told else []), "a panic of the file hides it"
    meant = with_approval(submitted(structs.replace(record.plan, step_back=True)))
    assert noes(facts_of(config, record=meant)) == []


def test_missing_approvals_are_told(config: Config) -> None:
    """How many."""
    assert noes(facts_of(config, record=submitted())) == [("approvals", "0 of 1; 1 missing")]


def test_a_file_that_was_changed_since_is_told(config: Config) -> None:
    """Which of the two plans is meant is for people to say."""
    plan = plan_of()
    written = CutoverPlan(plan.name, plan.at, plan.routes, plan.gate_rule, plan.watch_rule, 1, Place("f", 1, 1))
    assert noes(facts_of(replace(config, cutovers={plan.name: written}))) == []
    other = replace(config, cutovers={plan.name: replace(written, approvals=2)})
    assert noes(facts_of(other)) == [("plan", "routes.yaml has another plan of this name")]


def test_what_is_not_in_the_configuration_any_more_is_told(config: Config) -> None:
    """A reload may have taken a vendor away."""
    assert noes(facts_of(config, record=plan_to(vendor="gone")))[0] == (
        "plan",
        'set[0]: unknown vendor "gone"',
    )


async def test_the_ledger_is_asked_about_these_cells_alone(site: Site, ledger: Ledger, config: Config) -> None:
    """Rehearsals, senders and overdue events; a message that was not read may be of any type."""
    record = submitted()
    await site.rehearsed(10, 2)
    await site.rehearsed(10, information="varsel")
    await site.decided("passed", mode="legacy", rule=None, layer="routes", information=None)
    await site.decided("passed", mode="legacy", rule=None, layer="routes", information="varsel", sender="Another")
    await site.decided("passed", mode="legacy", rule=None, layer="routes", municipality="sorvik", sender="Another")
    await site.decided("passed", mode="legacy", rule=None, layer="routes", at=NOW - 31 * 86_400, sender="Another")
    for reference, information in (("one", "notat"), ("two", "varsel")):
        message = await taken(ledger, reference, municipality="nordfjell", information=information)
        assert await ledger.delivered(message, f"event-{reference}", "Communication", next_poll=NOW)
        assert await ledger.overdue(message, "not read")
    found = await site.store.read(lambda each: gathered(each, record, config, NOW))
    assert found.numbers == GateNumbers(12, 10)
    assert found.unrehearsed == ("tilsyn",)
    assert [(one.sender, one.information) for one in found.seen] == [("Dignio_Nordfjell", None)]
    assert sum(one.messages for one in found.overdue) == 1


async def test_tokens_are_tried_for_every_municipality(config: Config) -> None:
    """One that HelseID refuses takes nothing from the others."""
    asked: list[tuple[str, str]] = []

    async def obtain(orgnr: str, scope: str) -> str:
        asked.append((orgnr, scope))
        await asyncio.sleep(0)
        if orgnr == "313231593":
            raise HelseIdUnavailable("invalid_client")
        return "token"

    jft = next(each for each in config.upstreams.values() if isinstance(each, JftUpstream))
    found = await tried(obtain, jft, config.municipalities.values())
    assert found == {"nordfjell": None, "sorvik": "invalid_client", "havnes": None}
    assert {orgnr for orgnr, _ in asked} == {"312229544", "313231593", "315058384"}


def test_routes_overlap_where_a_message_may_be_of_both() -> None:
    """What one does not name it means all of."""
    (one,) = routes("x", (RouteSpec(municipality="nordfjell", information=("notat",), mode=Mode.NEW),))
    for change, expected in (
        (RouteSpec(mode=Mode.NEW), True),
        (RouteSpec(vendor="dignio", information=("journaling",), mode=Mode.NEW), True),
        (RouteSpec(municipality="sorvik", mode=Mode.NEW), False),
        (RouteSpec(information=("varsel",), mode=Mode.NEW), False),
    ):
        (other,) = routes("x", (change,))
        assert overlap(one, other) is overlap(other, one) is expected


def test_a_plan_is_for_the_municipalities_that_it_names() -> None:
    """Whoever acts on it must be allowed to in all of them."""
    changes = (RouteSpec(municipality="sorvik", mode=Mode.NEW), RouteSpec(municipality="nordfjell", mode=Mode.NEW))
    assert Cells(routes("x", changes)).places == ("nordfjell", "sorvik")
    assert Cells(routes("x", (*changes, RouteSpec(mode=Mode.NEW)))).places == (None,)

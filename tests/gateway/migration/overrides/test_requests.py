"""An override is accepted for exactly what a route of the file may say, and for a while only."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from gateway.config.load import load_text
from gateway.config.upstreams import Grant, ServiceStatus
from gateway.migration.override_rules import LONGEST, OverrideRequest, problems_of, route_of, shown
from gateway.model import Group, Information, Mode, Place
from gateway.routing.route import OnOutage
from tests.gateway.cli.conftest import HEAD
from tests.gateway.ledger.conftest import NOW

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.config.model import Config

NEW = {"municipality": "nordfjell", "information": ["journaling"], "mode": "new"}


def problems(config: Config, wanted: Mapping[str, Any], until: float = NOW + 60) -> list[str]:
    """Return why it is not accepted."""
    return problems_of(OverrideRequest(wanted, until), config, NOW)


@pytest.mark.parametrize(
    "wanted",
    [
        NEW,
        {**NEW, "on_outage": "hold", "unclear": "resend", "losses": ["Flag.note"], "acknowledge_within": "12h"},
        {**NEW, "mode": "canary", "share": "25%", "always": ["Evondos_Nordfjell"]},
        {**NEW, "mode": "canary", "share": 0.25, "never": ["135233"]},
        {**NEW, "mode": "rehearse", "sample": 0.1},
        {"municipality": "sorvik", "information": ["varsel"], "mode": "rehearse"},
        {"municipality": "havnes", "mode": "closed", "text": "Nei."},
        {"vendor": "evondos", "system": "e300", "mode": "closed", "text": "Nei."},
        {"municipality": "sorvik", "vendor": "dignio", "mode": "legacy"},
        {"municipality": "havnes", "information": ["notat"], "mode": "new"},
    ],
)
def test_sense_is_accepted(config: Config, wanted: dict[str, Any]) -> None:
    """Every mode, with what belongs to it."""
    assert problems(config, wanted) == []


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        ({"mode": "closed", "text": "Nei."}, "it names no cell"),
        ({"municipality": "nordfjel", "mode": "legacy"}, 'did you mean "nordfjell"'),
        ({"municipality": "nordfjell", "system": "e300", "mode": "legacy"}, '"system" needs "vendor"'),
        ({"vendor": "evondos", "system": "prevent", "mode": "closed", "text": "x"}, "prevent"),
        ({"municipality": "nordfjell", "information": [], "mode": "legacy"}, "no information is named"),
        ({"municipality": "nordfjell", "information": ["brev"], "mode": "legacy"}, "brev"),
        ({"municipality": "nordfjell", "mode": "nye"}, "nye"),
        ({"municipality": "nordfjell", "mode": "compare"}, "is not possible for journaling"),
        ({"municipality": "nordfjell", "mode": "epj"}, "is not possible for journaling"),
        ({"municipality": "nordfjell", "mode": "closed"}, 'mode "closed" needs "text"'),
        ({"municipality": "nordfjell", "mode": "legacy", "text": "x"}, '"text" belongs to mode closed only'),
        ({"municipality": "nordfjell", "mode": "legacy", "on_outage": "hold"}, '"on_outage" belongs'),
        ({"municipality": "havnes", "mode": "legacy"}, "legacy is not possible where epj.generation is new"),
        ({"information": ["varsel"], "mode": "legacy"}, "legacy is not possible where epj.generation is new"),
        ({"vendor": "dignio", "mode": "legacy"}, "legacy is not possible where epj.generation is new"),
        (
            {"municipality": "havnes", "information": ["varsel"], "mode": "canary", "share": 0.1},
            "canary is not possible",
        ),
        ({"municipality": "havnes", "information": ["varsel"], "mode": "rehearse"}, "rehearse is not possible"),
        ({"municipality": "sorvik", "information": ["varsel"], "mode": "new"}, "new needs jft in epj.reads of sorvik"),
        ({"information": ["varsel"], "mode": "new"}, "new needs jft in epj.reads of sorvik"),
        ({"municipality": "nordfjell", "mode": "new"}, "new needs pit in epj.feeds"),
        ({"municipality": "nordfjell", "mode": "rehearse"}, "rehearse is not possible for retrieval"),
        ({**NEW, "mode": "canary"}, '"canary" needs "share"'),
        ({**NEW, "mode": "canary", "share": 2}, "a part such as 25%"),
        ({**NEW, "mode": "canary", "share": 0.1, "always": ["nobody"]}, "nobody"),
        ({**NEW, "mode": "canary", "share": 0.1, "always": ["135233"], "never": ["Dignio_Havnes"]}, '"never"'),
        ({**NEW, "share": 0.1}, '"share" belongs to'),
        ({**NEW, "sample": 0.1}, '"sample" belongs to'),
        ({**NEW, "answer": "journaled", "on_outage": "hold"}, "journaled"),
        ({**NEW, "unclear": "resend"}, 'needs on_outage "hold"'),
        ({**NEW, "acknowledge_within": -1}, "a duration"),
        ({**NEW, "losses": ["Nothing.at.all"]}, "Nothing"),
        ({**NEW, "share_with": ["pmd"]}, "share_with"),
        ({**NEW, "municipality": "nordfjell\x00"}, "nordfjell"),
        ({**NEW, "municipality": ["nordfjell"]}, "expected"),
    ],
)
def test_nonsense_is_refused(config: Config, wanted: dict[str, Any], why: str) -> None:
    """With the words that `check` has for the same in the file."""
    found = problems(config, wanted)
    assert any(why in each for each in found), found


def test_service_that_is_not_far_enough_is_refused(config: Config) -> None:
    """A prototype is never enough."""
    jft = replace(config.upstreams["jft"], status=ServiceStatus.PROTOTYPE)  # type: ignore[call-arg] # it is JFT
    (found,) = problems(replace(config, upstreams={**config.upstreams, "jft": jft}), NEW)
    assert found.startswith("new needs a service with status test or production")


def test_what_is_exchanged_is_not_held(config: Config) -> None:
    """The sender's token expires meanwhile."""
    jft = replace(config.upstreams["jft"], grant=Grant.TOKEN_EXCHANGE)  # type: ignore[call-arg] # it is JFT
    (found,) = problems(replace(config, upstreams={**config.upstreams, "jft": jft}), {**NEW, "on_outage": "hold"})
    assert 'on_outage "hold" is not possible with grant "token_exchange"' in found


@pytest.mark.parametrize("mode", ["legacy", "rehearse"])
def test_mode_without_its_server_is_refused(config: Config, mode: str) -> None:
    """VKP answers in these."""
    alone = replace(config, upstreams={"jft": config.upstreams["jft"]})
    (found,) = problems(alone, {"municipality": "sorvik", "information": ["varsel"], "mode": mode})
    assert found.startswith("no upstream of kind vkp")


@pytest.mark.parametrize(
    ("until", "why"),
    [
        (NOW, "until: that time has passed"),
        (NOW - 1, "until: that time has passed"),
        (NOW + LONGEST + 1, "until: at most 90 days"),
        (NOW + LONGEST, None),
        (NOW + 0.001, None),
    ],
)
def test_end_is_soon(config: Config, until: float, why: str | None) -> None:
    """What is to stay belongs into the file."""
    found = problems(config, NEW, until)
    assert ([] if why is None else [why]) == [each[: len(why or "")] for each in found]


def test_every_problem_is_told(config: Config) -> None:
    """At once, as `check` does."""
    assert len(problems(config, {"mode": "closed", "answer": "never"}, NOW)) == 5


def test_file_and_override_mean_the_same(config: Config) -> None:
    """The same words make the same route, wherever they stand."""
    line = "{municipality: nordfjell, information: [journaling, varsel], mode: canary, share: 12.5%, on_outage: hold}"
    loaded = load_text(f"{HEAD}  - {{mode: closed, text: x}}\n  - {line}\n", "routes.yaml")
    assert loaded.config is not None, loaded.problems
    wanted = {**NEW, "information": ["journaling", "varsel"], "mode": "canary", "share": 0.125, "on_outage": "hold"}
    found, why = route_of(wanted, config)
    assert (why, found and _anywhere(found)) == ([], _anywhere(loaded.config.routes[-1]))
    assert found is not None
    assert found.on_outage is OnOutage.HOLD


def _anywhere(route: Any) -> Any:
    return structs.replace(route, place=Place("", 0, 0))


_TYPES = st.lists(st.sampled_from([*Information, *Group]), min_size=1, unique=True)
_CLOSED = st.fixed_dictionaries({"mode": st.just("closed"), "text": st.sampled_from(["Nei.", "Æ: {x}", 'a"b', "# no"])})
_NEWLIKE = st.fixed_dictionaries(
    {"mode": st.just("new")},
    optional={
        "on_outage": st.just("hold"),
        "answer": st.just("accepted"),
        "losses": st.lists(st.sampled_from(["Flag.note", "Observation.note"]), unique=True),
        "acknowledge_within": st.integers(1, 10**8),
    },
)
_SHARED = st.fixed_dictionaries({"mode": st.just("canary"), "share": st.integers(1, 10**6).map(lambda n: n / 10**6)})


@given(st.one_of(_CLOSED, _NEWLIKE, _SHARED), _TYPES)
def test_what_is_shown_can_be_asked_for_again(told: dict[str, Any], types: list[str]) -> None:
    """And means the same route, groups and numbers included."""
    loaded = load_text(HEAD + "  - {mode: closed, text: Nei.}\n", "routes.yaml")
    assert loaded.config is not None
    types = [str(each) for each in types] if told["mode"] == "closed" else ["journaling"]
    first, why = route_of({"municipality": "nordfjell", "information": types, **told}, loaded.config)
    assert first is not None, why
    assert first.mode is Mode(told["mode"])
    second, why = route_of(shown(first), loaded.config)
    assert second is not None, why
    assert second == first

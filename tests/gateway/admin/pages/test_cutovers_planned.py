"""The form for a plan, and how the page of a cutover tells what its changes do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.admin.pages.cutover_view import Now, changes, percent, span, submitted_plan
from gateway.config.plans import CutoverPlan
from gateway.migration.cutover_plan import of_file
from gateway.model import Information, Mode, Place
from gateway.routing.route import RouteSpec
from gateway.routing.table import RouteTable
from tests.gateway.admin.cutovers.conftest import ROOT, World, office, world
from tests.gateway.admin.pages.cutover_pages import with_vendors
from tests.gateway.admin.shelf import PATIENT
from tests.gateway.migration.cutovers.scene import config_of, plan_of
from tests.gateway.office import NOW

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.admin.pages.cutover_view import Span
    from tests.gateway.office import Browser, Page

__all__ = ["office", "world"]
WRITTEN = {
    "name": "ny-1",
    "at": "2026-12-01T06:00",
    "municipality": "nordfjell",
    "sender": "dignio/prevent",
    "mode": "canary",
    "share": "12,5",
    "gate_messages": "200",
    "gate_clean": "99,5",
    "gate_days": "7",
    "back_failed": "5",
    "back_messages": "20",
    "back_minutes": "15",
    "approvals": "2",
}
TYPES = [("information", "notat"), ("information", "tilsyn")]


async def write(browser: Browser, types: list[tuple[str, str]] | None = None, **changed: str) -> Page:
    """Send the form for a plan."""
    fields = [*{**WRITTEN, **changed, "csrf": await browser.csrf()}.items(), *(TYPES if types is None else types)]
    return await browser.ask("POST", "/cutovers", data=fields)


async def test_form_makes_the_plan_that_it_says(world: World, nora: Browser, tmp_path: Path) -> None:
    """With wall time of Oslo, shares of 1, seconds, and the types that were ticked."""
    with_vendors(world, tmp_path)
    page = await nora.get("/cutovers")
    assert ('value="dignio/prevent"' in page.text, 'value="nordfjell"' in page.text) == (True, True)
    assert 'value="sorvik"' not in page.text
    assert (await write(nora)).location == "/cutovers/ny-1"
    made = (await nora.get(f"{ROOT}/ny-1")).json
    (change,) = made["plan"]["set"]
    assert made["at"] == "2026-12-01T05:00:00Z"
    assert (change["municipality"], change["vendor"], change["system"]) == ("nordfjell", "dignio", "prevent")
    assert (change["information"], change["mode"], change["share"]) == (["notat", "tilsyn"], "canary", 0.125)
    assert made["plan"]["gate"] == {"rehearsed_at_least": 200, "clean_at_least": 0.995, "within": 604_800}
    assert made["plan"]["roll_back_when"] == {"failed_at_least": 0.05, "of_at_least": 20, "within": 900}
    assert made["plan"]["approvals"] == 2


async def test_gate_is_of_what_goes_new_alone(world: World, nora: Browser) -> None:
    """What goes to VKP or is closed has no rehearsals, so that the gate would only be in the way."""
    del world
    assert (await write(nora, sender="", mode="closed", text="Stengt.")).status == 303
    made = (await nora.get(f"{ROOT}/ny-1")).json["plan"]
    assert (made["gate"], made["roll_back_when"], made["set"][0]["text"]) == (None, None, "Stengt.")
    empty = dict.fromkeys([name for name in WRITTEN if name.startswith(("gate", "back"))], "")
    assert (await write(nora, name="ny-2", sender="", mode="new", **empty)).status == 303
    assert (await nora.get(f"{ROOT}/ny-2")).json["plan"]["gate"] is None


@pytest.mark.parametrize(
    ("changed", "status", "told"),
    [
        ({"name": "a b"}, 400, "name:"),
        ({"name": f"om {PATIENT}"}, 400, "name:"),
        ({"at": "2026-10-25T02:30"}, 400, "comes twice in Europe/Oslo"),
        ({"at": "2027-03-28T02:30"}, 400, "does not exist in Europe/Oslo"),
        ({"at": "2026-01-01T06:00"}, 409, "is past"),
        ({"at": ""}, 400, "at: not as expected"),
        ({"municipality": "sorvik"}, 403, "plan in every municipality"),
        ({"municipality": ""}, 400, "a route of a cutover needs"),
        ({"sender": "nobody"}, 400, "unknown vendor"),
        ({"mode": "epj"}, 400, "is not possible for journaling"),
        ({"mode": PATIENT}, 400, "mode, information"),
        ({"share": ""}, 400, "the part of the patients that goes new"),
        ({"share": "-1"}, 400, "share: not as expected"),
        ({"gate_clean": "nan"}, 400, "gate_clean: not as expected"),
        ({"gate_days": ""}, 400, "gate: all of its numbers"),
        ({"back_failed": ""}, 400, "roll_back_when: all of its numbers"),
        ({"gate_messages": "٣"}, 400, "gate_messages: not as expected"),
        ({"approvals": "0"}, 400, "approvals: not as expected"),
        ({"mode": "closed", "text": f"Ring {PATIENT}"}, 400, "a national identity number"),
    ],
)
async def test_a_plan_that_cannot_be_is_refused(
    world: World, nora: Browser, changed: dict[str, str], status: int, told: str
) -> None:
    """With what is wrong, without repeating a number; nothing is written."""
    page = await write(nora, **{"sender": "", **changed})
    assert (page.status, told in page.text) == (status, True), page.text
    assert PATIENT not in page.text
    assert await world.actions() == []


async def test_a_plan_names_its_types(world: World, nora: Browser) -> None:
    """None ticked does not mean all; what is no type is refused."""
    assert "at least one type" in (await write(nora, [], sender="")).text
    assert (await write(nora, [("information", "odd")], sender="")).status == 400
    assert await world.actions() == []


def test_modes_now_are_told_apart_by_type_and_system(tmp_path: Path) -> None:
    """What differs between systems names those that it is said of; a type that is alike for all names none."""
    more = "  - {municipality: nordfjell, vendor: evondos, information: [notat], mode: closed, text: Nei}\n"
    config = config_of(tmp_path, more=more)
    (told,) = changes(plan_of(), RouteTable.compile(config), config, NOW)
    assert told["now"] == [
        Now("legacy", ("tilsyn",), ()),
        Now("legacy", ("notat",), ("dignio/prevent",)),
        Now("closed", ("notat",), ("evondos/e300",)),
    ]


def test_a_change_that_no_registered_sender_has_is_told_by_what_it_names(tmp_path: Path) -> None:
    """Its cells are there all the same; no information named is every type."""
    config = config_of(tmp_path)
    plan = plan_of(set=(RouteSpec(municipality="sorvik", vendor="dignio", mode=Mode.REHEARSE, sample=0.1),))
    (told,) = changes(plan, RouteTable.compile(config), config, NOW)
    assert told["now"] == [Now("legacy", tuple(each.value for each in Information), ())]
    assert (told["information"], told["rules"]) == (None, {"sample": "10 %"})


def test_a_plan_of_the_file_has_the_same_changes(tmp_path: Path) -> None:
    """Wherever a plan was written, it is shown alike."""
    config = config_of(tmp_path)
    plan = plan_of()
    file = CutoverPlan(plan.name, plan.at, plan.routes, plan.gate_rule, plan.watch_rule, 1, Place("f", 1, 1))
    table = RouteTable.compile(config)
    assert changes(of_file(file), table, config, NOW) == changes(plan, table, config, NOW)


@pytest.mark.parametrize(
    ("seconds", "parts"),
    [(0, (0, 0, 0, 0)), (59.9, (0, 0, 0, 59)), (93_784, (1, 2, 3, 4)), (-61, (0, 0, 1, 1)), (604_800, (7, 0, 0, 0))],
)
def test_lengths_of_time_are_counted(seconds: float, parts: tuple[int, ...]) -> None:
    """Days, hours, minutes and seconds; what is past says so."""
    found: Span = span(seconds)
    assert (found.days, found.hours, found.minutes, found.seconds) == parts
    assert found.is_past is (seconds < 0)


@given(st.integers(min_value=1, max_value=1_000_000))
def test_hundredths_are_shown_as_they_were_written(number: int) -> None:
    """Up to four decimals, without what binary numbers add."""
    written = f"{number / 10_000:.4f}".rstrip("0").rstrip(".")
    form = {name: [value] for name, value in {**WRITTEN, "share": written}.items()} | {"information": ["notat"]}
    share = (submitted_plan(form).set or ())[0].share
    assert share is not None
    assert percent(share) == written

"""`vkp-gateway cutover` against a running admin port."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result

from gateway.auth.people.api_tokens import TokenRequest
from gateway.cli.main import main
from gateway.config.plans import CutoverPlan, RollBackWhen
from gateway.ledger.cutovers import routes
from gateway.migration.schedule import moment
from gateway.model import Mode, Place
from gateway.routing.route import RouteSpec
from tests.gateway.admin.conftest import open_office, shelf
from tests.gateway.admin.cutovers.conftest import AT, World, approve, arne, office, world

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.gateway.office import Browser

    Ask = Callable[..., Awaitable[Result]]

__all__ = ["arne", "office", "open_office", "shelf", "world"]
WHY = ("--reason", "Avtalt med kommunen")


@pytest.fixture
async def ask(world: World, monkeypatch: pytest.MonkeyPatch) -> Ask:
    """Run a command as a planner, beside a file that has a plan."""
    changes = (RouteSpec(municipality="nordfjell", information=("notat",), mode=Mode.NEW),)
    place = Place("routes.yaml", 1, 1)
    watch = RollBackWhen(0.05, 20, 900.0)
    written = CutoverPlan("nordfjell-1", moment(AT), routes("nordfjell-1", changes), None, watch, 1, place)
    world.configure(cutovers={"nordfjell-1": written, "nordfjell-2": replace(written, name="nordfjell-2")})
    auth = world.office.port.authenticator.auth
    assert auth is not None
    _, secret = await auth.tokens.make(TokenRequest("tool", ["planner"], 1, None), ("nora",), in_dev=False)
    path = world.office.folder / "token"
    path.write_text(secret + "\n")
    path.chmod(0o600)
    monkeypatch.setenv("VKP_GATEWAY_ADMIN", world.office.address)
    monkeypatch.setenv("VKP_GATEWAY_TOKEN_FILE", str(path))

    async def asked(*arguments: str) -> Result:
        return await asyncio.to_thread(CliRunner().invoke, main, ["cutover", *arguments])

    return asked


def told(result: Result) -> dict[str, str]:
    """Return what a command printed, by its first words."""
    assert result.exit_code == 0, result.output
    return dict(line.split(maxsplit=1) for line in result.stdout.splitlines() if not line.startswith(" "))


async def test_submit_makes_a_plan_of_one_in_the_file(ask: Ask) -> None:
    """With its hash, and its time in Norway; an unknown one is told."""
    shown = told(await ask("submit", "nordfjell-1"))
    assert (shown["state"], shown["approvals"]) == ("submitted", "0, 1 missing")
    assert shown["at"] == "2026-05-28 22:31:40 Europe/Oslo (UTC+02:00)"
    assert len(shown["hash"]) == 64
    assert (await ask("submit", "nothing")).exit_code == 1


async def test_list_and_show(ask: Ask) -> None:
    """By names, in parts; one with its history."""
    for name in ("nordfjell-2", "nordfjell-1"):
        await ask("submit", name)
    first = (await ask("list", "--limit", "1")).stdout.splitlines()
    assert first[0].startswith("nordfjell-1  submitted  2026-05-28")
    assert first[1] == "more: --cursor nordfjell-1"
    rest = json.loads((await ask("list", "--cursor", "nordfjell-1", "--json")).stdout)
    assert [one["name"] for one in rest["cutovers"]] == ["nordfjell-2"]
    assert (await ask("list", "--state", "missed")).stdout == ""
    lines = (await ask("show", "nordfjell-1")).stdout.splitlines()
    assert " submitted " in lines[-1]
    assert json.loads((await ask("show", "nordfjell-1", "--json")).stdout)["plan"]["approvals"] == 1


async def test_preflight_says_why_not(ask: Ask) -> None:
    """Exit 1 as long as something is missing."""
    await ask("submit", "nordfjell-1")
    result = await ask("preflight", "nordfjell-1")
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert "no  approvals         0 of 1; 1 missing" in lines
    assert lines[-1] == "not ready"
    assert json.loads((await ask("preflight", "nordfjell-1", "--json")).stdout)["ready"] is False


async def test_an_api_token_approves_nothing_and_is_told_so(ask: Ask) -> None:
    """An approval is a person's."""
    plan_hash = told(await ask("submit", "nordfjell-1"))["hash"]
    result = await ask("approve", "nordfjell-1", "--hash", plan_hash)
    assert result.exit_code == 1
    assert "people-only" in result.stderr
    assert "no API token ever is an approver" in result.stderr


async def test_start_and_rollback(ask: Ask, world: World, arne: Browser) -> None:
    """Once a person has approved it; the rollback names what to do next."""
    plan_hash = told(await ask("submit", "nordfjell-1"))["hash"]
    assert (await ask("start", "nordfjell-1", *WHY)).exit_code == 1
    assert (await approve(arne, plan_hash)).status == 200
    assert told(await ask("start", "nordfjell-1", *WHY))["state"] == "draining"
    await world.look()
    shown = told(await ask("rollback", "nordfjell-1", *WHY))
    assert shown["state"] == "rolled_back"
    assert shown["next"].startswith("vkp-gateway rollback list --municipality nordfjell --information notat --since")


async def test_cancel(ask: Ask) -> None:
    """It needs a reason, which is kept."""
    await ask("submit", "nordfjell-1")
    assert (await ask("cancel", "nordfjell-1")).exit_code == 2
    assert told(await ask("cancel", "nordfjell-1", *WHY))["state"] == "cancelled"
    shown = json.loads((await ask("show", "nordfjell-1", "--json")).stdout)
    assert shown["history"][-1]["reason"] == WHY[1]

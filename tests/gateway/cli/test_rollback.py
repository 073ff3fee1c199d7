"""`vkp-gateway rollback` against a running admin port."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result

from gateway.auth.people.api_tokens import TokenRequest
from gateway.cli.admin_client import Bounds
from gateway.cli.main import main
from gateway.outbox.returns import NO_CLIENT
from service_stubs.behaviour import Behaviour
from tests.gateway.admin.conftest import office, olga, open_office
from tests.gateway.admin.test_rollback import ended, scene
from tests.gateway.return_scene import HAVNES_ALL, NOW

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from gateway.config.model import VkpSuccess
    from tests.gateway.office import Office
    from tests.gateway.return_scene import Scene

    Ask = Callable[..., Awaitable[Result]]

__all__ = ["office", "olga", "open_office", "scene"]
HAVNES = ("--municipality", "havnes", "--since", "2026-09-21T00:00+00:00")
SURE = ("--reason", "Gerica is stopped", "--confirm-epj-stopped-reading")


@pytest.fixture
async def ask(office: Office, scene: Scene, monkeypatch: pytest.MonkeyPatch) -> Ask:
    """Run a command as an operator and viewer, with few messages in each answer."""
    del scene
    assert office.port.authenticator.auth is not None
    wanted = TokenRequest("tool", ["operator", "viewer"], 1, None)
    _, secret = await office.port.authenticator.auth.tokens.make(wanted, ("olga",), in_dev=False)
    path = office.folder / "token"
    path.write_text(secret + "\n")
    path.chmod(0o600)
    monkeypatch.setenv("VKP_GATEWAY_ADMIN", office.address)
    monkeypatch.setenv("VKP_GATEWAY_TOKEN_FILE", str(path))

    async def asked(*arguments: str) -> Result:
        bounds = Bounds(look=0.01, messages=2)
        return await asyncio.to_thread(CliRunner().invoke, main, ["rollback", *arguments], obj=bounds)

    return asked


async def test_list_says_what_can_be_sent(ask: Ask, scene: Scene) -> None:
    """Groups with their counts, then a line for each message."""
    reference = await scene.delivered()
    result = await ask("list", *HAVNES)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == "unread              1, 1 to be sent"
    assert lines[-1].split()[1:] == [reference, "Dignio_Havnes", "varsel", "unread"]


async def test_list_says_why_nothing_can_be_sent(ask: Ask, scene: Scene) -> None:
    """Without a client of VKP."""
    scene.vkp_client = None
    result = await ask("list", *HAVNES)
    assert f"cannot be sent: {NO_CLIENT.format('havnes')}" in result.stdout


@pytest.mark.fact("vkp-success-unknown")
@pytest.mark.parametrize("said", ["stored", "journaled"])
async def test_list_says_what_it_means_that_vkp_has_a_message(
    ask: Ask, scene: Scene, office: Office, said: VkpSuccess
) -> None:
    """A setting says it, since VKP does not."""
    context = office.port.rollback._context
    context.use(context.ledger, context.keys, replace(context.config, vkp_success=said))
    await scene.delivered()
    assert not any(f"vkp_success: {said}" in line for line in (await ask("list", *HAVNES)).stdout.splitlines())
    await ask("send", *HAVNES, *SURE, "--wait")
    result = await ask("list", *HAVNES)
    assert f"(vkp_success: {said})" in result.stdout
    assert json.loads((await ask("list", *HAVNES, "--json")).stdout)["vkp_success"] == said


async def test_list_is_narrowed_and_goes_on(ask: Ask, scene: Scene) -> None:
    """By vendor, system, type and group; the rest with the cursor that is printed."""
    references = [await scene.delivered(), await scene.delivered(information="tilsyn")]
    await scene.delivered(vendor="evondos", system="e300")
    narrow = ("--vendor", "dignio", "--system", "prevent", "--information", "varsel", "--information", "tilsyn")
    first = json.loads((await ask("list", *HAVNES, *narrow, "--limit", "1", "--json")).stdout)
    rest = json.loads((await ask("list", *HAVNES, *narrow, "--cursor", first["next"], "--json")).stdout)
    assert [one["reference"] for one in first["items"] + rest["items"]] == references
    empty = json.loads((await ask("list", *HAVNES, "--group", "returned", "--json")).stdout)
    assert empty["items"] == []


async def test_export_has_everything(ask: Ask, scene: Scene) -> None:
    """As a table, or as JSON, however many pages that takes."""
    references = [await scene.delivered() for _ in range(5)]
    table = csv.DictReader(io.StringIO((await ask("export", *HAVNES)).stdout))
    assert [row["reference"] for row in table] == references
    document = json.loads((await ask("export", *HAVNES, "--json")).stdout)
    assert [one["reference"] for one in document["items"]] == references


@pytest.mark.parametrize("command", [("send", *HAVNES), ("send-one", "r-0001")], ids=lambda one: one[0])
async def test_sending_needs_the_confirmation(ask: Ask, scene: Scene, command: tuple[str, ...]) -> None:
    """It is wrong use without, and nothing is asked of the gateway."""
    result = await ask(*command, "--reason", "x")
    assert result.exit_code == 2
    assert "--confirm-epj-stopped-reading" in result.output
    assert not scene.vkp.received


async def test_send_begins_and_says_where_to_look(ask: Ask, scene: Scene) -> None:
    """With the confirmation, what nobody has read goes back to VKP."""
    reference = await scene.delivered()
    result = await ask("send", *HAVNES, *SURE)
    assert result.exit_code == 0, result.output
    await ended(scene)
    assert await scene.states(reference) == ["returned"]
    assert len(scene.vkp.received) == 1


async def test_send_may_wait_for_the_end(ask: Ask, scene: Scene) -> None:
    """It says then what became of each; the job, as JSON, is the one that has ended. Nobody watches, so no progress is shown."""
    await scene.delivered()
    read = await scene.delivered()
    scene.read(read)
    result = await ask("send", *HAVNES, *SURE, "--wait")
    assert (result.exit_code, result.stderr) == (0, "")
    lines = [line.split() for line in result.stdout.splitlines()]
    assert [line[0] for line in lines] == ["job", "done", "returned", "read-meanwhile", read]
    again = json.loads((await ask("status", lines[0][1], "--wait", "--json")).stdout)
    assert (again["id"], again["progress"]) == (lines[0][1], "done")


async def test_who_watches_sees_how_far_reading_and_sending_are(
    ask: Ask, scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On standard error, as of all long work at a terminal; never with `--json`."""
    monkeypatch.setattr("gateway.cli.output.shows_progress", lambda *, as_json: not as_json)
    await scene.delivered()
    assert (await ask("export", *HAVNES, "--json")).stderr == ""
    assert "Messages" in (await ask("export", *HAVNES)).stderr
    result = await ask("send", *HAVNES, *SURE, "--wait")
    assert (result.exit_code, "Messages" in result.stderr) == (0, True)


@pytest.mark.slow
async def test_what_gives_up_while_it_is_waited_for_is_exit_1(ask: Ask, scene: Scene) -> None:
    """With why."""
    for _ in range(5):
        await scene.delivered()
    scene.vkp.behave(Behaviour(status=503, times=-1))
    result = await ask("send", *HAVNES, *SURE, "--wait", "--json")
    assert (result.exit_code, json.loads(result.stdout)["progress"]) == (1, "gave-up")


async def test_what_was_never_sent_is_said_in_a_sentence(ask: Ask, scene: Scene) -> None:
    """Of nothing at all, and of one group; a program that reads lines gets none."""
    nothing = await ask("list", *HAVNES)
    assert nothing.stderr == "The new side got nothing of this since then.\n"
    assert "nothing of this since then" in (await ask("export", *HAVNES)).stderr
    await scene.delivered()
    other = await ask("list", *HAVNES, "--group", "returned")
    assert other.stderr == "No message is left in this part of the list.\n"
    assert other.stdout.startswith("unread ")


async def test_status_says_how_far_a_job_is(ask: Ask, scene: Scene) -> None:
    """With what was not returned, and why; exit 1 where it gave up."""
    first, second = await scene.delivered(), await scene.delivered()
    scene.read(second)
    returning = scene.started[0]
    job = returning.begin(HAVNES_ALL, 50.0)
    await ended(scene)
    result = await ask("status", job.id)
    assert result.exit_code == 0
    lines = [line.split() for line in result.stdout.splitlines()]
    assert lines[:3] == [["done"], ["returned", "1"], ["read-meanwhile", "1"]]
    assert lines[3][:2] == [second, "read-meanwhile:"]
    assert await scene.states(first) == ["returned"]
    scene.vkp_client = None
    for _ in range(5):
        await scene.delivered()
    job = returning.begin(HAVNES_ALL, 50.0)
    await ended(scene)
    result = await ask("status", job.id, "--json")
    assert (result.exit_code, json.loads(result.stdout)["progress"]) == (1, "gave-up")


async def test_an_unknown_job_is_told(ask: Ask, scene: Scene) -> None:
    """It may be of another process."""
    del scene
    assert (await ask("status", "gone")).exit_code == 1


def test_the_clock_of_these_tests_is_later_than_since() -> None:
    """2026-09-21 in UTC."""
    assert NOW == 1_790_000_000.0

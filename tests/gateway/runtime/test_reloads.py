"""routes.yaml read again because a program says so, and what a guarded reload may not change."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from gateway.cli.main import main
from gateway.config.model import Role
from gateway.observability import metrics
from tests.gateway.asking import SECRET, ask, let_in
from tests.gateway.world import HAVNES, NORDFJELL, ROUTES, message

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.gateway.world import World

    Start = Callable[..., Awaitable[World]]

NOTE = f"/epj/r4/{NORDFJELL}/composition"
CLOSED = ROUTES.replace("  - {mode: legacy}\n", '  - {mode: closed, text: "Stengt."}\n')
WHY = {"reason": "Ny avtale med kommunen"}


async def begun(
    start: Start,
    role: Role = Role.OPERATOR,
    municipalities: frozenset[str] | None = None,
    *,
    top: str = "",
) -> World:
    """Start a gateway that a program with this role may ask."""
    world = await start(serve=False)
    let_in(world, (role,), municipalities, top=top)
    await world.serve()
    return world


@pytest.fixture
async def operated(start: Start) -> World:
    """Start a gateway that an operator's program may ask."""
    return await begun(start)


async def test_asking_takes_the_file(operated: World) -> None:
    """The answer has the number of the new table and its warnings; the next message follows it, and the audit says who."""
    try:
        operated.write(routes=CLOSED)
        answer = await ask(operated, "POST", "/api/v1/reload", WHY)
        assert answer.status == 200, answer
        routes = await ask(operated, "GET", "/api/v1/routes")
        assert answer.document["generation"] == routes.document["generation"] == 2
        assert "check digit" in answer.document["warnings"][0]
        assert (await operated.post(NOTE, message("note"))).code == "1.2"
        audited = await ask(operated, "GET", "/api/v1/audit")
        (entry,) = audited.document["entries"]
        assert (entry["action"], entry["reason"]) == ("routes.reload", WHY["reason"])
    finally:
        await operated.stop()


async def test_asking_for_a_bad_file_is_refused_with_why(operated: World) -> None:
    """409 with the place of every error; what runs stays."""
    try:
        operated.write(routes="  - {mode: legcay}\n")
        answer = await ask(operated, "POST", "/api/v1/reload", WHY)
        assert answer.status == 409
        assert "routes.yaml:" in str(answer.document)
        assert "legcay" in str(answer.document)
        assert (await operated.post(NOTE, message("note"))).status == 200
    finally:
        await operated.stop()


@pytest.mark.parametrize(
    ("role", "municipalities", "body", "status"),
    [
        (Role.OPERATOR, None, {}, 400),
        (Role.OPERATOR, None, {"reason": " "}, 400),
        (Role.OPERATOR, frozenset({"nordfjell"}), WHY, 403),
        (Role.VIEWER, None, WHY, 403),
        (Role.PLANNER, None, WHY, 403),
    ],
)
async def test_asking_needs_a_reason_and_who_operates_everywhere(
    start: Start, role: Role, municipalities: frozenset[str] | None, body: dict[str, str], status: int
) -> None:
    """A file is of all municipalities; nothing is read otherwise."""
    world = await begun(start, role, municipalities)
    try:
        world.write(routes=CLOSED)
        assert (await ask(world, "POST", "/api/v1/reload", body)).status == status
        assert (await world.post(NOTE, message("note"))).status == 200
    finally:
        await world.stop()


async def test_guarded_reload_takes_no_change_of_mode_that_nobody_agreed_to(start: Start) -> None:
    """With `guard_reload` it is refused with the cells; what changes no mode is taken."""
    world = await begun(start, top="guard_reload: true\n")
    try:
        world.write(routes=CLOSED)
        answer = await ask(world, "POST", "/api/v1/reload", WHY)
        assert answer.status == 409
        assert "guard_reload: nordfjell" in str(answer.document)
        assert (await world.post(NOTE, message("note"))).status != 400
        world.write(routes=ROUTES.replace("Ikke ennå.", "Ikke ennå, men snart."))
        assert (await ask(world, "POST", "/api/v1/reload", WHY)).status == 200
        refused = await world.post(f"/epj/r4/{HAVNES}/appointment/_search")
        assert "men snart" in refused.body.decode()
    finally:
        await world.stop()


UNDER = ROUTES.replace("  - {municipality: sorvik, mode: closed", "  - {municipality: sorvik, mode: legacy}\n#")


async def set_above(world: World, path: str, **wanted: str) -> str:
    """Set something over the routes, and wait until it decides; its id."""
    made = await ask(world, "POST", f"/api/v1/{path}", {**WHY, "municipality": "sorvik", **wanted})
    assert made.status == 201, made
    async with asyncio.timeout(120):
        while (await ask(world, "GET", "/api/v1/routes")).document["generation"] == 1:
            pass
    return str(made.document["id"])


async def test_what_lies_above_is_no_excuse_for_what_a_file_changes_beneath(start: Start) -> None:
    """A panic or an override hides it, and is over one day; an override that says the same is what was agreed."""
    until = datetime.fromtimestamp(int(time.time()) + 3600, UTC).isoformat()
    closed = {"mode": "closed", "text": "Stengt.", "ticket": "S-1", "until": until}
    for path, wanted, status in (
        ("panics", {}, 409),
        ("overrides", closed, 409),
        ("overrides", {**closed, "mode": "legacy", "text": None}, 200),
    ):
        world = await begun(start, top="guard_reload: true\n")
        try:
            await set_above(world, path, **{name: value for name, value in wanted.items() if value is not None})
            world.write(routes=UNDER)
            answer = await ask(world, "POST", "/api/v1/reload", WHY)
            assert answer.status == status, (path, wanted, answer)
            if status == 409:
                assert "guard_reload: sorvik" in answer.document["detail"]
        finally:
            await world.stop()
        for file in (world.folder / "var").glob("*.db*"):
            file.unlink()


async def test_file_does_not_take_its_own_guard_off(start: Start) -> None:
    """What turns the guard off changes nothing else by the same reload."""
    world = await begun(start, top="guard_reload: true\n")
    try:
        world.write(routes=CLOSED, top=world.settings["top"].replace("guard_reload: true", "guard_reload: false"))
        assert (await ask(world, "POST", "/api/v1/reload", WHY)).status == 409
        world.write(routes=ROUTES)
        assert (await ask(world, "POST", "/api/v1/reload", WHY)).status == 200
    finally:
        await world.stop()


async def test_panic_waits_for_no_file(operated: World) -> None:
    """While the key at HelseID is damaged, which may be why there is a panic, everything goes back all the same."""
    try:
        (operated.folder / "key.json").write_text("{}", encoding="utf-8")
        panic = await ask(operated, "POST", "/api/v1/panics", {**WHY, "municipality": "havnes"})
        assert panic.status == 201
        async with asyncio.timeout(120):
            while (await operated.post("bundle", message("alarm-follow-up"))).status != 400:
                pass
        refused = await ask(operated, "POST", "/api/v1/reload", WHY)
        assert refused.status == 409, "and a reload says what is wrong with it"
    finally:
        await operated.stop()


async def test_command_says_what_was_taken_or_why_not(operated: World) -> None:
    """`vkp-gateway reload`: exit 0 with the table's number and the warnings; exit 1 with the errors."""
    token = operated.folder / "token"
    token.write_text(SECRET, encoding="utf-8")
    token.chmod(0o600)
    url = f"http://127.0.0.1:{operated.admin_port}"
    asked = ["reload", "--admin", url, "--token-file", str(token), "--reason", "Ny avtale"]
    try:
        taken = await asyncio.to_thread(CliRunner().invoke, main, asked)
        assert (taken.exit_code, taken.stdout) == (0, "The configuration is in force, as generation 2.\n")
        assert "check digit" in taken.stderr
        operated.write(routes="  - {mode: legcay}\n")
        refused = await asyncio.to_thread(CliRunner().invoke, main, asked)
        assert refused.exit_code == 1
        assert "legcay" in refused.stderr
    finally:
        await operated.stop()


async def test_every_message_says_which_table_decided_about_it(operated: World) -> None:
    """In its line of the log: the number that metrics and the API have, from the start on and after each reload."""
    try:
        for number in (1, 2, 3):
            operated.logged.forget()
            for path, name in ((NOTE, "note"), (f"/epj/r4/{HAVNES}/bundle", "alarm-follow-up")):
                await operated.post(path, message(name))
            told = [line["generation"] for line in operated.logged.named("message")]
            routes = await ask(operated, "GET", "/api/v1/routes")
            assert (told, routes.document["generation"]) == ([number, number], number)
            assert metrics.REGISTRY.get_sample_value("vkp_gateway_generation") == number
            assert (await operated.gateway.reload()).taken
    finally:
        await operated.stop()

"""`override`, `panic` and `routes` against a running admin port."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result

from gateway.cli.main import main
from tests.gateway.admin.conftest import office, olga, open_office, shelf
from tests.gateway.admin.shelf import at
from tests.gateway.cli.test_messages import token
from tests.gateway.office import NOW

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.gateway.admin.shelf import Shelf
    from tests.gateway.office import Office

    Ask = Callable[..., Awaitable[Result]]

__all__ = ["office", "olga", "open_office", "shelf"]
UNTIL = at(NOW + 3600)
SET = (
    *("override", "set", "--municipality", "nordfjell", "--information", "varsel", "--information", "notat"),
    *("--mode", "closed", "--text", "Stengt.", "--until", UNTIL, "--ticket", "INC-7", "--reason", "Feil"),
)


@pytest.fixture
async def ask(office: Office, shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> Ask:
    """Run a command as an operator and viewer."""
    del shelf
    monkeypatch.setenv("VKP_GATEWAY_ADMIN", office.address)
    monkeypatch.setenv("VKP_GATEWAY_TOKEN_FILE", await token(office, "operator", "viewer"))

    async def asked(*arguments: str) -> Result:
        result = await asyncio.to_thread(CliRunner().invoke, main, arguments)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    return asked


async def document(ask: Ask, *arguments: str) -> Any:
    """Return what a command prints as JSON."""
    result = await ask(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


async def test_override_is_set_listed_changed_and_ended(ask: Ask) -> None:
    """A line for each; what is not said of a change stays as it was."""
    result = await ask(*SET)
    assert result.exit_code == 0, result.output
    name, rest = result.stdout.split("  ", 1)
    assert rest.startswith("version 1  closed  nordfjell, notat, varsel  until 2026-05-28T21:26:40Z  INC-7  ")
    assert (await ask("override", "list")).stdout == result.stdout
    changed = await document(ask, "override", "change", name, "--text", "Til i morgen.", "--reason", "Lenger")
    assert (changed["version"], changed["text"], changed["ticket"]) == (2, "Til i morgen.", "INC-7")
    assert (changed["information"], changed["until"]) == (["notat", "varsel"], "2026-05-28T21:26:40Z")
    ended = await ask("override", "end", name, "--reason", "Rettet")
    assert (ended.exit_code, "ended 2026-05-28T20:26:40Z" in ended.stdout) == (0, True)
    assert (await ask("override", "list")).stdout == ""
    assert (await ask("override", "list", "--ended")).stdout == ended.stdout
    again = await ask("override", "end", name, "--reason", "Igjen")
    assert (again.exit_code, again.stderr) == (1, "Error: conflict: it has ended already; look at it as it is now.\n")


async def test_change_of_mode_leaves_behind_what_belongs_to_the_old_one(ask: Ask) -> None:
    """A legacy override has no text."""
    name = (await document(ask, *SET))["id"]
    changed = await document(ask, "override", "change", name, "--mode", "legacy", "--reason", "Åpnet")
    assert (changed["mode"], changed["text"], changed["information"]) == ("legacy", None, ["notat", "varsel"])


async def test_change_of_what_somebody_else_changed_is_refused(ask: Ask) -> None:
    """By the version that was seen; exit 1."""
    name = (await document(ask, *SET))["id"]
    assert (await ask("override", "change", name, "--text", "To.", "--reason", "x", "--version", "1")).exit_code == 0
    for command in (("change", name, "--text", "Tre."), ("end", name)):
        late = await ask("override", *command, "--reason", "x", "--version", "1")
        assert (late.exit_code, late.stderr) == (
            1,
            (
                "Error: changed-meanwhile: somebody else has changed it meanwhile: it is version 2 now; "
                "look at it as it is now, and repeat the command if you still want it.\n"
            ),
        )
    assert (await document(ask, "override", "list"))["overrides"][0]["text"] == "To."


async def test_nonsense_is_wrong_use(ask: Ask) -> None:
    """Exit 2, and why; nothing is set without reason, ticket and end."""
    wrong = await ask(*SET, "--mode", "new")
    assert wrong.exit_code == 2
    assert '"text" belongs to mode closed only' in wrong.stderr
    for missing in ("--until", "--ticket", "--reason", "--mode"):
        place = SET.index(missing)
        assert (await ask(*SET[:place], *SET[place + 2 :])).exit_code == 2
    assert (await ask("override", "end", "o-none", "--reason", "x")).exit_code == 1
    assert (await ask("override", "list")).stdout == ""


async def test_lists_go_on_with_a_cursor(ask: Ask) -> None:
    """That is printed as the last line."""
    await ask(*SET)
    await ask(*SET[:3], "sorvik", *SET[4:])
    first = (await ask("override", "list", "--limit", "1")).stdout.splitlines()
    rest = await document(ask, "override", "list", "--cursor", first[-1].removeprefix("more: --cursor "))
    assert (len(first), len(rest["overrides"])) == (2, 1)


async def test_panic_is_switched_on_and_off(ask: Ask) -> None:
    """And says how to roll back what the new side has."""
    result = await ask("panic", "on", "--municipality", "312229544", "--reason", "Alt feiler")
    assert result.exit_code == 0, result.output
    line, effect, offer = result.stdout.splitlines()
    assert effect == "no cell changes"
    name = line.split("  ")[0]
    assert line.split("  ")[1:3] == ["nordfjell", "until it is ended"]
    assert offer == "what the new side has: vkp-gateway rollback list --municipality nordfjell --since T"
    assert (await ask("panic", "list")).stdout == f"{line}\n"
    assert (await ask("panic", "on", "--municipality", "nordfjell", "--reason", "x")).exit_code == 1
    assert (await ask("panic", "on", "--reason", "x")).exit_code == 2
    assert (await document(ask, "panic", "off", name, "--reason", "Rettet"))["holds"] is False
    assert (await ask("panic", "list")).stdout == ""
    assert (await ask("panic", "off", name, "--reason", "Igjen")).exit_code == 1


async def test_panic_says_what_it_would_do(ask: Ask) -> None:
    """Cell by cell, and sets nothing."""
    await ask(*SET)
    result = await ask("panic", "on", "--municipality", "nordfjell", "--reason", "x", "--dry-run")
    assert result.exit_code == 0, result.output
    first, effect, _ = result.stdout.splitlines()
    assert first == "nothing is set; this is what it would do:"
    assert effect == "opens       nordfjell, every sender, varsel, notat: closed -> legacy"
    assert (await ask("panic", "list")).stdout == ""


async def test_routes_are_listed_with_what_lies_over_them(ask: Ask, office: Office) -> None:
    """The strongest first."""
    name = (await document(ask, *SET))["id"]
    panic = (await document(ask, "panic", "on", "--information", "tilsyn", "--reason", "x"))["id"]
    head, *lines = (await ask("routes")).stdout.splitlines()
    assert head.startswith(f"generation -, file {office.folder}/routes.yaml ")
    assert head.endswith(", layers 2")
    assert lines[0] == f"panic {panic}  legacy  tilsyn"
    assert lines[1] == f"override {name}  closed  nordfjell, notat, varsel  until 2026-05-28T21:26:40Z"
    assert lines[2].split("  ")[1:] == ["legacy", "everything else"]
    assert len((await document(ask, "routes", "--municipality", "sorvik"))["routes"]) == 2

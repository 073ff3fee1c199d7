"""What a command imports before it does anything: the small ones must begin at once. Modules are counted, not seconds."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest
from click.shell_completion import ShellComplete

from gateway.cli.main import COMMANDS, main
from tests.gateway.cli.test_plan import _fill

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT = Path(__file__).parents[3]
SLOW = {
    *("aiohttp", "alembic", "asyncio", "httptools", "jinja2", "joserfc", "prometheus_client", "psycopg"),
    *("requests", "sqlalchemy", "structlog", "uvloop", "zeep"),
}
"""Each of these takes longer to import than the rest of a small command."""
_RUN = """
import json, sys
from gateway.cli.main import main
try:
    main(sys.argv[1:])
except SystemExit as end:
    code = end.code
print(json.dumps([code, sorted(sys.modules)]), file=sys.stderr)
"""


def imported(*arguments: object, folder: Path = ROOT) -> tuple[int, set[str]]:
    """Return the exit code of a command that runs in a process of its own, and the modules that it has imported."""
    command = [sys.executable, "-c", _RUN, *map(str, arguments)]
    process = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True, timeout=120)
    code, modules = json.loads(process.stderr.splitlines()[-1])
    return code, set(modules)


MESSAGE = "translators/examples/quirks.json"
CELL = ("--municipality", "nordfjell", "--sender", "Evondos_E300_Nordfjell", "--information", "medisinering")


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [
        ("--version",),
        ("--help",),
        ("check", "--help"),
        ("explain", "--help"),
        ("translate", "--surface", "vkp-r4", "--to", "jft", "--municipality", "havnes", MESSAGE),
        ("messages", "list", "--help"),
        ("override", "set", "--help"),
        ("simulate", "--municipalities", "3", "--days", "2", "--json"),
    ],
    ids=" ".join,
)
def test_a_small_command_imports_nothing_that_takes_long(arguments: tuple[str, ...]) -> None:
    """It neither serves, nor asks a gateway, nor opens a ledger."""
    _, modules = imported(*arguments)
    allowed = {"asyncio", "sqlalchemy"} if arguments[0] in {"messages", "override"} else set()
    assert modules & SLOW <= allowed


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "code"),
    [(("check",), 0), (("explain", *CELL[:2]), 0), (("plan", "routes.yaml"), 0), (("keys", "init"), 0), (("init",), 0)],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_command_on_a_file_imports_nothing_that_takes_long(
    routes_file: Path, command: tuple[str, ...], code: int
) -> None:
    """With upstreams over TLS, whose certificates `check` reads; without a ledger, there is nothing to read of one."""
    found, modules = imported(*command, folder=routes_file.parent)
    assert (found, modules & SLOW) == (code, set())


@pytest.mark.slow
def test_explain_reads_a_ledger_only_where_one_is(routes_file: Path) -> None:
    """It takes the libraries of the ledger then, and no others."""
    _fill(routes_file.parent, [])
    assert (routes_file.parent / "var" / "gateway.db").exists()
    code, modules = imported("explain", *CELL[:2], folder=routes_file.parent)
    assert code == 0
    assert "sqlalchemy" in modules
    assert not modules & {"aiohttp", "httptools", "jinja2", "joserfc", "prometheus_client", "uvloop"}


def test_the_list_of_commands_imports_none_of_them() -> None:
    """Neither does completing a command's name in a shell."""
    for arguments in (("--help",), ()):
        _, modules = imported(*arguments)
        assert {name for name in modules if name.startswith("gateway.")} == {"gateway.cli", "gateway.cli.main"}


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_says_of_a_command_what_its_own_help_begins_with(name: str) -> None:
    """The two are written in two places, and say the same."""
    command = main.commands[name]
    assert command.name == name
    assert (command.help or "").replace("\n", " ").startswith(COMMANDS[name].help.rstrip("."))


def test_help_lists_every_command() -> None:
    """In the order of the alphabet, each on a line of its own."""
    lines = main.get_help(click.Context(main)).partition("Commands:\n")[2].splitlines()
    assert [line.split()[0] for line in lines if line[2:3].strip()] == sorted(COMMANDS)


def completed(arguments: Iterable[str], incomplete: str) -> list[str]:
    """Return what a shell would offer."""
    complete = ShellComplete(main, {}, "vkp-gateway", "_VKP_GATEWAY_COMPLETE")
    return [item.value for item in complete.get_completions(list(arguments), incomplete)]


def test_a_shell_completes_commands_their_parts_and_options() -> None:
    """As click does it for bash, zsh and fish."""
    assert completed([], "re") == ["reload", "replica", "report", "resend"]
    assert completed([], "--v") == ["--version"]
    assert completed(["quarantine"], "re") == ["release"]
    assert completed(["explain"], "--mu") == ["--municipality"]
    assert completed(["messages", "list", "--state"], "quar") == ["quarantined"]


def test_a_command_that_is_not_there_is_named_with_one_that_may_be_meant() -> None:
    """Exit 2."""
    process = subprocess.run(
        [sys.executable, "-m", "gateway", "explian"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
    )
    assert process.returncode == 2
    assert "explain" in process.stderr

"""docs/commands.md has every command, and what `--json` prints of it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest
from click.testing import CliRunner

from gateway.cli.main import COMMANDS, main

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/commands.md").read_text(encoding="utf-8")
ROWS = dict(re.findall(r"^\| `([a-z][a-z -]*)` \| [^|]* \| (.*) \|$", PAGE, re.MULTILINE))
"""What `--json` prints, by command."""


def leaves(group: click.Group, before: str = "") -> Iterator[tuple[str, click.Command]]:
    """Return every command that does something, with its words."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from leaves(command, f"{before}{name} ")
        else:
            yield f"{before}{name}", command


EVERY = dict(leaves(main))


def test_every_command_has_a_row_and_every_row_a_command() -> None:
    """Nobody looks for one that is not there."""
    assert set(ROWS) == set(EVERY)


@pytest.mark.parametrize("name", EVERY)
def test_every_command_takes_json(name: str) -> None:
    """As the page says of all."""
    assert "--json" in {option for parameter in EVERY[name].params for option in parameter.opts}


@pytest.mark.parametrize("name", EVERY)
def test_every_option_says_what_it_is(name: str) -> None:
    """One that is not a choice of words alone, at least."""
    for parameter in EVERY[name].params:
        if isinstance(parameter, click.Option) and not parameter.hidden:
            assert parameter.help or isinstance(parameter.type, click.Choice), parameter.name


def test_completion_is_asked_for_by_the_name_that_click_gives_the_program() -> None:
    """The lines of the page are copied into shells."""
    for shell in ("bash", "zsh", "fish"):
        assert f"_VKP_GATEWAY_COMPLETE={shell}_source vkp-gateway" in PAGE
        result = CliRunner().invoke(main, [], prog_name="vkp-gateway", env={"_VKP_GATEWAY_COMPLETE": f"{shell}_source"})
        assert result.exit_code == 0
        assert "vkp-gateway" in result.output


MESSAGE = "translators/examples/quirks.json"
CELL = ("--municipality", "nordfjell", "--sender", "Evondos_E300_Nordfjell", "--information", "medisinering")
REQUEST = ("--surface", "vkp-r4", "--to", "jft", "--municipality", "havnes")


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("check", ()),
        ("explain", CELL),
        ("init", ("{folder}",)),
        ("plan", ("routes.yaml",)),
        ("simulate", ("--municipalities", "2", "--days", "2")),
        ("translate", (*REQUEST, MESSAGE)),
        ("keys init", ("--config", "{folder}/routes.yaml")),
        ("keys rotate", ("--config", "{folder}/routes.yaml")),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_json_document_has_the_parts_that_the_page_names(
    name: str, arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of them, and no other."""
    monkeypatch.chdir(ROOT)
    if name.startswith("keys"):
        (tmp_path / "routes.yaml").write_bytes((ROOT / "routes.yaml").read_bytes())
        CliRunner().invoke(main, ["keys", "init", "--config", str(tmp_path / "routes.yaml")])
    given = [argument.replace("{folder}", str(tmp_path)) for argument in arguments]
    result = CliRunner().invoke(main, [*name.split(), *given, "--json"])
    assert result.exit_code in (0, 1), result.output
    named = re.sub(r"\([^)]*\)", "", re.split(r": each with|\. With|: null", ROWS[name])[0])
    words = [word for word in re.findall(r"`([^`]+)`", named) if word not in EVERY]
    assert sorted(json.loads(result.stdout)) == sorted(words)


def test_the_readme_leads_to_the_commands() -> None:
    """And shows how to begin."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "(docs/commands.md)" in readme
    assert {"init", "check"} <= {name for name in COMMANDS if f"vkp-gateway {name}" in readme}

"""`init`: a person who fills in what is marked has a configuration that `check` finds nothing wrong with."""

from __future__ import annotations

import configparser
import json
import re
import shlex
import sys
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result

from gateway.cli.init.command import MARK, unit
from gateway.cli.main import main
from gateway.config.load import load
from gateway.config.model import KeyFiles
from gateway.ledger.key_files import load_keys
from gateway.model import Mode

if TYPE_CHECKING:
    from pathlib import Path

VALUES = {
    "issuer": "https://helseid-sts.test.nhn.no",
    "client_id": "6f6c8b0e-0d7e-4a4b-9d5b-5f2f4b7f9c11",
    "url": "https://vkp.example",
    "orgnr": '"312229544"',
    "vkp_id": "Leverandor_Kommune",
}
"""What a person writes at the marked places, by key; elsewhere it is a name."""
_MARKED = re.compile(rf"^( *(?:- )?)(\w+):( +)# {MARK} .*$", re.MULTILINE)


def run(*arguments: object) -> Result:
    """Run a command; it ends by itself."""
    result = CliRunner().invoke(main, [str(each) for each in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def problems(path: Path) -> list[dict[str, object]]:
    """Return what `check` says of a file."""
    found: list[dict[str, object]] = json.loads(run("check", path, "--json").stdout)["problems"]
    return found


def test_what_check_says_first_is_exactly_the_marked_places(tmp_path: Path) -> None:
    """So that a person can go through them one by one, and no other mistake hides among them."""
    assert run("init", tmp_path).exit_code == 0
    lines = (tmp_path / "routes.yaml").read_text(encoding="utf-8").splitlines()
    marked = [number for number, line in enumerate(lines, 1) if MARK in line]
    found = problems(tmp_path / "routes.yaml")
    assert [one["line"] for one in found] == marked
    assert {one["severity"] for one in found} == {"error"}
    assert len(marked) == len(_MARKED.findall("\n".join(lines)))


def test_check_is_green_once_the_marked_places_are_filled_in(tmp_path: Path) -> None:
    """Without a warning either; VKP answers everything, and the keys can be used."""
    run("init", tmp_path)
    path = tmp_path / "routes.yaml"
    text = path.read_text(encoding="utf-8")
    filled = _MARKED.sub(lambda found: f"{found[1]}{found[2]}: {VALUES.get(found[2], 'Et navn')}", text)
    path.write_text(filled, encoding="utf-8")
    result = run("check", path)
    assert (result.exit_code, result.stdout) == (0, f"{path}: 0 errors, 0 warnings\n")
    config = load(str(path)).config
    assert config is not None
    assert [route.mode for route in config.routes] == [Mode.LEGACY]
    load_keys(config.keys, tmp_path)
    explained = run("explain", "--config", path, "--sender", VALUES["vkp_id"], "--municipality", "kommune")
    assert "answered by vkp" in explained.stdout


def test_nothing_that_exists_is_overwritten(tmp_path: Path) -> None:
    """It is said, and what is missing is made all the same."""
    (tmp_path / "routes.yaml").write_text("version: 1\n", encoding="utf-8")
    first = run("init", tmp_path)
    assert first.exit_code == 0
    assert [line.split()[-2:-1] for line in first.stdout.splitlines()[:2]] == [["exists"], ["made"]]
    assert (tmp_path / "routes.yaml").read_text(encoding="utf-8") == "version: 1\n"
    assert MARK.rstrip(":") not in first.stdout
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    again = run("init", tmp_path, "--json")
    document = json.loads(again.stdout)
    assert {one["state"] for one in document["files"] + document["keys"]} == {"exists"}
    assert (document["ok"], document["to_fill_in"]) == (True, 0)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_keys_go_where_an_existing_configuration_has_them(routes_file: Path) -> None:
    """They would be found by nobody elsewhere."""
    with routes_file.open("a", encoding="utf-8") as file:
        file.write("keys: {lookup: own/lookup.key}\n")
    assert run("init", routes_file.parent).exit_code == 0
    assert (routes_file.parent / "own" / "lookup.key").exists()
    assert not (routes_file.parent / KeyFiles().lookup).exists()


def test_a_new_folder_is_made(tmp_path: Path) -> None:
    """With the folders above it; the keys are for nobody else."""
    folder = tmp_path / "srv" / "vkp gateway"
    assert run("init", folder).exit_code == 0
    assert (folder / KeyFiles().payload).stat().st_mode & 0o077 == 0


def test_a_key_that_cannot_be_used_is_exit_1(tmp_path: Path) -> None:
    """The rest is made."""
    run("init", tmp_path)
    (tmp_path / KeyFiles().lookup).write_text("{}", encoding="utf-8")
    result = run("init", tmp_path, "--json")
    assert (result.exit_code, json.loads(result.stdout)["ok"]) == (1, False)


@pytest.mark.parametrize("name", ["routes.yaml", "routes.yaml/below"])
def test_a_folder_that_cannot_be_is_told_in_a_sentence(tmp_path: Path, name: str) -> None:
    """A file is there."""
    (tmp_path / "routes.yaml").write_text("", encoding="utf-8")
    result = run("init", tmp_path / name)
    assert result.exit_code in (1, 2)
    assert result.stderr.splitlines()[-1].startswith("Error: ")


def test_a_folder_that_would_break_the_unit_is_refused(tmp_path: Path) -> None:
    """A line of a unit ends where its path would."""
    result = run("init", tmp_path / "a\nExecStart=b")
    assert result.exit_code == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["vkp", "vkp gateway", "50% $HOME", 'a "quoted" one', "it's", "back\\slash"])
def test_the_unit_names_the_folder_and_the_program_as_systemd_reads_them(tmp_path: Path, name: str) -> None:
    """Quotes, percent signs and dollars have meanings of their own there."""
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign] # keys keep their case
    parser.read_string(unit(tmp_path / name))
    service = parser["Service"]
    assert service["WorkingDirectory"].replace("%%", "%") == str(tmp_path / name)
    assert shlex.split(service["ReadWritePaths"].replace("%%", "%")) == [str(tmp_path / name / "var")]
    program, *rest = shlex.split(service["ExecStart"].replace("%%", "%").replace("$$", "$"))
    assert program.startswith(sys.prefix)
    assert rest[-3:] == ["serve", "--config", "routes.yaml"]
    assert not [line for line in unit(tmp_path / name).splitlines() if "@" in line]


def test_unit_starts_again_for_as_long_as_it_takes(tmp_path: Path) -> None:
    """After a power cut the database may come minutes later, and systemd gives up after five tries unless it is told not to."""
    lines = unit(tmp_path).splitlines()
    assert lines.index("StartLimitIntervalSec=0") < lines.index("[Service]")
    assert {"Restart=on-failure", "RestartSec=5"} <= set(lines)

"""`keys init` and `keys rotate`: what they make, what they leave alone, and that no key is ever printed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result

from gateway.cli import main
from gateway.config.definitions import KeyFiles
from gateway.ledger.keys import load_keys, read_payload

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ("payload", "lookup", "canary")


def keys(routes_file: Path, *arguments: str) -> Result:
    """Run the command, and look that nothing of a key is in what it prints."""
    result = CliRunner().invoke(main, ["keys", arguments[0], "--config", str(routes_file), *arguments[1:]])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    for path in (routes_file.parent / "var").glob("*.key*"):
        content = path.read_text(encoding="utf-8")
        if content.startswith("{"):
            found = json.loads(content)
            assert not [one for one in found.get("keys", [found]) if one and one["key"] in result.output]
    return result


def states(result: Result) -> dict[str, str]:
    """Return the state of each key that was printed as JSON."""
    return {one["key"]: one["state"] for one in json.loads(result.output)["keys"]}


def test_init_makes_every_key_and_says_so(routes_file: Path) -> None:
    """In the folder of the configuration, which is made too; they can be loaded."""
    result = keys(routes_file, "init")
    assert result.exit_code == 0
    assert [line.split()[:2] for line in result.output.splitlines()] == [[name, "made"] for name in NAMES]
    assert "var/payload.keys" in result.output
    load_keys(KeyFiles(), routes_file.parent)


def test_init_overwrites_nothing(routes_file: Path) -> None:
    """Only what is missing is made."""
    assert set(states(keys(routes_file, "init", "--json")).values()) == {"made"}
    (routes_file.parent / "var" / "canary.key").unlink()
    before = (routes_file.parent / "var" / "payload.keys").read_bytes()
    again = keys(routes_file, "init", "--json")
    assert again.exit_code == 0
    assert states(again) == {"payload": "there", "lookup": "there", "canary": "made"}
    assert (routes_file.parent / "var" / "payload.keys").read_bytes() == before


def test_a_key_of_the_environment_is_named_and_not_made(routes_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether the variable is set here or not; its value is not printed."""
    monkeypatch.setenv("PAYLOAD_KEYS", "hemmelig")
    with routes_file.open("a", encoding="utf-8") as file:
        file.write('keys: {payload: "${PAYLOAD_KEYS}"}\n')
    result = keys(routes_file, "init")
    assert result.exit_code == 0
    assert result.output.splitlines()[0].split(maxsplit=2) == [
        "payload",
        "environment",
        "${PAYLOAD_KEYS}, not made here",
    ]
    assert {path.name for path in (routes_file.parent / "var").iterdir()} == {"lookup.key", "canary.key"}
    rotated = keys(routes_file, "rotate")
    assert rotated.exit_code == 1
    assert "rotated where that variable is set" in rotated.output
    assert "hemmelig" not in result.output + rotated.output


@pytest.mark.parametrize(("content", "mode"), [("{}", 0o600), (None, 0o644)], ids=["no key", "open to others"])
def test_a_key_that_is_there_and_no_good_is_told(routes_file: Path, content: str | None, mode: int) -> None:
    """It is left as it is, the others are made, and the exit code is 1."""
    keys(routes_file, "init")
    path = routes_file.parent / "var" / "lookup.key"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    path.chmod(mode)
    before = path.read_bytes()
    result = keys(routes_file, "init", "--json")
    assert result.exit_code == 1
    assert not json.loads(result.output)["ok"]
    assert states(result) == {"payload": "there", "lookup": "unusable", "canary": "there"}
    assert path.read_bytes() == before


def test_a_folder_that_cannot_be_made_is_told(routes_file: Path) -> None:
    """Exit 1 with the reason, not a trace."""
    (routes_file.parent / "var").write_text("a file", encoding="utf-8")
    result = CliRunner().invoke(main, ["keys", "init", "--config", str(routes_file)])
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    assert [line.split()[1] for line in result.output.splitlines()] == ["unusable"] * 3


def test_rotate_makes_another_key_current(routes_file: Path) -> None:
    """The older ones stay; the lookup and canary keys are not touched, and it is said why."""
    keys(routes_file, "init")
    var = routes_file.parent / "var"
    others = [(var / name).read_bytes() for name in ("lookup.key", "canary.key")]
    first = read_payload("var/payload.keys", routes_file.parent)
    result = keys(routes_file, "rotate")
    assert result.exit_code == 0
    second = read_payload("var/payload.keys", routes_file.parent)
    assert second.current not in {key.id for key in first.keys}
    assert second.keys[:-1] == first.keys
    assert f"key {second.current} seals from now on, 1 older still open" in result.output
    assert "could not be found any more" in result.output
    assert others == [(var / name).read_bytes() for name in ("lookup.key", "canary.key")]
    as_json = json.loads(keys(routes_file, "rotate", "--json").output)
    assert as_json["older"] == [first.current, second.current]
    assert as_json["current"] == read_payload("var/payload.keys", routes_file.parent).current


def test_rotate_needs_a_key_to_rotate(routes_file: Path) -> None:
    """Exit 1, with the command that makes one."""
    result = keys(routes_file, "rotate")
    assert result.exit_code == 1
    assert "keys.payload: var/payload.keys: there is no such file; vkp-gateway keys init makes it" in result.output
    assert not (routes_file.parent / "var").exists()


@pytest.mark.parametrize("command", ["init", "rotate"])
def test_a_configuration_with_errors_is_wrong_use(routes_file: Path, command: str) -> None:
    """Exit 2 with its errors; nothing is made."""
    routes_file.write_text("version: 2\n", encoding="utf-8")
    result = keys(routes_file, command)
    assert result.exit_code == 2
    assert f"{routes_file}:1:10: " in result.output
    assert not (routes_file.parent / "var").exists()

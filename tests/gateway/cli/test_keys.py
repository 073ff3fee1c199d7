"""`keys init` and `keys rotate`: what they make, what they leave alone, and that no key is ever printed."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result

from gateway.cli.main import main
from gateway.config.model import KeyFiles
from gateway.ledger import audit, canary_key, overrides
from gateway.ledger.database import open_store
from gateway.ledger.key_files import load_keys, read_payload
from gateway.model import Mode
from tests.gateway.ledger.test_overrides import note, override

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sqlalchemy import Connection

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
    assert states(again) == {"payload": "exists", "lookup": "exists", "canary": "made"}
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
    assert states(result) == {"payload": "exists", "lookup": "unusable", "canary": "exists"}
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
    assert f"key {second.current} seals from now on, 1 older key left to open what is sealed already" in result.output
    assert "could not be found any more, and a canary would get another share" in result.output
    assert others == [(var / name).read_bytes() for name in ("lookup.key", "canary.key")]
    as_json = json.loads(keys(routes_file, "rotate", "--json").output)
    assert as_json["older"] == [first.current, second.current]
    assert as_json["current"] == read_payload("var/payload.keys", routes_file.parent).current


def test_rotate_needs_a_key_to_rotate(routes_file: Path) -> None:
    """Exit 1, with the command that makes one."""
    result = keys(routes_file, "rotate")
    assert result.exit_code == 1
    assert (
        "keys.payload: var/payload.keys: there is no such file; put its copy back, or, for an installation that is new, vkp-gateway keys init makes it"
        in result.output
    )
    assert not (routes_file.parent / "var").exists()


def ledger_of(routes_file: Path, work: Callable[[Connection], object]) -> None:
    """Do something with the ledger of the configuration, as another node."""

    async def done() -> None:
        store = await asyncio.to_thread(open_store, "sqlite:///var/gateway.db", routes_file.parent)
        try:
            await store.write(work)
        finally:
            await store.close()

    asyncio.run(done())


def test_another_canary_key_is_accepted_where_no_canary_runs(routes_file: Path) -> None:
    """The ledger knows it from then on, by a fingerprint that is printed; the audit has why."""
    keys(routes_file, "init")
    ledger_of(routes_file, lambda each: canary_key.other_than_known(each, b"k" * 32, "node-b", 0.0))
    result = keys(routes_file, "accept-canary", "--reason", "Tapt", "--json")
    assert result.exit_code == 0, result.output
    found: list[object] = []
    ledger_of(routes_file, lambda each: found.extend([canary_key.known(each), *audit.entries(each, 9)]))
    mark, entry = found
    assert json.loads(result.output) == {"ok": True, "key": "canary", "fingerprint": mark}
    assert isinstance(entry, audit.Entry)
    assert (entry.note.action, entry.note.reason) == ("keys.accept-canary", "Tapt")
    again = keys(routes_file, "accept-canary", "--reason", "Tapt")
    assert again.output == f"canary   var/canary.key: accepted; canaries divide patients by it, fingerprint {mark}\n"


def test_no_other_canary_key_is_accepted_while_a_canary_runs(routes_file: Path) -> None:
    """Of the file, by its place, or of the ledger, by its name: exit 1, and the ledger knows the key that it knew."""
    keys(routes_file, "init")
    until = time.time() + 3600
    canary = override("o-1", "nordfjell", mode=Mode.CANARY, text=None, share=0.5, until=until)
    ledger_of(routes_file, lambda each: canary_key.other_than_known(each, b"k" * 32, "node-b", 0.0))
    ledger_of(routes_file, lambda each: overrides.put(each, [canary], note()))
    result = keys(routes_file, "accept-canary", "--reason", "Tapt")
    assert (result.exit_code, "a canary runs" in result.output, "override o-1" in result.output) == (1, True, True)
    with routes_file.open("a", encoding="utf-8") as file:
        file.write("  - {municipality: nordfjell, information: [notat], mode: canary, share: 10%}\n")
    result = keys(routes_file, "accept-canary", "--reason", "Tapt")
    assert (result.exit_code, f"{routes_file}:" in result.output) == (1, True)
    ledger_of(routes_file, lambda each: _is(canary_key.known(each), canary_key.fingerprint(b"k" * 32)))


def _is(found: object, expected: object) -> None:
    assert found == expected


def test_a_canary_key_is_accepted_only_where_it_and_the_ledger_can_be_had(routes_file: Path) -> None:
    """Exit 1 with the reason: no key here, or a gateway that has the ledger open."""
    missing = keys(routes_file, "accept-canary", "--reason", "Tapt")
    assert (missing.exit_code, "vkp-gateway keys init makes it" in missing.output) == (1, True)
    keys(routes_file, "init")
    store = open_store("sqlite:///var/gateway.db", routes_file.parent)
    result = keys(routes_file, "accept-canary", "--reason", "Tapt")
    asyncio.run(store.close())
    assert (result.exit_code, "store: another process uses gateway.db" in result.output) == (1, True)
    assert keys(routes_file, "accept-canary").exit_code == 2


@pytest.mark.parametrize("command", [["init"], ["rotate"], ["accept-canary", "--reason", "Tapt"]], ids=str)
def test_a_configuration_with_errors_is_wrong_use(routes_file: Path, command: list[str]) -> None:
    """Exit 2 with its errors; nothing is made."""
    routes_file.write_text("version: 2\n", encoding="utf-8")
    result = keys(routes_file, *command)
    assert result.exit_code == 2
    assert f"{routes_file}:1:10: " in result.output
    assert not (routes_file.parent / "var").exists()


def test_keys_are_accepted_in_place_of_lost_ones(routes_file: Path) -> None:
    """While no gateway has the ledger open; the audit has why."""
    keys(routes_file, "init")
    store = open_store("sqlite:///var/gateway.db", routes_file.parent)
    refused = keys(routes_file, "accept-lost", "--reason", "Tapt")
    asyncio.run(store.close())
    assert (refused.exit_code, "stop every gateway first" in refused.output) == (1, True)
    result = keys(routes_file, "accept-lost", "--reason", "Tapt", "--json")
    assert (result.exit_code, json.loads(result.output)) == (0, {"ok": True, "keys": ["lookup", "payload"]})
    found: list[object] = []
    ledger_of(routes_file, lambda each: found.extend(audit.entries(each, 9)))
    (entry,) = found
    assert isinstance(entry, audit.Entry)
    assert (entry.note.action, entry.note.reason) == ("keys.accept-lost", "Tapt")

"""`plan` says what another configuration would change, and reads a ledger without changing it."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result

from gateway.cli.main import main
from gateway.ledger.database import open_store
from gateway.ledger.decision_log import PastDecision, write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

MOVES = "  - {municipality: nordfjell, vendor: evondos, information: [medisinering], mode: new}\n"


@pytest.fixture
def plan(routes_file: Path, tmp_path: Path) -> Callable[..., Result]:
    """Compare the configuration with one in which a text is another."""

    def ran(before: str, after: str, *arguments: str) -> Result:
        text = routes_file.read_text(encoding="utf-8")
        assert before in text
        (tmp_path / "new.yaml").write_text(text.replace(before, after, 1), encoding="utf-8")
        return CliRunner().invoke(main, ["plan", str(routes_file), str(tmp_path / "new.yaml"), *arguments])

    return ran


def _seen(
    age: float, information: str | None = "medisinering", mode: str = "new", layer: str = "routes"
) -> PastDecision:
    names = ("nordfjell", "Evondos_Nordfjell", "evondos", "e300", information)
    return PastDecision(time.time() - age, "r", "vkp-r4", *names, mode, layer, None, "routes.yaml:1:1", "accepted")


def _fill(folder: Path, rows: Iterable[PastDecision]) -> None:
    async def filled() -> None:
        store = open_store("sqlite:///var/gateway.db", folder)
        await store.write(lambda connection: write(connection, list(rows)))
        await store.close()

    asyncio.run(filled())


def test_the_same_configuration_changes_nothing(plan: Callable[..., Result]) -> None:
    """Exit 0, whatever else is written differently."""
    result = plan("  - {mode: legacy}\n", "\n  - {mode: legacy, losses: []}\n")
    assert (result.exit_code, result.output) == (0, "No cell changes.\n")


def test_what_changes_is_told_with_both_routes(plan: Callable[..., Result], tmp_path: Path) -> None:
    """Municipality, vendor, system, types, modes, and where both files say so; exit 1."""
    result = plan(MOVES, "\n")
    assert result.exit_code == 1
    first, second = result.output.splitlines()
    assert first == "nordfjell, evondos e300, medisinering: new -> legacy"
    old, new = second.strip().split(" -> ")
    assert old.startswith(f"{tmp_path}/routes.yaml:")
    assert new.startswith(f"{tmp_path}/new.yaml:")


def test_what_all_senders_share_is_one_line(plan: Callable[..., Result]) -> None:
    """A municipality that closes closes for everybody."""
    result = plan('sorvik, mode: closed, text: "Send etter mandag."', "sorvik, mode: legacy")
    assert result.output.splitlines()[0] == "sorvik, every sender, every type: closed -> legacy"


def test_json_has_the_same(plan: Callable[..., Result]) -> None:
    """One document, also when nothing changes."""
    result = plan(MOVES, MOVES.replace("mode: new", "mode: canary, share: 25%"), "--json")
    (change,) = json.loads(result.output)["changes"]
    assert (change["municipality"], change["senders"], change["information"]) == (
        "nordfjell",
        "system",
        ["medisinering"],
    )
    assert (change["before"]["mode"], change["after"]["mode"], change["after"]["share"]) == ("new", "canary", 0.25)
    same = plan("version: 1", "version: 1", "--json")
    assert (same.exit_code, json.loads(same.output)) == (0, {"changes": [], "past": None})


def test_the_past_is_replayed(plan: Callable[..., Result], tmp_path: Path) -> None:
    """How many recorded messages would have gone another way; what is older than asked for does not count."""
    _fill(tmp_path, [_seen(60), _seen(120), _seen(90, layer="panic"), _seen(8 * 86400), _seen(60, "varsel", "legacy")])
    result = plan(MOVES, "\n", "--past", "7d")
    assert result.output.splitlines()[2:] == [
        "3 of 4 recorded messages would have gone another way",
        "    3 nordfjell, evondos, medisinering: new -> legacy (1 decided by a rule that was set at run time)",
    ]
    document = json.loads(plan(MOVES, "\n", "--past", "30d", "--json").output)["past"]
    assert (document["messages"], document["another_way"], document["type_unknown"]) == (5, 4, 0)
    assert document["moved"][0]["after"] == "legacy"


def test_what_the_log_cannot_tell_is_said(plan: Callable[..., Result], tmp_path: Path) -> None:
    """Patients it does not know, and types that were not read."""
    _fill(tmp_path, [_seen(60), _seen(60, None, "legacy")])
    lines = plan(MOVES, MOVES.replace("mode: new", "mode: canary, share: 25%"), "--past", "1h").output.splitlines()
    assert lines[-2:] == [
        "-> canary: at most so many; it depends on the patients, whom the log does not know",
        "for 1 other message it depends on the type, which was not read then",
    ]


def test_the_ledger_is_only_read(plan: Callable[..., Result], tmp_path: Path) -> None:
    """Where there is none, none is made; trouble is exit 2, so that it is no answer."""
    missing = plan(MOVES, "\n", "--past", "7d")
    assert missing.exit_code == 2
    assert "There is no ledger" in missing.output
    assert not (tmp_path / "var").exists()
    _fill(tmp_path, [_seen(60)])
    before = (tmp_path / "var" / "gateway.db").read_bytes()
    assert plan(MOVES, "\n", "--past", "7d").exit_code == 1
    assert (tmp_path / "var" / "gateway.db").read_bytes() == before
    (tmp_path / "var" / "gateway.db").write_bytes(b"no database at all, but something else entirely" * 99)
    assert (
        "cannot be read: its file is no ledger, or is damaged (SQLITE_NOTADB);"
        in plan(MOVES, "\n", "--past", "7d").output
    )


def test_wrong_use_is_told(plan: Callable[..., Result], tmp_path: Path) -> None:
    """Exit 2 for a file with errors, which are printed, and for a time that is none."""
    broken = plan("mode: legacy", "mode: legcay")
    assert broken.exit_code == 2
    assert "new.yaml" in broken.output
    assert plan("version: 1", "version: 1", "--past", "soon").exit_code == 2
    one = str(tmp_path / "routes.yaml")
    for files in ([], [one, one, one], [one, one, "--config", one]):
        assert CliRunner().invoke(main, ["plan", *files]).exit_code == 2


def test_the_configuration_before_is_an_argument_or_an_option_or_here(
    plan: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All three say the same, as with `check`."""
    monkeypatch.chdir(tmp_path)
    found = plan(MOVES, "\n")
    assert found.exit_code == 1
    for files in (["routes.yaml", "new.yaml"], ["new.yaml", "--config", "routes.yaml"], ["new.yaml"]):
        result = CliRunner().invoke(main, ["plan", *files])
        assert (result.exit_code, result.output.replace(f"{tmp_path}/", "")) == (
            1,
            found.output.replace(f"{tmp_path}/", ""),
        )


def test_no_progress_is_shown_where_nobody_watches(plan: Callable[..., Result], tmp_path: Path) -> None:
    """Standard error is no terminal here, so it has nothing."""
    _fill(tmp_path, [_seen(60)])
    assert plan(MOVES, "\n", "--past", "7d").stderr == ""


def test_a_ledger_that_is_in_use_is_read(plan: Callable[..., Result], tmp_path: Path) -> None:
    """What a running gateway has just written counts."""
    store = open_store("sqlite:///var/gateway.db", tmp_path)
    try:
        store.submit(lambda connection: write(connection, [_seen(60)])).result()
        assert "1 of 1 recorded message would" in plan(MOVES, "\n", "--past", "7d").output
    finally:
        asyncio.run(store.close())

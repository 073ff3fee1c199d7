"""`check` says everything that is wrong, where, and with the right exit code."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from joserfc.jwk import ECKey

from gateway.cli.main import main

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from click.testing import Result


def test_good_file_is_said_to_be_good(run: Callable[..., Result], routes_file: Path) -> None:
    """Warnings do not make it bad."""
    result = run("check")
    assert result.exit_code == 0
    assert result.output.splitlines()[-1].startswith(f"{routes_file}: 0 errors, ")


def test_every_problem_is_told_with_its_place(run: Callable[..., Result], routes_file: Path) -> None:
    """All of them at once, and exit 1."""
    text = routes_file.read_text(encoding="utf-8")
    routes_file.write_text(
        text.replace("mode: legacy}", "mode: legcay}", 1).replace("version: 1", "version: 2"), encoding="utf-8"
    )
    result = run("check")
    assert result.exit_code == 1
    assert f"{routes_file}:1:10: " in result.output
    assert "legcay" in result.output
    assert not result.output.splitlines()[-1].startswith(f"{routes_file}: 0 errors")


def test_json_has_the_same(run: Callable[..., Result], routes_file: Path) -> None:
    """One document, for tools."""
    good = run("check", "--json")
    document = json.loads(good.output)
    assert (good.exit_code, document["ok"]) == (0, True)
    assert {problem["severity"] for problem in document["problems"]} == {"warning"}
    routes_file.write_text("version: 1\n", encoding="utf-8")
    bad = run("check", "--json")
    document = json.loads(bad.output)
    assert (bad.exit_code, document["ok"]) == (1, False)
    assert document["problems"][0].keys() == {"file", "line", "column", "severity", "text"}
    assert document["problems"][0]["file"] == str(routes_file)


@pytest.mark.fact("helseid-keys", "helseid-kid")
def test_a_client_key_that_helseid_would_not_take_is_a_problem(run: Callable[..., Result], routes_file: Path) -> None:
    """Told at its place before anything is signed; a key that is not on this machine is no problem."""
    key = ECKey.generate_key("P-256").as_dict(private=True)
    (routes_file.parent / "key.json").write_text(json.dumps(key), encoding="utf-8")
    result = run("check")
    assert result.exit_code == 1
    assert "the client key cannot be used: key.json: it has no kid" in result.output
    assert str(key["d"]) not in result.output


def test_file_that_is_not_there_is_a_problem(tmp_path: Path) -> None:
    """Exit 1 with the reason, not a trace."""
    result = CliRunner().invoke(main, ["check", "--config", str(tmp_path / "none.yaml")])
    assert result.exit_code == 1
    assert "cannot be read" in result.output
    assert isinstance(result.exception, SystemExit)


def test_default_is_the_routes_file_here(routes_file: Path, monkeypatch: object) -> None:
    """Without --config it is ./routes.yaml."""
    monkeypatch.chdir(routes_file.parent)  # type: ignore[attr-defined]
    assert CliRunner().invoke(main, ["check"]).output.splitlines()[-1].startswith("routes.yaml: 0 errors")


def test_unknown_option_is_wrong_use() -> None:
    """Exit 2."""
    assert CliRunner().invoke(main, ["check", "--wrong"]).exit_code == 2
    assert CliRunner().invoke(main, ["nothing"]).exit_code == 2


def test_cells_are_named_where_what_cannot_be_read_is_refused(run: Callable[..., Result], routes_file: Path) -> None:
    """Those where VKP answers for some journaling and not for other; by the route that says so."""
    result, document = run("check"), json.loads(run("check", "--json").output)
    assert document["unread_refused"]
    first = document["unread_refused"][0]
    notes = [line for line in result.output.splitlines() if ": note: journaling that cannot be read" in line]
    assert any(first["municipality"] in line for line in notes)
    text = routes_file.read_text(encoding="utf-8")
    routes_file.write_text(text[: text.index("routes:")] + "routes:\n  - {mode: legacy}\n", encoding="utf-8")
    assert ": note: " not in run("check").output

"""`vkp-gateway doctor`: its table, its JSON and its exit codes, against a gateway process and against a wrong one."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from gateway.cli.doctor import command
from gateway.cli.doctor.harness import Check, Result
from gateway.cli.doctor.stage import StageFailed
from gateway.cli.main import main
from tests.gateway.cli.doctor.conftest import pipe

ONE = ["doctor", "--transparency", "--only", "letter case of the path"]


@pytest.mark.slow
def test_a_check_that_passes_with_a_gateway_process_is_exit_0() -> None:
    """The stage starts the gateway of this installation and ends it."""
    result = CliRunner().invoke(main, ONE)
    assert result.exit_code == 0, result.output
    assert "  letter case of the path stays  ok" in result.output
    assert "1 of 1 check passed" in result.output


@pytest.mark.slow
def test_a_check_that_needs_an_unreachable_upstream_finds_none() -> None:
    """Its stage does not listen, whichever checks run beside it."""
    result = CliRunner().invoke(main, ["doctor", "--transparency", "--json", "--only", "failing upstreams"])
    checks = {check["name"]: check for check in json.loads(result.output)["checks"]}
    assert checks["an upstream that refuses connections is told as 503"]["ok"], result.output


def test_a_difference_is_exit_1_and_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """The table says what came instead."""
    monkeypatch.setattr(command, "gateway_stage", pipe(up=bytes.lower))
    result = CliRunner().invoke(main, ONE)
    assert result.exit_code == 1
    assert "  letter case of the path stays  FAILED\n" in result.output
    assert "saw b'get /epj/check-000/mixedcase" in result.output
    assert "0 of 1 check passed" in result.output


def test_the_json_has_every_check(monkeypatch: pytest.MonkeyPatch) -> None:
    """CI keeps it."""
    monkeypatch.setattr(command, "gateway_stage", pipe(up=bytes.lower))
    result = CliRunner().invoke(main, [*ONE, "--json"])
    assert result.exit_code == 1
    document = json.loads(result.output)
    assert (document["ok"], document["passed"]) == (False, 0)
    (check,) = document["checks"]
    assert (check["group"], check["name"], check["ok"]) == ("request line", "letter case of the path stays", False)
    assert "saw" in check["difference"]


@pytest.mark.parametrize("arguments", [["--only", "chunks"], ["--transparency", "--only", "nothing is called so"]])
def test_nothing_to_test_is_wrong_use(arguments: list[str]) -> None:
    """Nobody takes an empty table for a good one."""
    assert CliRunner().invoke(main, ["doctor", *arguments]).exit_code == 2


def test_a_gateway_that_does_not_start_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it said last is the reason."""

    def fails() -> None:
        raise StageFailed("the gateway did not start: no")

    monkeypatch.setattr(command, "gateway_stage", fails)
    result = CliRunner().invoke(main, ONE)
    assert result.exit_code == 1
    assert "the gateway did not start: no" in result.output


def test_the_table_is_grouped_in_the_order_of_the_checks() -> None:
    """A person finds the group, then the check."""
    results = [
        Result(Check("one", "first", lambda _: None), None),
        Result(Check("one", "second check", lambda _: None), "expected a, saw b"),
        Result(Check("two", "third", lambda _: None), None),
    ]
    assert command.table(results) == (
        "one\n  first         ok\n  second check  FAILED\n      expected a, saw b\n\ntwo\n  third         ok"
    )

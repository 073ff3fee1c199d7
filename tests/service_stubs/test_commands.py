"""The doubles of HelseID and JFT as programs."""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from click.testing import CliRunner

from service_stubs import __main__ as commands

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from service_stubs.listening import Stub
    from tests.service_stubs.conftest import Sender


def start(*arguments: str) -> subprocess.Popen[str]:
    """Start the program."""
    return subprocess.Popen([sys.executable, "-m", "service_stubs", *arguments], stdout=subprocess.PIPE, text=True)


def first_line(program: subprocess.Popen[str]) -> str:
    """Wait for the program to say that it is ready."""
    assert program.stdout is not None
    return program.stdout.readline().strip()


@pytest.mark.slow
@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_helseid_says_when_it_is_ready_and_stops_cleanly(stop: signal.Signals) -> None:
    """One line, then answers; a signal ends it with status 0."""
    with start("helseid", "--port", "0") as program:
        line = first_line(program)
        url = line.removeprefix("HelseID on ")
        connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=60)
        connection.request("GET", "/.well-known/openid-configuration")
        assert json.load(connection.getresponse())["issuer"] == url
        connection.close()
        program.send_signal(stop)
        assert program.wait(timeout=60) == 0


@pytest.mark.slow
def test_jft_says_when_each_listener_is_ready() -> None:
    """One line per listener."""
    with start("jft", "--write-port", "0", "--read-port", "0") as program:
        lines = [first_line(program), first_line(program)]
        program.terminate()
        assert program.wait(timeout=60) == 0
    assert [line.partition(" on http://127.0.0.1:")[0] for line in lines] == ["JFT WriteAPI", "JFT ReadAPI"]


def test_clients_of_a_file_are_registered(tmp_path: Path, served: list[Any], sender: Sender) -> None:
    """Both forms of the command take the file."""
    path = tmp_path / "clients.json"
    path.write_bytes(msgspec.json.encode({"clients": [sender.registration()]}))
    for arguments in (["--clients", str(path)], ["helseid", "--clients", str(path)]):
        assert CliRunner().invoke(commands.main, arguments).exit_code == 0
    assert [stub.clients for stub in served if hasattr(stub, "clients")] == [[sender.registration()]] * 2


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Collect what a command would serve."""
    stubs: list[Any] = []

    async def collect(wanted: Sequence[Stub]) -> None:
        stubs.extend(wanted)

    monkeypatch.setattr(commands, "serve", collect)
    return stubs


def test_without_a_command_both_run_on_their_ports(served: list[Any]) -> None:
    """HelseID on 9100, JFT on 9102 and 9103, the second trusting the first."""
    assert CliRunner().invoke(commands.main, []).exit_code == 0
    helseid, jft = served
    assert (helseid.port, jft.write_port, jft.read_port) == (9100, 9102, 9103)
    assert jft.issuer == "http://127.0.0.1:9100"


def test_options_reach_the_stubs(served: list[Any]) -> None:
    """Every option of `jft` and `helseid` has an effect."""
    options = "jft --environment production --checks light --issuer http://i.example --read-url http://r.example"
    assert CliRunner().invoke(commands.main, options.split()).exit_code == 0
    options = "helseid --issuer http://i.example --token-lifetime 60"
    assert CliRunner().invoke(commands.main, options.split()).exit_code == 0
    jft, helseid = served
    assert (jft.environment, jft.checks, jft.issuer) == ("production", "light", "http://i.example")
    assert jft.public_read_url == "http://r.example"
    assert (helseid.issuer_override, helseid.token_seconds) == ("http://i.example", 60)


def test_unreadable_clients_file_is_an_error(tmp_path: Path, served: list[Any]) -> None:
    """The reason is told and nothing is started."""
    path = tmp_path / "clients.json"
    path.write_text("{")
    result = CliRunner().invoke(commands.main, ["helseid", "--clients", str(path)])
    assert (result.exit_code, served) == (1, [])
    assert "clients.json" in result.output
    assert CliRunner().invoke(commands.main, ["--clients", str(path), "jft"]).exit_code == 2

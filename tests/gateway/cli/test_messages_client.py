"""What commands against a running gateway refuse to send, and make of strange answers."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from typing import TYPE_CHECKING

import pytest
from aiohttp import web  # noqa: TID251 - a server that is no gateway
from click.testing import CliRunner, Result

from gateway.cli.admin_client import USUAL, Bounds
from gateway.cli.main import main
from tests.gateway.authority import Authority
from tests.ports import free_ports

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

SECRET = "vkpgw_secret"


@pytest.fixture
def token(tmp_path: Path) -> Path:
    """Write a token that only we may read."""
    path = tmp_path / "token"
    path.write_text(SECRET + "\n")
    path.chmod(0o600)
    return path


def put(path: Path, content: str, mode: int) -> None:
    """Write a file."""
    path.write_text(content, encoding="utf-8")
    path.chmod(mode)


async def ask(admin: str, token: Path, *more: str, bounds: Bounds = USUAL) -> Result:
    """List messages."""
    arguments = ["messages", "list", "--admin", admin, "--token-file", str(token), *more]
    result = await asyncio.to_thread(CliRunner().invoke, main, arguments, obj=bounds)
    assert SECRET not in result.output
    assert isinstance(result.exception, SystemExit), result.exception
    return result


class Strange:
    """A server that answers as a test says, and remembers who asked."""

    def __init__(self) -> None:
        self.url = ""
        self.seen: list[web.BaseRequest] = []
        self.answer: Callable[[web.BaseRequest], web.StreamResponse] = lambda _request: web.Response()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer."""
        self.seen.append(request)
        return self.answer(request)


@pytest.fixture
async def strange() -> AsyncIterator[Strange]:
    """Start a server that is no gateway."""
    server = Strange()
    runner = web.ServerRunner(web.Server(server.handle))
    await runner.setup()
    (number,) = free_ports(1)
    await web.TCPSite(runner, "127.0.0.1", number).start()
    server.url = f"http://127.0.0.1:{number}"
    yield server
    await runner.cleanup()


@pytest.mark.parametrize(
    "url",
    [
        "http://admin.example",
        "http://10.0.0.1:8081",
        "ftp://localhost",
        "localhost:8081",
        "https://",
        "https://user:pass@admin.example",
        "https://admin.example/path",
        "https://admin.example/?q",
        "https://admin.example:port",
        "https://[::1",
        "",
    ],
)
async def test_token_goes_nowhere_but_over_https_or_to_this_machine(url: str, token: Path) -> None:
    """Any other address is wrong use."""
    result = await ask(url, token)
    assert result.exit_code == 2, result.output


@pytest.mark.parametrize("content", ["", "two words", "line\nline", "æ", "x" * 2000, "\x00"])
async def test_token_file_holds_one_token(strange: Strange, token: Path, content: str) -> None:
    """Else nothing is asked."""
    put(token, content, 0o600)
    result = await ask(strange.url, token)
    assert (result.exit_code, strange.seen) == (2, [])


async def test_token_file_is_for_nobody_else(strange: Strange, token: Path) -> None:
    """As with any file of secrets; a missing one, or a folder, is said by its kind."""
    put(token, SECRET, 0o640)
    assert "chmod 600" in (await ask(strange.url, token)).output
    assert "Is a directory" in (await ask(strange.url, token.parent)).output
    assert "No such file" in (await ask(strange.url, token.with_name("none"))).output
    assert strange.seen == []


async def test_both_options_are_needed(token: Path) -> None:
    """Or the environment says them."""
    for arguments in (["messages", "list"], ["messages", "list", "--admin", "http://localhost"], ["explain", "--message", "x"]):  # fmt: skip
        result = await asyncio.to_thread(CliRunner().invoke, main, arguments)
        assert result.exit_code == 2
        assert "VKP_GATEWAY_TOKEN_FILE" in result.output
    del token


async def test_redirect_is_not_followed(strange: Strange, token: Path) -> None:
    """The token goes to the address that was given, and to no other."""
    strange.answer = lambda _request: web.Response(status=302, headers={"Location": f"{strange.url}/elsewhere"})
    result = await ask(strange.url, token)
    assert (result.exit_code, len(strange.seen)) == (1, 1)
    assert strange.seen[0].headers["Authorization"] == f"Bearer {SECRET}"


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"null", b"\xff", b"[" * 9999, b'"x"'])
async def test_answer_of_something_else_is_told(strange: Strange, token: Path, body: bytes) -> None:
    """Whatever its status says."""
    for status in (200, 404, 500):
        strange.answer = lambda _request, given=status: web.Response(status=given, body=body)  # type: ignore[misc] # bound now
        result = await ask(strange.url, token)
        assert result.exit_code == 1
        assert "not as a gateway's admin port does" in result.stderr


@pytest.mark.parametrize(("status", "code"), [(400, 2), (401, 1), (403, 1), (404, 1), (409, 1), (421, 2), (503, 1)])
async def test_refusal_becomes_an_exit_code(strange: Strange, token: Path, status: int, code: int) -> None:
    """2 where what was asked was wrong, 1 where the answer is no; also without the words of a gateway."""
    strange.answer = lambda _request: web.json_response({"error": "x"}, status=status)
    result = await ask(strange.url, token)
    assert result.exit_code == code
    assert result.stderr.startswith(f"Error: the answer is {status}, and no word of why; ")


async def test_answer_without_end_is_cut(strange: Strange, token: Path) -> None:
    """It is not read to its end."""
    strange.answer = lambda _request: web.Response(body=b" " * 2000)
    result = await ask(strange.url, token, bounds=Bounds(largest=1000))
    assert result.exit_code == 1
    assert result.stderr.startswith(f"Error: {strange.url} cannot be asked: its answer is too large; ")


async def test_nobody_there_is_told(token: Path) -> None:
    """In one line."""
    (number,) = free_ports(1)
    result = await ask(f"http://127.0.0.1:{number}", token)
    assert result.exit_code == 1
    assert "cannot be asked" in result.stderr
    assert len(result.stderr.splitlines()) == 1


async def test_answer_that_does_not_come_is_told(token: Path) -> None:
    """After a while, in one line."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        result = await ask(url, token, bounds=Bounds(answer=0.05))
    assert result.exit_code == 1
    assert "does not answer in time" in result.stderr


@pytest.mark.slow
async def test_certificate_must_be_trusted(strange: Strange, token: Path, tmp_path: Path) -> None:
    """By the machine, or by SSL_CERT_FILE; before that the token is not sent."""
    authority = Authority(tmp_path)
    runner = web.ServerRunner(web.Server(strange.handle))
    await runner.setup()
    (number,) = free_ports(1)
    await web.TCPSite(runner, "127.0.0.1", number, ssl_context=authority.context("localhost")).start()
    strange.answer = lambda _request: web.json_response({"messages": [], "next": None})
    url = f"https://localhost:{number}"
    result = await ask(url, token)
    assert (result.exit_code, strange.seen) == (1, [])
    assert "its certificate is not trusted" in result.stderr
    command = (sys.executable, "-m", "gateway", "messages", "list", "--admin", url, "--token-file", str(token))
    process = await asyncio.create_subprocess_exec(*command, env={**os.environ, "SSL_CERT_FILE": str(authority.file)})
    assert await process.wait() == 0
    assert len(strange.seen) == 1
    await runner.cleanup()

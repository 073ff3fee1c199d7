"""What tests can see of and do to the double of legacy VKP."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import http.client
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import aiohttp
import pytest

from service_stubs.behaviour import Behaviour

if TYPE_CHECKING:
    from tests.legacy_stubs.conftest import Sender

NOTE = {"resourceType": "Composition", "subject": {"display": "Solveig Fiktiv"}}


async def test_requests_are_recorded_as_they_came(sender: Sender) -> None:
    """Raw target, names and order of headers, bytes and status."""
    body = '{"resourceType": "Composition",  "title": "Blåbær"}'.encode("latin-1")
    host = sender.vkp.url.removeprefix("http://")
    head = (
        "POST /EPJ/r4/310000001/composition/?a=%20b HTTP/1.1\r\n"
        f"Host: {host}\r\nX-Odd: 1\r\nx-odd: 2\r\nAuthorization: Bearer {sender.token()}\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    reader, writer = await asyncio.open_connection(*host.split(":"))
    writer.write(head.encode() + body)
    answer = await reader.read()
    writer.close()
    async with sender.session.get(f"{sender.vkp.url}/stub/received") as response:
        (record,) = await response.json()
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert (record["method"], record["target"]) == ("POST", "/EPJ/r4/310000001/composition/?a=%20b")
    assert record["headers"][1:3] == [["X-Odd", "1"], ["x-odd", "2"]]
    assert base64.b64decode(record["body"]) == body
    assert (record["sha256"], record["status"]) == (hashlib.sha256(body).hexdigest(), 400)


async def test_record_is_cleared(sender: Sender) -> None:
    """DELETE empties it."""
    await sender.post("composition", NOTE)
    assert len(sender.vkp.received) == 1
    async with sender.session.delete(f"{sender.vkp.url}/stub/received") as response:
        assert response.status == 204
    assert len(sender.vkp.received) == 0


async def test_failures_come_as_told_and_end(sender: Sender) -> None:
    """`times` answers fail with an OperationOutcome, the next succeeds; all are recorded."""
    told = {"status": 503, "delay": 0.01, "times": 2}
    async with sender.session.post(f"{sender.vkp.url}/stub/behaviour", json=told) as response:
        assert response.status == 204
    answers = [await sender.post("composition", NOTE) for _ in range(3)]
    assert [answer.status for answer in answers] == [503, 503, 200]
    assert answers[0].code == "3.1"
    assert [record.status for record in sender.vkp.received] == [503, 503, 200]


async def test_unknown_behaviour_is_refused(sender: Sender) -> None:
    """A misspelt wish does not pass in silence."""
    async with sender.session.post(f"{sender.vkp.url}/stub/behaviour", json={"satus": 503}) as response:
        assert response.status == 400


async def test_connection_can_be_dropped(sender: Sender) -> None:
    """The sender sees no answer; the record says so."""
    sender.vkp.behave(Behaviour(status="drop"))
    with pytest.raises(aiohttp.ClientError):
        await sender.post("composition", NOTE)
    assert [record.status for record in sender.vkp.received] == [None]


@pytest.mark.slow
@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_program_says_when_it_is_ready_and_stops_cleanly(stop: signal.Signals) -> None:
    """`python -m legacy_stubs`: one line, then answers; a signal ends it with status 0, idle connections or not."""
    command = [sys.executable, "-m", "legacy_stubs", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        line = program.stdout.readline().strip()
        address = line.removeprefix("legacy VKP (R4, STU3 and SOAP) on http://")
        connection = http.client.HTTPConnection(address, timeout=60)
        connection.request("GET", "/")
        assert connection.getresponse().read()
        program.send_signal(stop)
        assert program.wait(timeout=60) == 0
        connection.close()

"""Starting and stopping, beyond what every other test does."""

from __future__ import annotations

import asyncio
import os
import signal

import click
import pytest

from service_stubs.helseid import HelseIdStub
from service_stubs.jft import JftStub
from service_stubs.listening import running, serve


async def test_port_in_use_leaves_nothing_running() -> None:
    """If the second listener cannot start, the first one is stopped again."""
    async with running(HelseIdStub()) as helseid:
        taken = int(helseid.url.rpartition(":")[2])
        jft = JftStub(helseid.issuer, read_port=taken)
        with pytest.raises(OSError, match="address already in use"):
            await jft.start()
        with pytest.raises(OSError, match="Connect call failed"):
            await asyncio.open_connection("127.0.0.1", int(jft.write_url.rpartition(":")[2]))


async def test_address_of_ipv6_is_in_brackets() -> None:
    """RFC 3986 section 3.2.2."""
    assert HelseIdStub(host="::1", port=9).url == "http://[::1]:9"


async def test_serving_ends_with_a_signal(capsys: pytest.CaptureFixture[str]) -> None:
    """Everything is announced, then a signal ends it."""
    helseid = HelseIdStub()
    asyncio.get_running_loop().call_later(0.05, os.kill, os.getpid(), signal.SIGTERM)
    await serve([helseid, JftStub("http://127.0.0.1:1")])
    assert len(capsys.readouterr().out.splitlines()) == 3


async def test_serving_on_a_port_in_use_is_an_error_for_a_person() -> None:
    """The program says what is wrong instead of showing a traceback."""
    async with running(HelseIdStub()) as helseid:
        taken = int(helseid.url.rpartition(":")[2])
        with pytest.raises(click.ClickException, match="address already in use"):
            await serve([HelseIdStub(port=taken)])


async def test_stopping_twice_does_nothing() -> None:
    """A test may stop a stub that its fixture stops again."""
    helseid = HelseIdStub()
    await helseid.start()
    await helseid.stop()
    await helseid.stop()

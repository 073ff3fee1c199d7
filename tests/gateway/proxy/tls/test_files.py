"""Certificates that are exchanged while the data port serves, and those that cannot be used."""

from __future__ import annotations

import asyncio
import datetime as dt
import ssl
import tempfile
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from gateway.cli.main import main
from gateway.errors import StartupError
from gateway.observability import metrics
from gateway.proxy.certificate_files import Files, for_senders, for_upstream
from gateway.proxy.tls import ReloadingContext
from tests.gateway.authority import Authority
from tests.gateway.tls_upstream import TlsUpstream
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from tests.gateway.world import World
from tests.gateway.proxy.tls_senders import BUNDLE, NAME, TLS, connection, post, served, shown_by


def unusable(what: str = "listen.data") -> float:
    """Return what the metric says."""
    return metrics.CERTIFICATES_UNUSABLE.labels(what)._value.get()


def certificates(world: World) -> Any:
    """Return the certificates in use."""
    assert world.gateway._running is not None
    return world.gateway._running.certificates


async def test_new_files_are_shown_to_new_connections_only(world: World, authority: Authority) -> None:
    """An exchanged certificate is taken without a restart, and nobody's connection is ended for it."""
    trusting = authority.trusting()
    async with connection(world, trusting) as (reader, writer):
        before = shown_by(writer)
        authority.issue("server", NAME)
        certificates(world).look()
        async with connection(world, trusting) as (_, other):
            assert shown_by(other) != before
        writer.write(world.request(BUNDLE, b"{}"))
        answer = await asyncio.wait_for(world.read_answer(reader), 120)
        assert answer is not None
        assert answer.status == 200
    assert [each["of"] for each in world.logged.named("certificates.taken")] == ["listen.data"]


def test_no_key_goes_through_a_file_of_ours(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With nowhere to write one, certificates are taken all the same."""
    certificate, key = authority.issue("server", NAME)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    written: list[object] = []
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda *given, **_: written.append(given))
    assert for_senders(Files(certificate.parent, certificate.name, key.name).read()).verify_mode == ssl.CERT_NONE
    assert not written


async def test_files_are_looked_at_now_and_then(world: World, authority: Authority) -> None:
    """Nobody has to tell the gateway."""
    authority.issue("server", NAME)
    world.gateway._looking.soon()
    await until(lambda: world.logged.named("certificates.taken"))


async def test_bad_new_files_leave_the_old_in_use(world: World, authority: Authority, tmp_path: Path) -> None:
    """It is told once, in log and metric, until good files come; a moment between two files is not told at all."""
    trusting = authority.trusting()
    async with connection(world, trusting) as (_, writer):
        before = shown_by(writer)
    key = (tmp_path / "server.key").read_bytes()
    authority.issue("server", NAME)
    (tmp_path / "server.key").rename(tmp_path / "next.key")
    (tmp_path / "server.key").write_bytes(key)
    certificates(world).look()
    assert not world.logged.named("certificates.refused")
    for _ in range(3):
        certificates(world).look()
    refused = world.logged.named("certificates.refused")
    assert [each["reason"] for each in refused] == [
        "listen.data: its certificates cannot be used: the private key does not belong to the certificate"
    ]
    assert unusable() == 1
    async with connection(world, trusting) as (_, writer):
        assert shown_by(writer) == before
    (tmp_path / "next.key").rename(tmp_path / "server.key")
    certificates(world).look()
    assert unusable() == 0
    async with connection(world, trusting) as (_, writer):
        assert shown_by(writer) != before
    assert "PRIVATE KEY" not in world.logged.everything()


async def test_an_expired_certificate_is_not_taken_over_a_valid_one(world: World, authority: Authority) -> None:
    """By a rotation that went wrong, nor by a reload; `check` says so, and a good one is taken later."""
    trusting = authority.trusting()
    async with connection(world, trusting) as (_, writer):
        before = shown_by(writer)
    authority.issue("server", NAME, life=dt.timedelta(hours=-1))
    for _ in range(3):
        certificates(world).look()
    (refused,) = world.logged.named("certificates.refused")
    assert refused["reason"].startswith("listen.data: the certificate has expired at 20")
    assert refused["reason"].endswith("Z, and the one in use is valid")
    assert unusable() == 1
    running = world.gateway._running
    await world.gateway.reload()
    assert world.gateway._running is running
    assert "has expired" in world.logged.named("reload.refused")[0]["problems"][0]
    async with connection(world, trusting) as (_, writer):
        assert shown_by(writer) == before
    checked = await asyncio.to_thread(CliRunner().invoke, main, ["check", str(world.config)])
    assert (checked.exit_code, "listen.data: the certificate has expired" in checked.output) == (1, True)
    authority.issue("server", NAME)
    certificates(world).look()
    assert unusable() == 0
    async with connection(world, trusting) as (_, writer):
        assert shown_by(writer) != before


def test_a_certificate_that_is_not_valid_yet_waits_until_it_is(authority: Authority, tmp_path: Path) -> None:
    """The one in use serves on until then, or until its own end."""
    now = time.time()
    authority.issue("server", NAME, life=dt.timedelta(days=3))
    kept = ReloadingContext("x", Files(tmp_path, "server.pem", "server.key"), for_senders, lambda: now)
    before = kept.context
    authority.issue("server", NAME)
    now -= 2 * 86_400
    kept._source = replace(kept._source, cert=None)
    kept.look()
    assert kept.context is before
    now += 2 * 86_400
    kept.look()
    assert kept.context is not before


async def test_files_that_vanish_leave_the_old_in_use(world: World, authority: Authority, tmp_path: Path) -> None:
    """So does a file that is gone."""
    (tmp_path / "server.pem").unlink()
    for _ in range(3):
        certificates(world).look()
    assert [each["reason"] for each in world.logged.named("certificates.refused")] == [
        "server.pem: No such file or directory"
    ]
    assert (await post(world, authority.trusting())).status == 200


async def test_a_reload_with_bad_files_changes_nothing(world: World, authority: Authority, tmp_path: Path) -> None:
    """As any other error in routes.yaml; with good ones it takes them at once."""
    (tmp_path / "server.key").write_text("no key", encoding="ascii")
    before = world.gateway._running
    await world.gateway.reload()
    assert world.gateway._running is before
    assert "listen.data" in world.logged.named("reload.refused")[0]["problems"][0]
    authority.issue("server", NAME)
    await world.gateway.reload()
    assert world.gateway._running is not before
    assert (await post(world, authority.trusting())).status == 200


async def test_a_reload_keeps_connections_while_upstreams_files_are_the_same(
    start: Callable[..., Awaitable[World]], authority: Authority
) -> None:
    """Only when their content differs are they made anew, though the settings have not changed."""
    vkp = TlsUpstream(authority.context("api.vkp.example"))
    world = await start(vkp=vkp, vkp_host=", tls: {ca_file: trusted.pem}", serve=False)
    (world.folder / "trusted.pem").write_bytes(authority.file.read_bytes())
    async with served(world) as gateway:
        pools = []
        for content in (
            authority.file.read_bytes(),
            authority.file.read_bytes(),
            Authority(world.folder, "b.pem").file.read_bytes(),
        ):
            (world.folder / "trusted.pem").write_bytes(content)
            await gateway.reload()
            pools.append(gateway._running.lane.targets["vkp"].pool)
            statuses = (await world.post(BUNDLE, b"{}")).status
            pools.append(statuses)
    assert pools[1] == pools[3] == 200
    assert pools[0] is pools[2]
    assert pools[4] is not pools[0]
    assert pools[5] == 503


async def test_changed_authorities_end_idle_connections_without_a_reload(
    start: Callable[..., Awaitable[World]], authority: Authority, tmp_path: Path
) -> None:
    """A connection that was checked with what is no longer trusted serves nobody else."""
    vkp = TlsUpstream(authority.context("api.vkp.example"))
    world = await start(vkp=vkp, vkp_host=", tls: {ca_file: ca.pem}")
    assert (await world.post(BUNDLE, b"{}")).status == 200
    Authority(tmp_path)
    certificates(world).look()
    assert (await world.post(BUNDLE, b"{}")).status == 503


async def test_tls_is_not_begun_or_ended_by_a_reload(world: World, authority: Authority) -> None:
    """The port goes on as it was, and the log says that it takes a restart."""
    world.write(top="")
    await world.gateway.reload()
    assert world.logged.named("reload.listen_needs_restart")
    certificates(world).look()
    assert (await post(world, authority.trusting())).status == 200


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda folder: (folder / "server.pem").write_text("x"), "PEM"),
        (lambda folder: (folder / "ca.pem").write_text("x"), "ca.pem|certificate|PEM"),
        (lambda folder: Authority(folder / "..", "z.pem").issue("server") and _swap(folder), "does not belong"),
    ],
    ids=["no certificate", "no authorities", "another's key"],
)
def test_unusable_files_are_told_by_what_is_wrong(
    authority: Authority, tmp_path: Path, spoil: Callable[[Path], Any], told: str
) -> None:
    """An operator knows what to mend, and never sees the key."""
    del authority
    folder = tmp_path / "used"
    folder.mkdir()
    Authority(folder).issue("server", NAME)
    spoil(folder)
    files = Files(folder, "server.pem", "server.key", "ca.pem")
    with pytest.raises(StartupError, match=told) as error:
        ReloadingContext("listen.data", files, for_senders)
    assert "BEGIN" not in str(error.value)


def _swap(folder: Path) -> None:
    (folder.parent / "server.key").replace(folder / "server.key")


@pytest.mark.parametrize(
    ("name", "told"),
    [("missing.pem", "missing.pem: No such file"), ("${NOT_SET}", "NOT_SET"), ("large.pem", "too large")],
)
def test_unreadable_files_are_told_by_name(tmp_path: Path, name: str, told: str) -> None:
    """Missing, not set, or far too large."""
    with (tmp_path / "large.pem").open("wb") as file:
        file.truncate(5_000_000)
    with pytest.raises(StartupError, match=told):
        ReloadingContext("listen.data", Files(tmp_path, name, name), for_upstream)


async def test_check_says_what_cannot_be_used_and_what_is_not_here(
    start: Callable[..., Awaitable[World]], authority: Authority, tmp_path: Path
) -> None:
    """Files that are here must be right; on another machine than the gateway's they may be missing."""
    world = await start(serve=False, top=TLS)
    checked = CliRunner().invoke(main, ["check", "--config", str(world.config)])
    assert checked.exit_code == 0, checked.output
    authority.issue("another", NAME)[1].replace(tmp_path / "server.key")
    checked = CliRunner().invoke(main, ["check", "--config", str(world.config)])
    assert checked.exit_code == 1
    assert "routes.yaml:6:6: listen.data: its certificates cannot be used: the private key" in checked.output
    (tmp_path / "server.key").unlink()
    checked = CliRunner().invoke(main, ["check", "--config", str(world.config)])
    assert checked.exit_code == 0
    assert "warning: listen.data: server.key cannot be read here" in checked.output
    world.gateway = None  # type: ignore[assignment]

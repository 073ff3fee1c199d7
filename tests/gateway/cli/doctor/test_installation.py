"""`vkp-gateway doctor`: what it finds of an installation, when all is well and in each way that something is not."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import socket
import time
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from joserfc.jwk import ECKey

from gateway.cli.doctor.installation import helseid, machine, run, store
from gateway.cli.doctor.installation.findings import Finding, FindingState, document, table
from gateway.cli.main import main
from gateway.times import Clock
from tests.gateway.authority import Authority
from tests.gateway.tls_upstream import TlsUpstream
from tests.gateway.wire import RawUpstream

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from tests.gateway.world import World

OK, WARNING, FAILED = FindingState.OK, FindingState.WARNING, FindingState.FAILED
TLS = "tls: {cert_file: server.pem, key_file: server.key}"
NOON = 1_800_000_000.0
DAY = 86_400


def make_keys(world: World) -> None:
    """Make the gateway's own keys, as an operator does once."""
    result = CliRunner().invoke(main, ["keys", "init", "--config", str(world.config)])
    assert result.exit_code == 0, result.output


async def examine(world: World) -> dict[str, list[Finding]]:
    """Do every check beside the doubles; return the findings by name, having looked that none shows a token."""
    (world.folder / "key.json").chmod(0o600)
    make_keys(world)
    parts = await asyncio.to_thread(run.run, str(world.config))
    shown = table(parts) + json.dumps(document(parts))
    assert "eyJ" not in shown
    assert "PRIVATE" not in shown
    found: dict[str, list[Finding]] = {}
    for part in parts:
        for each in part.findings:
            assert bool(each.advice) is (each.state is not OK), each
            found.setdefault(each.name, []).append(each)
    return found


def failed(found: dict[str, list[Finding]]) -> set[str]:
    """Return the names of what failed."""
    return {name for name, each in found.items() if any(one.state is FAILED for one in each)}


def the(found: dict[str, list[Finding]], name: str, state: FindingState) -> str:
    """Return the text of the only finding of this name and state."""
    (one,) = [each for each in found[name] if each.state is state]
    return one.text


async def test_nothing_fails_where_all_is_well(start: Callable[..., Awaitable[World]]) -> None:
    """Every token is got, though HelseID asks for a nonce first; VKP and JFT are not asked to do anything."""
    world = await start(serve=False)
    found = await examine(world)
    assert failed(found) == set()
    assert {"token for nordfjell", "token for havnes", "token for vikan"} <= set(found)
    assert the(found, "HelseID client key", OK) == "kid gateway-key, ES256"
    assert the(found, "clock", OK)
    assert {each.method for each in [*world.jft.received, *world.vkp.received]} <= {"HEAD"}
    assert not world.delivered


async def test_a_gateway_that_runs_here_has_its_own_ports(world: World) -> None:
    """The doctor is for a running installation too."""
    found = await examine(world)
    assert "answers on the admin port" in the(found, "port for senders", OK)
    assert "answers on the admin port" in the(found, "port for operators", OK)


@pytest.mark.slow
async def test_ports_that_somebody_else_has_fail(start: Callable[..., Awaitable[World]]) -> None:
    """Both are named, with what the system said."""
    world = await start(serve=False)
    with socket.create_server(("127.0.0.1", world.data_port)), socket.create_server(("127.0.0.1", world.admin_port)):
        found = await examine(world)
    assert failed(found) == {"port for senders", "port for operators"}
    assert str(world.data_port) in the(found, "port for senders", FAILED)


async def test_helseid_away_fails(start: Callable[..., Awaitable[World]]) -> None:
    """And so do tokens, which cannot be had without it."""
    world = await start(serve=False, issuer="http://127.0.0.1:9")
    assert failed(await examine(world)) == {
        "HelseID discovery",
        "token for nordfjell",
        "token for havnes",
        "token for vikan",
    }


async def test_another_issuer_fails(start: Callable[..., Awaitable[World]]) -> None:
    """Tokens name the issuer exactly as its documents do."""
    world = await start(serve=False)
    world.helseid.issuer_override = "https://helseid.example"
    assert "another issuer" in the(await examine(world), "HelseID discovery", FAILED)


async def test_helseid_without_keys_that_sign_fails(
    start: Callable[..., Awaitable[World]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No sender could be let in."""
    world = await start(serve=False)
    monkeypatch.setattr(world.helseid.signing_keys, "public_set", lambda: {"keys": []})
    assert failed(await examine(world)) == {"HelseID keys"}


@pytest.mark.parametrize(
    ("ahead", "state"), [(0.0, OK), (4.2, WARNING), (-4.2, WARNING), (20.0, FAILED), (-20.0, FAILED)]
)
async def test_a_clock_that_differs_is_noticed(
    start: Callable[..., Awaitable[World]], monkeypatch: pytest.MonkeyPatch, ahead: float, state: FindingState
) -> None:
    """By HelseID's own Date, which has whole seconds only."""
    world = await start(serve=False)
    monkeypatch.setattr(helseid, "Clock", lambda: Clock(lambda: time.time() + ahead))
    found = await examine(world)
    assert the(found, "clock", state)


async def test_another_key_than_helseid_has_fails(start: Callable[..., Awaitable[World]]) -> None:
    """The advice names the place to look."""
    world = await start(serve=False)
    other = ECKey.generate_key("P-256", {"kid": "gateway-key"})
    (world.folder / "key.json").write_text(json.dumps(other.as_dict(private=True)), encoding="utf-8")
    found = await examine(world)
    assert "invalid_client" in the(found, "token for havnes", FAILED)
    assert "self-service" in found["token for havnes"][0].advice


async def test_a_narrowed_scope_fails_where_it_is_needed(start: Callable[..., Awaitable[World]]) -> None:
    """HelseID answers 200 all the same; the municipality has to accept the terms."""
    world = await start(serve=False, client={"delegations": ["310000001"]})
    found = await examine(world)
    assert "the scope was rejected" in the(found, "token for havnes", FAILED)
    assert "terms of use" in found["token for havnes"][0].advice
    assert failed(found) == {"token for havnes", "token for nordfjell"}


@pytest.mark.parametrize(
    ("content", "mode", "told"),
    [
        (None, 0o600, "No such file"),
        ("{}", 0o600, "not a JWK"),
        ("same", 0o644, "open to every user"),
    ],
)
async def test_a_client_key_that_is_no_good_fails(
    start: Callable[..., Awaitable[World]], content: str | None, mode: int, told: str
) -> None:
    """Missing, unusable, or readable for everyone."""
    world = await start(serve=False)
    key = world.folder / "key.json"
    if content is None:
        key.unlink()
    else:
        key.write_text(key.read_text(encoding="utf-8") if content == "same" else content, encoding="utf-8")
        key.chmod(mode)
    make_keys(world)
    parts = await asyncio.to_thread(run.run, str(world.config))
    texts = [each.text for part in parts for each in part.findings if each.state is FAILED and "key" in each.name]
    assert len(texts) == 1
    assert told in texts[0]


async def test_upstreams_that_are_away_fail_each_by_itself(start: Callable[..., Awaitable[World]]) -> None:
    """JFT's two addresses are tried, since they are two servers."""
    world = await start(serve=False)
    world.write(vkp="http://127.0.0.1:9", read="http://127.0.0.1:9")
    found = await examine(world)
    assert failed(found) == {"upstream vkp", "upstream jft (reading)"}
    assert "Connection refused" in the(found, "upstream vkp", FAILED)


async def test_an_upstream_that_is_no_http_server_is_looked_at(start: Callable[..., Awaitable[World]]) -> None:
    """It can be reached, and says something else."""
    other = RawUpstream()
    other.answer = b"220 smtp.example ESMTP\r\nContent-Length: 0\r\n"
    world = await start(serve=False, vkp=other)
    found = await examine(world)
    assert failed(found) == set()
    assert "no HTTP answer" in the(found, "upstream vkp, HTTP", WARNING)


@pytest.mark.parametrize(
    ("settings", "certificate", "days", "state", "told"),
    [
        (", sni: vkp.internal", "vkp.internal", 90, OK, "89 days left"),
        (", sni: vkp.internal", "vkp.internal", 5, WARNING, "4 days left"),
        (", sni: vkp.internal", "other.internal", 90, FAILED, "not trusted as vkp.internal"),
        (", sni: vkp.internal", "vkp.internal", -3, FAILED, "expired"),
        ("", "other.internal", 90, WARNING, "not trusted as 127.0.0.1"),
        (", host: vkp.internal", "vkp.internal", 90, OK, "89 days left"),
    ],
    ids=["well", "ends soon", "another name", "expired", "senders' own name", "fixed host"],
)
async def test_certificates_of_upstreams_are_checked_as_the_gateway_does(  # noqa: PLR0917 - a table
    start: Callable[..., Awaitable[World]],
    tmp_path: Path,
    settings: str,
    certificate: str,
    days: int,
    state: FindingState,
    told: str,
) -> None:
    """With the same authorities and the same name."""
    authority = Authority(tmp_path)
    vkp = TlsUpstream(authority.context(certificate, life=dt.timedelta(days=days)))
    world = await start(serve=False, vkp=vkp, vkp_host=f"{settings}, tls: {{ca_file: ca.pem}}")
    assert told in the(await examine(world), "upstream vkp", state)
    assert vkp.seen.qsize() <= 1


async def test_an_upstream_of_an_unknown_authority_fails(
    start: Callable[..., Awaitable[World]], tmp_path: Path
) -> None:
    """As it will for senders' messages."""
    vkp = TlsUpstream(Authority(tmp_path).context("vkp.internal"))
    world = await start(serve=False, vkp=vkp, vkp_host=", sni: vkp.internal")
    assert failed(await examine(world)) == {"upstream vkp"}


@pytest.mark.parametrize(
    ("days", "state", "told"),
    [(90, OK, "api.vkp.example, 127.0.0.1; 89 days left"), (3, WARNING, "2 days left"), (-1, FAILED, "has expired")],
)
async def test_the_certificate_of_the_data_port_is_read(
    start: Callable[..., Awaitable[World]], tmp_path: Path, days: int, state: FindingState, told: str
) -> None:
    """Its names, and how long it lasts."""
    authority = Authority(tmp_path)
    key = authority.issue("server", "api.vkp.example", "127.0.0.1", life=dt.timedelta(days=days))[1]
    key.chmod(0o600)
    world = await start(serve=False, top=TLS)
    assert told in the(await examine(world), "certificate of listen.data", state)


async def test_a_key_of_the_data_port_that_is_no_good_fails(
    start: Callable[..., Awaitable[World]], tmp_path: Path
) -> None:
    """Readable for everyone, or another's."""
    authority = Authority(tmp_path)
    authority.issue("server", "x")[1].chmod(0o604)
    world = await start(serve=False, top=TLS)
    assert "open to every user" in the(await examine(world), "certificate of listen.data", FAILED)
    authority.issue("another", "x")[1].replace(tmp_path / "server.key")
    assert "does not belong" in the(await examine(world), "certificate of listen.data", FAILED)


def test_a_configuration_with_errors_fails_and_ends_it(tmp_path: Path) -> None:
    """Every error with its place; exit 1; what needs no configuration is looked at all the same."""
    path = tmp_path / "routes.yaml"
    path.write_text("version: 2\n", encoding="utf-8")
    result = CliRunner().invoke(main, ["doctor", "--config", str(path), "--json"])
    assert result.exit_code == 1
    found = json.loads(result.output)
    assert not found["ok"]
    assert {each["part"] for each in found["checks"]} == {"configuration", "machine"}
    assert any(":1:10: version" in each["text"] for each in found["checks"])


async def test_the_command_has_a_table_and_json(start: Callable[..., Awaitable[World]]) -> None:
    """Exit 0 when nothing fails; both say the same."""
    world = await start(serve=False)
    (world.folder / "key.json").chmod(0o600)
    make_keys(world)
    command = ["doctor", "--config", str(world.config)]
    shown = await asyncio.to_thread(CliRunner().invoke, main, command)
    assert shown.exit_code == 0, shown.output
    assert ", 0 failed" in shown.output
    as_json = await asyncio.to_thread(CliRunner().invoke, main, [*command, "--json"])
    found = json.loads(as_json.output)
    assert found["ok"]
    for each in found["checks"]:
        assert each["name"] in shown.output


def test_a_check_that_hangs_or_breaks_is_a_finding() -> None:
    """And keeps no other from being done."""

    async def hangs() -> list[Finding]:
        await asyncio.sleep(60)
        return []

    async def breaks() -> list[Finding]:
        raise KeyError("secret")

    async def both() -> list[Finding]:
        return [*await run._bounded("one", hangs, 0.05), *await run._bounded("two", breaks, 5)]

    slow, broken = asyncio.run(both())
    assert (slow.state, broken.state) == (FAILED, FAILED)
    assert "KeyError" in broken.text
    assert "secret" not in broken.text


async def test_the_limits_of_the_machine_are_compared(
    start: Callable[..., Awaitable[World]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Descriptors against limits; the store's folder; time zones."""
    world = await start(serve=False)
    monkeypatch.setattr(machine.resource, "getrlimit", lambda _: (1024, 4096))
    monkeypatch.setattr(store.os, "access", lambda *_: False)
    monkeypatch.setattr(machine, "_ZONE", "Europe/Atlantis")
    found = await examine(world)
    assert "4096 allowed, 21536 needed" in the(found, "file descriptors", WARNING)
    assert "LimitNOFILE=21536" in found["file descriptors"][0].advice
    assert failed(found) == {"store"}
    assert the(found, "time zones", WARNING)

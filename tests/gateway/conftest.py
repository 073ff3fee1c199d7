"""Fixtures of a gateway between running doubles."""

from __future__ import annotations

import functools
import itertools
import json
import shutil
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import structlog
from joserfc.jwk import ECKey, RSAKey
from msgspec import UNSET, structs

from gateway.admin import bounds as admin
from gateway.config.model import KeyFiles
from gateway.ledger.key_files import make_missing
from gateway.observability import telemetry
from gateway.proxy.bounds import USUAL_BOUNDS, Bounds
from gateway.runtime import node
from gateway.tasks import USUAL, Intervals
from legacy_stubs.vkp_r4 import LegacyVkp
from service_stubs import signing
from service_stubs.helseid import HelseIdStub
from service_stubs.jft import JftStub
from service_stubs.listening import running
from tests.gateway.clocks import LoopClock
from tests.gateway.wire import RawUpstream
from tests.gateway.world import CLIENT_ID, ROUTES, Logged, World, registration
from tests.ports import free_ports
from translators import translate

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from gateway.times import Clock


_prepare_once = functools.cache(translate.prepare)
"""What a process does at its start, and each of the tests' gateways in this one would do again."""


@pytest.fixture(scope="session")
def key_pool() -> list[RSAKey]:
    """Make a few RSA keys, since making one takes a tenth of a second."""
    return [RSAKey.generate_key(2048) for _ in range(3)]


@pytest.fixture
def signing_keys(key_pool: list[RSAKey], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the doubles take their keys from the pool."""
    keys = itertools.cycle(key_pool)
    monkeypatch.setattr(signing, "_new_key", lambda: next(keys))


@pytest.fixture(scope="session")
def client_key() -> ECKey:
    """Make the gateway's own key."""
    return ECKey.generate_key("P-256", {"kid": "gateway-key"})


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> Iterator[Logged]:
    """Configure logging as the gateway does, and keep what is logged."""
    kept = Logged()

    def keep(_logger: Any, _method: str, event: Any) -> Any:
        kept.events.append(dict(event))
        return event

    telemetry.configure(kept.stream)
    structlog.configure(processors=[keep, *structlog.get_config()["processors"]])
    add = telemetry._MESSAGE_LOG.add

    def keep_message(answered: telemetry.Answered) -> None:
        event = telemetry.event_of(answered)
        kept.events.append({name: each for name, each in structs.asdict(event).items() if each is not UNSET})
        kept.message.set()
        add(answered)

    monkeypatch.setattr(telemetry._MESSAGE_LOG, "add", keep_message)
    yield kept
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def keys_of_a_gateway(tmp_path_factory: pytest.TempPathFactory, client_key: ECKey) -> Path:
    """Make the keys of a gateway once; a folder that has them."""
    folder = tmp_path_factory.mktemp("keys")
    make_missing(KeyFiles(), folder, 1_790_000_000)
    (folder / "key.json").write_text(json.dumps(client_key.as_dict(private=True)), encoding="utf-8")
    return folder


@pytest.fixture
def folder_with_keys(tmp_path: Path, keys_of_a_gateway: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a folder for a gateway that runs in the tests' own process, whose collector is calm and tables are ready already."""
    monkeypatch.setattr(node, "calm_collector", lambda: None)
    monkeypatch.setattr(node, "prepare", _prepare_once)
    return Path(shutil.copytree(keys_of_a_gateway, tmp_path, dirs_exist_ok=True))


@pytest.fixture
def intervals() -> Intervals:
    """How often the background work of gateways comes round."""
    return USUAL


@pytest.fixture
def bounds() -> Bounds:
    """How patient the data ports of gateways are."""
    return USUAL_BOUNDS


@pytest.fixture
def admin_bounds() -> admin.Bounds:
    """How much the admin ports of tests answer at once."""
    return admin.USUAL_BOUNDS


@pytest.fixture
async def start(  # noqa: PLR0917 - fixtures
    folder_with_keys: Path, logged: Logged, client_key: ECKey, signing_keys: None, intervals: Intervals, bounds: Bounds
) -> AsyncIterator[Callable[..., Awaitable[World]]]:
    """Start a gateway between doubles; arguments change its configuration, `vkp` and `double` replace those of VKP and JFT."""
    del signing_keys
    async with AsyncExitStack() as stack:

        async def started(
            *,
            vkp: Any = None,
            double: Callable[[str], JftStub] = JftStub,
            client: dict[str, Any] | None = None,
            lifetime: int = 600,
            serve: bool = True,
            clock: Clock | None = None,
            intervals: Intervals = intervals,
            bounds: Bounds = bounds,
            **changes: Any,
        ) -> World:
            helseid = HelseIdStub([registration(client_key, **(client or {}))], token_seconds=lifetime)
            helseid = await stack.enter_async_context(running(helseid))
            vkp = await stack.enter_async_context(running(vkp or LegacyVkp(issuer=helseid.issuer)))
            jft = await stack.enter_async_context(running(double(helseid.issuer)))
            data, admin = free_ports(2)
            settings = {
                "environment": "test",
                "data": data,
                "admin": admin,
                "listen": "",
                "body": "100kB",
                "timeout": "2m",
                "rate": "1000/s",
                "limits": "",
                "issuer": helseid.issuer,
                "client_id": CLIENT_ID,
                "helseid": "",
                "patient_ids": "",
                "upstreams": "",
                "epj": "",
                "nordfjell": "",
                "top": "",
                "vkp": vkp.url,
                "vkp_host": "",
                "jft": "",
                "write": jft.write_url,
                "read": jft.read_url,
                "everywhere": '{vkp_id: Everywhere, her_id: "99001", municipalities: all}',
                "routes": ROUTES,
            }
            around = (folder_with_keys, data, helseid, vkp, jft, logged, settings, admin)
            world = World(*around, clock=clock, intervals=intervals, bounds=bounds)
            world.write(**changes)
            if serve:
                await world.serve()
                stack.push_async_callback(world.stop)
            return world

        yield started


@pytest.fixture
async def loop_clock(start: Callable[..., Awaitable[World]]) -> AsyncIterator[LoopClock]:
    """Take the event loop's clock, for gateways that are started from here on; it goes by itself before they are stopped."""
    del start
    with LoopClock() as taken:
        yield taken


@pytest.fixture
async def world(start: Callable[..., Awaitable[World]]) -> World:
    """Start a gateway with the usual routes."""
    return await start()


@pytest.fixture
def raw_upstream() -> RawUpstream:
    """Make a server of raw bytes, to stand where VKP does."""
    return RawUpstream()

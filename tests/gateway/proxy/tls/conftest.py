"""A gateway that speaks TLS."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.gateway.authority import Authority

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from tests.gateway.wire import RawUpstream
    from tests.gateway.world import World
from tests.gateway.proxy.tls_senders import NAME, TLS


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Make an authority, and a certificate of it for the data port."""
    made = Authority(tmp_path)
    made.issue("server", NAME)
    return made


@pytest.fixture
async def world(start: Callable[..., Awaitable[World]], authority: Authority, raw_upstream: RawUpstream) -> World:
    """Start a gateway that speaks TLS."""
    del authority
    return await start(vkp=raw_upstream, top=TLS)

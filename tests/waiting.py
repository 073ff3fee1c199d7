"""Waiting for what tells nobody when it has come. No test waits by itself: how long that takes depends on the machine."""

from __future__ import annotations

import asyncio
import time
from inspect import isawaitable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

HANGS = 120.0
"""Seconds after which nobody need wait any more: no machine is so slow, so it never comes."""
_PAUSE = 0.005


async def until(holds: Callable[[], Any], never: Callable[[], str] = lambda: "it never held") -> Any:
    """Wait until something holds, and return what it is; `never` says what there is instead when it does not come.

    The pauses are the machine's, so that they end while the event loop's clock stands still.
    """
    loop, ends = asyncio.get_running_loop(), time.monotonic() + HANGS
    while True:
        found = holds()
        if isawaitable(found):
            found = await found
        if found:
            return found
        if time.monotonic() > ends:
            pytest.fail(never())
        await loop.run_in_executor(None, time.sleep, _PAUSE)

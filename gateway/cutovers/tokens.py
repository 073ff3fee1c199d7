"""Whether tokens can be had for acting for municipalities."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from gateway.auth.helseid.issuer import HelseIdUnavailable
from gateway.config.model import Municipality
from gateway.config.upstreams import JftUpstream

Obtain = Callable[[str, str], Awaitable[object]]
"""Fetches a token for an orgnr and a scope, as `TokenSource.token` does; raises `HelseIdUnavailable`."""
_WITHIN = 10.0
"""Seconds for one token."""
_AT_A_TIME = 8


async def tried(obtain: Obtain, jft: JftUpstream, municipalities: Iterable[Municipality]) -> dict[str, str | None]:
    """Return what was wrong with the tokens of each municipality; None where nothing was."""
    turn = asyncio.Semaphore(_AT_A_TIME)
    scopes = dict.fromkeys((jft.write_scope, jft.read_scope))

    async def one(municipality: Municipality) -> str | None:
        try:
            async with turn, asyncio.timeout(_WITHIN):
                for scope in scopes:
                    await obtain(municipality.orgnr, scope)
        except HelseIdUnavailable as error:
            return str(error) or "HelseID gives none"
        except TimeoutError:
            return "HelseID does not answer in time"
        return None

    known = list(municipalities)
    return dict(zip((each.key for each in known), await asyncio.gather(*map(one, known)), strict=True))

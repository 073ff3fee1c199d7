"""How a stub is told to misbehave for its next answers."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Annotated, Literal

import msgspec
from aiohttp import web


class Behaviour(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What differs from an ordinary answer, and for how many answers: -1 is for all until it is changed.

    `drop` closes the connection without handling the request; `202-then-drop` handles it first. `delay` holds the
    answer back after the request has been handled. `dpop_nonce` asks for a nonce (RFC 9449 section 9).
    """

    status: Annotated[int, msgspec.Meta(ge=200, le=599)] | Literal["drop", "202-then-drop"] | None = None
    delay: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    times: Annotated[int, msgspec.Meta(ge=-1)] = 1
    dpop_nonce: bool = False
    retry_after: Annotated[int, msgspec.Meta(ge=0)] | None = None
    """Seconds that JFT asks to be left alone beside a `status` of failure."""

    @property
    def drops(self) -> bool:
        """Whether the connection ends without an answer."""
        return isinstance(self.status, str)


class Weighted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One behaviour of a mix, and how often it comes beside the others; its own `times` is not looked at."""

    weight: Annotated[float, msgspec.Meta(gt=0)]
    behaviour: Behaviour


class Mix(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Behaviours by chance; the same seed gives the same ones in the same order. `times` as for one behaviour."""

    mix: Annotated[list[Weighted], msgspec.Meta(min_length=1)]
    seed: int = 0
    times: Annotated[int, msgspec.Meta(ge=-1)] = 1


ORDINARY = Behaviour()


class Script:
    """The behaviour of the next answers; ordinary when it has run out."""

    def __init__(self) -> None:
        self._choose: Callable[[], Behaviour] = lambda: ORDINARY
        self._left = 0

    def follow(self, behaviour: Behaviour | Mix) -> None:
        """Let the next `behaviour.times` answers follow `behaviour`."""
        self._choose = _chosen_from(behaviour) if isinstance(behaviour, Mix) else lambda: behaviour
        self._left = behaviour.times

    def next(self) -> Behaviour:
        """Take the behaviour of the answer to come."""
        if self._left == 0:
            return ORDINARY
        if self._left > 0:
            self._left -= 1
        return self._choose()

    async def set_from(self, request: web.Request) -> web.Response:
        """Answer `POST /stub/behaviour`."""
        try:
            wanted = msgspec.json.decode(await request.read())
            is_mix = isinstance(wanted, dict) and "mix" in wanted
            self.follow(msgspec.convert(wanted, Mix) if is_mix else msgspec.convert(wanted, Behaviour))
        except msgspec.DecodeError as error:
            return web.Response(status=400, text=str(error))
        return web.Response(status=204)


def _chosen_from(mix: Mix) -> Callable[[], Behaviour]:
    chance = random.Random(mix.seed)  # noqa: S311 - chance that can be repeated, no secret
    behaviours, weights = [one.behaviour for one in mix.mix], [one.weight for one in mix.mix]
    return lambda: chance.choices(behaviours, weights)[0]


async def act(
    behaviour: Behaviour,
    handle: Callable[[], Awaitable[web.Response]],
    fail: Callable[[int], web.Response],
) -> web.Response:
    """Answer ordinarily through `handle`, or as `behaviour` says."""
    if behaviour.status == "drop":
        response = web.Response(status=500)
    elif isinstance(behaviour.status, int):
        response = fail(behaviour.status)
    else:
        response = await handle()
    if behaviour.delay:
        await asyncio.sleep(behaviour.delay)
    return response


def end_connection(request: web.Request) -> None:
    """Close the connection so that no answer reaches the caller."""
    if request.transport is not None:
        request.transport.close()

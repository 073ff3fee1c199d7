"""How often a sender may call, how many of its requests may be under way at a time, and whose turn it is where only one can be."""

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

from gateway.model import Rate
from gateway.times import Clock

_ROUNDING = 1e-9
"""What adding up fractions may leave out: whoever waited as long as it was told must not be told to wait again."""


@dataclass(slots=True)
class _Bucket:
    level: float
    at: float


class TokenBuckets:
    """Buckets that hold `count` requests and refill over `seconds`; only senders in the access register get one."""

    def __init__(self) -> None:
        self._buckets: dict[str, _Bucket] = {}
        self._under_way: Counter[str] = Counter()

    def wait(self, sender: str, rate: Rate, now: float, *, amount: int = 1) -> float:
        """Count a request, or so much of something; return 0 when it is within the rate, else the seconds until it is.

        What is more than a bucket holds takes a full one.
        """
        amount = min(amount, rate.count)
        wait = self.short(sender, rate, now, amount=amount)
        if not wait:
            bucket = self._buckets[sender]
            bucket.level = max(0.0, bucket.level - amount)
        return wait

    def short(self, sender: str, rate: Rate, now: float, *, amount: int = 1) -> float:
        """Return what `wait` would, and count nothing."""
        refill = rate.count / rate.seconds
        bucket = self._buckets.get(sender)
        if bucket is None:
            bucket = self._buckets[sender] = _Bucket(rate.count, now)
        bucket.level = min(rate.count, bucket.level + max(0.0, now - bucket.at) * refill)
        bucket.at = now
        return 0.0 if bucket.level >= amount * (1 - _ROUNDING) else (amount - bucket.level) / refill

    @contextmanager
    def under_way(self, sender: str, most: int) -> Iterator[bool]:
        """Count a request while it is under way; gives whether it is one of the first `most`, and counts no other."""
        is_within = self._under_way[sender] < most
        if is_within:
            self._under_way[sender] += 1
        try:
            yield is_within
        finally:
            if is_within:
                self._under_way[sender] -= 1


class Turns:
    """Lets one after the other: senders take turns, so that however much one of them brings, another waits for one of it."""

    def __init__(self) -> None:
        self._is_taken = False
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()
        """Of each sender that waits; whose turn is next stands first."""

    @asynccontextmanager
    async def turn(self, sender: str) -> AsyncIterator[None]:
        """Wait for a turn of this sender, and have it."""
        if self._is_taken:
            await self._come(sender)
        self._is_taken = True
        try:
            yield
        finally:
            self._pass_on()

    async def _come(self, sender: str) -> None:
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(sender, deque()).append(mine)
        try:
            await mine
        except asyncio.CancelledError:
            if not mine.cancelled():
                # It was given its turn just when nobody waited any more.
                self._pass_on()
            raise

    def _pass_on(self) -> None:
        while self._waiting:
            sender, queue = self._waiting.popitem(last=False)
            following = queue.popleft()
            if queue:
                self._waiting[sender] = queue
            if not following.done():
                following.set_result(None)
                return
        self._is_taken = False


_MOST = 1000


class Throttle:
    """Counts events by who caused them; more than `most` within `seconds` are too many."""

    def __init__(self, most: int, seconds: float, clock: Clock) -> None:
        self._most = most
        self._seconds = seconds
        self._clock = clock
        self._windows: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def is_too_many(self, who: str) -> bool:
        """Count one event, and tell whether it is one too many."""
        now = self._clock.monotonic()
        since, count = self._windows.pop(who, (now, 0))
        if now - since >= self._seconds:
            since, count = now, 0
        self._windows[who] = (since, count + 1)
        if len(self._windows) > _MOST:
            self._windows.popitem(last=False)
        return count >= self._most

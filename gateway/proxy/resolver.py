"""The addresses of one upstream's name: looked up one at a time, by a thread that keeps nobody else waiting."""

import asyncio
import ipaddress
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import structlog

from gateway.observability.metrics import NAMES_UNRESOLVED

log = structlog.get_logger()

Lookup = Callable[[str], Sequence[str]]


@dataclass(frozen=True, slots=True)
class Freshness:
    """For how long addresses are used, in seconds."""

    found: float = 30.0
    """Before the name is looked up again."""
    failed: float = 1.0
    """Until the next look-up after one that failed, while there are addresses to use."""


USUAL_FRESHNESS = Freshness()


def lookup(host: str) -> Sequence[str]:
    """Return the addresses of a name, in the order in which they are to be tried; raises `OSError`, and may take very long."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class Resolver:
    """Knows the addresses of one name. The last known go on being used while a look-up takes its time, or fails.

    The event loop's own look-ups share a few threads: one name whose server hangs would stop all others.
    """

    def __init__(self, host: str, lookup: Lookup = lookup, freshness: Freshness = USUAL_FRESHNESS) -> None:
        self._host = host
        self._lookup = lookup
        self._freshness = freshness
        self._known: Sequence[str] = (host,) if _is_address(host) else ()
        self._fresh_until = float("inf") if self._known else 0.0
        self._under_way: asyncio.Future[Sequence[str]] | None = None
        self._fails = False

    async def addresses(self) -> Sequence[str]:
        """Return the addresses; raises `OSError` where none was ever found. Whoever waits bounds how long."""
        loop = asyncio.get_running_loop()
        if self._known and loop.time() < self._fresh_until:
            return self._known
        if self._under_way is None:
            self._under_way = loop.create_future()
            self._under_way.add_done_callback(lambda done: done.exception())  # nobody may be waiting any more
            threading.Thread(target=self._run, args=(loop,), name=f"resolver {self._host}", daemon=True).start()
        # Others may wait for the same, also when this one gives up.
        return self._known or await asyncio.shield(self._under_way)

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        found: Sequence[str] = ()
        failure: OSError | None = None
        try:
            found = self._lookup(self._host)
        except OSError as error:
            failure = error
        except Exception:  # noqa: BLE001 - whoever waits must be told, whatever it was
            failure = OSError("it is no name")
        # The process may have ended its loop meanwhile.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(self._ended, loop.time, found, failure)

    def _ended(self, clock: Callable[[], float], found: Sequence[str], failure: OSError | None) -> None:
        waited, self._under_way = self._under_way, None
        if failure is None and found:
            self._known, self._fresh_until = found, clock() + self._freshness.found
        elif self._known:
            self._fresh_until = clock() + self._freshness.failed
        self._tell(failure, found)
        if waited is None or waited.done():
            return
        if failure is not None or not found:
            waited.set_exception(failure or OSError("the name has no address"))
        else:
            waited.set_result(found)

    def _tell(self, failure: OSError | None, found: Sequence[str]) -> None:
        """Log once when a name cannot be resolved, and once when it can again."""
        fails = failure is not None or not found
        if fails and not self._fails:
            reason = (failure and failure.strerror) or "no address"
            log.error("resolver.failed", host=self._host, reason=reason, last_known_is_used=bool(self._known))
        elif self._fails and not fails:
            log.info("resolver.recovered", host=self._host)
        self._fails = fails
        NAMES_UNRESOLVED.labels(self._host).set(fails)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True

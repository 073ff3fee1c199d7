"""Shares measurements with PMD once they are journaled: from the ledger, with pauses that grow, each once."""

import asyncio
import random
import zlib
from collections.abc import Callable
from functools import partial

import structlog

from gateway.config.upstreams import PmdUpstream
from gateway.ledger import shares
from gateway.ledger.crypto import PayloadCipher, PayloadUnreadable
from gateway.ledger.database import LedgerUnavailable
from gateway.ledger.messages import Ledger
from gateway.ledger.records import LeaseWatch
from gateway.ledger.shares import DueShare, NewShare, ShareState
from gateway.model import Information
from gateway.observability.metrics import ANSWERS_REFUSED, SHARED, SHARES_WAITING
from gateway.outbox.context import CurrentDelivery, DeliveryContext
from gateway.outbox.order import Order
from gateway.outbox.recorder import Recorder
from gateway.tasks import Intervals, Periodic, finish
from gateway.times import Clock
from gateway.upstreams.circuit_breaker import pause
from gateway.upstreams.pmd import NotTaken, PmdClient
from gateway.upstreams.service_caller import AnswerRefused, ServiceUnavailable
from translators.fhir.json_codec import decode, encode
from translators.pmd import Sharing, shared

log = structlog.get_logger()

TARGET = PmdUpstream.KIND
_AT_A_TIME = 8
_TIMEOUT = 30.0
_LONGEST_PAUSE = 600.0
_LARGEST = 16 * 1024 * 1024
"""Bytes of what is shared, unpacked."""
_LARGE = 50_000
"""Bytes of a message that is made a bundle of in a thread, so that others need not wait for it."""
_MOST_LEFT_OUT = 10


async def to_share(order: Order, pmd: PmdUpstream | None, vault: PayloadCipher) -> Callable[[str], NewShare] | None:
    """Return what makes a share of a message for the reference that it is kept under; None where nothing is to be shared.

    Never raises for what the message holds.
    """
    is_wanted = TARGET in order.route.share_with and order.envelope.information is Information.MALEDATA
    if pmd is None or not is_wanted or order.patient is None or order.municipality.kommunenummer is None:
        return None
    how = Sharing(
        kommunenummer=order.municipality.kommunenummer,
        patient=order.patient,
        reference=order.reference,
        received=order.received.isoformat(timespec="milliseconds"),
        form=pmd.bundle,
    )
    message = order.call.body
    try:
        found = await asyncio.to_thread(_bundle_of, message, how) if len(message) > _LARGE else _bundle_of(message, how)
    except Exception:
        log.exception("sharing.defect", reference=order.reference)
        return lambda _: NewShare(TARGET, None, "the gateway failed")
    bundle, left_out = found
    if bundle is None:
        return lambda _: NewShare(TARGET, None, "it has no measurement that can be shared", left_out)
    return lambda reference: NewShare(TARGET, vault.seal(bundle, _kept_as(reference)), left_out=left_out)


def _bundle_of(message: bytes, how: Sharing) -> tuple[bytes | None, str | None]:
    found = shared(decode(message), how)
    left_out = "; ".join(found.left_out[:_MOST_LEFT_OUT]) or None
    return (zlib.compress(encode(found.bundle)) if found.bundle is not None else None), left_out


def _kept_as(reference: str) -> str:
    return f"{reference} {TARGET}"


class Sharer:
    """Claims what is to be shared and sends it; that several nodes do so at once harms nothing."""

    def __init__(
        self, ledger: Ledger, recorder: Recorder, current: CurrentDelivery, clock: Clock, intervals: Intervals
    ) -> None:
        self._ledger = ledger
        self._recorder = recorder
        self._current = current
        self._clock = clock
        self._under_way: set[asyncio.Task[None]] = set()
        self._shown: set[tuple[str, str]] = set()
        self._leases = LeaseWatch(clock)
        passing = LedgerUnavailable
        self.loops = (
            Periodic("share", self._worked, intervals.share, passing=passing),
            Periodic("recover shares", self.recover, intervals.recover, passing=passing),
        )

    async def share(self) -> int:
        """Send what is due; return how many shares that were."""
        current = self._current()
        if current is None or current.pmd is None:
            return 0
        now, began, lease = self._clock(), self._clock.monotonic(), self._ledger.lease
        claimed = partial(
            shares.claim, node=self._ledger.node, now=now, until=now + _TIMEOUT + lease, most=_AT_A_TIME,
            longest=_LONGEST_PAUSE + lease,
        )  # fmt: skip
        claiming = asyncio.get_running_loop().create_task(self._ledger.store.write(claimed))
        try:
            due = await asyncio.shield(claiming)
        except asyncio.CancelledError:
            # What was claimed is ours, whoever stops us: it is put back.
            await asyncio.wait([claiming])
            if not claiming.cancelled() and claiming.exception() is None:
                for one in claiming.result():
                    await self._recorder.surely(one.reference, partial(self._again, one, "the gateway stops", 0.0))
            raise
        until = began + _TIMEOUT
        tasks = [asyncio.get_running_loop().create_task(self._send(one, current, current.pmd, until)) for one in due]
        self._under_way.update(tasks)
        for task in tasks:
            task.add_done_callback(self._under_way.discard)
        await asyncio.shield(asyncio.gather(*tasks))
        return len(due)

    async def recover(self) -> None:
        """Say of what was with processes that are gone that it is unclear, tell of what was given up, and count what waits."""
        store, now, lease = self._ledger.store, self._clock(), self._ledger.lease
        if not self._recorder.is_busy and not await self._ledger.is_ahead():
            lost = partial(
                shares.recover, node=self._ledger.node, leases=self._leases, alone=store.is_sqlite,
                longest=_TIMEOUT + 2 * lease, now=now,
            )  # fmt: skip
            for reference, municipality in await store.write(lost):
                _tell_failed(reference, municipality, ShareState.UNCLEAR, "the gateway was stopped while it was sent")
        while given_up := await store.write(lambda each: shares.given_up(each, now)):
            for reference, municipality, reason in given_up:
                _tell_failed(reference, municipality, ShareState.GIVEN_UP, reason)
        waiting = await store.read(shares.waiting)
        for gone in self._shown - waiting.keys():
            SHARES_WAITING.labels(*gone).set(0)
        for cell, number in waiting.items():
            SHARES_WAITING.labels(*cell).set(number)
        self._shown |= waiting.keys()

    async def finish(self, within: float) -> None:
        """Let what is under way end, for so many seconds; what does not is unclear at the next start."""
        await finish(self._under_way, within)

    async def _worked(self) -> bool:
        return await self.share() >= _AT_A_TIME

    async def _send(self, due: DueShare, current: DeliveryContext, pmd: PmdClient, until: float) -> None:
        """Send a share before `until`, by the monotonic clock: after that others may take it for lost."""
        municipality = current.config.municipalities.get(due.municipality)
        if municipality is None:
            await self._ended(due, ShareState.REFUSED, "the municipality is not configured any more")
            return
        if (left := until - self._clock.monotonic()) <= 0:
            why = "the ledger took too long"
            await self._recorder.surely(due.reference, partial(self._again, due, why, self._clock()))
            return
        state, reason = ShareState.SHARED, None
        try:
            await pmd.share(_opened(current.keys.vault, due), municipality.orgnr, left)
        except AnswerRefused as error:
            ANSWERS_REFUSED.labels(pmd.upstream.name).inc()
            log.error("sharing.answer_refused", upstream=pmd.upstream.name, reason=str(error))  # noqa: TRY400 - the place says nothing
            await self._put_back(due, str(error))
            return
        except ServiceUnavailable as error:
            if error.is_silent:
                await self._ended(due, ShareState.UNCLEAR, str(error))
                return
            await self._put_back(due, str(error), error.retry_after)
            return
        except (NotTaken, PayloadUnreadable) as error:
            state, reason = ShareState.REFUSED, str(error)
        except Exception:
            log.exception("sharing.defect", reference=due.reference)
            state, reason = ShareState.UNCLEAR, "the gateway failed"
        await self._ended(due, state, reason)

    async def _put_back(self, due: DueShare, reason: str, wait: float = 0.0) -> None:
        """Have a share sent again, in `wait` seconds at the earliest."""
        SHARED.labels(due.municipality, TARGET, "unavailable").inc()
        own = pause(due.tries + 1, random.random(), longest=_LONGEST_PAUSE)  # noqa: S311 - no secret
        next_try = self._clock() + max(own, min(wait, _LONGEST_PAUSE))
        await self._recorder.surely(due.reference, partial(self._again, due, reason, next_try))

    async def _ended(self, due: DueShare, state: ShareState, reason: str | None) -> None:
        await self._recorder.surely(due.reference, partial(self._end, due, state, reason))

    async def _again(self, due: DueShare, reason: str, next_try: float) -> bool:
        node, now = self._ledger.node, self._clock()
        work = partial(shares.again, due=due, node=node, reason=reason, next_try=next_try, now=now)
        if not (is_ours := await self._ledger.store.write(work)):
            log.error("sharing.decided_meanwhile", reference=due.reference, state=ShareState.WAITING.value)
        return is_ours

    async def _end(self, due: DueShare, state: ShareState, reason: str | None) -> bool:
        """Write down what became of a share, and tell it as it is written: not what others have decided meanwhile."""
        node, now = self._ledger.node, self._clock()
        work = partial(shares.end, due=due, node=node, state=state, reason=reason, now=now)
        is_ours = await self._ledger.store.write(work)
        if is_ours and state is ShareState.SHARED:
            SHARED.labels(due.municipality, TARGET, state.value).inc()
            log.info("sharing.shared", reference=due.reference, municipality=due.municipality, target=TARGET)
        elif is_ours:
            _tell_failed(due.reference, due.municipality, state, reason or "")
        elif state is not ShareState.UNCLEAR:  # which others have found too, and told
            log.error("sharing.decided_meanwhile", reference=due.reference, state=state.value)
        return is_ours


def _opened(vault: PayloadCipher, due: DueShare) -> bytes:
    """Return a bundle; raises `PayloadUnreadable`."""
    if due.payload is None:
        raise PayloadUnreadable("nothing is kept of it any more")
    try:
        return zlib.decompressobj().decompress(vault.open(due.payload, _kept_as(due.reference)), _LARGEST)
    except zlib.error:
        raise PayloadUnreadable("not what this version keeps") from None


def _tell_failed(reference: str, municipality: str, state: ShareState, reason: str) -> None:
    """Tell of measurements that are journaled, and not or perhaps not shared."""
    SHARED.labels(municipality, TARGET, state.value).inc()
    log.error("sharing.failed", reference=reference, municipality=municipality, state=state.value, reason=reason)

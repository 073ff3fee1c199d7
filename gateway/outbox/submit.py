"""Delivers journalings as they come: writes each down, sends it, and says what its sender is told."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial

from gateway.config.model import Limits
from gateway.config.upstreams import PmdUpstream
from gateway.errors import Failure, Fault
from gateway.ledger.database import LedgerUnavailable
from gateway.ledger.key_files import Keys
from gateway.ledger.message_queries import marks_of
from gateway.ledger.messages import Ledger
from gateway.ledger.records import Arrival, Known, MessageState, Taken, Waiting
from gateway.model import Account
from gateway.outbox.context import UNCLEAR_REASON, Backlog, set_aside
from gateway.outbox.order import DeliveryOutcome, Order, Receipt, known_by, sealed
from gateway.outbox.recorder import Recorder
from gateway.outbox.sharing import to_share
from gateway.outbox.tracker import Tracker
from gateway.routing.route import AnswerWhen, OnOutage, Unclear
from gateway.times import Clock
from gateway.upstreams.circuit_breaker import pause
from gateway.upstreams.jft import JftClient
from gateway.upstreams.jft_answers import NotDelivered, Submitted
from translators.identity import Business

_LARGE = 100_000
"""Bytes of a body that is packed and sealed in a thread, so that others need not wait for it."""
_RETRY_AFTER = 10
"""Seconds that a sender is asked to wait while the ledger cannot be written, or holds as much as it may."""


class Submitter:
    """Takes orders; a reload makes another one on the same ledger."""

    def __init__(  # noqa: PLR0913, PLR0917 - what it works with
        self,
        ledger: Ledger,
        recorder: Recorder,
        following: Tracker,
        keys: Keys,
        service: JftClient,
        limits: Limits,
        backlog: Backlog,
        first_poll: float,
        clock: Clock,
        wake: Callable[[], None],
        poll_again: float,
        pmd: PmdUpstream | None = None,
    ) -> None:
        """`poll_again` is in how many seconds to look again at what another process does with the first copy of a message.

        `pmd` is whom measurements are shared with, where a route says so.
        """
        self._ledger = ledger
        self._recorder = recorder
        self._following = following
        self._keys = keys
        self._service = service
        self._limits = limits
        self._backlog = backlog
        self._first_poll = first_poll
        self._clock = clock
        self._wake = wake
        self._poll_again = poll_again
        self._pmd = pmd
        self._sending: dict[int, asyncio.Future[None]] = {}
        """By message: what copies that come meanwhile wait for."""

    def note_passed(self, account: Account, business: Business, status: int) -> None:
        """Write down by what a message that VKP took is known again; nobody waits for it."""
        sender, municipality = account.envelope.sender or "", account.envelope.municipality or ""
        hashes = known_by(self._keys.lookup, sender, municipality, business)
        self._recorder.note_passed(account, hashes, status)

    async def deliver(self, order: Order, until: float) -> Receipt:
        """Deliver a message, or hold it, and return what its sender is told; raises `Failure`.

        `until` is in the event loop's time; nothing is sent afterwards. Whoever gives up waiting stops nothing: what was begun is
        brought to its end, and written down.
        """
        return await self._recorder.brought_to_end(self._deliver(order, until))

    async def _deliver(self, order: Order, until: float) -> Receipt:
        try:
            found = await self._arrive(order, until)
            match found:
                case Taken():
                    return await self._send(order, found, until)
                case Waiting():
                    self._backlog.add(order.municipality.key, order.envelope.sender or "")
                    self._wake()
                    return _receipt(order, found.reference, DeliveryOutcome.HELD, found)
                case Known():
                    return await self._again(found, until)
        except LedgerUnavailable as error:
            raise Failure(
                Fault.UNAVAILABLE, f"The ledger cannot be written: {error}", retry_after=_RETRY_AFTER
            ) from None

    async def _arrive(self, order: Order, until: float) -> Taken | Waiting | Known:
        loop_now = asyncio.get_running_loop().time()
        arrival = self._arrival(order)
        if arrival.promised and (full := await self._no_room(arrival)) is not None:
            known = await self._ledger.find(arrival.copy) if arrival.copy is not None else None
            window = self._limits.duplicate_window
            if known is not None and known.is_success and not known.is_past(self._clock(), window):
                return known
            raise full
        share = await to_share(order, self._pmd, self._keys.vault)
        return await self._ledger.arrive(
            arrival,
            await self._seal_of(order),
            until=self._clock() + (until - loop_now),
            window=self._limits.duplicate_window,
            wait=self._service.breaker.is_open(loop_now),
            other_numbers=[self._keys.lookup.hash("patient", number) for number in order.other_numbers],
            share=share,
        )

    async def _no_room(self, arrival: Arrival) -> Failure | None:
        """Return why a message may not be held: one patient's or one sender's must not take the place of all others."""
        limits, backlog, municipality = self._limits, self._backlog, arrival.municipality
        if backlog.is_full(municipality, limits.backlog):
            text = "As many messages of the municipality are held as may be"
            return Failure(Fault.UNAVAILABLE, text, retry_after=_RETRY_AFTER)
        if backlog.is_share_used_up(municipality, arrival.sender, limits.backlog_per_sender):
            return Failure(
                Fault.TOO_MANY, "As many of the sender's messages are held as may be", retry_after=_RETRY_AFTER
            )
        most = limits.backlog_per_patient
        if arrival.patient is None or not backlog.is_full(municipality, most):
            return None
        if not await self._ledger.has_held(municipality, arrival.patient, most):
            return None
        return Failure(
            Fault.TOO_MANY, "As many messages about the patient are held as may be", retry_after=_RETRY_AFTER
        )

    def _arrival(self, order: Order) -> Arrival:
        envelope, route, lookup = order.envelope, order.route, self._keys.lookup
        municipality, sender = order.municipality.key, envelope.sender or ""
        identity = copy = None
        if order.business is not None:
            identity, copy = known_by(lookup, sender, municipality, order.business)
        return Arrival(
            reference=order.reference,
            received_at=order.received.timestamp(),
            surface=envelope.surface,
            municipality=municipality,
            sender=sender,
            vendor=envelope.vendor,
            system=envelope.system,
            information=envelope.information,
            upstream=order.call.service,
            patient=lookup.hash("patient", order.patient) if order.patient else None,
            identity=identity,
            copy=copy,
            promised=route.on_outage is OnOutage.HOLD,
            resend_unclear=route.unclear is Unclear.RESEND,
            acknowledge_within=route.acknowledge_within,
        )

    async def _seal_of(self, order: Order) -> Callable[[str], bytes]:
        """Return what seals a message for a reference; a large one is sealed for its own here, in a thread."""
        seal = partial(self._sealed, order)
        if len(order.body) <= _LARGE:
            return seal
        made = await asyncio.to_thread(seal, order.reference)
        return lambda reference: made if reference == order.reference else seal(reference)

    def _sealed(self, order: Order, reference: str) -> bytes:
        call = order.call if order.route.on_outage is OnOutage.HOLD else None
        return sealed(self._keys.vault, reference, order.head, order.body, call)

    async def _send(self, order: Order, taken: Taken, until: float) -> Receipt:
        done = self._sending[taken.id] = asyncio.get_running_loop().create_future()
        try:
            remaining = until - asyncio.get_running_loop().time()
            submitted = await self._service.submit(order.call, order.municipality.orgnr, order.subject, remaining)
            await self._recorder.delivered(taken.id, taken.reference, submitted, self._first_poll)
        except NotDelivered as failure:
            return await self._not_delivered(order, taken, failure)
        finally:
            self._sending.pop(taken.id, None)
            done.set_result(None)
        outcome = DeliveryOutcome.ACCEPTED
        if order.route.answer is AnswerWhen.JOURNALED and await self._journaled(order, taken, submitted, until):
            outcome = DeliveryOutcome.JOURNALED
        return _receipt(order, taken.reference, outcome, taken, submitted.event_id)

    async def _journaled(self, order: Order, taken: Taken, submitted: Submitted, until: float) -> bool:
        """Wait until the event is in the record, for as long as a sender is kept waiting; tell whether it is."""
        until = min(until, asyncio.get_running_loop().time() + self._limits.journaled_wait)
        try:
            return await self._following.until_acknowledged(taken.id, submitted, order.municipality.key, until)
        except LedgerUnavailable:
            return False

    async def _not_delivered(self, order: Order, taken: Taken, failure: NotDelivered) -> Receipt:
        """Hold what was promised, and refuse the rest; raises `Failure`."""
        is_unclear = failure.fault is Fault.NO_ANSWER
        reason = UNCLEAR_REASON if is_unclear else failure.diagnostics
        refused = partial(self._ledger.refused, taken.id, reason)
        if order.route.on_outage is not OnOutage.HOLD or failure.fault is Fault.REFUSED_BY_SERVICE:
            await self._recorder.surely(taken.reference, refused)
            raise failure
        if is_unclear and order.route.unclear is Unclear.QUARANTINE:
            set_aside(taken.reference, order.municipality.key, reason)
            quarantined = partial(self._ledger.quarantined, taken.id, reason)
            await self._recorder.surely(taken.reference, quarantined)
        else:
            await self._hold(order, taken, failure, refused)
        return _receipt(order, taken.reference, DeliveryOutcome.HELD, taken)

    async def _hold(
        self, order: Order, taken: Taken, failure: NotDelivered, refused: Callable[[], Awaitable[bool]]
    ) -> None:
        """Hold a message; where that cannot be written down it is refused, since nothing was promised yet."""
        next_try = self._clock() + max(pause(1, random.random()), float(failure.hold_off))  # noqa: S311 - no secret
        is_unclear = failure.fault is Fault.NO_ANSWER
        counted = failure.blames_message or is_unclear
        try:
            await self._ledger.held(
                taken.id, failure.diagnostics, next_try=next_try, counted=counted, unclear=is_unclear
            )
        except LedgerUnavailable:
            self._recorder.later(taken.reference, refused)
            raise
        self._backlog.add(order.municipality.key, order.envelope.sender or "")
        self._wake()

    async def _again(self, known: Known, until: float) -> Receipt:
        """Answer a copy as the first was; while that is being sent, wait for what becomes of it."""
        loop = asyncio.get_running_loop()
        while not known.is_success and known.state is MessageState.DELIVERING:
            left = until - loop.time()
            if left <= 0:
                raise Failure(Fault.NO_ANSWER, "The first copy of the message is still being delivered")
            done = self._sending.get(known.id)
            waiting = asyncio.shield(done) if done is not None else asyncio.sleep(self._poll_again)
            try:
                async with asyncio.timeout(left):
                    await waiting
            except TimeoutError:
                continue
            known = await self._ledger.one(known.id) or known
        if not known.is_success:
            text = "The first copy of the message could not be delivered"
            raise Failure(Fault.UNAVAILABLE, text, retry_after=_RETRY_AFTER)
        at = datetime.fromtimestamp(known.received_at, UTC)
        return Receipt(known.reference, at, DeliveryOutcome.DUPLICATE, known.event_id)


def _receipt(
    order: Order, reference: str, outcome: DeliveryOutcome, found: Taken | Waiting, event_id: str | None = None
) -> Receipt:
    marks = marks_of(isinstance(found, Taken) and found.possible_duplicate, found.identifier_reused)
    return Receipt(reference, order.received, outcome, event_id, tuple(marks))

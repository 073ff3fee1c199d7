"""Sends back to VKP what the new side got and nobody has read: in the order of arrival, at a bounded rate, each once."""

import asyncio
import secrets
from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Any, TypeVar

import structlog

from gateway.ledger.crypto import PayloadUnreadable
from gateway.ledger.database import LedgerUnavailable
from gateway.ledger.messages import Ledger
from gateway.ledger.records import MessageState
from gateway.ledger.returns import Going, ReturnItem, Returns, Selection
from gateway.model import GOES_NEW
from gateway.observability.metrics import QUARANTINED, UNCLEAR
from gateway.outbox.context import CurrentDelivery, DeliveryContext, set_aside
from gateway.outbox.order import opened
from gateway.outbox.return_jobs import Busy, Done, Job, Progress, ReturnOutcome, Spacing, cells_of
from gateway.tasks import USUAL, Intervals, Periodic, finish
from gateway.times import Clock
from gateway.upstreams.jft_answers import StatusUnknown, Submitted
from gateway.upstreams.vkp import Fate, Sent, StoredRequest, VkpClient

log = structlog.get_logger()
T = TypeVar("T")

_TIMEOUT, _TO_ASK = 30.0, 15.0
"""Seconds that sending - to take the message, a token, and VKP's answer - and asking for a status may take."""
_NOT_YET = 60.0
"""Seconds until a held message that VKP did not take is tried at the service again."""
_AT_A_TIME = 200
_ENOUGH = 5
"""Failures in a row after which VKP is left alone: none of them was because of the message."""
_MOST_REMEMBERED = 50
"""Jobs that are told of after they have ended."""

NO_CLIENT = "upstreams.*.clients has none for {}: what the new side got can be listed and exported, and not sent"
"""Of a municipality, or of a vendor in one."""
NO_SERVICE = "no upstream of kind jft is configured: nobody can be asked what was read, so nothing is sent"
_STOPS = "the gateway stops"


_HOLDS_UP = frozenset(
    {
        ReturnOutcome.CHANGED,
        ReturnOutcome.STATUS_UNKNOWN,
        ReturnOutcome.AFTER_ANOTHER,
        ReturnOutcome.NOT_DELIVERED,
        ReturnOutcome.NO_CLIENT,
    }
)
"""Where these are, later messages about the same patient wait for another request."""
_FAILURES = frozenset({ReturnOutcome.NOT_DELIVERED, ReturnOutcome.UNCLEAR})
_OF_FATE = {
    Fate.ACCEPTED: ReturnOutcome.RETURNED,
    Fate.REFUSED: ReturnOutcome.REFUSED,
    Fate.NOT_DELIVERED: ReturnOutcome.NOT_DELIVERED,
    Fate.UNCLEAR: ReturnOutcome.UNCLEAR,
}


class Returner:
    """Returns messages to VKP on one ledger, under whatever configuration is current."""

    def __init__(self, ledger: Ledger, current: CurrentDelivery, clock: Clock, intervals: Intervals = USUAL) -> None:
        self.returns = Returns(ledger, clock)
        self._ledger = ledger
        self._current = current
        self._clock = clock
        self._jobs: dict[str, Job] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._stopping = False
        self._unwritten = 0
        """Messages of which it is known what became of them, and not written yet."""
        self._rewrite = intervals.rewrite
        self.loop = Periodic("recover returns", self.recover, intervals.recover, passing=LedgerUnavailable)

    # Asked by whoever operates.

    def obstacle(self, selection: Selection) -> str | None:
        """Return why nothing of a selection can be sent; None when some of it can."""
        if (means := self._current()) is None:
            return NO_SERVICE
        config, place = means.config, selection.municipality
        vendors = [selection.vendor] if selection.vendor is not None else [*config.vendors_of(place), None]
        return None if any(config.client_of_vkp(place, one) for one in vendors) else NO_CLIENT.format(place)

    def without_client(self, selection: Selection) -> list[str]:
        """Return the vendors of a selection whose messages no client of ours can send to VKP."""
        if (means := self._current()) is None:
            return []
        config, place = means.config, selection.municipality
        vendors = [selection.vendor] if selection.vendor is not None else config.vendors_of(place)
        return [one for one in vendors if config.client_of_vkp(place, one) is None]

    def still_new(self, selection: Selection) -> list[str]:
        """Return the cells of a selection whose messages still go to a service, or those of a canary's patients: these go back first."""
        means, now = self._current(), datetime.fromtimestamp(self._clock(), UTC)
        if means is None:
            return []
        return [
            ", ".join(part for part in (cell.municipality, cell.vendor, cell.system, cell.information) if part)
            for cell in cells_of(selection, means.config)
            if (route := means.routes.table.decide(cell, now).route) is not None and route.mode in GOES_NEW
        ]

    def is_busy(self, municipality: str) -> bool:
        """Tell whether messages of a municipality are being returned by this node."""
        under_way = (job for job in self._jobs.values() if job.progress is Progress.RUNNING)
        return any(job.selection.municipality == municipality for job in under_way)

    def begin(self, selection: Selection, rate: float) -> Job:
        """Begin to send what is unread; raises `Busy`."""
        if self.is_busy(selection.municipality):
            raise Busy
        job = Job(secrets.token_hex(8), selection, rate, self._clock())
        if self._stopping:
            job.stopping.set()
        self._jobs[job.id] = job
        for old in [one.id for one in self._jobs.values() if one.progress is not Progress.RUNNING][:-_MOST_REMEMBERED]:
            del self._jobs[old]
        self._spawn(self._run(job))
        return job

    def job(self, job_id: str) -> Job | None:
        """Return a job of this node."""
        return self._jobs.get(job_id)

    async def send_one(self, item: ReturnItem) -> Done:
        """Send one message for which a person has decided that it goes to VKP; see `may_be_sent_alone`."""
        if self._stopping:
            return Done(item.reference, ReturnOutcome.NOT_DELIVERED, _STOPS)
        # To its end, also when whoever asked has left.
        return await asyncio.shield(self._spawn(self._one(item, by_person=True)))

    # Called by whoever runs the gateway.

    async def recover(self) -> None:
        """Set aside what was with processes that are gone: VKP may have it."""
        if self._unwritten or await self._ledger.is_ahead():
            return  # what is known, and not written yet, and what others have, must not be taken for lost
        for lost in await self.returns.recover(alone=self._ledger.store.is_sqlite):
            _tell_unclear(lost.reference, lost.municipality)

    async def stop(self, within: float) -> None:
        """Let the messages under way end, for so many seconds; what does not is unclear at the next start."""
        self._stopping = True
        for job in self._jobs.values():
            job.stopping.set()
        await finish(self._tasks, within)

    def _spawn(self, work: Coroutine[None, None, T]) -> "asyncio.Task[T]":
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # The work.

    async def _run(self, job: Job) -> None:
        ended = Progress.STOPPED
        try:
            ended = await self._through(job)
        except LedgerUnavailable as error:
            ended, job.why = Progress.GAVE_UP, f"the ledger cannot be used: {error}"
        except Exception:
            log.exception("return.defect")
            ended, job.why = Progress.GAVE_UP, "the gateway failed"
        finally:
            job.progress, job.ended = ended, self._clock()
            municipality, counts = (
                job.selection.municipality,
                {str(name): number for name, number in job.counts.items()},
            )
            log.info("return.ended", job=job.id, municipality=municipality, how=ended.value, why=job.why, counts=counts)

    async def _through(self, job: Job) -> Progress:
        """Go through the selection once."""
        pace, waits, failures, after = Spacing(job.rate), set[str](), 0, 0
        while items := await self.returns.items(job.selection, _AT_A_TIME, after=after):
            for item in items:
                after = item.id
                if _holds_up_others(item) and item.patient:
                    waits.add(item.patient)
                if item.not_in_bulk is not None:
                    continue
                if item.patient in waits:
                    job.note(
                        Done(
                            item.reference, ReturnOutcome.AFTER_ANOTHER, "an earlier one about the patient comes first"
                        )
                    )
                    continue
                if await _stopped(job, pace.wait(asyncio.get_running_loop().time())):
                    return Progress.STOPPED
                # Right before each: a page of them takes minutes, and the routes may change meanwhile.
                if why := self._hindrance(job.selection):
                    job.why = why
                    return Progress.GAVE_UP
                done = await self._one(item, by_person=False)
                job.note(done)
                if done.outcome in _HOLDS_UP and item.patient:
                    waits.add(item.patient)
                failures = failures + 1 if done.outcome in _FAILURES else 0
                if failures >= _ENOUGH:
                    job.why = f"failed {failures} times in a row, at last: {done.reason}"
                    return Progress.GAVE_UP
        return Progress.DONE

    def _hindrance(self, selection: Selection) -> str | None:
        """Return why nothing of a selection may be sent under what is configured now."""
        if obstacle := self.obstacle(selection):
            return obstacle
        cells = self.still_new(selection)
        return f"messages go to the new side again: {cells[0]}" if cells else None

    async def _one(self, item: ReturnItem, *, by_person: bool) -> Done:
        """Ask how far a message has come, and send it unless that says no."""
        if (known := await self._looked(item)) is not None:
            return known
        # By both clocks before taking: nothing is sent once others may take it for lost, however long that took.
        until = self._clock.monotonic() + _TIMEOUT
        going = await self.returns.take(item.id, item.state, until=self._clock() + _TIMEOUT, by_person=by_person)
        if going is None:
            return Done(item.reference, ReturnOutcome.CHANGED, "it is not where it was")
        try:
            sent = await self._sent(item, going, until)
        except PayloadUnreadable as unreadable:
            await self._written(item, Sent(Fate.NOT_DELIVERED, f"its payload cannot be read: {unreadable}"))
            return Done(item.reference, ReturnOutcome.UNREADABLE, str(unreadable))
        except Exception:
            log.exception("return.defect", reference=item.reference)
            sent = Sent(Fate.UNCLEAR, "the gateway failed")
        await self._written(item, sent)
        outcome = _OF_FATE[sent.fate]
        log.info("return.sent", reference=item.reference, outcome=outcome.value, reason=sent.reason)
        return Done(item.reference, outcome, sent.reason)

    async def _looked(self, item: ReturnItem) -> Done | None:
        """Return why an event is not sent by what the service says of it right now; None when it may be."""
        means = self._current()
        if means is None:
            return Done(item.reference, ReturnOutcome.NOT_DELIVERED, NO_SERVICE)
        if _client(means, item) is None:
            return Done(item.reference, ReturnOutcome.NO_CLIENT, _no_client(item))
        municipality = means.config.municipalities.get(item.municipality)
        if municipality is None:
            reason = "the municipality is not configured any more"
            return Done(item.reference, ReturnOutcome.NOT_DELIVERED, reason)
        if item.event_id is None or item.event_kind is None:
            return None
        try:
            status = await means.service.status(Submitted(item.event_id, item.event_kind), municipality.orgnr, _TO_ASK)
        except StatusUnknown as unknown:
            return Done(item.reference, ReturnOutcome.STATUS_UNKNOWN, unknown.reason)
        if status.acknowledged is not None:
            await self._ledger.acknowledged(item.id)
            return Done(item.reference, ReturnOutcome.ACKNOWLEDGED, "it is in the record")
        if status.read is not None and item.state is MessageState.DELIVERED:
            await self._ledger.read(item.id, next_poll=self._clock())
            return Done(item.reference, ReturnOutcome.READ, "somebody has fetched it: perhaps it is in the record")
        return None

    async def _sent(self, item: ReturnItem, going: Going, until: float) -> Sent:
        means = self._current()
        if means is None:
            return Sent(Fate.NOT_DELIVERED, NO_SERVICE)
        kept = opened(means.keys.vault, going.reference, going.payload)
        municipality, client = means.config.municipalities.get(item.municipality), _client(means, item)
        if client is None or municipality is None:
            return Sent(Fate.NOT_DELIVERED, _no_client(item))
        if (left := until - self._clock.monotonic()) <= 0:
            return Sent(Fate.NOT_DELIVERED, "the ledger took too long")
        request = StoredRequest(item.surface, kept.method, kept.target, kept.headers, kept.body)
        return await client.send(request, municipality.orgnr, left)

    async def _written(self, item: ReturnItem, sent: Sent) -> None:
        """Write down what became of a message, however long the ledger cannot be written; until then nothing else is sent."""
        self._unwritten += 1
        try:
            while True:
                try:
                    is_news = await self._write(item, sent)
                except LedgerUnavailable:
                    log.error("return.not_written", reference=item.reference, fate=sent.fate.value)  # noqa: TRY400 - told by the store
                    await asyncio.sleep(self._rewrite)
                else:
                    if not is_news:
                        log.error("return.not_ours", reference=item.reference, fate=sent.fate.value)
                    return
        finally:
            self._unwritten -= 1

    async def _write(self, item: ReturnItem, sent: Sent) -> bool:
        match sent.fate:
            case Fate.ACCEPTED:
                return await self.returns.returned(item.id, sent.status)
            case Fate.UNCLEAR:
                if is_news := await self.returns.unclear(item.id):
                    _tell_unclear(item.reference, item.municipality)
                return is_news
            case Fate.REFUSED if item.state is MessageState.HELD:
                # It was promised, so it is a person's to decide; at the service nobody would read it.
                due = self._clock()
                if is_news := await self.returns.not_returned(item.id, MessageState.QUARANTINED, sent.reason, due=due):
                    set_aside(item.reference, item.municipality, sent.reason)
                return is_news
            case _:
                due = self._clock() + (_NOT_YET if item.state is MessageState.HELD else 0.0)
                return await self.returns.not_returned(item.id, item.state, sent.reason, due=due)


def _client(means: DeliveryContext, item: ReturnItem) -> VkpClient | None:
    return means.vkp.client_for(item.municipality, item.vendor) if means.vkp is not None else None


def _no_client(item: ReturnItem) -> str:
    return NO_CLIENT.format(f"{item.municipality} and {item.vendor}" if item.vendor else item.municipality)


def _holds_up_others(item: ReturnItem) -> bool:
    """Tell whether a message that is not this job's to send is on its way somewhere."""
    is_uncertain = item.state is MessageState.HELD and item.possible_duplicate
    return item.state in (MessageState.DELIVERING, MessageState.RETURNING) or is_uncertain


async def _stopped(job: Job, wait: float) -> bool:
    """Wait, but not once the job is to stop; tell whether it is."""
    try:
        async with asyncio.timeout(wait):
            await job.stopping.wait()
    except TimeoutError:
        return False
    return True


def _tell_unclear(reference: str, municipality: str) -> None:
    UNCLEAR.labels(municipality).inc()
    QUARANTINED.labels(municipality).inc()
    log.error("return.unclear", reference=reference, municipality=municipality)

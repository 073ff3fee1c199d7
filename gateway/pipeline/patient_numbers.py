"""National numbers of patients whom a message or a search names by a number of the record system's own.

A table of the municipality is looked at first. Where there is none, VKP or the copy of PIT is asked: neither documents a search by
such numbers, so they are learnt from lists of patients, and kept: in the ledger, where there is one, for all nodes.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any, Protocol

import structlog
from msgspec import Struct, structs

from gateway.config.model import Config, Municipality, Resolver
from gateway.errors import Failure, Fault
from gateway.ledger.crypto import PayloadUnreadable
from gateway.ledger.database import LedgerUnavailable
from gateway.ledger.learnt_numbers import KEPT, LearntNumbers, ListClaim
from gateway.model import Information
from gateway.pipeline.bodies import identifiers
from gateway.pipeline.identify import Identified
from gateway.surfaces.base import Content
from gateway.surfaces.search import PatientKey, Search
from gateway.times import Clock
from gateway.upstreams import epj
from gateway.upstreams.service_caller import AnswerRefused, ServiceUnavailable
from gateway.upstreams.vkp import VkpClients
from translators.contract import Tree
from translators.national_number import kind_of
from translators.patient import NATIONAL_SYSTEMS, identifiers_of
from translators.services import SERVICE_CODES

log = structlog.get_logger()

Run = Callable[[int, Callable[[], Any], str], Awaitable[Any]]
"""Does work on so many bytes, for a sender or whom else: at once where that is short, else in a thread, where these take turns."""
LocalNumbers = dict[tuple[str, str], str]
"""National numbers by identifier system and the record system's own number."""
_MOST_OF_MESSAGE = 20
"""Different numbers of one message that are asked for; it is about one patient, and names a few people beside."""
_AGAIN = 60.0
"""Seconds until VKP is asked for its list again since a number was not there."""
_TIMEOUT = 30.0
_RETRY_AFTER = 30.0
"""Seconds until VKP is asked again since it could not be, and that a sender is told to wait."""
_NOT_LISTED = "VKP cannot be asked whose a number of the record system's own is"


class NumberResolver(Protocol):
    """Knows national numbers of patients by the record system's own."""

    async def national_number(self, municipality: Municipality, system: str, value: str) -> str | None:
        """Return the national number; None where nobody knows it. Raises `Failure` while that cannot be said."""
        ...


class PatientNumbers:
    """Finds national numbers for the messages and searches of one configuration."""

    def __init__(self, resolvers: Mapping[Resolver, NumberResolver]) -> None:
        self._resolvers = resolvers

    async def of_patient(self, patient: PatientKey, municipality: Municipality, until: float) -> str | None:
        """Return the national number of whom a search names; None where nobody knows it. Raises `Failure` while nobody can say.

        `until` is when whoever asks hears that nobody can, by the event loop's time.
        """
        if patient.system is None or patient.system in NATIONAL_SYSTEMS:
            return patient.value
        return await self._asked((patient.system, patient.value), municipality, until)

    async def of_message(self, identified: Identified, content: Content, until: float) -> Identified:
        """Return a message with the national numbers of those whom it names by a number that is in no table; likewise raises `Failure`."""
        municipality = identified.municipality
        if municipality is None or not municipality.resolvers or identified.local_numbers is not None:
            return identified
        found: LocalNumbers = {}
        wanted = sorted(identifiers(content, municipality.resolvers) - municipality.local_numbers.keys())
        for named in wanted[:_MOST_OF_MESSAGE]:
            if (number := await self._asked(named, municipality, until)) is not None:
                found[named] = number
        return structs.replace(identified, local_numbers=found)

    async def _asked(self, named: tuple[str, str], municipality: Municipality, until: float) -> str | None:
        if (number := municipality.local_numbers.get(named)) is not None:
            return number
        resolver = municipality.resolvers.get(named[0])
        by = self._resolvers.get(resolver) if resolver is not None else None
        try:
            async with asyncio.timeout_at(until):
                return await by.national_number(municipality, *named) if by is not None else None
        except TimeoutError:
            text = "It takes too long to find out whose a number of the record system's own is"
            raise _unavailable(text, _RETRY_AFTER) from None


class _Listed(Struct):
    """What VKP's list of a municipality's patients has told, and when in the clock's seconds."""

    numbers: LocalNumbers
    at: float


class _NotListed(Struct):
    """Why a list could not be had, and when in the clock's seconds it may be asked for again."""

    reason: str
    again_at: float


class ListedNumbers:
    """Which lists are asked for, when others were, and what they have told where no ledger keeps it; it outlives a configuration."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self._known: dict[str, _Listed] = {}
        self._failed: dict[str, _NotListed] = {}
        self._asking: dict[str, asyncio.Task[LocalNumbers]] = {}

    def asked(
        self, municipality: str, ask: Callable[[], Coroutine[Any, Any, LocalNumbers]]
    ) -> asyncio.Task[LocalNumbers]:
        """Return the task that asks for a list: one at a time, which goes on whoever gives up waiting for it."""
        if (asking := self._asking.get(municipality)) is None:
            asking = self._asking[municipality] = asyncio.get_running_loop().create_task(ask())
            asking.add_done_callback(lambda done: self._ended(municipality, done))
        return asking

    def _ended(self, municipality: str, asking: asyncio.Task[LocalNumbers]) -> None:
        del self._asking[municipality]
        if not asking.cancelled():
            asking.exception()  # told to whoever waits

    def is_asking(self, municipality: str) -> bool:
        """Tell whether a list is asked for here now."""
        return municipality in self._asking

    def told(self, municipality: str, numbers: LocalNumbers) -> None:
        """Note that a list came, and keep what of it is kept nowhere else."""
        self._failed.pop(municipality, None)
        self._known[municipality] = _Listed(numbers, self.clock.monotonic())

    def failed(self, municipality: str, reason: str, wait: float) -> None:
        """Note that none came, and that it may be asked for again in `wait` seconds."""
        self._failed[municipality] = _NotListed(reason, self.clock.monotonic() + wait)

    def why_not(self, municipality: str) -> tuple[str, float] | None:
        """Return why a list may not be asked for now, since none came lately, and for how many seconds more."""
        known = self._failed.get(municipality)
        left = known.again_at - self.clock.monotonic() if known is not None else 0.0
        return (known.reason, left) if known is not None and left > 0 else None

    def age(self, municipality: str) -> float:
        """Return how many seconds ago a list came here."""
        known = self._known.get(municipality)
        return math.inf if known is None else self.clock.monotonic() - known.at

    def find(self, municipality: str, named: tuple[str, str]) -> str | None:
        """Return a number that is kept here."""
        return self._known[municipality].numbers.get(named) if self.age(municipality) < KEPT else None

    def close(self) -> None:
        """Ask no more."""
        for task in self._asking.values():
            task.cancel()


class NumbersOfVkp:
    """Learns numbers from VKP's lists of patients, with the municipality's own client of VKP."""

    def __init__(  # noqa: PLR0913 - what it needs, and an interval
        self,
        config: Config,
        clients: VkpClients | None,
        listed: ListedNumbers,
        kept: LearntNumbers | None,
        run: Run,
        *,
        look: float = 0.5,
    ) -> None:
        """Read large lists with `run`, beside the event loop; keep them in `kept`, or in memory where there is no ledger.

        `look` is the seconds between two looks at whether another node has a list now.
        """
        self._look = look
        self._config = config
        self._run = run
        self._clients = clients
        self._listed = listed
        self._kept = kept

    async def national_number(self, municipality: Municipality, system: str, value: str) -> str | None:
        """Return the national number of a patient; asks VKP for its list where that is not known, once a minute at most.

        While that fails it is asked for each half minute, by one node, and whoever comes between hears at once that nobody can say.
        """
        key, named = municipality.key, (system, value)
        number, is_lost = await self._find(key, named)
        if number is not None:
            return number
        if not self._listed.is_asking(key):
            if (why_not := self._listed.why_not(key)) is not None:
                raise _unavailable(*why_not)
            if not is_lost and self._listed.age(key) < _AGAIN:
                return None
        learn = partial(self._learn, municipality, 0.0 if is_lost else _AGAIN)
        numbers = await asyncio.shield(self._listed.asked(key, learn))
        return numbers.get(named) or (await self._find(key, named))[0]

    async def _find(self, municipality: str, named: tuple[str, str]) -> tuple[str | None, bool]:
        """Return a number that is known, and whether what is kept of it cannot be read."""
        if (number := self._listed.find(municipality, named)) is not None or self._kept is None:
            return number, False
        try:
            return await self._kept.find(municipality, named), False
        except PayloadUnreadable:
            return None, True
        except LedgerUnavailable as error:
            text = f"It cannot be read whose a number of the record system's own is: {error}"
            raise _unavailable(text, _RETRY_AFTER) from None

    async def _learn(self, municipality: Municipality, again: float) -> LocalNumbers:
        """Ask VKP for its list, and keep it; nothing where a node did so within `again` seconds. Raises `Failure`."""
        key, claim = municipality.key, await self._claim(municipality.key, again)
        if claim is not None and claim.lease is None:
            self._listed.told(key, {})
            return {}
        try:
            numbers = await self._list(municipality)
        except Failure as failure:
            self._listed.failed(key, failure.diagnostics, _RETRY_AFTER)
            await self._asked(key, claim, is_failed=True)
            raise
        is_kept = await self._is_kept(key, numbers)
        self._listed.told(key, {} if is_kept else numbers)
        await self._asked(key, claim, is_failed=False)
        return numbers

    async def _claim(self, municipality: str, again: float) -> ListClaim | None:
        """Return whose it is to ask for a list, once no other node does so now; None where nobody can say. Raises `Failure`."""
        if self._kept is None:
            return None
        try:
            while True:
                claim = await self._kept.claim(municipality, again, _RETRY_AFTER)
                if not claim.is_under_way:
                    break
                await asyncio.sleep(self._look)
        except LedgerUnavailable:
            return None
        if claim.wait > 0:
            reason = f"{_NOT_LISTED}: another node could not"
            self._listed.failed(municipality, reason, claim.wait)
            raise _unavailable(reason, claim.wait)
        return claim

    async def _is_kept(self, municipality: str, numbers: LocalNumbers) -> bool:
        if self._kept is None:
            return False
        try:
            await self._kept.keep(municipality, numbers)
        except LedgerUnavailable as error:
            log.warning("patient_numbers.not_kept", municipality=municipality, reason=str(error))
            return False
        return True

    async def _asked(self, municipality: str, claim: ListClaim | None, *, is_failed: bool) -> None:
        if self._kept is not None and claim is not None:
            with suppress(LedgerUnavailable):  # its time ends
                await self._kept.asked(municipality, claim, is_failed=is_failed)

    async def _list(self, municipality: Municipality) -> LocalNumbers:
        client = self._clients.client_for(municipality.key, None) if self._clients is not None else None
        if client is None:
            return {}
        search = Search(kind="Patient", information=Information.PASIENTINFO, service_codes=self._codes(municipality))
        try:
            answer = await client.ask(epj.question(search, municipality.orgnr), municipality.orgnr, _TIMEOUT)
            if answer.status != 200:
                raise AnswerRefused(f"VKP answered {answer.status} to a list of patients")  # noqa: TRY301 - told alike
            found = await self._run(
                len(answer.body), lambda: epj.found(answer.body, search, ("identifier",)), municipality.key
            )
        except (ServiceUnavailable, AnswerRefused) as error:
            log.error("patient_numbers.not_listed", municipality=municipality.key, reason=str(error))  # noqa: TRY400 - as above
            raise _unavailable(f"{_NOT_LISTED}: {error}", _RETRY_AFTER) from None
        now = datetime.fromtimestamp(self._listed.clock(), UTC).isoformat(timespec="seconds")
        return learnt([one.resource for one in found], municipality.resolvers, now)

    def _codes(self, municipality: Municipality) -> tuple[str, ...]:
        """Return the ServiceCodes to ask with: those of the municipality's partner profile and its senders, or all."""
        senders = [one for one in self._config.senders if one.serves(municipality.key)]
        codes = {code.upper() for one in senders for code in one.service_codes} | municipality.partner_profile.keys()
        return tuple(sorted(codes)) or SERVICE_CODES


def _unavailable(reason: str, wait: float) -> Failure:
    return Failure(Fault.UNAVAILABLE, reason, retry_after=math.ceil(wait))


def learnt(patients: list[dict[str, Tree]], systems: Mapping[str, Resolver], now: str) -> LocalNumbers:
    """Return what patients tell of the record system's own numbers that are in use; one that two patients have is nobody's."""
    found: LocalNumbers = {}
    doubtful: set[tuple[str, str]] = set()
    for patient in patients:
        named = sorted(identifiers_of(patient.get("identifier"), {*systems, *NATIONAL_SYSTEMS}, now))
        numbers = [value for system, value in named if system in NATIONAL_SYSTEMS and kind_of(value) is not None]
        for local in named if numbers else ():
            if local[0] not in NATIONAL_SYSTEMS and found.setdefault(local, numbers[0]) != numbers[0]:
                doubtful.add(local)
    return {local: number for local, number in found.items() if local not in doubtful}

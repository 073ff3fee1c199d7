"""National numbers of patients whom a message or a search names by a number of the record system's own.

A table of the municipality is looked at first. Where there is none, VKP or the copy of PIT is asked: neither documents a search by
such numbers, so they are learnt from lists of patients, and kept: in the ledger, where there is one, for all nodes.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

import structlog
from msgspec import Struct, structs

from gateway.config.model import Config, Municipality, Resolver
from gateway.errors import Failure, Fault
from gateway.ledger.crypto import PayloadUnreadable
from gateway.ledger.database import LedgerUnavailable
from gateway.ledger.learnt_numbers import KEPT, LearntNumbers
from gateway.model import Information
from gateway.pipeline.identify import Identified
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

Run = Callable[[int, Callable[[], Any]], Awaitable[Any]]
"""Does work on so many bytes: at once where that is short, else in a thread."""
LocalNumbers = dict[tuple[str, str], str]
"""National numbers by identifier system and the record system's own number."""
_MOST_OF_MESSAGE = 20
"""Different numbers of one message that are asked for; it is about one patient, and names a few people beside."""
_AGAIN = 60.0
"""Seconds until VKP is asked for its list again since a number was not there."""
_TIMEOUT = 30.0
_RETRY_AFTER = 30


class NumberResolver(Protocol):
    """Knows national numbers of patients by the record system's own."""

    async def national_number(self, municipality: Municipality, system: str, value: str) -> str | None:
        """Return the national number; None where nobody knows it. Raises `Failure` while that cannot be said."""
        ...


class PatientNumbers:
    """Finds national numbers for the messages and searches of one configuration."""

    def __init__(self, resolvers: Mapping[Resolver, NumberResolver]) -> None:
        self._resolvers = resolvers

    async def of_patient(self, patient: PatientKey, municipality: Municipality) -> str | None:
        """Return the national number of whom a search names; None where nobody knows it. Raises `Failure` while nobody can say."""
        if patient.system is None or patient.system in NATIONAL_SYSTEMS:
            return patient.value
        return await self._asked((patient.system, patient.value), municipality)

    async def of_message(self, identified: Identified, tree: Tree) -> Identified:
        """Return a message with the national numbers of those whom it names by a number that is in no table; likewise raises `Failure`."""
        municipality = identified.municipality
        if municipality is None or not municipality.resolvers or identified.local_numbers is not None:
            return identified
        found: LocalNumbers = {}
        wanted = sorted(identifiers_of(tree, municipality.resolvers) - municipality.local_numbers.keys())
        for named in wanted[:_MOST_OF_MESSAGE]:
            if (number := await self._asked(named, municipality)) is not None:
                found[named] = number
        return structs.replace(identified, local_numbers=found)

    async def _asked(self, named: tuple[str, str], municipality: Municipality) -> str | None:
        if (number := municipality.local_numbers.get(named)) is not None:
            return number
        resolver = municipality.resolvers.get(named[0])
        by = self._resolvers.get(resolver) if resolver is not None else None
        return await by.national_number(municipality, *named) if by is not None else None


class _Listed(Struct):
    """What VKP's list of a municipality's patients has told, and when in the clock's seconds."""

    numbers: LocalNumbers
    at: float


class ListedNumbers:
    """When lists were asked for, and what they have told where there is no ledger; it outlives a configuration."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.known: dict[str, _Listed] = {}
        self._turns: dict[str, asyncio.Lock] = {}

    def turn(self, municipality: str) -> asyncio.Lock:
        """Return what one list at a time is asked for under."""
        return self._turns.setdefault(municipality, asyncio.Lock())

    def age(self, municipality: str) -> float:
        """Return how many seconds ago a list was asked for here."""
        known = self.known.get(municipality)
        return math.inf if known is None else self.clock.monotonic() - known.at

    def find(self, municipality: str, named: tuple[str, str]) -> str | None:
        """Return a number that is kept here."""
        return self.known[municipality].numbers.get(named) if self.age(municipality) < KEPT else None


class NumbersOfVkp:
    """Learns numbers from VKP's lists of patients, with the municipality's own client of VKP."""

    def __init__(
        self,
        config: Config,
        clients: VkpClients | None,
        listed: ListedNumbers,
        kept: LearntNumbers | None,
        run: Run,
    ) -> None:
        """Read large lists with `run`, beside the event loop; keep them in `kept`, or in memory where there is no ledger."""
        self._config = config
        self._run = run
        self._clients = clients
        self._listed = listed
        self._kept = kept

    async def national_number(self, municipality: Municipality, system: str, value: str) -> str | None:
        """Return the national number of a patient; asks VKP for its list where that is not known, once a minute at most."""
        key, named = municipality.key, (system, value)
        if (number := (await self._find(key, named))[0]) is not None:
            return number
        async with self._listed.turn(key):
            number, is_lost = await self._find(key, named)
            if number is not None or not (is_lost or await self._is_old(key)):
                return number
            return (await self._learn(municipality)).get(named)

    async def _find(self, municipality: str, named: tuple[str, str]) -> tuple[str | None, bool]:
        """Return a number that is known, and whether what is kept of it cannot be read."""
        if self._kept is None:
            return self._listed.find(municipality, named), False
        try:
            return await self._kept.find(municipality, named), False
        except PayloadUnreadable:
            return None, True
        except LedgerUnavailable as error:
            text = f"It cannot be read whose a number of the record system's own is: {error}"
            raise Failure(Fault.UNAVAILABLE, text, retry_after=_RETRY_AFTER) from None

    async def _is_old(self, municipality: str) -> bool:
        """Tell whether VKP may be asked again, here and on other nodes."""
        if self._listed.age(municipality) < _AGAIN:
            return False
        try:
            age = await self._kept.age(municipality) if self._kept is not None else None
        except LedgerUnavailable:
            return True
        return age is None or age >= _AGAIN

    async def _learn(self, municipality: Municipality) -> LocalNumbers:
        """Ask VKP for its list, and keep it."""
        key, numbers = municipality.key, await self._list(municipality)
        self._listed.known[key] = _Listed({} if self._kept is not None else numbers, self._listed.clock.monotonic())
        if self._kept is not None:
            try:
                await self._kept.keep(key, numbers)
            except LedgerUnavailable as error:
                log.warning("patient_numbers.not_kept", municipality=key, reason=str(error))
        return numbers

    async def _list(self, municipality: Municipality) -> LocalNumbers:
        client = self._clients.client_for(municipality.key, None) if self._clients is not None else None
        if client is None:
            return {}
        search = Search(kind="Patient", information=Information.PASIENTINFO, service_codes=self._codes(municipality))
        try:
            answer = await client.ask(epj.question(search, municipality.orgnr), municipality.orgnr, _TIMEOUT)
            if answer.status != 200:
                raise AnswerRefused(f"VKP answered {answer.status} to a list of patients")  # noqa: TRY301 - told alike
            found = await self._run(len(answer.body), lambda: epj.found(answer.body, search))
        except (ServiceUnavailable, AnswerRefused) as error:
            log.error("patient_numbers.not_listed", municipality=municipality.key, reason=str(error))  # noqa: TRY400 - as above
            text = f"VKP cannot be asked whose a number of the record system's own is: {error}"
            raise Failure(Fault.UNAVAILABLE, text, retry_after=_RETRY_AFTER) from None
        return learnt([one.resource for one in found], municipality.resolvers)

    def _codes(self, municipality: Municipality) -> tuple[str, ...]:
        """Return the ServiceCodes to ask with: those of the municipality's partner profile and its senders, or all."""
        senders = [
            one for one in self._config.senders if one.municipalities is None or municipality.key in one.municipalities
        ]
        codes = {code.upper() for one in senders for code in one.service_codes} | municipality.partner_profile.keys()
        return tuple(sorted(codes)) or SERVICE_CODES


def learnt(patients: list[dict[str, Tree]], systems: Mapping[str, Resolver]) -> LocalNumbers:
    """Return what patients tell of the record system's own numbers; one that two patients have is nobody's."""
    found: LocalNumbers = {}
    doubtful: set[tuple[str, str]] = set()
    for patient in patients:
        named = sorted(identifiers_of(patient.get("identifier"), {*systems, *NATIONAL_SYSTEMS}))
        numbers = [value for system, value in named if system in NATIONAL_SYSTEMS and kind_of(value) is not None]
        for local in named if numbers else ():
            if local[0] not in NATIONAL_SYSTEMS and found.setdefault(local, numbers[0]) != numbers[0]:
                doubtful.add(local)
    return {local: number for local, number in found.items() if local not in doubtful}

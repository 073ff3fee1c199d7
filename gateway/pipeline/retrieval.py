"""Retrieval where VKP does not answer: who does, and what an answer must be."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import structlog
from msgspec import structs

from gateway.config.cell_rules import is_fed
from gateway.config.model import Config, Municipality, Sender
from gateway.errors import Failure, Fault
from gateway.model import Body, Information, Mode, Reply, RequestHead
from gateway.observability.metrics import ANSWERS_REFUSED
from gateway.pipeline.patient_numbers import PatientNumbers, Run
from gateway.surfaces.base import AnswerContext, Found, Recognised, Surface
from gateway.surfaces.search import MOST_BYTES, UNUSABLE, PatientKey, Search, is_chosen
from gateway.upstreams import epj
from gateway.upstreams.epj import EpjClient
from gateway.upstreams.service_caller import AnswerRefused
from translators.contract import Tree
from translators.national_number import kind_of
from translators.patient import NATIONAL_SYSTEMS, system_of
from translators.services import SERVICE_CODES

log = structlog.get_logger()


class RetrievalSource(Protocol):
    """Answers searches in place of VKP from what an information service has told."""

    async def find(self, search: Search, municipality: Municipality) -> tuple[Tree, ...]:
        """Return the resources that are found, as VKP's R4 profiles have them; `search` has ServiceCodes, or the patient is told of to anybody.

        A patient that `search` names has its national number there, or a number of the record system's own where `resolve: pit`
        says so. Raises `Failure`: `NO_SERVICE` where the patient has none behind the codes, `UNAVAILABLE` while what there is
        to answer from is missing or too old.
        """
        ...


@dataclass(frozen=True, slots=True)
class RetrievalClients:
    """Who is asked in place of VKP."""

    record_systems: Mapping[str, EpjClient] = field(default_factory=dict)
    """By the names of their upstreams."""
    sources: Mapping[Information, RetrievalSource] = field(default_factory=dict)
    numbers: PatientNumbers = field(default_factory=lambda: PatientNumbers({}))


@dataclass(frozen=True, slots=True)
class Asker:
    """On whose behalf is asked, and what the sender's request brings along."""

    municipality: Municipality
    sender: Sender
    scope: str
    """What the sender's token needs for the search."""
    authorization: bytes | None = field(repr=False)
    """The sender's own field, for a record system with `auth: pass`."""


class Retrieval:
    """Answers the searches of one configuration."""

    def __init__(self, config: Config, allowed_numbers: frozenset[str], clients: RetrievalClients, run: Run) -> None:
        self._config = config
        self._allowed = allowed_numbers
        self._clients = clients
        self._run = run
        self.numbers = clients.numbers
        """Whose the record system's own numbers are."""

    async def read(
        self, head: RequestHead, body: Body, surface: Surface, recognised: Recognised, sender: str
    ) -> Search:
        """Return what a sender asks for; raises `Failure` for what is no search, or names a patient by what is no number."""
        data = await body.read(MOST_BYTES if not recognised.by_content else self._config.limits.body)
        if data is None:
            raise Failure(Fault.TOO_LARGE, f"A search is larger than {MOST_BYTES} bytes")
        return await self.asked(head, data, surface, recognised, sender)

    async def asked(
        self, head: RequestHead, data: bytes, surface: Surface, recognised: Recognised, sender: str
    ) -> Search:
        """Likewise of a body that is here; over SOAP it may be as large as a journaling's, and then nobody else waits for it."""
        return self.checked(await self._run(len(data), lambda: surface.search(head, data, recognised), sender))

    def checked(self, search: Search) -> Search:
        """Return a search with its number, once that is known to be one of this environment; raises `Failure` that repeats nothing."""
        patient = search.patient
        if patient is None or patient.system not in {None, *NATIONAL_SYSTEMS}:
            return search
        kind = kind_of(patient.value)
        if kind is None:
            raise Failure(Fault.PATIENT, "The search names no valid national identity number")
        if kind not in self._allowed:
            raise Failure(Fault.PATIENT, f"A number of the series {kind} is not for this environment")
        return search

    def check_need(self, search: Search, municipality: Municipality, sender: Sender) -> None:
        """Raise `Failure` for a need that the sender is not registered for, or that nobody knows.

        A sender without service codes is held to none of them: the register does not say yet what it may ask for.
        """
        asked, registered = set(search.service_codes), {code.upper() for code in sender.service_codes}
        if registered and not asked <= registered:
            raise Failure(Fault.NO_NEED, "ServiceCodes names a service that the sender is not registered for")
        if not asked <= {*SERVICE_CODES, *registered, *municipality.partner_profile}:
            raise Failure(Fault.NO_NEED, "ServiceCodes names a service that nobody knows")

    def upstream(self, mode: Mode | None, information: Information, municipality: Municipality) -> str | None:
        """Return who answers, by the name of the upstream; None where nobody does."""
        if mode is Mode.EPJ or (mode is Mode.COMPARE and not is_fed(municipality, information)):
            return municipality.epj.upstream
        service = self._config.upstream_for(information)
        return service.name if service is not None else None

    async def find(self, search: Search, asker: Asker, mode: Mode | None, timeout: float) -> tuple[Found, ...]:  # noqa: ASYNC109 - given on to the call
        """Return what is found; raises `Failure`. `timeout` is in seconds.

        What nobody answers yet is refused in words: an empty answer would say that the patient has nothing of it.
        """
        search = _with_codes(search, asker)
        name = self.upstream(mode, search.information, asker.municipality)
        client = self._clients.record_systems.get(name or "")
        source = self._clients.sources.get(search.information)
        if client is not None:
            every = await self._from_record_system(client, search, asker, timeout)
            found = tuple(
                one
                for one in every
                if one.resource.get("resourceType") != search.kind or is_chosen(search, one.resource)
            )
        elif source is not None and name is not None:
            until = asyncio.get_running_loop().time() + timeout
            resolved = await self.resolved(search, asker.municipality, until)
            found = tuple(map(_found, await source.find(resolved, asker.municipality)))
        else:
            text = f"No information service answers for {search.information} yet"
            raise Failure(Fault.NOT_SUPPORTED, text, text="Informasjonstypen støttes ikke ennå")
        if len(found) > self._config.limits.answer:
            raise Failure(Fault.TOO_MANY_FOUND, f"More than {self._config.limits.answer} resources are found")
        return found

    @staticmethod
    def told(
        surface: Surface, asked: AnswerContext, search: Search, found: tuple[Found, ...], upstream: str | None
    ) -> Reply:
        """Return the answer in the sender's form; raises `Failure`, counted where what was found is not what its contract says."""
        try:
            return surface.found(asked, search, found)
        except Failure as failure:
            if failure.fault is Fault.NO_ANSWER:
                _note_refused(upstream or "", failure.diagnostics)
            raise

    async def resolved(self, search: Search, municipality: Municipality, until: float) -> Search:
        """Return a search by the patient's national number; raises `Failure` where nobody knows it, or can say `until` then.

        A number that only the copy of PIT may know stays as it is.
        """
        patient = search.patient
        if patient is None or patient.system in NATIONAL_SYSTEMS:
            return search
        if patient.system is None:
            return structs.replace(search, patient=PatientKey(system_of(patient.value), patient.value))
        if municipality.resolvers.get(patient.system) == "pit":
            return search
        number = await self.numbers.of_patient(patient, municipality, until)
        if number is None:
            raise Failure(
                Fault.UNKNOWN_PATIENT, "The search names a patient by a number of which no national one is known"
            )
        return structs.replace(search, patient=PatientKey(system_of(number), number))

    async def _from_record_system(
        self,
        client: EpjClient,
        search: Search,
        asker: Asker,
        timeout: float,  # noqa: ASYNC109 - given on to the call
    ) -> tuple[Found, ...]:
        name = client.upstream.name
        try:
            body = await client.ask(
                search,
                orgnr=asker.municipality.orgnr,
                scope=asker.scope,
                authorization=asker.authorization,
                timeout=timeout,
            )
            found: tuple[Found, ...] = await self._run(len(body), lambda: epj.found(body, search), asker.sender.key)
        except AnswerRefused as refusal:
            _note_refused(name, str(refusal))
            diagnostics = f"{name} answered what its contract does not say: {refusal}"
            raise Failure(Fault.NO_ANSWER, diagnostics, text=UNUSABLE) from None
        return found


def _note_refused(upstream: str, reason: str) -> None:
    """Raise the alarm of an answer that is not what its contract says, by its place."""
    ANSWERS_REFUSED.labels(upstream).inc()
    log.error("retrieval.answer_refused", upstream=upstream, reason=reason)


def _with_codes(search: Search, asker: Asker) -> Search:
    """Return a search with its ServiceCodes: where it names none, as over STU3 or SOAP, all of its sender's.

    Of a sender who is registered without any, all that may be asked for: some need there must be.
    """
    if search.service_codes:
        return search
    every = (*SERVICE_CODES, *(code for code in asker.municipality.partner_profile if code not in SERVICE_CODES))
    codes = tuple(code.upper() for code in asker.sender.service_codes) or every
    return structs.replace(search, service_codes=codes)


def _found(resource: Tree) -> Found:
    if not isinstance(resource, dict):
        raise TypeError("a source found what is no resource")
    return Found(resource)

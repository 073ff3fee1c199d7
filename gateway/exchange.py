"""A message's way through the gateway, from its head to the answer."""

import asyncio
import itertools
import secrets
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import structlog
from msgspec import Struct, structs

from gateway.admission import Admission, Admitted
from gateway.config.definitions import Config, Environment, Sender
from gateway.faults import WORDINGS, Failure, Fault, fault_of
from gateway.identification import Content, Identification, Identified
from gateway.model import Account, Body, Envelope, Group, Handled, Mode, Pass, Reply, RequestHead, SenderLeft
from gateway.routing.table import Decision, RouteTable
from gateway.surfaces import vkp_r4
from gateway.upstreams.jft import JftClient
from translators.contract import Settings, Translation
from translators.jft import SERVICE as JFT
from translators.national_number import PRODUCTION_KINDS, TEST_KINDS
from translators.translate import translate

log = structlog.get_logger()

_NOTHING_KNOWN = Envelope("unrecognised", None, None, None, None, None)
_REMEMBERED = 1.0
"""Seconds that a decision is good for requests that are alike."""
_MOST_REMEMBERED, _LONGEST_REMEMBERED = 2048, 4096
"""How many decisions, and for how many bytes of target and token each: together they are a few megabytes."""
_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_TO_ANSWER = 0.5
"""Seconds kept back from the deadline, so that the sender hears of a slow service before it gives up."""


class _Way(Struct, frozen=True):
    """A request and what is known of it so far."""

    correlation_id: str
    head: RequestHead
    body: Body
    deadline: float
    """In the event loop's time."""
    envelope: Envelope = _NOTHING_KNOWN
    identified: Identified | None = None
    decision: Decision | None = None
    translation: Translation | None = None

    def account(self, outcome: str, *, upstream: str | None = None, diagnostics: str | None = None) -> Account:
        """Return the account of a message whose way ends here."""
        translation = self.translation or Translation()
        account = _account(self.correlation_id, self.envelope, self.decision, outcome, upstream)
        repairs = tuple(repair.rule for repair in translation.repairs)
        return structs.replace(account, diagnostics=diagnostics, repairs=repairs, losses=len(translation.losses))


class _Passes(Struct, frozen=True):
    """Whether requests alike pass at once, and with what."""

    until: float
    """Seconds since the epoch."""
    answer: Pass | None = None
    envelope: Envelope | None = None
    decision: Decision | None = None
    admitted: Admitted | None = None
    """The sender, where the token is verified in mode `legacy` too."""


class References:
    """Makes the ids by which a sender's developer and an operator speak of the same message."""

    def __init__(self) -> None:
        self._prefix = secrets.token_hex(5)
        self._numbers = itertools.count(1)

    def next(self) -> str:
        """Return an id that no other process and no other message has."""
        return f"{self._prefix}-{next(self._numbers):06x}"


class Exchange:
    """Takes the messages of one configuration along their way; a reload makes a new exchange."""

    def __init__(
        self,
        config: Config,
        table: RouteTable,
        admission: Admission,
        jft: JftClient | None,
        clock: Callable[[], float],
    ) -> None:
        self._config = config
        self._table = table
        self._identification = Identification(table, config.limits.body)
        self._admission = admission
        self._jft = jft
        self._clock = clock
        self._references = References()
        self._passes: dict[tuple[str, str, bytes | None], _Passes] = {}
        self._allowed_numbers = allowed_numbers(config)

    async def handle(self, head: RequestHead, body: Body) -> Handled:
        """Return the answer to a request; never raises for anything that a sender or an upstream does."""
        limit = self._config.limits.request_timeout
        way = _Way(self._references.next(), head, body, asyncio.get_running_loop().time() + limit)
        try:
            async with asyncio.timeout(limit):
                identified = await self._identification.identify(head, body)
                envelope = identified.envelope
                way = structs.replace(way, identified=identified, envelope=envelope)
                way = structs.replace(way, decision=self._decided(identified))
                return await self._follow(way, identified)
        except Failure as failure:
            return self._failed(way, failure)
        except SenderLeft:
            return self._failed(way, Failure(Fault.SENDER_LEFT, "The sender left before its request was complete"))
        except TimeoutError:
            return self._failed(way, Failure(Fault.NO_ANSWER, "The request took longer than the gateway's limit"))
        except Exception:
            log.exception("exchange.defect", correlation_id=way.correlation_id)
            return self._failed(way, Failure(Fault.UNAVAILABLE, "The gateway failed", retry_after=60))

    def at_once(self, head: RequestHead) -> Handled | None:
        """Return the answer to a request that needs neither its body nor any waiting; None for every other.

        Senders repeat themselves: what was found for the same method, target and token is good for a moment.
        """
        key = (head.method, head.target, head.authorization)
        now = self._clock()
        found = self._passes.get(key)
        if found is None or now >= found.until:
            found = self._considered(head, now)
            if len(self._passes) >= _MOST_REMEMBERED:
                self._passes.clear()
            if len(key[1]) + len(key[2] or b"") <= _LONGEST_REMEMBERED:
                self._passes[key] = found
        answer, envelope, decision = found.answer, found.envelope, found.decision
        if answer is None or envelope is None:
            return None
        if found.admitted is not None and not self._admission.has_room(found.admitted):
            return None
        return Handled(answer, _account(self._references.next(), envelope, decision, "passed", answer.upstream))

    def _considered(self, head: RequestHead, now: float) -> "_Passes":
        """Say whether requests like this one pass at once, and until when that is known."""
        until = now + _REMEMBERED
        not_at_once = _Passes(until)
        try:
            identified = self._identification.recognise(head)
        except Failure:
            return not_at_once
        operation, vkp = identified.operation, self._table.vkp_upstream
        if operation is None or identified.depends_on_content or vkp is None:
            return not_at_once
        decision = self._decide(identified.envelope)
        if decision.mode is not Mode.LEGACY:
            return not_at_once
        answer = Pass(vkp.name, finishes_alone=_finishes_alone(head, identified))
        if not self._config.verify_in_legacy:
            return _Passes(until, answer, identified.envelope, decision)
        admitted = self._admission.admitted_at_once(identified.presented, operation, identified.municipality)
        if admitted is None:
            return _Passes(now)
        return _Passes(min(until, admitted.until), answer, identified.envelope, decision, admitted)

    def _decided(self, identified: Identified) -> Decision:
        """Return the decision for a request; raises `Failure` where nothing is served, whatever the routes say."""
        if not identified.is_served(self._config.unrecognised_paths):
            raise Failure(Fault.UNRECOGNISED, "Nothing is served at this address")
        return self._decide(identified.envelope)

    def _decide(self, envelope: Envelope) -> Decision:
        return self._table.decide(envelope, datetime.fromtimestamp(self._clock(), UTC))

    async def _follow(self, way: _Way, identified: Identified) -> Handled:
        """Do what the decision says."""
        operation, decision = identified.operation, way.decision
        if operation is None:
            return self._unrecognised(way, identified)
        if decision is None or decision.route is None:
            return self._pass_unrecognised(way)
        if decision.mode is Mode.LEGACY and not self._config.verify_in_legacy:
            return self._pass(way)
        sender = await self._admission.admit(identified.presented, operation, identified.municipality)
        if decision.mode is Mode.LEGACY:
            return self._pass(way)
        if identified.content is not None and identified.content.failure is not None:
            raise identified.content.failure
        if decision.mode is Mode.CLOSED:
            raise Failure(Fault.CLOSED, "The route is closed", text=decision.route.text)
        if operation.group is Group.RETRIEVAL:
            raise Failure(Fault.NOT_SUPPORTED, "Retrieval from the information services is not supported yet")
        content = identified.content or await self._identification.read(way.body, operation)
        return await self._journal(way, identified, sender, content)

    def _unrecognised(self, way: _Way, identified: Identified) -> Handled:
        """Pass what no surface knows, unless it names a municipality that VKP no longer answers for."""
        decision = way.decision
        if identified.municipality is not None and decision is not None and decision.route is not None:
            if decision.mode is Mode.CLOSED:
                raise Failure(Fault.CLOSED, "The route is closed", text=decision.route.text)
            if decision.mode is not Mode.LEGACY:
                raise Failure(Fault.NOT_SUPPORTED, "No information service answers at this address yet")
        return self._pass_unrecognised(way)

    def _pass_unrecognised(self, way: _Way) -> Handled:
        if not self._config.unrecognised_passes:
            raise Failure(Fault.UNRECOGNISED, "Nothing is served at this address")
        return self._pass(way)

    def _pass(self, way: _Way) -> Handled:
        vkp = self._table.vkp_upstream
        if vkp is None:
            raise Failure(Fault.UNRECOGNISED, "No VKP is configured")
        finishes_alone = way.identified is not None and _finishes_alone(way.head, way.identified)
        return Handled(Pass(vkp.name, finishes_alone=finishes_alone), way.account("passed", upstream=vkp.name))

    async def _journal(self, way: _Way, identified: Identified, sender: Sender, content: Content) -> Handled:
        """Translate a journaling, deliver it, and answer only then."""
        if content.failure is not None:
            raise content.failure
        municipality, jft = identified.municipality, self._table.jft_upstream
        if self._jft is None or jft is None or municipality is None:
            raise Failure(Fault.UNAVAILABLE, "No information service is configured for journaling")
        way = structs.replace(
            way,
            envelope=self._identification.with_information(way.envelope, content),
            translation=translate(content.tree, vkp_r4.NAME, JFT, self._settings(way, sender)),
        )
        try:
            event_id = await self._deliver(way, self._jft, municipality.orgnr)
        except Failure as failure:
            return self._failed(way, failure, upstream=jft.name)
        account = structs.replace(way.account("accepted", upstream=jft.name), event_id=event_id)
        return Handled(vkp_r4.accepted(way.correlation_id), account)

    async def _deliver(self, way: _Way, jft: JftClient, orgnr: str) -> str | None:
        translation = way.translation or Translation()
        if translation.refusal is not None:
            raise Failure(fault_of(translation.refusal.reason), str(translation.refusal))
        if not translation.calls:
            raise Failure(Fault.NOT_SUPPORTED, "Nothing of the message can be sent to an information service yet")
        event_id = None
        for call in translation.calls:
            remaining = max(0.1, way.deadline - asyncio.get_running_loop().time() - _TO_ANSWER)
            event_id = (await jft.submit(call, orgnr, remaining)).event_id
        return event_id

    def refused(self, failure: Failure, correlation_id: str) -> Reply:
        """Return how a failure is told to a sender here."""
        return vkp_r4.refused(failure, self._config.wordings[failure.fault], correlation_id)

    def malformed(self, status: int, text: str) -> tuple[Reply, Account]:
        """Return how bytes that are no HTTP request are told so, and the account of it.

        `status` says more than the fault's own, unless routes.yaml gives that another.
        """
        wording = self._config.wordings[Fault.BAD_REQUEST]
        if wording == WORDINGS[Fault.BAD_REQUEST]:
            wording = replace(wording, status=status)
        reference = self._references.next()
        account = structs.replace(
            _account(reference, _NOTHING_KNOWN, None, Fault.BAD_REQUEST.value, None), diagnostics=text
        )
        return vkp_r4.refused(Failure(Fault.BAD_REQUEST, text), wording, reference), account

    def _failed(self, way: _Way, failure: Failure, *, upstream: str | None = None) -> Handled:
        account = way.account(failure.fault.value, upstream=upstream, diagnostics=failure.diagnostics)
        return Handled(self.refused(failure, way.correlation_id), account)

    def _settings(self, way: _Way, sender: Sender) -> Settings:
        route = way.decision.route if way.decision else None
        vendor = self._config.vendors[sender.vendor]
        return Settings(
            allowed_numbers=self._allowed_numbers,
            tolerated_losses=route.losses if route else (),
            source_system=vendor.systems[sender.system],
        )


def allowed_numbers(config: Config) -> frozenset[str]:
    """Return the kinds of national numbers that may identify a patient in this environment."""
    own = TEST_KINDS if config.environment is Environment.TEST else PRODUCTION_KINDS
    return frozenset({*own, *config.patient_numbers_also})


def _finishes_alone(head: RequestHead, identified: Identified) -> bool:
    """Tell whether a request is finished though its sender has left: unless it is known only to read, it may journal."""
    if identified.operation is None:
        return head.method not in _READING
    return identified.operation.group is Group.JOURNALING


def _account(
    reference: str, envelope: Envelope, decision: Decision | None, outcome: str, upstream: str | None
) -> Account:
    route = decision.route if decision else None
    return Account(
        correlation_id=reference,
        envelope=envelope,
        mode=decision.mode if decision else None,
        upstream=upstream,
        route=str(route.place) if route else None,
        outcome=outcome,
    )

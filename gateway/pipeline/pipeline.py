"""A message's way through the gateway, from its head to the answer."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime

import structlog
from msgspec import structs

from gateway.config.model import Config, Municipality, Sender
from gateway.errors import WORDINGS, Failure, Fault, fault_of
from gateway.model import PASSING, Account, Body, Group, Handled, Mode, Pass, Reply, RequestHead, SenderLeft
from gateway.outbox.order import Business, Order, Receipt, business_of
from gateway.outbox.submit import Submitter
from gateway.pipeline.after_pass import AfterPass, Rehearse
from gateway.pipeline.authorize import Authorized, Authorizer
from gateway.pipeline.canary import Canary
from gateway.pipeline.context import (
    NOTHING_KNOWN,
    CorrelationIds,
    RequestContext,
    account_of,
    finishes_alone,
    is_canary,
)
from gateway.pipeline.fast_path import FastPath
from gateway.pipeline.identify import Identified, Identifier, asked_for
from gateway.pipeline.translate import allowed_numbers, settings
from gateway.routing.table import Decision, RouteTable
from gateway.surfaces.base import AnswerContext, Content, Operation
from gateway.surfaces.paths import path_of
from gateway.surfaces.registry import FALLBACK
from translators.contract import Translation
from translators.jft import SERVICE as JFT
from translators.translate import translate

log = structlog.get_logger()

_TO_ANSWER = 0.5
"""Seconds kept back from the deadline, so that the sender hears of a slow service before it gives up."""


class Pipeline:
    """Takes the messages of one configuration along their way; a reload makes a new exchange."""

    def __init__(  # noqa: PLR0913 - what a message may need on its way
        self,
        config: Config,
        table: RouteTable,
        admission: Authorizer,
        journaling: Submitter | None,
        clock: Callable[[], float],
        *,
        canary_key: bytes | None = None,
        rehearse: Rehearse | None = None,
    ) -> None:
        """Without `canary_key` a canary takes nothing over; `rehearse` gets what VKP has answered in mode `rehearse`."""
        self._config = config
        self._table = table
        self._identification = Identifier(table, config.limits.body)
        self._admission = admission
        self._journaling = journaling
        self._clock = clock
        self._references = CorrelationIds()
        self._passed = AfterPass(config, table, self._identification, journaling, rehearse)
        self._shortcut = FastPath(config, table, self._identification, admission, self._references, self._passed, clock)
        self.at_once = self._shortcut.at_once
        self._allowed_numbers = allowed_numbers(config)
        self._canary = Canary(config, canary_key)

    def begin(self, head: RequestHead, body: Body) -> Handled | Awaitable[Handled]:
        """Return the answer to a request that needs no waiting, its body being here; else what `handle` will return."""
        try:
            known = self._shortcut.identified(head)
            identified = self._identification.identify_whole(known, body) if known is not None else None
            if identified is None:
                return self.handle(head, body)
            identified, decision = self._decide(identified)
            vkp = self._table.vkp_upstream
        except Exception:
            log.exception("exchange.defect")
            return self.handle(head, body)
        if decision.mode not in PASSING or vkp is None or self._config.verify_in_legacy:
            return self.handle(head, body, identified)
        account = account_of(self._references.next(), identified.envelope, decision, "passed", vkp.name)
        answer = Pass(vkp.name, finishes_alone(head, identified), self._passed.afterwards(identified, decision))
        return Handled(answer, account)

    async def handle(self, head: RequestHead, body: Body, identified: Identified | None = None) -> Handled:
        """Return the answer to a request; never raises for anything that a sender or an upstream does.

        `identified` is what is known of it already.
        """
        limit = self._config.limits.request_timeout
        way = RequestContext(self._references.next(), head, body, asyncio.get_running_loop().time() + limit)
        try:
            async with asyncio.timeout(limit):
                identified = identified or await self._identification.identify(head, body)
                way.identified, way.envelope, way.content = identified, identified.envelope, identified.content
                identified, way.decision = self._decided(identified)
                way.identified, way.envelope = identified, identified.envelope
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

    def _decided(self, identified: Identified) -> tuple[Identified, Decision]:
        """Return the decision for a request; raises `Failure` where nothing is served, whatever the routes say."""
        if not identified.is_served(self._config.unrecognised_paths):
            raise Failure(Fault.UNRECOGNISED, "Nothing is served at this address")
        return self._decide(identified)

    def _decide(self, identified: Identified) -> tuple[Identified, Decision]:
        """Return the decision; of a canary once it is known where the patient stands."""
        now = self._now()
        decision = self._table.decide(identified.envelope, now)
        if not is_canary(decision):
            return identified, decision
        placed = self._canary.placed(identified)
        return placed, self._table.decide(placed.envelope, now)

    async def _follow(self, way: RequestContext, identified: Identified) -> Handled:
        """Do what the decision says."""
        operation, decision = identified.operation, way.decision
        if operation is None or decision is None or decision.route is None:
            if self._config.verify_in_legacy:
                await self._admission.check_token(way.head, identified.presented)
            return self._unrecognised(way, identified) if operation is None else self._pass_unrecognised(way)
        if decision.mode in PASSING and not self._config.verify_in_legacy:
            return self._pass(way)
        admitted = await self._admission.admit(way.head, identified.presented, operation, identified.municipality)
        if decision.mode in PASSING:
            return self._pass(way)
        with self._admission.under_way(admitted.sender):
            return await self._follow_here(way, identified, operation, admitted, decision)

    async def _follow_here(
        self,
        way: RequestContext,
        identified: Identified,
        operation: Operation,
        admitted: Authorized,
        decision: Decision,
    ) -> Handled:
        """Do what the decision says about a message that VKP does not answer."""
        sender = admitted.sender
        self._admission.check_need(way.head, operation, sender)
        content = None
        if identified.surface.ANSWERS_MESSAGES or way.content is not None:
            content = await self._read(way, identified, sender)
        if decision.mode is Mode.CLOSED:
            raise Failure(Fault.CLOSED, "The route is closed", text=decision.route.text if decision.route else None)
        if operation.group is Group.RETRIEVAL:
            raise Failure(Fault.NOT_SUPPORTED, "Retrieval from the information services is not supported yet")
        content = content or await self._read(way, identified, sender)
        return await self._journal(way, identified, admitted, content)

    async def _read(self, way: RequestContext, identified: Identified, sender: Sender) -> Content:
        """Return the content of a journaling; raises `Failure` when it cannot be read or is addressed to another."""
        if way.content is None:
            way.content = await self._identification.read(way.body, identified)
        content, municipality = way.content, identified.municipality
        if content.failure is not None:
            raise content.failure
        if municipality is not None:
            identified.surface.check_parties(content.tree, municipality, sender)
        return content

    def _unrecognised(self, way: RequestContext, identified: Identified) -> Handled:
        """Pass what no surface knows, unless it names a municipality that VKP no longer answers for."""
        decision = way.decision
        if identified.municipality is not None and decision is not None and decision.route is not None:
            if decision.mode is Mode.CLOSED:
                raise Failure(Fault.CLOSED, "The route is closed", text=decision.route.text)
            if decision.mode not in PASSING:
                raise Failure(Fault.NOT_SUPPORTED, "No information service answers at this address yet")
        return self._pass_unrecognised(way)

    def _pass_unrecognised(self, way: RequestContext) -> Handled:
        if not self._config.unrecognised_passes:
            raise Failure(Fault.UNRECOGNISED, "Nothing is served at this address")
        return self._pass(way)

    def _pass(self, way: RequestContext) -> Handled:
        vkp = self._table.vkp_upstream
        if vkp is None:
            raise Failure(Fault.UNRECOGNISED, "No VKP is configured")
        identified, account = way.identified, way.account("passed", upstream=vkp.name)
        if identified is None:
            return Handled(Pass(vkp.name), account)
        afterwards = self._passed.afterwards(identified, way.decision)
        answer = Pass(vkp.name, finishes_alone(way.head, identified), afterwards)
        return Handled(answer, account)

    async def _journal(
        self, way: RequestContext, identified: Identified, admitted: Authorized, content: Content
    ) -> Handled:
        """Translate a journaling, deliver it, and answer only then."""
        municipality, jft, surface = identified.municipality, self._table.jft_upstream, identified.surface
        if self._journaling is None or jft is None or municipality is None:
            raise Failure(Fault.UNAVAILABLE, "No information service is configured for journaling")
        way.envelope = self._identification.with_information(way.envelope, content, admitted.sender.code_history)
        business = business_of(content.tree)
        translation = self._translated(way, identified, content, municipality, admitted.sender)
        way.translation = translation
        if translation.refusal is None and translation.undelivered is not None:
            answer = surface.accepted(self._asked(way), undelivered=translation.undelivered)
            return Handled(answer, way.account(translation.undelivered))
        way.upstream = jft.name
        order = self._order(way, admitted, municipality, translation, business)
        receipt = await self._journaling.deliver(order, way.deadline - _TO_ANSWER)
        return Handled(surface.accepted(self._asked(way, receipt)), self._accepted(way, jft.name, receipt))

    def _order(
        self,
        way: RequestContext,
        admitted: Authorized,
        municipality: Municipality,
        translation: Translation,
        business: Business | None,
    ) -> Order:
        """Return what is to be delivered; raises `Failure` for what cannot be."""
        route, body = way.decision.route if way.decision else None, way.body.whole(self._config.limits.body)
        if translation.refusal is not None:
            raise Failure(fault_of(translation.refusal.reason), str(translation.refusal))
        if len(translation.calls) != 1 or route is None:
            raise Failure(Fault.NOT_SUPPORTED, "The message cannot be sent to an information service yet")
        return Order(
            reference=way.correlation_id,
            received=self._now(),
            # The sender is who was admitted, whatever other claims its token has.
            envelope=structs.replace(way.envelope, sender=admitted.sender.key),
            municipality=municipality,
            route=route,
            call=translation.calls[0],
            patient=translation.patient,
            other_numbers=translation.other_numbers,
            business=business,
            head=way.head,
            body=body or b"",
            subject=admitted.subject,
        )

    def _accepted(self, way: RequestContext, upstream: str, receipt: Receipt) -> Account:
        first = receipt.reference if receipt.reference != way.correlation_id else None
        account = way.account(receipt.outcome, upstream=upstream)
        return structs.replace(account, event_id=receipt.event_id, first=first, marks=receipt.marks)

    def _translated(
        self, way: RequestContext, identified: Identified, content: Content, municipality: Municipality, sender: Sender
    ) -> Translation:
        route = way.decision.route if way.decision else None
        wanted = settings(
            self._config,
            self._allowed_numbers,
            municipality=municipality,
            sender=sender,
            route=route,
            received=self._now(),
        )
        return translate(content.tree, identified.surface.NAME, JFT, wanted, content.repairs)

    def refused(self, head: RequestHead, failure: Failure, correlation_id: str) -> Reply:
        """Return how the failure of a request is told to its sender, though nothing but its head was looked at."""
        surface, recognised = asked_for(head, path_of(head.target))
        asked = AnswerContext(correlation_id, self._now(), head, recognised)
        return surface.refused(asked, failure, self._config.wordings[failure.fault])

    def malformed(self, status: int, text: str) -> tuple[Reply, Account]:
        """Return how bytes that are no HTTP request are told so, and the account of it.

        `status` says more than the fault's own, unless routes.yaml gives that another.
        """
        wording = self._config.wordings[Fault.BAD_REQUEST]
        if wording == WORDINGS[Fault.BAD_REQUEST]:
            wording = replace(wording, status=status)
        reference = self._references.next()
        account = structs.replace(
            account_of(reference, NOTHING_KNOWN, None, Fault.BAD_REQUEST.value, None), diagnostics=text
        )
        return FALLBACK.refused(
            AnswerContext(reference, self._now()), Failure(Fault.BAD_REQUEST, text), wording
        ), account

    def _failed(self, way: RequestContext, failure: Failure) -> Handled:
        account = way.account(failure.fault.value, upstream=way.upstream, diagnostics=failure.diagnostics)
        surface = way.identified.surface if way.identified else FALLBACK
        return Handled(surface.refused(self._asked(way), failure, self._config.wordings[failure.fault]), account)

    def _asked(self, way: RequestContext, receipt: Receipt | None = None) -> AnswerContext:
        """Return what an answer needs to know; every copy of a message is answered as the first was."""
        recognised = way.identified.recognised if way.identified else None
        reference, now = (receipt.reference, receipt.at) if receipt else (way.correlation_id, self._now())
        return AnswerContext(reference, now, way.head, recognised, way.content)

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock(), UTC)

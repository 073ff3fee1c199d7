"""A message's way through the gateway, from its head to the answer."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

import structlog
from msgspec import structs

from gateway.config.directory import Directory
from gateway.config.model import Config, Municipality, Sender
from gateway.config.upstreams import SERVICES
from gateway.errors import WORDINGS, Failure, Fault, fault_of
from gateway.model import PASSING, Account, Body, Group, Handled, Mode, Pass, Reply, RequestHead, SenderLeft
from gateway.outbox.order import Order, Receipt
from gateway.outbox.submit import Submitter
from gateway.pipeline import bodies, search_lane
from gateway.pipeline.after_pass import AfterPass, Rehearse
from gateway.pipeline.authorize import Authorized, Authorizer, own_url
from gateway.pipeline.canary import Canary
from gateway.pipeline.compare import Comparer
from gateway.pipeline.content import ContentReader
from gateway.pipeline.context import NOTHING_KNOWN, CorrelationIds, RequestContext, account_of, finishes_alone
from gateway.pipeline.decide import Decider, FastPath, RequestDecision, why_unread
from gateway.pipeline.identify import Identified, Identifier, asked_for
from gateway.pipeline.retrieval import Retrieval
from gateway.pipeline.translate import allowed_numbers, settings
from gateway.routing.table import ActiveTable
from gateway.surfaces.base import AnswerContext, Content, Operation
from gateway.surfaces.paths import path_of
from gateway.surfaces.registry import FALLBACK, surface_at
from gateway.times import Clock
from translators.contract import Translation
from translators.identity import Business
from translators.translate import deliverable

_SERVICE = SERVICES[Group.JOURNALING]
"""What journalings are written for."""
log = structlog.get_logger()

Continuation = Callable[[Body], Handled | Awaitable[Handled]]
"""Takes the body of a request that has begun, and returns the answer, or what will be it."""


class Pipeline:
    """Takes the messages of one configuration along their way; a reload makes another pipeline."""

    def __init__(  # noqa: PLR0913 - what a message may need on its way
        self,
        config: Config,
        routes: ActiveTable,
        authorizer: Authorizer,
        submitter: Submitter | None,
        clock: Clock,
        *,
        contents: ContentReader,
        retrieval: Retrieval,
        comparer: Comparer | None = None,
        canary_key: bytes | None = None,
        rehearse: Rehearse | None = None,
    ) -> None:
        """Without `canary_key` a canary takes nothing over; `rehearse` gets what VKP has answered in mode `rehearse`."""
        self._config = config
        self._routes = routes
        self._identifier = Identifier(config.limits.body, Directory(config))
        self._contents = contents
        self._comparer = comparer
        self._authorizer = authorizer
        self._submitter = submitter
        self._clock = clock
        self._references = CorrelationIds()
        self._after_pass = AfterPass(config, contents, submitter, rehearse)
        canary = Canary(config, canary_key)
        self._decider = Decider(config, self._identifier, authorizer, self._after_pass, canary)
        self._numbers = retrieval.numbers
        self._search_lane = search_lane.SearchLane(retrieval, canary, self._decider)
        self._fast_path = FastPath(self._decider.by_head, clock)
        self._allowed_numbers = allowed_numbers(config)
        self._address = config.public_url or own_url(config)
        self._senders = {sender.key: sender for sender in config.senders}

    def begin(self, head: RequestHead) -> Handled | Continuation:
        """Return the answer to a request that needs neither its body nor any waiting; else what answers it, given its body."""
        table = self._routes.table
        if head.method == "GET" and (described := self._described(head)) is not None:
            return described
        try:
            found = self._fast_path.decided(head, table)
            if (passing := found.passing) is not None and self._is_within_rate(found):
                return self._named(passing)
        except Exception:
            log.exception("pipeline.defect")
            found = RequestDecision(table)
        return partial(self._go_on, head, found)

    def _described(self, head: RequestHead) -> Handled | None:
        """Return a surface's description of itself, which has no secrets."""
        path = path_of(head.target)
        surface = surface_at(path)
        if surface is None or (reply := surface.describe(head, path, self._address)) is None:
            return None
        known = structs.replace(NOTHING_KNOWN, surface=surface.NAME)
        return Handled(reply, account_of(self._references.next(), known, None, "described", None))

    def _go_on(self, head: RequestHead, found: RequestDecision, body: Body) -> Handled | Awaitable[Handled]:
        """Answer a request whose body is here if VKP does; else return what `handle` will."""
        try:
            identified = found.identified
            if identified is not None and found.decision is None and search_lane.is_read_at_once(identified):
                claims = self._authorizer.verified_at_once(identified.presented)
                content = self._contents.read_at_once(body, identified, claims) if claims is not None else None
                if content is not None:
                    found = self._decider.by_content(found, identified, content, self._now())
                    if (passing := found.passing) is not None and self._is_within_rate(found):
                        return self._named(passing)
        except Exception:
            log.exception("pipeline.defect")
        return self.handle(head, body, found)

    def _is_within_rate(self, found: RequestDecision) -> bool:
        return found.authorized is None or self._authorizer.has_room(found.authorized)

    def _named(self, passing: Handled) -> Handled:
        """Give an account its id."""
        return Handled(passing.answer, structs.replace(passing.account, correlation_id=self._references.next()))

    async def handle(self, head: RequestHead, body: Body, found: RequestDecision) -> Handled:
        """Return the answer to a request; never raises for anything that a sender or an upstream does."""
        limit = self._config.limits.request_timeout
        until = asyncio.get_running_loop().time() + limit
        context = RequestContext(self._references.next(), head, body, until, found.table, self._now())
        try:
            async with asyncio.timeout(limit):
                return await self._follow(context, await self._decide(context, found))
        except Failure as failure:
            # Its traceback holds the frames that hold it, and so the body until the collector comes.
            return self._failed(context, failure.with_traceback(None))
        except SenderLeft:
            return self._failed(context, Failure(Fault.SENDER_LEFT, "The sender left before its request was complete"))
        except TimeoutError:
            return self._failed(context, Failure(Fault.NO_ANSWER, "The request took longer than the gateway's limit"))
        except Exception:
            log.exception("pipeline.defect", correlation_id=context.correlation_id)
            return self._failed(context, Failure(Fault.UNAVAILABLE, "The gateway failed", retry_after=60))

    async def _decide(self, context: RequestContext, found: RequestDecision) -> Identified:
        """Complete what is known of a request, the decision too; raises `Failure` where nothing is served, whatever the routes say."""
        if found.identified is None and found.failure is None:
            found = self._decider.by_head(context.head, context.table, self._clock())
        if found.identified is None:
            raise found.failure or RuntimeError("a request that is neither identified nor refused")
        identified = found.identified
        context.know(identified)
        if found.decision is None:
            found = await self._decided_by_content(context, found, identified)
            identified = found.identified or identified
            context.know(identified)
        if found.failure is not None:
            raise found.failure
        context.unread = found.unread
        if not identified.is_served(self._config.unrecognised_paths):
            raise Failure(Fault.UNRECOGNISED, "Nothing is served at this address")
        context.decision = found.decision
        return identified

    async def _decided_by_content(
        self, context: RequestContext, found: RequestDecision, identified: Identified
    ) -> RequestDecision:
        """Decide by what the body says; a stranger's is not read. Raises `Failure` where a sender has had too much read."""
        try:
            claims = await self._authorizer.verified(identified.presented)
        except Failure as refusal:
            if refusal.fault is not Fault.UNAVAILABLE or self._authorizer.can_verify:
                return self._decider.without_content(found, identified, refusal.with_traceback(None), context.received)
            # Nobody can say who is a stranger now, and VKP may still know.
            claims = None
        if search_lane.is_search(identified):
            return await self._search_lane.decided(context, found, identified)
        content = await self._contents.read(context.body, identified, claims)
        decide = partial(self._decider.by_content, content=content, now=context.received)
        decided = await self._contents.run(content.size, partial(decide, found, identified))
        of = decided.identified or identified
        if not search_lane.asks_for_patient(decided):
            return decided
        if search_lane.is_retrieval(of):
            return await self._search_lane.decided(context, found, of)
        if content.facts is not None:
            # Where a patient stands the tree alone tells.
            content = await self._contents.with_tree(context.body, identified, content)
            decide = partial(self._decider.by_content, content=content, now=context.received)
            decided = await self._contents.run(content.size, partial(decide, found, identified))
        # Only where a canary decides is anybody asked for its patient's number before.
        known = await self._numbers.of_message(of, content, context.deadline - search_lane.TO_ANSWER)
        return await self._contents.run(content.size, partial(decide, found, known)) if known.local_numbers else decided

    async def _follow(self, context: RequestContext, identified: Identified) -> Handled:
        """Do what the decision says."""
        operation, decision = identified.operation, context.decision
        if operation is None or decision is None or decision.route is None:
            if self._config.verify_in_legacy:
                await self._authorizer.admit_unrecognised(context.head, identified.presented)
            return self._unrecognised(context, identified) if operation is None else self._pass_unrecognised(context)
        if decision.mode in PASSING and not self._config.verify_in_legacy:
            return self._pass(context)
        admitted = await self._authorizer.admit(context.head, identified.presented, operation, identified.municipality)
        if decision.mode in PASSING:
            return self._pass(context)
        with self._authorizer.under_way(admitted.sender, operation.group):
            return await self._follow_here(context, identified, operation, admitted, decision.mode)

    async def _follow_here(
        self,
        context: RequestContext,
        identified: Identified,
        operation: Operation,
        admitted: Authorized,
        mode: Mode | None,
    ) -> Handled:
        """Do what the decision says about a message that VKP does not answer."""
        content = None
        if not search_lane.is_search(identified) and (
            identified.surface.ANSWERS_MESSAGES or context.content is not None
        ):
            content = await self._read(context, identified, admitted)
        if mode is Mode.CLOSED:
            raise Failure(Fault.CLOSED, "The route is closed", text=context.route.text if context.route else None)
        if operation.group is Group.RETRIEVAL:
            return await self._search_lane.answer(context, identified, admitted, mode, self._asked)
        content = content or await self._read(context, identified, admitted)
        return await self._journal(context, identified, admitted, content)

    async def _read(self, context: RequestContext, identified: Identified, admitted: Authorized) -> Content:
        """Return the content of a journaling; raises `Failure` when it cannot be read or is addressed to another."""
        if context.content is None:
            context.content = await self._contents.read(context.body, identified, admitted.claims)
        content, municipality = context.content, identified.municipality
        if content.failure is not None:
            raise content.failure
        if municipality is not None:
            identified.surface.check_parties(content.tree, municipality, admitted.sender, context.head)
        return content

    def _unrecognised(self, context: RequestContext, identified: Identified) -> Handled:
        """Pass what no surface knows, unless it names a municipality that VKP no longer answers for."""
        decision = context.decision
        if identified.municipality is not None and decision is not None and decision.route is not None:
            if decision.mode is Mode.CLOSED:
                raise Failure(Fault.CLOSED, "The route is closed", text=decision.route.text)
            if decision.mode not in PASSING:
                raise Failure(Fault.NOT_SUPPORTED, "No information service answers at this address yet")
        return self._pass_unrecognised(context)

    def _pass_unrecognised(self, context: RequestContext) -> Handled:
        if not self._config.unrecognised_passes:
            raise Failure(Fault.UNRECOGNISED, "Nothing is served at this address")
        return self._pass(context)

    def _pass(self, context: RequestContext) -> Handled:
        vkp = context.table.vkp
        if vkp is None:
            raise Failure(Fault.UNRECOGNISED, "No VKP is configured")
        why = why_unread(context.unread) if context.unread is not None else None
        identified, account = context.identified, context.account("passed", upstream=vkp, diagnostics=why)
        if identified is None:
            return Handled(Pass(vkp), account)
        afterwards = self._after_pass.afterwards(context.table, identified, context.decision)
        if self._comparer is not None and afterwards is None:
            afterwards = self._comparer.afterwards(context, identified, self._asked)
        answer = Pass(vkp, finishes_alone(context.head, identified), afterwards)
        return Handled(answer, account)

    async def _journal(
        self, context: RequestContext, identified: Identified, admitted: Authorized, content: Content
    ) -> Handled:
        """Translate a journaling, deliver it, and answer only then."""
        municipality, surface = identified.municipality, identified.surface
        if self._submitter is None or municipality is None:
            raise Failure(Fault.UNAVAILABLE, "No information service is configured for journaling")
        if identified.content is None or identified.envelope.sender != admitted.sender.key:
            history = admitted.sender.code_history
            context.envelope = self._identifier.with_information(context.envelope, content, history)
        until = context.deadline - search_lane.TO_ANSWER
        identified = await self._numbers.of_message(identified, content, until)
        business = await self._contents.run(content.size, partial(bodies.business, content))
        translation = await self._translated(context, identified, content, municipality, admitted.sender)
        context.translation = translation
        if translation.refusal is None and translation.undelivered is not None:
            answer = surface.accepted(self._asked(context), undelivered=translation.undelivered)
            return Handled(answer, context.account(translation.undelivered))
        context.upstream = context.table.upstream_for(context.envelope.information)
        order = self._order(context, admitted, municipality, translation, business)
        receipt = await self._submitter.deliver(order, until)
        return Handled(surface.accepted(self._asked(context, receipt)), self._accepted(context, receipt))

    def _order(
        self,
        context: RequestContext,
        admitted: Authorized,
        municipality: Municipality,
        translation: Translation,
        business: Business | None,
    ) -> Order:
        """Return what is to be delivered; raises `Failure` for what cannot be."""
        route, body = context.route, context.body.whole(self._config.limits.body)
        if translation.refusal is not None:
            raise Failure(fault_of(translation.refusal.reason), str(translation.refusal))
        if len(translation.calls) != 1 or route is None:
            raise Failure(Fault.NOT_SUPPORTED, "The message cannot be sent to an information service yet")
        return Order(
            reference=context.correlation_id,
            received=context.received,
            # The sender is who was admitted, whatever other claims its token has.
            envelope=structs.replace(context.envelope, sender=admitted.sender.key),
            municipality=municipality,
            route=route,
            call=translation.calls[0],
            patient=translation.patient,
            other_numbers=translation.other_numbers,
            business=business,
            head=context.head,
            body=body or b"",
            subject=admitted.subject,
        )

    def _accepted(self, context: RequestContext, receipt: Receipt) -> Account:
        first = receipt.reference if receipt.reference != context.correlation_id else None
        account = context.account(receipt.outcome, upstream=context.upstream)
        return structs.replace(account, event_id=receipt.event_id, first=first, marks=receipt.marks)

    async def _translated(
        self,
        context: RequestContext,
        identified: Identified,
        content: Content,
        municipality: Municipality,
        sender: Sender,
    ) -> Translation:
        read = identified.read
        if read is not None and identified.envelope.sender == sender.key:
            of = (content.tree, identified.surface.NAME, _SERVICE, read.settings, content.repairs)
            return await self._contents.run(content.size, partial(deliverable, read.message, *of))
        wanted = settings(
            self._config,
            self._allowed_numbers,
            municipality=municipality,
            sender=sender,
            route=context.route,
            received=context.received,
            learnt=identified.local_numbers,
        )
        return await self._contents.translated(context.body, identified, content, _SERVICE, wanted)

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

    def _failed(self, context: RequestContext, failure: Failure) -> Handled:
        account = context.account(failure.fault.value, upstream=context.upstream, diagnostics=failure.diagnostics)
        surface = context.identified.surface if context.identified else FALLBACK
        return Handled(surface.refused(self._asked(context), failure, self._config.wordings[failure.fault]), account)

    def _asked(self, context: RequestContext, receipt: Receipt | None = None) -> AnswerContext:
        """Return what an answer needs to know; every copy of a message is answered as the first was."""
        identified, content = context.identified, context.content
        if identified is not None and content is None and (data := context.body.whole(self._config.limits.body)):
            # Its first byte tells the form to answer in; nothing is read for it.
            content = Content(form=identified.surface.form_of(data))
        recognised = identified.recognised if identified else None
        reference, now = (receipt.reference, receipt.at) if receipt else (context.correlation_id, self._now())
        sender = self._senders.get(context.envelope.sender or "")
        return AnswerContext(reference, now, context.head, recognised, content, sender)

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock(), UTC)

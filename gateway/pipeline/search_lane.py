"""The lane of a search that VKP does not answer: read, checked, asked of whom its route says, and answered in the sender's form."""

import asyncio
from collections.abc import Callable

from msgspec import structs

from gateway.errors import Failure, Fault
from gateway.model import Group, Handled, Mode
from gateway.pipeline.authorize import Authorized
from gateway.pipeline.canary import Canary
from gateway.pipeline.context import RequestContext
from gateway.pipeline.decide import Decider, RequestDecision
from gateway.pipeline.identify import Identified
from gateway.pipeline.retrieval import Asker, Retrieval
from gateway.surfaces.base import AnswerContext

TO_ANSWER = 0.5
"""Seconds kept back from the deadline, so that the sender hears of a slow service before it gives up."""


def is_retrieval(identified: Identified) -> bool:
    """Tell whether something is asked for, by the path or by the content."""
    return identified.recognised is not None and identified.recognised.operation.group is Group.RETRIEVAL


def is_search(identified: Identified) -> bool:
    """Tell whether it is a retrieval whose path says what it asks for, so that no journaling is in its body."""
    return is_retrieval(identified) and identified.recognised is not None and not identified.recognised.by_content


def is_read_at_once(identified: Identified) -> bool:
    """Tell whether it is a journaling that nobody has to be asked about."""
    return not is_retrieval(identified) and not identified.asks_for_numbers


def asks_for_patient(decided: RequestDecision) -> bool:
    """Tell whether a canary has decided, so that it matters who the patient is."""
    return decided.failure is None and decided.decision is not None and decided.decision.is_canary


class SearchLane:
    """Takes the searches of one configuration along their way."""

    def __init__(self, retrieval: Retrieval, canary: Canary, decider: Decider) -> None:
        self._retrieval = retrieval
        self._canary = canary
        self._decider = decider

    async def decided(self, context: RequestContext, found: RequestDecision, identified: Identified) -> RequestDecision:
        """Decide about a search of a canary by where its patient stands; a list of patients goes to VKP, and who has no number."""
        municipality, recognised = identified.municipality, identified.recognised
        share = None
        try:
            if recognised is not None and municipality is not None:
                surface = identified.surface
                sender = identified.envelope.sender or ""
                context.search = await self._retrieval.read(context.head, context.body, surface, recognised, sender)
                if (patient := context.search.patient) is not None:
                    until = context.deadline - TO_ANSWER
                    share = self._canary.share(await self._retrieval.numbers.of_patient(patient, municipality, until))
        except Failure as failure:
            return self._decider.without_content(found, identified, failure.with_traceback(None), context.received)
        identified = structs.replace(identified, envelope=structs.replace(identified.envelope, share=share))
        decision = found.table.decide(identified.envelope, context.received)
        return structs.replace(found, identified=identified, decision=decision)

    async def answer(
        self,
        context: RequestContext,
        identified: Identified,
        admitted: Authorized,
        mode: Mode | None,
        asked: Callable[[RequestContext], AnswerContext],
    ) -> Handled:
        """Answer a search with what its information service, or the record system itself, has found; raises `Failure`."""
        municipality, recognised, surface = identified.municipality, identified.recognised, identified.surface
        if municipality is None or recognised is None:
            raise Failure(Fault.UNRECOGNISED, "Nothing is served at this address")
        sender = admitted.sender.key
        search = context.search or await self._retrieval.read(context.head, context.body, surface, recognised, sender)
        self._retrieval.check_need(search, municipality, admitted.sender)
        context.upstream = self._retrieval.upstream(mode, search.information, municipality)
        asker = Asker(municipality, admitted.sender, recognised.operation.scope, context.head.authorization)
        left = context.deadline - asyncio.get_running_loop().time() - TO_ANSWER
        found = await self._retrieval.find(search, asker, mode, left)
        reply = self._retrieval.told(surface, asked(context), search, found, context.upstream)
        return Handled(reply, context.account("answered", upstream=context.upstream))

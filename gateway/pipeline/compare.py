"""Mode `compare`: VKP has answered, and the new side is asked the same afterwards, with a budget and connections of its own."""

import asyncio
from collections.abc import Callable
from functools import partial

import structlog

from gateway.config.model import Config
from gateway.errors import Failure, Fault
from gateway.model import Account, Afterwards, Mode, Reply
from gateway.pipeline.after_pass import Compare, ComparedAnswers, says_something
from gateway.pipeline.context import RequestContext
from gateway.pipeline.identify import Identified
from gateway.pipeline.retrieval import Asker, Retrieval
from gateway.routing.route import Route
from gateway.surfaces.base import AnswerContext
from gateway.tasks import USUAL

log = structlog.get_logger()

MOST = 16
"""Searches that the new side is asked at a time; what comes then is counted and not asked."""
MOST_OF_ONE = 12
"""Of them, those of one sender: others keep a place."""


class Comparer:
    """Asks the new side what VKP was asked, for the requests of one configuration; no sender waits for it."""

    def __init__(
        self, config: Config, retrieval: Retrieval, compare: Compare, patience: float = USUAL.comparing
    ) -> None:
        """Take what has connections that no lane uses, and how many seconds an answer may take."""
        self._patience = patience
        self._config = config
        self._retrieval = retrieval
        self._compare = compare
        self._senders = {sender.key: sender for sender in config.senders}
        self._asking: dict[asyncio.Task[None], ComparedAnswers] = {}

    def afterwards(
        self, context: RequestContext, identified: Identified, asked: Callable[[RequestContext], AnswerContext]
    ) -> Afterwards | None:
        """Return what is done when VKP has answered a search; None where its route compares nothing."""
        if context.decision is None or context.decision.mode is not Mode.COMPARE or context.route is None:
            return None
        return Afterwards(
            self._config.limits.body,
            partial(self._answered, context, identified, asked(context), context.route),
            partial(self._skipped, context.route),
        )

    def close(self) -> None:
        """Ask no more, and count what was asked."""
        asking, self._asking = self._asking, {}
        for task, compared in asking.items():
            task.cancel()
            self._compare(compared)

    def _skipped(self, route: Route, account: Account, status: int) -> None:
        self._compare(ComparedAnswers(account.correlation_id, account.envelope, route, Reply(status, (), b""), None))

    def _answered(  # noqa: PLR0913, PLR0917 - what is known in the end
        self,
        context: RequestContext,
        identified: Identified,
        asked: AnswerContext,
        route: Route,
        account: Account,
        status: int,
        body: bytes,
        answer: bytes,
    ) -> None:
        theirs = Reply(status, (), answer)
        compared = ComparedAnswers(account.correlation_id, account.envelope, route, theirs, None)
        is_known = account.envelope.sender in self._senders
        # What VKP has refused, or failed on, is not worth a question; whether its sender is who it says VKP alone knows.
        if not says_something(theirs) or not is_known or not self._has_room(account.envelope.sender):
            self._compare(compared)
            return
        task = asyncio.get_running_loop().create_task(self._ask(context, identified, asked, compared, body))
        self._asking[task] = compared
        task.add_done_callback(lambda done: self._asking.pop(done, None))

    def _has_room(self, sender: str | None) -> bool:
        own = sum(one.envelope.sender == sender for one in self._asking.values())
        return len(self._asking) < MOST and own < MOST_OF_ONE

    async def _ask(
        self,
        context: RequestContext,
        identified: Identified,
        asked: AnswerContext,
        compared: ComparedAnswers,
        body: bytes,
    ) -> None:
        surface = identified.surface
        try:
            async with asyncio.timeout(self._patience):
                ours = await self._found(context, identified, asked, body)
        except Failure as failure:
            ours = surface.refused(asked, failure, self._config.wordings[failure.fault])
        except Exception as error:
            is_late = isinstance(error, TimeoutError)
            if not is_late:
                log.exception("compare.defect", correlation_id=compared.correlation_id)
            fault = Fault.NO_ANSWER if is_late else Fault.UNAVAILABLE
            ours = surface.refused(asked, Failure(fault, "The new side gave no answer"), self._config.wordings[fault])
        self._compare(
            ComparedAnswers(compared.correlation_id, compared.envelope, compared.route, compared.theirs, ours)
        )

    async def _found(self, context: RequestContext, identified: Identified, asked: AnswerContext, body: bytes) -> Reply:
        recognised, municipality = identified.recognised, identified.municipality
        sender = self._senders.get(identified.envelope.sender or "")
        if recognised is None or municipality is None or sender is None:
            raise Failure(Fault.NO_ACCESS, "The sender or the municipality is not registered here")
        search = await self._retrieval.asked(context.head, body, identified.surface, recognised, sender.key)
        self._retrieval.check_need(search, municipality, sender)
        asker = Asker(municipality, sender, recognised.operation.scope, context.head.authorization)
        found = await self._retrieval.find(search, asker, Mode.COMPARE, self._patience)
        upstream = self._retrieval.upstream(Mode.COMPARE, search.information, municipality)
        return self._retrieval.told(identified.surface, asked, search, found, upstream)

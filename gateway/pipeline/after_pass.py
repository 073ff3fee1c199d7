"""What is done when VKP has answered: what it took is known again once a route has changed side, and rehearsals begin."""

from collections.abc import Callable
from functools import partial

from msgspec import Struct, structs

from gateway.config.model import Config
from gateway.model import Account, Afterwards, Envelope, Group, Mode, Reply
from gateway.outbox.submit import Submitter
from gateway.pipeline.content import ContentReader
from gateway.pipeline.identify import Identified
from gateway.proxy.http_client import Answer
from gateway.routing.route import Route
from gateway.routing.table import Decision, RouteTable
from gateway.surfaces.base import Surface
from gateway.upstreams.vkp import Fate, judged
from translators.identity import Business

_NOT_ACCEPTED = 400
"""In place of a success that the answer itself takes back."""
Rehearse = Callable[[Identified, Decision, str, int, bytes], None]
"""Takes a message that VKP has answered in mode `rehearse`, the decision, its reference, the status of the answer, and the body;
it returns at once and never raises."""


class ComparedAnswers(Struct, frozen=True):
    """The two answers to one search; what is compared of them is kept by paths, and never a value."""

    correlation_id: str
    envelope: Envelope
    """With the information type that was asked for."""
    route: Route
    """The one that said to compare."""
    theirs: Reply
    """VKP's answer, or the failure of it: 504 where it took too long, another 5xx where there was none."""
    ours: Reply | None
    """What the sender would have been told by the new side, in the same form; None where that was not asked: too many at once, or
    too much to hold against it."""


def says_something(answer: Reply) -> bool:
    """Tell whether an answer is one to the search: what was found, or why it is refused."""
    return 200 <= answer.status < 300 or answer.status == 400


Compare = Callable[[ComparedAnswers], None]
"""Takes the two answers to a search in mode `compare`; it returns at once and never raises."""


class AfterPass:
    """Notes journalings that VKP took, only by their keyed hashes and its status, and hands on what is to be rehearsed."""

    def __init__(
        self,
        config: Config,
        contents: ContentReader,
        journaling: Submitter | None,
        rehearse: Rehearse | None,
    ) -> None:
        self._limit = config.limits.body
        self._contents = contents
        self._journaling = journaling
        self._rehearse = rehearse

    def afterwards(self, table: RouteTable, identified: Identified, decision: Decision | None) -> Afterwards | None:
        """Return what is done after a request has passed; None where nothing is."""
        operation = identified.operation
        if operation is None or operation.group is not Group.JOURNALING:
            return None
        note = rehearse = None
        if self._journaling is not None and _is_noted(table, identified):
            note = partial(self._note, self._journaling, identified)
        if self._rehearse is not None and decision is not None and decision.mode is Mode.REHEARSE:
            rehearse = partial(self._rehearse, structs.replace(identified, content=None, read=None), decision)
        if note is None and rehearse is None:
            return None
        return Afterwards(self._limit, partial(_done, note, rehearse, identified.surface))

    def _note(self, journaling: Submitter, identified: Identified, account: Account, status: int, body: bytes) -> None:
        if not 200 <= status < 300:
            return

        def noted(found: Business | None) -> None:
            if found is not None:
                journaling.note_passed(account, found, status)

        self._contents.business_later(body, identified, noted)


def _is_noted(table: RouteTable, identified: Identified) -> bool:
    return identified.envelope.sender is not None and table.is_moving(identified.envelope.municipality)


def _done(  # noqa: PLR0913, PLR0917 - what is known in the end
    note: Callable[[Account, int, bytes], None] | None,
    rehearse: Callable[[str, int, bytes], None] | None,
    surface: Surface,
    account: Account,
    status: int,
    body: bytes,
    answer: bytes,
) -> None:
    # HTTP says success also where the message that answers a message does not.
    if surface.ANSWERS_MESSAGES and judged(Answer(status, (), answer), surface.NAME).fate is not Fate.ACCEPTED:
        status = max(status, _NOT_ACCEPTED)
    if rehearse is not None:
        rehearse(account.correlation_id, status, body)
    if note is not None:
        note(account, status, body)

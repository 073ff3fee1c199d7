"""Requests that go on to VKP at once: nothing of them need be read or waited for."""

from collections.abc import Callable
from datetime import UTC, datetime

from msgspec import Struct

from gateway.config.model import Config
from gateway.errors import Failure
from gateway.model import PASSING, Envelope, Handled, Pass, RequestHead
from gateway.pipeline.after_pass import AfterPass
from gateway.pipeline.authorize import Authorized, Authorizer
from gateway.pipeline.context import CorrelationIds, account_of, finishes_alone
from gateway.pipeline.identify import Identified, Identifier
from gateway.routing.table import Decision, RouteTable

_REMEMBERED = 1.0
"""Seconds that a decision is good for requests that are alike."""
_MOST_REMEMBERED, _LONGEST_REMEMBERED = 2048, 4096
"""How many decisions, and for how many bytes of target and token each: together they are a few megabytes."""


class _Passes(Struct, frozen=True):
    """Whether requests alike pass at once, and with what."""

    until: float
    """Seconds since the epoch."""
    answer: Pass | None = None
    envelope: Envelope | None = None
    decision: Decision | None = None
    admitted: Authorized | None = None
    """The sender, where the token is verified in mode `legacy` too."""
    identified: Identified | None = None
    """What the head tells, where the body decides the rest."""


class FastPath:
    """Knows for a moment which requests pass as they are."""

    def __init__(  # noqa: PLR0913, PLR0917 - what an exchange has
        self,
        config: Config,
        table: RouteTable,
        identification: Identifier,
        admission: Authorizer,
        references: CorrelationIds,
        passed: AfterPass,
        clock: Callable[[], float],
    ) -> None:
        self._config = config
        self._table = table
        self._identification = identification
        self._admission = admission
        self._references = references
        self._clock = clock
        self._passed = passed
        self._passes: dict[tuple[str, str, bytes | None], _Passes] = {}

    def at_once(self, head: RequestHead) -> Handled | None:
        """Return the answer to a request that needs neither its body nor any waiting; None for every other.

        Senders repeat themselves: what was found for the same method, target and token is good for a moment.
        """
        found = self._found(head)
        answer, envelope, decision = found.answer, found.envelope, found.decision
        if answer is None or envelope is None:
            return None
        if found.admitted is not None and not self._admission.has_room(found.admitted):
            return None
        return Handled(answer, account_of(self._references.next(), envelope, decision, "passed", answer.upstream))

    def identified(self, head: RequestHead) -> Identified | None:
        """Return what the head of a request tells whose body decides the rest; None for every other."""
        return self._found(head).identified

    def _found(self, head: RequestHead) -> _Passes:
        key = (head.method, head.target, head.authorization)
        now = self._clock()
        found = self._passes.get(key)
        if found is None or now >= found.until:
            found = self._considered(head, now)
            if len(self._passes) >= _MOST_REMEMBERED:
                self._passes.clear()
            if len(key[1]) + len(key[2] or b"") <= _LONGEST_REMEMBERED:
                self._passes[key] = found
        return found

    def _considered(self, head: RequestHead, now: float) -> _Passes:
        """Say whether requests like this one pass at once, and until when that is known."""
        until = now + _REMEMBERED
        not_at_once = _Passes(until)
        try:
            identified = self._identification.recognise(head)
        except Failure:
            return not_at_once
        operation, vkp = identified.operation, self._table.vkp_upstream
        if identified.depends_on_content:
            return _Passes(until, identified=identified)
        if operation is None or vkp is None:
            return not_at_once
        decision = self._table.decide(identified.envelope, datetime.fromtimestamp(now, UTC))
        if decision.mode not in PASSING:
            return not_at_once
        answer = Pass(vkp.name, finishes_alone(head, identified), self._passed.afterwards(identified, decision))
        if not self._config.verify_in_legacy:
            return _Passes(until, answer, identified.envelope, decision)
        admitted = self._admission.admitted_at_once(identified.presented, operation, identified.municipality)
        if admitted is None:
            return _Passes(now)
        return _Passes(min(until, admitted.until), answer, identified.envelope, decision, admitted)

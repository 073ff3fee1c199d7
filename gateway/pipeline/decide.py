"""What becomes of a request: decided once, by its head where that is enough, else when its body has been read."""

from collections.abc import Callable
from datetime import UTC, datetime

from msgspec import Struct, structs

from gateway.config.model import Config
from gateway.errors import Failure
from gateway.model import PASSING, Envelope, Group, Handled, Mode, Pass, RequestHead
from gateway.observability.metrics import CONTENT_NOT_READ
from gateway.pipeline.after_pass import AfterPass
from gateway.pipeline.authorize import Authorized, Authorizer
from gateway.pipeline.canary import Canary
from gateway.pipeline.context import account_of, finishes_alone
from gateway.pipeline.identify import Identified, Identifier
from gateway.routing.table import Decision, RouteTable
from gateway.surfaces.base import Content
from gateway.times import Clock

_REMEMBERED = 1.0
"""Seconds that a decision is good for requests that are alike."""
_MOST_REMEMBERED, _LONGEST_REMEMBERED = 2048, 4096
"""How many decisions, and for how many bytes of target and token each: together they are a few megabytes."""


class RequestDecision(Struct, frozen=True):
    """A request as far as it is known, and the decision as soon as that is made."""

    table: RouteTable
    """The one that decides about the request, whatever is put in its place meanwhile."""
    until: float = 0.0
    """How long it is good for requests that are alike, in seconds since the epoch."""
    identified: Identified | None = None
    """None where nothing is known yet, or the target is refused."""
    decision: Decision | None = None
    """None while the body is needed for it."""
    passing: Handled | None = None
    """How the request is answered where it passes, whatever its body is; the account has no id yet, and fits requests that are alike."""
    authorized: Authorized | None = None
    """The sender, where the token is verified in mode `legacy` too."""
    failure: Failure | None = None
    """Why the request is refused whatever the routes say: for its target; for its token, where routes differ by what it may not
    be read for."""
    unread: Failure | None = None
    """Why it was decided without its content, though routes differ by that."""


class Decider:
    """Decides about the requests of one configuration, each by the table that it is given."""

    def __init__(
        self, config: Config, identifier: Identifier, authorizer: Authorizer, after_pass: AfterPass, canary: Canary
    ) -> None:
        self._verifies_in_legacy = config.verify_in_legacy
        self._unrecognised_passes = config.unrecognised_passes
        self._identifier = identifier
        self._authorizer = authorizer
        self._after_pass = after_pass
        self._canary = canary

    def by_head(self, head: RequestHead, table: RouteTable, now: float) -> RequestDecision:
        """Decide about a request by its head, unless that takes the body; say where it passes whatever the body is."""
        try:
            identified = self._identifier.recognise(head, table)
        except Failure as failure:
            return RequestDecision(table, failure=failure)
        until = now + _REMEMBERED
        if identified.depends_on_content:
            return self._by_body(RequestDecision(table, until, identified), identified)
        decision = table.decide(identified.envelope, datetime.fromtimestamp(now, UTC))
        found = RequestDecision(table, until, identified, decision)
        operation, vkp = identified.operation, table.vkp
        if operation is not None and operation.group is Group.RETRIEVAL and decision.is_canary:
            return RequestDecision(table, until, structs.replace(identified, depends_on_content=True))
        if operation is None or vkp is None or decision.mode not in PASSING or decision.mode is Mode.COMPARE:
            return found
        answer = Pass(vkp, finishes_alone(head, identified), self._after_pass.afterwards(table, identified, decision))
        passing = Handled(answer, account_of("", identified.envelope, decision, "passed", vkp))
        if not self._verifies_in_legacy:
            return structs.replace(found, passing=passing)
        authorized = self._authorizer.admitted_at_once(identified.presented, operation, identified.municipality)
        if authorized is None:
            return structs.replace(found, until=now)
        return structs.replace(found, until=min(until, authorized.until), passing=passing, authorized=authorized)

    def _by_body(self, found: RequestDecision, identified: Identified) -> RequestDecision:
        """Add who sends a request that is decided by its body, where the head says all that this takes."""
        recognised = identified.recognised
        if not self._verifies_in_legacy or recognised is None or recognised.by_content:
            return found
        authorized = self._authorizer.admitted_at_once(
            identified.presented, recognised.operation, identified.municipality
        )
        if authorized is None:
            return found
        return structs.replace(found, until=min(found.until, authorized.until), authorized=authorized)

    def by_content(
        self, found: RequestDecision, identified: Identified, content: Content, now: datetime
    ) -> RequestDecision:
        """Decide about a request whose body had to be read for it; of a canary once it is known where the patient stands."""
        table = found.table
        identified = self._identifier.with_content(identified, content)
        content = identified.content or content
        if content.failure is not None:
            _, decision, is_refused = decided_unread(identified, table, now, self._unrecognised_passes)
            _count_unread(content.failure, is_refused=is_refused)
            found = structs.replace(found, identified=identified, decision=decision, unread=content.failure)
            if is_refused and _goes_to_vkp(decision, self._unrecognised_passes):
                return structs.replace(found, failure=content.failure)
            return self._passing(found, identified, decision)
        decision = table.decide(identified.envelope, now)
        if decision.is_canary:
            identified = self._canary.placed(identified, decision.route, now)
            decision = table.placed(decision, identified.envelope)
        return self._passing(structs.replace(found, identified=identified, decision=decision), identified, decision)

    def without_content(
        self, found: RequestDecision, identified: Identified, refusal: Failure, now: datetime
    ) -> RequestDecision:
        """Decide about a request whose token does not verify, so that nothing of its body is read for it."""
        decisions = [decision for _, decision in _as_each_type(identified, found.table, now)]
        # Who the patient is may not be read either, so that a canary is no way to VKP.
        passes = self._unrecognised_passes
        is_refused = any(one.is_canary or not _goes_to_vkp(one, passes) for one in decisions)
        is_refused = is_refused or _may_be_for_another(identified, found.table)
        _count_unread(refusal, is_refused=is_refused)
        found = structs.replace(found, decision=decisions[0], unread=refusal)
        if is_refused:
            return structs.replace(found, failure=refusal)
        return self._passing(found, identified, decisions[0])

    def _passing(self, found: RequestDecision, identified: Identified, decision: Decision) -> RequestDecision:
        """Add where a journaling that was decided passes; only such a one is decided by its content."""
        table, operation = found.table, identified.operation
        vkp = table.vkp
        if vkp is None or decision.mode not in PASSING or decision.mode is Mode.COMPARE:
            return found
        authorized = found.authorized
        if self._verifies_in_legacy:
            if operation is None or operation.group is not Group.JOURNALING:
                return found
            authorized = authorized or self._authorizer.admitted_at_once(
                identified.presented, operation, identified.municipality
            )
            if authorized is None:
                return found
        answer = Pass(vkp, finishes_alone=True, afterwards=self._after_pass.afterwards(table, identified, decision))
        account = account_of("", identified.envelope, decision, "passed", vkp)
        if found.unread is not None:
            account = structs.replace(account, diagnostics=why_unread(found.unread))
        return structs.replace(found, passing=Handled(answer, account), authorized=authorized)


def why_unread(failure: Failure) -> str:
    """Return why a request passed without what it says having been looked at."""
    return f"passed without its content: {failure.diagnostics}"


def decided_unread(
    identified: Identified, table: RouteTable, now: datetime, unrecognised_passes: bool
) -> tuple[Envelope, Decision, bool]:
    """Decide about a request whose content cannot be read, as each type that it could be, and tell whether it is refused.

    What decides is a type that keeps it from VKP, where there is such a one.
    """
    each = _as_each_type(identified, table, now)
    refusing = next((one for one in each if not _goes_to_vkp(one[1], unrecognised_passes)), None)
    return *(refusing or each[0]), refusing is not None or _may_be_for_another(identified, table)


def _as_each_type(identified: Identified, table: RouteTable, now: datetime) -> list[tuple[Envelope, Decision]]:
    envelope, operation = identified.envelope, identified.operation
    topics = operation.topics if operation is not None else (envelope.topic,)
    types = (None if isinstance(topic, Group) else topic for topic in topics)
    envelopes = [structs.replace(envelope, information=each) for each in types]
    return [(one, table.decide(one, now)) for one in envelopes]


def _goes_to_vkp(decision: Decision, unrecognised_passes: bool) -> bool:
    return decision.mode in PASSING or (decision.route is None and unrecognised_passes)


def _may_be_for_another(identified: Identified, table: RouteTable) -> bool:
    """Tell whether a message whose body would say whom it is for may be for a municipality that VKP does not answer for."""
    recognised, named = identified.recognised, identified.envelope
    if recognised is None or not recognised.by_content or named.municipality is not None:
        return False
    return not table.passes_everywhere(named.vendor, named.system, recognised.operation.group)


def _count_unread(why: Failure, *, is_refused: bool) -> None:
    CONTENT_NOT_READ.labels(why.fault.value, "refused" if is_refused else "passed").inc()


Decide = Callable[[RequestHead, RouteTable, float], RequestDecision]
"""Takes a head, the table that decides and the time, and says what the head alone tells."""


class FastPath:
    """A memo before the normal path, since senders repeat themselves.

    It remembers for a moment what `decide` has said, and forgets everything as soon as another table decides.
    """

    def __init__(self, decide: Decide, clock: Clock) -> None:
        self._decide = decide
        self._clock = clock
        self._table: RouteTable | None = None
        self._known: dict[tuple[str, str, bytes | None], RequestDecision] = {}

    def decided(self, head: RequestHead, table: RouteTable) -> RequestDecision:
        """Return what the head of a request tells: as for the last one of the same method, target and token, or anew."""
        if table is not self._table:
            self._known.clear()
            self._table = table
        key = (head.method, head.target, head.authorization)
        now = self._clock()
        found = self._known.get(key)
        # With the wall clock set back, what was decided in its future is decided anew.
        if found is None or not found.until - _REMEMBERED <= now < found.until:
            found = self._decide(head, table, now)
            if found.until > now:
                self._remember(key, found)
        return found

    def _remember(self, key: tuple[str, str, bytes | None], found: RequestDecision) -> None:
        if len(self._known) >= _MOST_REMEMBERED:
            self._known.clear()
        if len(key[1]) + len(key[2] or b"") <= _LONGEST_REMEMBERED:
            self._known[key] = found

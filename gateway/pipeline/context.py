"""One request on its way, and the account of it."""

import itertools
import secrets
from datetime import datetime

from msgspec import Struct, structs

from gateway.errors import Failure
from gateway.model import UNRECOGNISED, Account, Body, Envelope, Group, RequestHead
from gateway.pipeline.identify import Identified
from gateway.pipeline.translate import findings_of
from gateway.routing.layers import Layer
from gateway.routing.route import Route
from gateway.routing.table import Decision, RouteTable
from gateway.surfaces.base import Content
from gateway.surfaces.search import Search
from translators.contract import Translation

NOTHING_KNOWN = Envelope(UNRECOGNISED, None, None, None, None, None)
_LAYERS = {each: each.value for each in Layer}
_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_SEARCHING = _READING | {"POST"}


class RequestContext(Struct):
    """A request and what is known of it so far; filled in on its way."""

    correlation_id: str
    head: RequestHead
    body: Body
    deadline: float
    """In the event loop's time."""
    table: RouteTable
    """The one that decides about the request from its beginning to its end."""
    received: datetime
    envelope: Envelope = NOTHING_KNOWN
    identified: Identified | None = None
    decision: Decision | None = None
    content: Content | None = None
    """None while the body was not read."""
    unread: Failure | None = None
    """Why it was decided without its content, though routes differ by that."""
    translation: Translation | None = None
    search: Search | None = None
    """None while it was not read, and for a journaling."""
    upstream: str | None = None
    """The information service that is called."""

    @property
    def route(self) -> Route | None:
        """The one that decided; None where none did, or nothing is decided yet."""
        return self.decision.route if self.decision is not None else None

    def know(self, identified: Identified) -> None:
        """Take what is known of the request by now."""
        self.identified, self.envelope, self.content = identified, identified.envelope, identified.content

    def account(self, outcome: str, *, upstream: str | None = None, diagnostics: str | None = None) -> Account:
        """Return the account of a message whose way ends here."""
        translation = self.translation or Translation()
        account = account_of(self.correlation_id, self.envelope, self.decision, outcome, upstream)
        repairs = tuple(repair.rule for repair in translation.repairs)
        losses = tuple(loss.element for loss in translation.losses)
        return structs.replace(
            account, diagnostics=diagnostics, repairs=repairs, losses=losses, findings=findings_of(translation)
        )


class CorrelationIds:
    """Makes the ids by which a sender's developer and an operator speak of the same message."""

    def __init__(self) -> None:
        self._prefix = secrets.token_hex(5)
        self._numbers = itertools.count(1)

    def next(self) -> str:
        """Return an id that no other process and no other message has."""
        return f"{self._prefix}-{next(self._numbers):06x}"


def finishes_alone(head: RequestHead, identified: Identified) -> bool:
    """Tell whether a request is finished though its sender has left: unless it is known only to read, it may journal."""
    if identified.operation is None:
        return head.method not in _READING
    return identified.operation.group is Group.JOURNALING or head.method not in _SEARCHING


def account_of(
    reference: str, envelope: Envelope, decision: Decision | None, outcome: str, upstream: str | None
) -> Account:
    """Return the account of a request, as far as its decision goes; where its patient stands in a canary is not told."""
    route = decision.route if decision else None
    return Account(
        correlation_id=reference,
        envelope=envelope if envelope.share is None else structs.replace(envelope, share=None),
        mode=decision.mode if decision else None,
        upstream=upstream,
        route=str(route.place) if route else None,
        outcome=outcome,
        layer=_LAYERS[decision.layer] if decision and route else None,
        rule=decision.rule if decision else None,
        canary=decision is not None and decision.is_canary,
        generation=decision.generation if decision else None,
    )

"""How a request is checked that must be refused."""

from collections.abc import Callable

from gateway.doctor.difference import Differs, require, shown
from gateway.doctor.flow import finish, has_status, head
from gateway.doctor.group import Act
from gateway.doctor.lane import HOST, Arrived, Lane

Request = Callable[[Lane], bytes]

_ANOTHER = b"/another"


def is_refused(request: Request, *statuses: int) -> Act:
    """Return a check: one of these answers, the connection closed, and nothing at the upstream."""

    def act(lane: Lane) -> None:
        sender = lane.send(request(lane))
        has_status(lane.own_answer(sender), *statuses)
        sender.rest()
        lane.nothing_arrived()

    return act


def is_not_completed(request: Request, *statuses: int) -> Act:
    """Return a check for a flaw behind the head: the head may have gone on already, but then it ends there."""

    def act(lane: Lane) -> None:
        sender = lane.send(request(lane))
        arrived = lane.arrives_unless_answered(sender)
        if arrived is not None:
            _is_cut(arrived)
        has_status(sender.head(), *statuses)
        require(b"HTTP/1.1 2" not in sender.rest(), "what followed it was answered")
        _nothing_is_left_open(lane)

    return act


def _nothing_is_left_open(lane: Lane) -> None:
    """Let another sender be answered, after which whatever was to come to the upstream has come."""
    another = lane.connect()
    another.write(head(lane.line(rest=_ANOTHER), HOST))
    arrived = lane.arrives(another)
    while _ANOTHER not in arrived.head.line:
        _is_cut(arrived)
        arrived = lane.arrives(another)
    finish(arrived.wire, another)


def _is_cut(arrived: Arrived) -> None:
    came = arrived.wire.rest()
    if came.endswith(b"0\r\n\r\n"):
        raise Differs(f"it came to the upstream as a whole request: {shown(came)}")

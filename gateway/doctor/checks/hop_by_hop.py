"""Fields that belong to one connection end there, in both directions; all others go on."""

from gateway.doctor.difference import require, same
from gateway.doctor.flow import ANSWER, finish, get, head
from gateway.doctor.group import Act, Group
from gateway.doctor.lane import HOST, Lane

GROUP = Group("fields of one connection", "RFC 9110 section 7.6.1")


def _does_not_pass(*fields: bytes) -> Act:
    def act(lane: Lane) -> None:
        sender = lane.send(head(lane.line(), HOST, b"X-Before: 1", *fields, b"X-After: 2"))
        arrived = lane.arrives(sender)
        expected = head(lane.line(), HOST, b"X-Before: 1", b"X-After: 2")
        same("the request's head", expected, arrived.head.raw)
        finish(arrived.wire, sender)

    return act


GROUP.add("Connection is removed", _does_not_pass(b"Connection: keep-alive"))
GROUP.add("Keep-Alive is removed", _does_not_pass(b"Keep-Alive: timeout=5", b"Connection: Keep-Alive"))
GROUP.add("Keep-Alive is removed though Connection does not list it", _does_not_pass(b"keep-alive: timeout=5"))
GROUP.add("Proxy-Connection is removed", _does_not_pass(b"Proxy-Connection: keep-alive"))
GROUP.add("TE is removed", _does_not_pass(b"TE: trailers, deflate;q=0.5", b"Connection: TE"))
GROUP.add("Upgrade is removed", _does_not_pass(b"Upgrade: example/1, websocket", b"Connection: Upgrade"))
GROUP.add("Upgrade is removed though Connection does not list it", _does_not_pass(b"Upgrade: h2c"))
GROUP.add(
    "fields that Connection lists are removed",
    _does_not_pass(b"x-hop: 1", b"Connection: X-Hop ,, keep-alive", b"X-HOP: 2", b"connection: X-Other", b"X-Other: 3"),
)


@GROUP.check("A sender must not list what everybody needs, and gains nothing by it.")
def _connection_cannot_remove_host_or_length(lane: Lane) -> None:
    fields = (b"Connection: Host, Content-Length", b"Content-Length: 3")
    sender = lane.send(head(lane.line(b"POST"), HOST, *fields) + b"abc")
    arrived = lane.arrives(sender)
    same("the request's head", head(lane.line(b"POST"), HOST, fields[1]), arrived.head.raw)
    same("the body", b"abc", arrived.wire.exactly(3))
    finish(arrived.wire, sender)


@GROUP.check("What the upstream says of its own connection is not told to the sender.")
def _fields_that_an_answer_lists_are_removed(lane: Lane) -> None:
    arrived, sender = get(lane)
    fields = (b"X-A: 1", b"Connection: close, X-Hop", b"X-Hop: 1", b"Keep-Alive: timeout=4", b"X-B: 2")
    arrived.wire.write(head(b"HTTP/1.1 200 OK", *fields, b"Content-Length: 2") + b"ok")
    answer = sender.answer()
    expected = [(b"X-A", b"1"), (b"X-B", b"2"), (b"Content-Length", b"2")]
    seen = [(name, value) for name, value in answer.head.fields if name.startswith((b"X-", b"Keep", b"Content-L"))]
    require(seen == expected, f"the answer's fields differ: expected {expected}, saw {seen}")


@GROUP.check("The two connections live their own lives.")
def _what_an_upstream_says_of_its_connection_does_not_close_the_senders(lane: Lane) -> None:
    arrived, sender = get(lane)
    arrived.wire.write(ANSWER.replace(b"Content", b"Connection: close\r\nContent", 1))
    answer = sender.answer()
    require(not answer.head.values(b"connection"), f"the sender was told {answer.head.values(b'connection')}")
    sender.write(head(lane.line(rest=b"/second"), HOST))
    finish(lane.arrives(sender).wire, sender)

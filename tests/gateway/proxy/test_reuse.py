"""A connection that is used again belongs to one request at a time, whatever the upstream sends in between."""

import random

import pytest

from gateway.proxy.downstream import DownstreamConnection
from tests.gateway.proxy.fuzzing import Stage, Wire

REQUEST = b"GET /a HTTP/1.1\r\nHost: v\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na"


def _sender(stage: Stage) -> tuple[DownstreamConnection, Wire]:
    sender, wire = DownstreamConnection(stage.front), Wire()
    sender.connection_made(wire)
    return sender, wire


@pytest.mark.parametrize("stray", [b"\r\n", b"\r\n\r\n", b"\n", b"x", ANSWER], ids=repr)
@pytest.mark.parametrize("at_once", [True, False], ids=["with the answer", "later"])
async def test_stray_bytes_after_an_answer_never_reach_another_sender(stray: bytes, at_once: bool) -> None:
    """Two senders that ask at the same time get two connections, and each its own answer."""
    stage = Stage()
    first, _ = _sender(stage)
    first.data_received(REQUEST)
    connection, wire = stage.given[0]
    if at_once:
        connection.data_received(ANSWER + stray)
    else:
        connection.data_received(ANSWER)
        connection.data_received(stray)
    senders = [_sender(stage) for _ in range(2)]
    for sender, _ in senders:
        sender.data_received(REQUEST)
    busy = [pair for pair in stage.given if not pair[1].is_closing() and pair[0]._handler is not None]
    assert len({id(pair[0]) for pair in busy}) == 2
    for number, (used, _) in enumerate(busy):
        used.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d" % number)
    assert sorted(answer.written[-1:] for _, answer in senders) == [b"0", b"1"]
    assert wire.is_closing() or busy[0][1] is wire or busy[1][1] is wire


async def test_connections_are_used_again_in_any_order_by_one_request_each() -> None:
    """Whoever asks, no connection is ever in two hands."""
    rng, stage = random.Random(7), Stage()  # noqa: S311 - repeatable, not secret
    asked: list[tuple[DownstreamConnection, Wire]] = []
    for _ in range(300):
        if rng.random() < 0.6:
            sender, wire = _sender(stage)
            sender.data_received(REQUEST)
            asked.append((sender, wire))
        busy = [pair[0] for pair in stage.given if pair[0]._handler is not None and not pair[1].is_closing()]
        assert len({id(connection) for connection in busy}) == len(busy)
        if busy and rng.random() < 0.7:
            rng.choice(busy).data_received(rng.choice((ANSWER, ANSWER + b"\r\n")))
            if rng.random() < 0.3:
                for connection, wire in stage.given:
                    if connection._handler is None and not wire.is_closing():
                        connection.data_received(b"\r\n")
    assert all(wire.written.count(b"HTTP/1.1 200") <= 1 for _, wire in asked)

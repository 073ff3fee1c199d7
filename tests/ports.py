"""Ports for what tests start: none that another run of tests, or the system for a connection, takes meanwhile."""

import itertools
import socket
from collections.abc import Iterator
from functools import cache

_FIRST, _EACH, _BLOCKS = 10_000, 250, 80
"""Below those that systems choose from by themselves; so many for each process that runs tests, whatever checkout it is of."""


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on, each other ones than the last times."""
    return list(itertools.islice(filter(_is_free, _own_ports()), count))


@cache
def _own_ports() -> Iterator[int]:
    """Go round and round the ports of a block, which is this process's for as long as it listens on the first of them."""
    for first in range(_FIRST, _FIRST + _BLOCKS * _EACH, _EACH):
        claim = socket.socket()
        try:
            claim.bind(("127.0.0.1", first))
            claim.listen()
        except OSError:
            claim.close()
            continue
        _CLAIMS.append(claim)
        return itertools.cycle(range(first + 1, first + _EACH))
    raise OSError("every block of ports is taken")


_CLAIMS: list[socket.socket] = []


def _is_free(number: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", number))
        except OSError:
            return False
        return True

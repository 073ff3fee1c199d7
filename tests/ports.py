"""Ports for what tests start: none that another test process, or the system for a connection, takes meanwhile."""

import itertools
import os
import re
import socket

_FIRST, _EACH = 10_000, 5_000
"""Below those that systems choose from by themselves; so many for each process of a test run."""
_WORKER = int(re.sub(r"\D", "", os.environ.get("PYTEST_XDIST_WORKER", "")) or 0) % 4
_NUMBERS = itertools.cycle(range(_FIRST + _WORKER * _EACH, _FIRST + (_WORKER + 1) * _EACH))


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on, each other ones than the last times."""
    return list(itertools.islice(filter(_is_free, _NUMBERS), count))


def _is_free(number: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", number))
        except OSError:
            return False
        return True

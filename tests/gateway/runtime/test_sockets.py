"""Sockets that are handed to the process: which are taken, for what, and what is refused."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest

from gateway.errors import StartupError
from gateway.runtime.sockets import NO_SOCKETS, address_of, inherited

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Handed = Callable[..., int]


@pytest.fixture
def handed() -> Iterator[Handed]:
    """Put sockets side by side from some descriptor on, as whoever starts a process does; return the first."""
    opened: list[int] = []

    def hand(*sockets: socket.socket) -> int:
        first = 200
        for number, one in enumerate(sockets):
            opened.append(os.dup2(one.fileno(), first + number))
            one.close()
        return first

    yield hand
    for descriptor in opened:
        try:
            os.close(descriptor)
        except OSError:
            continue


def told(count: int, names: str | None = None, pid: int = 7) -> dict[str, str]:
    """Return an environment that says so."""
    named = {} if names is None else {"LISTEN_FDNAMES": names}
    return {"LISTEN_PID": str(pid), "LISTEN_FDS": str(count), **named, "HOME": "/"}


def listening() -> socket.socket:
    """Open a socket that listens."""
    return socket.create_server(("127.0.0.1", 0))


@pytest.mark.parametrize(
    ("names", "kinds"),
    [
        (None, "dd"),
        ("data:admin", "da"),
        ("admin:data", "ad"),
        ("data:data", "dd"),
        ("vkp-gateway.socket", "d"),
        ("admin", "a"),
    ],
)
def test_each_socket_is_for_the_port_that_its_name_says(handed: Handed, names: str | None, kinds: str) -> None:
    """Without names all are for data, and a single one too whose name is that of its unit; no child has them."""
    sockets = [listening() for _ in kinds]
    addresses = [address_of(one) for one in sockets]
    environment = told(len(kinds), names)
    found = inherited(environment, 7, handed(*sockets))
    for kind, taken in (("d", found.data), ("a", found.admin)):
        assert [address_of(one) for one in taken] == [
            at for at, one in zip(addresses, kinds, strict=True) if one == kind
        ]
    assert environment == {"HOME": "/"}
    for one in (*found.data, *found.admin):
        assert not one.get_inheritable()
        one.detach()


@pytest.mark.parametrize(
    "environment", [{}, told(1, pid=8), {"LISTEN_PID": "7"}, {"LISTEN_PID": "7", "LISTEN_FDS": "x"}], ids=str
)
def test_what_is_another_process_s_is_left_alone(environment: dict[str, str]) -> None:
    """A variable that came along from a parent is for that one."""
    assert inherited(environment, 7) is NO_SOCKETS


@pytest.mark.parametrize(("count", "names"), [(2, "data"), (2, "data:amdin"), (1, "data:admin"), (2, "a:b")])
def test_names_that_nobody_knows_are_refused(count: int, names: str) -> None:
    """A port that nobody meant must not be served."""
    with pytest.raises(StartupError, match="data or admin"):
        inherited(told(count, names), 7)


def test_what_does_not_listen_is_refused(handed: Handed) -> None:
    """A file, a socket of another kind, one that only was bound, or nothing at all."""
    bound, datagrams = socket.socket(), socket.socket(type=socket.SOCK_DGRAM)
    bound.bind(("127.0.0.1", 0))
    for one in (bound, datagrams, socket.socket(socket.AF_UNIX)):
        with pytest.raises(StartupError, match=r"no listening TCP socket|no socket"):
            inherited(told(1), 7, handed(one))
    with pytest.raises(StartupError, match="no socket"):
        inherited(told(1), 7, 999)

"""Listening sockets that are handed to the process, so that they stay open while it restarts (systemd, `sd_listen_fds(3)`)."""

import os
import socket
from collections.abc import MutableMapping
from dataclasses import dataclass

from gateway.config.model import Address
from gateway.errors import StartupError

_FIRST = 3
"""The first descriptor that is handed over; those before it are standard input, output and error."""
DATA, ADMIN = "data", "admin"


@dataclass(frozen=True, slots=True)
class InheritedSockets:
    """The sockets for each port; none where the process opens its own."""

    data: tuple[socket.socket, ...] = ()
    admin: tuple[socket.socket, ...] = ()


NO_SOCKETS = InheritedSockets()


def inherited(environment: MutableMapping[str, str], pid: int, first: int = _FIRST) -> InheritedSockets:
    """Return the sockets that this process was started with, and take them out of the environment, so that no child has them.

    `LISTEN_FDNAMES` says which are for `data` and which for `admin`; a single one without such a name is for `data`. Raises
    `StartupError`.
    """
    told = {name: environment.pop(name, "") for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")}
    if told["LISTEN_PID"] != str(pid) or not told["LISTEN_FDS"].isdigit():
        return NO_SOCKETS
    count = int(told["LISTEN_FDS"])
    names = told["LISTEN_FDNAMES"].split(":") if told["LISTEN_FDNAMES"] else [DATA] * count
    if count == 1 and names[0] not in (DATA, ADMIN):
        names = [DATA]
    if len(names) != count or not set(names) <= {DATA, ADMIN}:
        raise StartupError(f"LISTEN_FDNAMES must name each of the {count} sockets data or admin")
    sockets = [_listening(first + number) for number in range(count)]
    by_name = {
        wanted: tuple(one for one, name in zip(sockets, names, strict=True) if name == wanted) for wanted in names
    }
    return InheritedSockets(by_name.get(DATA, ()), by_name.get(ADMIN, ()))


def address_of(listening: socket.socket) -> Address:
    """Return where a socket listens."""
    host, port = listening.getsockname()[:2]
    return Address(str(host), int(port))


def _listening(descriptor: int) -> socket.socket:
    try:
        os.set_inheritable(descriptor, False)
        found = socket.socket(fileno=descriptor)
        is_listening = found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    except OSError as error:
        raise StartupError(f"descriptor {descriptor} is no socket: {error.strerror}") from None
    if (
        not is_listening
        or found.type is not socket.SOCK_STREAM
        or found.family not in (socket.AF_INET, socket.AF_INET6)
    ):
        found.close()
        raise StartupError(f"descriptor {descriptor} is no listening TCP socket")
    found.setblocking(False)
    return found

"""The machine: ports, file descriptors, the store's folder, time zones and libraries."""

import asyncio
import platform
import re
import resource
import socket
import ssl
import zoneinfo
from contextlib import closing, suppress
from importlib import metadata
from pathlib import Path

from gateway.cli import ledger_reader
from gateway.cli.doctor.installation.findings import Finding, fine, warning, wrong
from gateway.config.model import Address, Config
from gateway.config.upstreams import VkpUpstream
from gateway.ledger.retention import AHEAD, DOUBTED, GAP, ahead_of_database, last_look
from gateway.times import when

_SERVICES = 512
"""Connections to HelseID and to an information service, and what else a process has open."""
_ZONE = "Europe/Oslo"
_SHOWN = ("aiohttp", "cryptography", "httptools", "joserfc", "lxml", "msgspec", "uvloop")
_REQUIRED = re.compile(r"([A-Za-z0-9_.-]+)>=([0-9.]+)(?=;|$|,)")


def descriptors(config: Config, hard: int) -> Finding:
    """Judge whether the system gives enough file descriptors for all connections that the limits allow."""
    name = "file descriptors"
    most = sum(each.connections.most for each in config.upstreams.values() if isinstance(each, VkpUpstream))
    needed = config.limits.connections + most + _SERVICES
    if hard >= needed:
        return fine(name, f"{hard} allowed, {needed} needed at most")
    advice = f"raise the limit (systemd: LimitNOFILE={needed}), or lower limits.connections"
    return warning(
        name, f"{hard} allowed, {needed} needed when all the connections that the limits allow are open", advice
    )


def check_descriptors(config: Config) -> Finding:
    """Look at the limit that `serve` would take."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return descriptors(config, 2**31 if hard == resource.RLIM_INFINITY else hard)


def port(name: str, address: Address, taken: str | None, *, ours: bool) -> Finding:
    """Judge an address: `taken` is why it cannot be listened on, if it cannot; `ours` that a gateway answers there."""
    if taken is None:
        return fine(name, f"{address} is free")
    if ours:
        return fine(name, f"{address} is in use by a gateway that answers on the admin port")
    return wrong(name, f"{address}: {taken}", "end what listens there, or change listen in routes.yaml")


async def check_ports(config: Config) -> list[Finding]:
    """Try both addresses; a gateway that runs here already may have them."""
    listen = config.listen
    ours = await _is_gateway(listen.admin)
    return [
        port("port for senders", listen.data, _taken(listen.data), ours=ours),
        port("port for operators", listen.admin, _taken(listen.admin), ours=ours),
    ]


def _taken(address: Address) -> str | None:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    with closing(socket.socket(family)) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((address.host, address.port))
        except OSError as error:
            return error.strerror or type(error).__name__
    return None


async def _is_gateway(admin: Address) -> bool:
    try:
        async with asyncio.timeout(2):
            reader, writer = await asyncio.open_connection(admin.host, admin.port)
            with closing(writer):
                writer.write(f"GET /livez HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n".encode())
                answer = await reader.read(4096)
    except (OSError, TimeoutError):
        return False
    return answer.startswith(b"HTTP/1.1 200") and b"ok" in answer


def check_ledger_clock(store: str, folder: Path, now: float) -> list[Finding]:
    """Look whether the ledger is cleared away as it should be, or waits because the clock may be ahead."""
    name = "clock of the ledger"
    try:
        looked, since = ledger_reader.read(store, folder, last_look)
        ahead = ledger_reader.read(store, folder, lambda each: ahead_of_database(each, now))
    except (ledger_reader.NoLedger, ledger_reader.Unreadable):
        return []
    advice = "look at the clock (timedatectl); if it is right, nothing is to be done: what is old goes then"
    if ahead > AHEAD:
        return [wrong(name, f"it is {ahead:.0f} s ahead of the database's, so nothing is cleared away", advice)]
    if since is not None and 0 <= now - since < DOUBTED:
        text = f"the gateway was away for long, or the clock is ahead: nothing is cleared away until {when(since + DOUBTED)}"
        return [warning(name, text, advice)]
    if looked is not None and now - looked > GAP:
        return [
            warning(
                name, f"nobody has looked at it since {when(looked)}: the gateway is stopped, or it is ahead", advice
            )
        ]
    return [fine(name, "agrees with what the ledger has")]


def check_zones() -> Finding:
    """Look whether the system knows Norwegian time."""
    name = "time zones"
    try:
        zoneinfo.ZoneInfo(_ZONE)
    except (zoneinfo.ZoneInfoNotFoundError, OSError, ValueError):
        return warning(name, f"{_ZONE} is not known", "install the system's time zone data (tzdata)")
    return fine(name, f"{_ZONE} is known")


def libraries(required: list[str], installed: dict[str, str]) -> Finding:
    """Judge the libraries: each that is asked for must be there, and new enough."""
    name = "libraries"
    bad = []
    for package, least in (found.groups() for each in required if (found := _REQUIRED.match(each))):
        have = installed.get(_plain(package))
        if have is None:
            bad.append(f"{package} is missing")
        elif _numbers(have) < _numbers(least):
            bad.append(f"{package} {have} is older than {least}")
    if bad:
        return wrong(name, ", ".join(bad), "install what locks/run.lock names")
    shown = ", ".join(f"{each} {installed[each]}" for each in _SHOWN if each in installed)
    return fine(name, f"Python {platform.python_version()}, {ssl.OPENSSL_VERSION}, {shown}")


def check_libraries() -> Finding:
    """Look at what is installed beside the gateway."""
    required = [each for each in metadata.requires("vkp-gateway") or () if "extra ==" not in each]
    installed = {}
    for package in (found[1] for each in required if (found := _REQUIRED.match(each))):
        with suppress(metadata.PackageNotFoundError):
            installed[_plain(package)] = metadata.version(package)
    return libraries(required, installed)


def _plain(package: str) -> str:
    return re.sub(r"[-_.]+", "-", package).lower()


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])

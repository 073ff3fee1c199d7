"""How many requests a core passes on: the gateway and its peers in turn on the same core."""

import contextlib
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

from bench.load import CONNECTIONS, Turn, turn, wrk_installed
from bench.peers import GO, HAPROXY, PEERS, Job, Peer
from bench.processes import BenchFailed, child, free_ports
from bench.report import Findings, Goal, Table
from bench.scene import BUFFERED, STREAMED, Scene, Server
from bench.stats import Spread, ratios, spread

GATEWAY = "gateway"
_WARM_UP = 1.0
_WANTED = {"streamed": 1.0, "buffered": 1.5}
"""Of the CPU time that Go's ReverseProxy takes for the same."""


@dataclass(frozen=True, slots=True)
class Lane:
    """Whether a body flows through, or is read before the request goes on."""

    name: str
    orgnr: str
    buffered: bool


LANES = (Lane("streamed", STREAMED, buffered=False), Lane("buffered", BUFFERED, buffered=True))


def measure(scene: Scene) -> Findings:
    """Measure both lanes."""
    tables, goals = [], []
    for lane in LANES:
        with proxies(scene, lane) as servers:
            for server in servers:
                turn(scene, server, lane.orgnr, _WARM_UP)
            turns = _rounds(scene, lane, servers)
            memory = {server.name: server.process.memory() for server in servers}
        tables.append(_table(lane, turns, memory))
        goals.append(_goal(lane, turns))
    return Findings("relay", tuple(tables), tuple(goals))


@contextlib.contextmanager
def proxies(scene: Scene, lane: Lane) -> Iterator[list[Server]]:
    """Start the gateway and every peer that is installed, on the measured core, and see that each answers as it must."""
    with contextlib.ExitStack() as stack:
        gateway = stack.enter_context(scene.gateway(GATEWAY))
        servers = [gateway, *(stack.enter_context(_peer(scene, peer, lane)) for peer in PEERS if peer.installed)]
        for server in servers:
            scene.probe(server, lane.orgnr)
        _check_gateway(scene, gateway, lane)
        yield servers


@contextlib.contextmanager
def _peer(scene: Scene, peer: Peer, lane: Lane) -> Iterator[Server]:
    folder = scene.folder / f"{peer.name}-{lane.name}".replace(" ", "-").replace(",", "")
    folder.mkdir(exist_ok=True)
    port, admin = free_ports(2)
    job = Job(folder, port, admin, scene.vkp.port, scene.issuer_key, (STREAMED, BUFFERED), lane.buffered)
    command = peer.command(job)
    with child(peer.name.replace(" ", "-"), command, folder, port, core=scene.cores.lent()) as process:
        server = Server(peer.name, port, process, admin)
        if peer.does_the_same:
            _check(scene, server, lane)
        yield server


def _check(scene: Scene, server: Server, lane: Lane) -> None:
    """See that a peer that is said to do the same does: it verifies tokens and counts."""
    scene.probe(server, lane.orgnr)
    scene.probe(server, lane.orgnr, 401, _spoiled(scene, server, lane))
    with urllib.request.urlopen(f"http://127.0.0.1:{server.admin}/metrics", timeout=30) as answer:
        if not answer.read():
            raise BenchFailed(f"{server.name} shows no metrics")


def _spoiled(scene: Scene, server: Server, lane: Lane) -> bytes:
    """Return a request whose token has another signature."""
    request = scene.request(server, lane.orgnr)
    return request.replace(scene.token.encode(), scene.token[:-8].encode() + b"AAAAAAAA")


def _check_gateway(scene: Scene, gateway: Server, lane: Lane) -> None:
    """See that the gateway does what is claimed: checks the token, reads the body in the buffered lane only, and counts."""
    scene.probe(gateway, lane.orgnr, 401, _spoiled(scene, gateway, lane))
    with urllib.request.urlopen(f"http://127.0.0.1:{gateway.admin}/metrics", timeout=30) as answer:
        counted = [line for line in answer.read().decode().splitlines() if 'outcome="passed"' in line]
    known = 'information="varsel"' if lane.buffered else 'information=""'
    if not any(known in line and 'mode="legacy"' in line for line in counted):
        raise BenchFailed(f"the gateway's metrics do not show the {lane.name} lane: {counted}")


def _rounds(scene: Scene, lane: Lane, servers: list[Server]) -> dict[str, list[Turn]]:
    turns: dict[str, list[Turn]] = {server.name: [] for server in servers}
    for _ in range(scene.settings.rounds):
        for server in servers:
            turns[server.name].append(turn(scene, server, lane.orgnr, scene.settings.seconds))
    return turns


def _beside(turns: dict[str, list[Turn]], name: str, peer: Peer) -> Spread | None:
    """Return how many times a peer's CPU time per request a proxy takes, round by round; None where the peer is not installed."""
    base = turns.get(peer.name)
    if base is None:
        return None
    return spread(ratios([1 / each.per_cpu_second for each in turns[name]], [1 / each.per_cpu_second for each in base]))


def _table(lane: Lane, turns: dict[str, list[Turn]], memory: dict[str, int]) -> Table:
    same = {GATEWAY, *(peer.name for peer in PEERS if peer.does_the_same)}
    rows = []
    for name, own in turns.items():
        ratio = _beside(turns, name, GO)
        each_takes = spread([1e6 / each.per_cpu_second for each in own])
        rate, busy = spread([each.rate for each in own]), median(each.busy for each in own)
        does = "yes" if name in same else "no"
        told = ratio.show(2) if ratio else "-"
        rows.append((name, does, each_takes.show(), told, rate.show(), f"{busy:.0%}", f"{memory[name] / 1e6:.0f}"))
    columns = (
        "",
        "route, token, metrics, log",
        "CPU microseconds a request",
        "beside Go",
        "requests/s",
        "core busy",
        "memory MB",
    )
    driver = "wrk" if wrk_installed() else "the benchmark's own driver"
    absent = [peer.name for peer in PEERS if not peer.installed]
    note = (
        f"{CONNECTIONS} connections, by {driver}; median, with lowest and highest round; ratios are of the same round. CPU time does not "
        "count what others took; where a core is not busy, the load generator or something else on the machine was the limit."
        + (f" Not installed here: {', '.join(absent)}." if absent else "")
    )
    return Table(f"Pass-through, {lane.name} lane", columns, tuple(rows), (note,))


def _goal(lane: Lane, turns: dict[str, list[Turn]]) -> Goal:
    what = f"pass-through, {lane.name}, CPU time beside Go's ReverseProxy doing the same"
    ratio = _beside(turns, GATEWAY, GO)
    if ratio is None:
        return Goal(what, f"at most {_WANTED[lane.name]}", "Go is not installed", None)
    other = _beside(turns, GATEWAY, HAPROXY)
    told = ratio.show(2) + (f"; {other.show(2)} of HAProxy's" if other else "")
    return Goal(what, f"at most {_WANTED[lane.name]}", told, ratio.middle <= _WANTED[lane.name])

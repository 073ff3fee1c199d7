"""How many requests a core passes on: the gateway and its peers in turn on the same core."""

import contextlib
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

from bench.load import CONNECTIONS, Turn, turn, wrk_installed
from bench.peers import NGINX, PEERS, Peer, Ports
from bench.processes import BenchFailed, child, free_ports
from bench.report import Findings, Goal, Table
from bench.scene import BUFFERED, STREAMED, Scene, Server
from bench.stats import Spread, ratios, spread

GATEWAY = "gateway"
_WARM_UP = 1.0
_HALF = 0.5


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
    folder = scene.folder / f"{peer.name}-{lane.name}".replace(" ", "-")
    folder.mkdir(exist_ok=True)
    (port,) = free_ports(1)
    command = peer.command(folder, Ports(port, scene.vkp.port), lane.buffered)
    with child(peer.name.replace(" ", "-"), command, folder, port, core=scene.cores.lent()) as process:
        yield Server(peer.name, port, process)


def _check_gateway(scene: Scene, gateway: Server, lane: Lane) -> None:
    """See that the gateway does what is claimed: checks the token, reads the body in the buffered lane only, and counts."""
    spoiled = scene.request(gateway, lane.orgnr).replace(b"Authorization: Bearer ey", b"Authorization: Bearer xx")
    scene.probe(gateway, lane.orgnr, 401, spoiled)
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


def _to_nginx(turns: dict[str, list[Turn]], name: str) -> tuple[Spread, Spread] | None:
    """Return the ratio of requests per second, and of requests per CPU second."""
    base = turns.get(NGINX.name)
    if base is None:
        return None
    own = turns[name]
    return (
        spread(ratios([each.rate for each in own], [each.rate for each in base])),
        spread(ratios([each.per_cpu_second for each in own], [each.per_cpu_second for each in base])),
    )


def _table(lane: Lane, turns: dict[str, list[Turn]], memory: dict[str, int]) -> Table:
    rows = []
    for name, own in turns.items():
        compared = _to_nginx(turns, name)
        ratio, cpu_ratio = (each.show(2) for each in compared) if compared else ("-", "-")
        rate = spread([each.rate for each in own])
        busy, per_cpu = median(each.busy for each in own), median(each.per_cpu_second for each in own)
        rows.append(
            (name, rate.show(), ratio, f"{busy:.0%}", f"{per_cpu:,.0f}", cpu_ratio, f"{memory[name] / 1e6:.0f}")
        )
    columns = (
        "",
        "requests/s",
        "ratio to nginx",
        "core busy",
        "requests per CPU second",
        "ratio to nginx",
        "memory MB",
    )
    driver = "wrk" if wrk_installed() else "the benchmark's own driver"
    note = (
        f"{CONNECTIONS} connections, by {driver}; median, with lowest and highest round; ratios are to nginx in the same "
        "round. Where a core is not busy, the load generator or something else on the machine was the limit; CPU seconds "
        "do not count what others took."
    )
    return Table(f"Pass-through, {lane.name} lane", columns, tuple(rows), (note,))


def _goal(lane: Lane, turns: dict[str, list[Turn]]) -> Goal:
    compared = _to_nginx(turns, GATEWAY)
    if compared is None:
        return Goal(f"pass-through, {lane.name}, ratio to nginx", f"at least {_HALF}", "nginx is not installed", None)
    rate, cpu = compared
    return Goal(
        f"pass-through, {lane.name}, ratio to nginx",
        f"at least {_HALF} by both counts",
        f"{rate.show(2)} per second, {cpu.show(2)} per CPU second",
        min(rate.middle, cpu.middle) >= _HALF,
    )

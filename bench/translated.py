"""The translated lane end to end: R4 in, an event at JFT out, with a token and a DPoP proof of its own."""

import asyncio
import contextlib
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from bench import compiled
from bench.driver import closed_loop, post, run
from bench.inprocess import Steps, time_steps
from bench.load import Turn, turn
from bench.processes import BenchFailed, child, free_ports
from bench.report import Findings, Goal, Table
from bench.scene import CLIENT_ID, SCOPE, TRANSLATED, Scene, Server
from bench.stats import Spread, spread
from gateway.auth.helseid.access_tokens import TokenEndpoint
from gateway.auth.helseid.client_assertion import ClientIdentity, ClientKey
from gateway.auth.helseid.dpop import DpopProver
from gateway.auth.helseid.http import HelseIdHttp
from gateway.auth.helseid.issuer import Issuer
from gateway.times import Clock

_WANTED = 1_500
_CONNECTIONS = 64
_WARM_UP = 1.0
_CHECKS = ("light", "strict")
_FIXED = "fixed answer"
_COMPILED = "fixed answer, compiled translators"
_DIRECT_REQUESTS = 3_000
"""Proofs are made before the clock starts, so there is a number of them."""


def measure(scene: Scene) -> Findings:
    """Measure gateways in front of each JFT, each JFT by itself, and what the steps inside take."""
    with contextlib.ExitStack() as stack:
        wheel = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        missing = compiled.unpack(wheel)
        services = {checks: stack.enter_context(_jft(scene, checks)) for checks in _CHECKS}
        targets = {_FIXED: scene.jft, **services}
        gateways = {
            name: stack.enter_context(scene.gateway(f"gateway-{name.replace(' ', '-')}", jft))
            for name, jft in targets.items()
        }
        if missing is None:
            gateways[_COMPILED] = stack.enter_context(scene.gateway("gateway-compiled", source=wheel))
        for gateway in gateways.values():
            scene.probe(gateway, TRANSLATED)
            turn(scene, gateway, TRANSLATED, _WARM_UP, _CONNECTIONS)
        turns, direct = _rounds(scene, gateways, services)
    with scene.cores.lent():
        steps = time_steps(scene.token, scene.settings.repeats)
    whole = 1 / median(each.per_cpu_second for each in turns[_FIXED])
    tables = (_rates(turns, direct, missing), _shares(steps, whole))
    return Findings(
        "translated", tables, tuple(_goal(name, turns) for name in ("light", _FIXED, _COMPILED) if name in turns)
    )


@contextlib.contextmanager
def _jft(scene: Scene, checks: str) -> Iterator[Server]:
    """Start a double of JFT with the load generator's core."""
    write, read = free_ports(2)
    options = ("--write-port", str(write), "--read-port", str(read), "--issuer", scene.issuer, "--checks", checks)
    name = f"jft-{checks}"
    with child(name, (sys.executable, "-m", "service_stubs", "jft", *options), scene.folder, write, read) as process:
        yield Server(name, write, process)


def _rounds(
    scene: Scene, gateways: dict[str, Server], services: dict[str, Server]
) -> tuple[dict[str, list[Turn]], dict[str, list[float]]]:
    turns: dict[str, list[Turn]] = {name: [] for name in gateways}
    direct: dict[str, list[float]] = {name: [] for name in services}
    for _ in range(scene.settings.rounds):
        for name, gateway in gateways.items():
            turns[name].append(turn(scene, gateway, TRANSLATED, scene.settings.seconds, _CONNECTIONS))
        for name, service in services.items():
            direct[name].append(_drive_directly(scene, service))
    return turns, direct


def _drive_directly(scene: Scene, service: Server) -> float:
    """Return how many events a second a double takes when nothing stands in front of it."""
    requests = asyncio.run(_submissions(scene, service))
    work = closed_loop(service.address, iter(requests), connections=_CONNECTIONS, seconds=scene.settings.seconds)
    result = run(work)
    if result.bad or not result.answered:
        raise BenchFailed(f"{service.name}: {result.bad} of {result.offered} events refused: {dict(result.statuses)}")
    return result.rate


async def _submissions(scene: Scene, service: Server) -> list[bytes]:
    """Make requests as the gateway makes them, each with its own proof."""
    clock = Clock()
    prover = DpopProver(clock)
    identity = ClientIdentity(CLIENT_ID, ClientKey("gateway-key.json", scene.folder), True, "assertion_details")
    issuer = Issuer(scene.issuer, HelseIdHttp(scene.issuer), clock)
    token = (await TokenEndpoint(issuer, identity, prover, clock).ask(TRANSLATED, SCOPE)).token
    url = f"http://127.0.0.1:{service.port}/v1/Bundle"
    fixed = (("Authorization", f"DPoP {token}"), ("Content-Type", "application/json"))
    return [
        post(service.address, "/v1/Bundle", scene.body, (*fixed, ("DPoP", prover.proof("POST", url, token=token))))
        for _ in range(_DIRECT_REQUESTS)
    ]


def _rates(turns: dict[str, list[Turn]], direct: dict[str, list[float]], missing: str | None) -> Table:
    rows = []
    for name, own in turns.items():
        alone = spread(direct[name]).show() if name in direct else "-"
        per_cpu, busy = median(each.per_cpu_second for each in own), median(each.busy for each in own)
        rows.append((f"JFT: {_described(name)}", _spread(own).show(), f"{busy:.0%}", f"{per_cpu:,.0f}", alone))
    columns = (
        "",
        "messages/s end to end",
        "gateway's core busy",
        "messages per CPU second of the gateway",
        "JFT alone, driven directly",
    )
    note = (
        "The double of JFT, HelseID's double and the load generator share the other core: where the gateway's core is not "
        "busy, that core was the limit."
    )
    notes = (note, f"Compiled translators are left out: {missing}; `make wheel` makes it.") if missing else (note,)
    return Table("Translated journaling, R4 to JFT with DPoP", columns, tuple(rows), notes)


def _described(name: str) -> str:
    return name if name in (_FIXED, _COMPILED) else f"double, --checks {name}"


def _spread(turns: list[Turn]) -> Spread:
    return spread([each.rate for each in turns])


def _shares(steps: Steps, whole: float) -> Table:
    known = (("parse", steps.parse), ("translate", steps.translate), ("DPoP proof", steps.proof))
    rest = max(0.0, whole - sum(seconds for _, seconds in known))
    rows = tuple(
        (name, f"{seconds * 1e6:.0f}", f"{seconds / whole:.0%}")
        for name, seconds in (*known, ("call, and the rest: front, admission, log, metrics", rest), ("all", whole))
    )
    note = "Steps are timed in process; the whole is the gateway's CPU time for a message with JFT's answer fixed."
    return Table("Where a translated message's time goes", ("", "microseconds", "share"), rows, (note,))


def _goal(name: str, turns: dict[str, list[Turn]]) -> Goal:
    rate = _spread(turns[name])
    return Goal(
        f"translated journaling, JFT: {_described(name)}",
        f"{_WANTED:,} messages/s",
        rate.show(),
        rate.middle >= _WANTED,
    )

"""`python -m bench`: measure, print, and with --write put the results into docs/benchmarks.md."""

import os
import platform
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import click

from bench import (
    config_size,
    dashboard,
    drain,
    growth,
    held,
    idle,
    inprocess,
    large,
    latency,
    memory,
    relay,
    replica,
    translated,
)
from bench.load import wrk_installed
from bench.peers import NGINX, PEERS
from bench.processes import BenchFailed, others_busy, output_of
from bench.report import Findings, NoSuchPart, goals_table, replaced
from bench.scene import Scene, scene
from bench.settings import FULL, QUICK, Settings

_DOCUMENT = Path(__file__).parents[1] / "docs" / "benchmarks.md"
PARTS: dict[str, Callable[[Scene], Findings]] = {
    "relay": relay.measure,
    "latency": latency.measure,
    "idle": idle.measure,
    "translated": translated.measure,
    "inprocess": inprocess.measure,
    "large": large.measure,
    "held": held.measure,
    "drain": drain.measure,
    "growth": growth.measure,
    "replica": replica.measure,
    "memory": memory.measure,
    "config": config_size.measure,
    "dashboard": dashboard.measure,
}


@click.command()
@click.option("--quick", is_flag=True, help="Fewer and shorter rounds: to see that it works, not to quote.")
@click.option("--only", type=click.Choice(list(PARTS)), help="One part; left out: all of them.")
@click.option("--write", is_flag=True, help="Replace the results of what was measured in docs/benchmarks.md.")
def main(*, quick: bool, only: str | None, write: bool) -> None:
    """Measure the gateway beside the proxies that are installed."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))
    settings = QUICK if quick else FULL
    print(_said_first(), file=sys.stderr)
    try:
        found, failed = _measure(settings, [only] if only else list(PARTS))
        print("\n\n".join(f"## {each.part}\n\n{each.markdown()}" for each in found))
        if len(found) > 1:
            print(f"\n## Together\n\n{goals_table([goal for each in found for goal in each.goals])}")
        if write:
            _write(found)
    except (BenchFailed, NoSuchPart) as failure:
        raise click.ClickException(str(failure)) from None
    if failed:
        raise click.ClickException(f"not measured: {'; '.join(failed)}")


def _measure(settings: Settings, parts: list[str]) -> tuple[list[Findings], list[str]]:
    """Return what was found, and of each part that could not be measured why: the others took their time."""
    found, failed = [], []
    with scene(settings) as surroundings:
        circumstances = _circumstances(surroundings)
        for part in parts:
            start = time.monotonic()
            try:
                findings = PARTS[part](surroundings)
            except BenchFailed as failure:
                failed.append(f"{part}: {failure}")
            else:
                found.append(replace(findings, circumstances=circumstances))
            print(f"{part}: {time.monotonic() - start:.0f} s", file=sys.stderr)
    return found, failed


def _write(found: list[Findings]) -> None:
    document = _DOCUMENT.read_text(encoding="utf-8")
    for each in found:
        document = replaced(document, each.part, each.markdown())
    _DOCUMENT.write_text(document, encoding="utf-8")


def _said_first() -> str:
    missing = [peer.name for peer in PEERS if not peer.installed]
    missing += [] if wrk_installed() else ["wrk"]
    return f"missing, and left out: {', '.join(missing)}" if missing else "nothing is missing"


def _circumstances(surroundings: Scene) -> str:
    """Say when and where in one paragraph, with nothing that names the machine."""
    cores = surroundings.cores
    pinned = (
        "not pinned"
        if cores.measured is None
        else f"measured on core {cores.measured}, load and upstream on core {cores.others}"
    )
    upstream = "nginx with a fixed answer" if NGINX.installed else "a small asyncio server with a fixed answer"
    versions = [f"{peer.name} {peer.version()}" for peer in PEERS if peer.installed]
    today = datetime.now(UTC).date()  # noqa: TID251 - the benchmark's own clock
    others = f"before the run other processes used {others_busy():.0%} of the cores"
    return (
        f"{today}, {surroundings.settings.name}, commit {_commit()}; {_processor()}, {os.cpu_count()} cores, "
        f"Linux {platform.release().split('-')[0]}, {_python()}; {pinned}; "
        f"upstream: {upstream}; {'; '.join(versions)}; {_said_first()}; {others}."
    )


def _python() -> str:
    """Name the interpreter by its build too: the same version is a quarter faster where it was built with its own profile."""
    return f"Python {platform.python_version()} built {platform.python_build()[1][:11].strip()} with {platform.python_compiler()}"


def _commit() -> str:
    commit = output_of("git", "rev-parse", "--short", "HEAD") or "unknown"
    return commit + (
        " with changes"
        if output_of("git", "--no-optional-locks", "status", "--porcelain", "--", "gateway", "translators")
        else ""
    )


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


if __name__ == "__main__":
    main(prog_name="python -m bench")

"""`vkp-gateway doctor`: whether this installation does what it promises."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from queue import Empty, SimpleQueue

import click

from gateway.cli.doctor.checks import GROUPS
from gateway.cli.doctor.harness import Check, Result
from gateway.cli.doctor.installation import run as installation
from gateway.cli.doctor.installation.findings import report
from gateway.cli.doctor.lane import Lane
from gateway.cli.doctor.stage import Stage, StageFailed, StageMaker, gateway_stage
from gateway.cli.doctor.wire import Differs
from gateway.cli.options import config_option, json_option
from gateway.cli.output import print_json
from gateway.counting import counted

WORKERS = 4
SECONDS = 30.0
"""For one check; a lane that does what it must needs a hundredth of one of them on a quiet machine."""


@click.command()
@click.option(
    "--transparency", is_flag=True, help="Send bytes through the legacy lane of a gateway of its own and compare them."
)
@click.option(
    "--only", metavar="TEXT", default="", help="Only the checks of --transparency whose group and name contain this."
)
@config_option
@json_option
def doctor(path: str, *, transparency: bool, only: str, as_json: bool) -> None:
    """Test this installation, and say what to do about each thing that is wrong; exit 1 if anything fails."""
    if transparency:
        _transparency(only, as_json=as_json)
    elif only:
        raise click.UsageError("--only goes with --transparency; without it every check is done.")
    else:
        report(installation.run(path), as_json=as_json)


def _transparency(only: str, *, as_json: bool) -> None:
    checks = [check for group in GROUPS for check in group.checks if only.lower() in _label(check)]
    if not checks:
        raise click.UsageError(f'No check has "{only}" in its group or name; doctor --transparency lists them all.')
    started = time.monotonic()
    try:
        results = run(checks, gateway_stage)
    except (StageFailed, OSError) as error:
        raise click.ClickException(str(error)) from None
    seconds = time.monotonic() - started
    if as_json:
        print_json(_document(results, seconds))
    else:
        click.echo(table(results))
        click.echo(f"\n{_passed(results)} of {counted(len(results), 'check')} passed in {seconds:.1f} s")
    if _passed(results) < len(results):
        raise click.exceptions.Exit(1)


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A check that is still to be done, with its place in the table."""

    place: int
    check: Check


def run(
    checks: Sequence[Check], stage: StageMaker, *, workers: int = WORKERS, seconds: float = SECONDS
) -> list[Result]:
    """Do every check and return the results in the same order; raises `StageFailed` when no gateway can be started.

    Several are done at a time, by workers with a gateway each, so that no check meets another's connections.
    """
    waiting: SimpleQueue[_Waiting] = SimpleQueue()
    numbered = [_Waiting(place, check) for place, check in enumerate(checks)]
    for one in sorted(numbered, key=lambda one: not one.check.unreachable):
        waiting.put(one)
    workers = min(workers, len(checks))
    done: dict[int, Result] = {}
    with ThreadPoolExecutor(max(1, workers)) as pool:
        for future in [pool.submit(_work, waiting, stage, seconds) for _ in range(workers)]:
            done.update(future.result())
    return [done[place] for place in sorted(done)]


def _work(waiting: SimpleQueue[_Waiting], make: StageMaker, seconds: float) -> dict[int, Result]:
    done = {}
    with ExitStack() as stack:
        stage = stack.enter_context(make())
        while (one := _next(waiting)) is not None:
            if stage.ended() is not None or (one.check.unreachable and stage.listening):
                stack.close()
                stage = stack.enter_context(make())
            done[one.place] = _attempt(one, stage, seconds)
    return done


def _next(waiting: SimpleQueue[_Waiting]) -> _Waiting | None:
    try:
        return waiting.get_nowait()
    except Empty:
        return None


def _attempt(one: _Waiting, stage: Stage, seconds: float) -> Result:
    if not one.check.unreachable:
        stage.listen()
    lane = Lane(f"check-{one.place:03}", stage.gateway, stage.upstream, seconds)
    difference = None
    try:
        one.check.act(lane)
    except Differs as found:
        difference = str(found)
    except OSError as error:
        difference = f"{type(error).__name__}: {error}"
    finally:
        lane.close()
    return Result(one.check, stage.ended() or difference)


def table(results: list[Result]) -> str:
    """Return the results for a person, under a line for each group."""
    width = max(len(result.check.name) for result in results) + 2
    lines: list[str] = []
    group = ""
    for result in results:
        if result.check.group != group:
            group = result.check.group
            lines += ["", group] if lines else [group]
        lines.append(f"  {result.check.name:<{width}}{'ok' if result.difference is None else 'FAILED'}")
        if result.difference is not None:
            lines.append(f"      {result.difference}")
    return "\n".join(lines)


def _document(results: list[Result], seconds: float) -> dict[str, object]:
    checks = [
        {
            "group": result.check.group,
            "name": result.check.name,
            "ok": result.difference is None,
            "difference": result.difference,
        }
        for result in results
    ]
    passed = _passed(results)
    return {"ok": passed == len(results), "passed": passed, "seconds": round(seconds, 1), "checks": checks}


def _passed(results: list[Result]) -> int:
    return sum(result.difference is None for result in results)


def _label(check: Check) -> str:
    return f"{check.group} {check.name}".lower()

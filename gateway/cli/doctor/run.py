"""Runs checks, several at a time, each worker with a gateway of its own so that no check meets another's connections."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from queue import Empty, SimpleQueue

from gateway.cli.doctor.harness import Check, Result
from gateway.cli.doctor.lane import Lane
from gateway.cli.doctor.stage import Stage, StageMaker
from gateway.cli.doctor.wire import Differs

WORKERS = 4
SECONDS = 30.0
"""For one check; a lane that does what it must needs a hundredth of one of them on a quiet machine."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A check that is still to be done, with its place in the table."""

    place: int
    check: Check


def run(
    checks: Sequence[Check], stage: StageMaker, *, workers: int = WORKERS, seconds: float = SECONDS
) -> list[Result]:
    """Do every check and return the results in the same order; raises `StageFailed` when no gateway can be started."""
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

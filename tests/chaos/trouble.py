"""What is done to the gateway and to JFT while messages come; every draw is seeded."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.chaos.processes import Program
    from tests.chaos.scene import Scene
    from tests.chaos.senders import Progress


def _share(weight: int, status: int | str | None = None, delay: float = 0.0) -> dict[str, Any]:
    return {"weight": weight, "behaviour": {"status": status, "delay": delay}}


WELL = (_share(1),)
AWAY = (_share(9, 503), _share(1, "drop"))
ILL = (
    _share(900),
    _share(40, 503),
    _share(20, 500),
    _share(25, None, 0.3),
    _share(20, "drop"),
    _share(20, "202-then-drop"),
)
SLOW = (_share(60, None, 0.05), _share(40, None, 0.2), _share(1, None, 4.0))
"""The longest delay is longer than the gateway waits."""

_STAGES = ((0.05, ILL), (0.30, AWAY), (0.45, SLOW), (0.55, ILL), (0.80, AWAY))
"""From which share of the messages on JFT behaves how."""


async def unreliable_service(scene: Scene, progress: Progress, messages: int, seed: int) -> None:
    """Let JFT be well, ill, slow and away, by how many messages are done; it is well in the end."""
    for number, (share, mix) in enumerate(_STAGES):
        await progress.done.reached(int(share * messages))
        await scene.behave(*mix, seed=seed + number)
        if mix is AWAY:
            # Who is refused gets no further while it is away.
            await progress.attempts.reached(progress.attempts.value + messages // 8)
            await scene.behave(*ILL, seed=seed + number)
    await progress.done.reached(messages)
    await scene.behave()


async def killer(programs: Sequence[Program], progress: Progress, messages: int, kills: int, seed: int) -> None:
    """Kill programs in turn at random moments, the last when all messages are done, and start them again at once."""
    draw = random.Random(seed)  # noqa: S311 - the same moments in every run
    moments = [*sorted(draw.sample(range(1, messages), kills - 1)), messages]
    for number, moment in enumerate(moments):
        await progress.done.reached(moment)
        program = programs[number % len(programs)]
        await program.kill()
        await program.start()
    for program in programs:
        await program.serving()

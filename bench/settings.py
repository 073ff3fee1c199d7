"""How long and how often is measured."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Settings:
    """The length of a run."""

    name: str
    rounds: int
    seconds: float
    """Of one turn in a round; wrk takes whole seconds."""
    latency_rounds: int
    messages: int
    """How many the memory of `serve` is watched over."""
    repeats: int
    """Of what is timed inside this process."""
    held: tuple[int, ...]
    """How many messages the ledger holds while it is timed."""


FULL = Settings(
    "full run",
    rounds=5,
    seconds=4.0,
    latency_rounds=3,
    messages=100_000,
    repeats=2_000,
    held=(1_000, 100_000, 1_000_000),
)
QUICK = Settings(
    "quick run", rounds=2, seconds=2.0, latency_rounds=2, messages=20_000, repeats=500, held=(1_000, 20_000)
)

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


FULL = Settings("full run", rounds=5, seconds=4.0, latency_rounds=3, messages=100_000, repeats=2_000)
QUICK = Settings("quick run", rounds=2, seconds=2.0, latency_rounds=2, messages=20_000, repeats=500)

"""Whether rehearsals have shown enough for a cutover; pure. No data is never a pass."""

from dataclasses import dataclass
from decimal import Decimal

from gateway.config.routes import Gate


@dataclass(frozen=True, slots=True)
class Numbers:
    """What rehearsals of a cutover's cells have shown."""

    rehearsed: int
    """Messages."""
    clean: int
    """Those that would have been delivered, repaired ones among them."""


@dataclass(frozen=True, slots=True)
class Passing:
    """What a gate says, in words for people."""

    ok: bool
    text: str


def judge(gate: Gate | None, numbers: Numbers) -> Passing:
    """Hold the numbers against a gate."""
    if gate is None:
        return Passing(True, "the plan asks for no rehearsals")
    days = f"in the last {_span(gate.within)}"
    if numbers.rehearsed <= 0:
        return Passing(False, f"nothing was rehearsed {days}; {gate.rehearsed_at_least} are asked for")
    told = f"{numbers.rehearsed} rehearsed {days}, {numbers.clean} of them clean ({_percent(numbers)})"
    reasons = []
    if numbers.rehearsed < gate.rehearsed_at_least:
        reasons.append(f"{gate.rehearsed_at_least} are asked for")
    # In decimals: 0.07 * 100 is more than 7 in binary ones.
    if numbers.clean < Decimal(repr(gate.clean_at_least)) * numbers.rehearsed:
        reasons.append(f"{_share(gate.clean_at_least)} clean are asked for")
    return Passing(not reasons, "; ".join([told, *reasons]))


def _percent(numbers: Numbers) -> str:
    # Rounded down: 99.96 % must not look like all of them.
    return f"{numbers.clean * 10_000 // numbers.rehearsed / 100:g} %"


def _share(part: float) -> str:
    return f"{Decimal(repr(part)) * 100:f}".rstrip("0").rstrip(".") + " %"


def _span(seconds: float) -> str:
    for unit, size in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} seconds"

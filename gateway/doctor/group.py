"""What a check is, and how checks are grouped."""

from collections.abc import Callable
from dataclasses import dataclass, field

from gateway.doctor.lane import Lane

_SPELLED = {
    "http 1 0": "HTTP/1.0",
    "latin 1": "Latin-1",
    "utf 8": "UTF-8",
    "ascii": "ASCII",
    "a post ": "a POST ",
}
"""Words of a name that a function's cannot have."""

Act = Callable[[Lane], None]
"""Plays sender and upstream; raises `Differs` when the gateway did something else than it must."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that the lane must do."""

    group: str
    name: str
    act: Act
    why: str = ""
    unreachable: bool = False
    """Whether nobody must listen where the upstream is."""


@dataclass(frozen=True, slots=True)
class Group:
    """Checks of one matter; `section` says which part of which RFC it is about."""

    name: str
    section: str
    checks: list[Check] = field(default_factory=list)

    def check(self, why: str, *, unreachable: bool = False) -> Callable[[Act], Act]:
        """Register a function; its name, read as a sentence, is the check's, and `why` says what it is good for."""

        def register(act: Act) -> Act:
            name = act.__name__.strip("_").replace("_", " ")
            for word, spelled in _SPELLED.items():
                name = name.replace(word, spelled)
            self.checks.append(Check(self.name, name, act, why, unreachable))
            return act

        return register

    def add(self, name: str, act: Act) -> None:
        """Register one of several alike, whose name says all."""
        self.checks.append(Check(self.name, name, act))


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a check."""

    check: Check
    difference: str | None
    """What differed; None when all was as it must be."""

"""What a check of the installation found, and what a person should do about it."""

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """How it is."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check; it holds no token, no key and no patient's number."""

    name: str
    state: State
    text: str
    """What was found."""
    advice: str = ""
    """What to do; empty where all is well."""


def fine(name: str, text: str) -> Finding:
    """Return that all is well."""
    return Finding(name, State.OK, text)


def odd(name: str, text: str, advice: str) -> Finding:
    """Return what somebody should look at, and what works all the same."""
    return Finding(name, State.WARNING, text, advice)


def wrong(name: str, text: str, advice: str) -> Finding:
    """Return what does not work."""
    return Finding(name, State.FAILED, text, advice)

"""What may still decide for a sender whose message has not been read, and whether it matters what the message is about."""

import math
from collections.abc import Iterable, Sequence

from msgspec import Struct

from gateway.model import Mode
from gateway.routing.layers import Rule
from gateway.routing.route import POLICIES, Route

_OF_SENDER = frozenset({"share", "always", "never", "sample"})
"""Policies that matter once it is known which patient or which message it is."""

Turns = tuple[tuple[float, Route | None], ...]
"""What decides for one information type, one after the other: each until a time in seconds since the epoch, the last for ever."""


class Remaining(Struct, frozen=True):
    """The routes that may decide for a sender, by what the message turns out to be about."""

    routes: tuple[Route, ...]
    differ: bool
    """Whether it matters at some time which of them does, or a patient must be known."""


def in_turn(rules: Iterable[Rule], route: Route | None) -> Turns:
    """Return what decides for a cell by the `rules` on it, the strongest first, over a `route` of the file.

    A rule that ends no later than a stronger one never decides, nor does anything below a rule that never ends.
    """
    turns: list[tuple[float, Route | None]] = []
    latest = -math.inf
    for rule in rules:
        until = math.inf if rule.until is None else rule.until
        if until > latest:
            turns.append((until, rule.route))
            latest = until
        if latest == math.inf:
            return tuple(turns)
    return (*turns, (math.inf, route))


def remaining(types: Sequence[Turns]) -> Remaining:
    """Return what may decide for some types."""
    every = {id(route): route for turns in types for _, route in turns if route is not None}
    routes = tuple(every.values())
    is_canary = any(route.mode is Mode.CANARY for route in routes)
    ends = {until for turns in types for until, _ in turns}
    return Remaining(routes, is_canary or any(_differ(types, end) for end in ends))


def _differ(types: Sequence[Turns], end: float) -> bool:
    """Tell whether types go different ways just before an end of something."""
    deciding = (next(route for until, route in turns if until >= end) for turns in types)
    return len({_effect(route) for route in deciding}) > 1


def _effect(route: Route | None) -> tuple[object, ...] | None:
    if route is None:
        return None
    return (route.mode, route.text, *(getattr(route, name) for name in POLICIES if name not in _OF_SENDER))

"""Past messages under other routes: which of them would have gone another way."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Protocol, TypeVar

from msgspec import Struct, structs

from gateway.model import PASSING, UNRECOGNISED, Envelope, Group, Information, Mode
from gateway.routing.index import MOST_REMEMBERED
from gateway.routing.layers import Layer
from gateway.routing.route import Route
from gateway.routing.table import RouteTable


class OfCell(Protocol):
    """What is told of one cell; None is not known, or not said by the message."""

    @property
    def municipality(self) -> str | None: ...  # noqa: D102 - as in Envelope
    @property
    def vendor(self) -> str | None: ...  # noqa: D102 - likewise
    @property
    def system(self) -> str | None: ...  # noqa: D102 - likewise
    @property
    def information(self) -> str | None: ...  # noqa: D102 - likewise


class Past(OfCell, Protocol):
    """What the decision log keeps of a message; nothing in it says who the patient is."""

    @property
    def at(self) -> float:
        """Seconds since the epoch."""
        ...

    @property
    def surface(self) -> str: ...  # noqa: D102 - as in Envelope
    @property
    def sender(self) -> str | None: ...  # noqa: D102 - likewise

    @property
    def mode(self) -> str | None:
        """Of a canary, the side that the message was on."""
        ...

    @property
    def layer(self) -> str | None:
        """What decided: a route of the file, or what lay over it."""
        ...


Recorded = TypeVar("Recorded", bound=Past)


class Moved(Struct, frozen=True):
    """Messages of one municipality, vendor and type that would have gone one way in place of another."""

    municipality: str | None
    vendor: str | None
    information: Information | None
    before: Mode | None
    after: Mode | None
    """Canary: whether a message would have moved depends on its patient, whom the log does not know."""
    messages: int
    decided_above: int
    """Of these, how many a panic, an override or a cutover had decided, which the other routes may not know of."""


class Replay(Struct, frozen=True):
    """What became of the log under other routes."""

    messages: int
    """All that were looked at."""
    moved: tuple[Moved, ...]
    """The most messages first."""
    type_unknown: int
    """Of the rest, messages whose type the log does not know, and whose way would depend on it: it was not read, since it did
    not matter then."""

    @property
    def another_way(self) -> int:
        """How many would have gone another way, those included of which it depends on the patient."""
        return sum(one.messages for one in self.moved)


_Cell = tuple[str | None, str | None, Information | None, Mode | None, Mode | None]


class _Now(Struct, frozen=True):
    """What a message would get now."""

    mode: Mode | None
    """Canary where it depends on the patient."""
    stays: tuple[Mode, ...] = ()
    """On which sides of a canary nobody moves, because its share only grows or only shrinks."""
    by_type: tuple[Mode, ...] = ()
    """Of a message whose type is not known: the modes that it may get."""


def replayed(
    decisions: Iterable[Recorded],
    table: RouteTable,
    old: RouteTable | None = None,
    count: Callable[[Recorded], int] = lambda _: 1,
    most_remembered: int = MOST_REMEMBERED,
) -> Replay:
    """Say how many recorded messages `table` would have sent another way; `count` says how many an entry stands for.

    Legacy and rehearse are one way, since VKP answers both. With the `old` table it is known of a canary that goes on who
    stays: a larger share only adds. A rule over the routes of `table` counts unless it had ended by the message's time.
    """
    messages = type_unknown = 0
    moved: dict[_Cell, list[int]] = {}
    known: dict[tuple[str | None, ...], _Now] = {}
    for past in decisions:
        number = count(past)
        messages += number
        key = (past.municipality, past.sender, past.vendor, past.system, past.information)
        if table.layers.rules or key not in known:
            if len(known) >= most_remembered:
                known.clear()
            known[key] = _now(past, table, old)
        before, after = Mode(past.mode) if past.mode else None, known[key].mode
        if _same_way(before, after) or before in known[key].stays:
            type_unknown += number * any(not _same_way(before, mode) for mode in known[key].by_type)
            continue
        information = Information(past.information) if past.information else None
        counted = moved.setdefault((past.municipality, past.vendor, information, before, after), [0, 0])
        counted[0] += number
        counted[1] += number * (past.layer not in {None, Layer.ROUTES})
    rows = [Moved(*cell, *counted) for cell, counted in moved.items()]
    return Replay(messages, tuple(sorted(rows, key=_order)), type_unknown)


def _now(past: Past, table: RouteTable, old: RouteTable | None) -> _Now:
    information = Information(past.information) if past.information else None
    # Only a journaling may have no type; of a path that nobody knows not even that is known.
    group = Group.JOURNALING if information is None and past.surface != UNRECOGNISED else None
    named = (past.municipality, past.sender, past.vendor, past.system)
    envelope = Envelope(past.surface, *named, information, group=group)
    at = datetime.fromtimestamp(past.at, UTC)
    decision = table.decide(envelope, at)
    route = decision.route
    if route is None or route.mode is not Mode.CANARY or past.sender in route.never:
        return _Now(decision.mode, (), _by_type(envelope, at, table) if information is None else ())
    before = old.decide(envelope, at).route if old is not None else None
    return _Now(Mode.CANARY, _who_stays(before, route, past.sender))


def _by_type(envelope: Envelope, at: datetime, table: RouteTable) -> tuple[Mode, ...]:
    typed = (table.decide(structs.replace(envelope, information=each), at).route for each in Information)
    return tuple({route.mode: None for route in typed if route is not None})


def _who_stays(before: Route | None, after: Route, sender: str | None) -> tuple[Mode, ...]:
    if before is None or before.mode is not Mode.CANARY:
        return ()
    was, becomes = _part(before, sender), _part(after, sender)
    return (*((Mode.NEW,) if was <= becomes else ()), *((Mode.LEGACY,) if was >= becomes else ()))


def _part(route: Route, sender: str | None) -> float:
    if sender in route.never:
        return 0.0
    return 1.0 if sender in route.always else route.share or 0.0


def _same_way(before: Mode | None, after: Mode | None) -> bool:
    return before is after or (before in PASSING and after in PASSING)


def _order(one: Moved) -> tuple[int, str, str, str, str, str]:
    names = (one.municipality, one.vendor, one.information, one.before, one.after)
    return (-one.messages, *(name or "" for name in names))  # type: ignore[return-value] # five names

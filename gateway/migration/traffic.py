"""What a change of routes means for traffic: how much each cell sends in a day, and which way past days would have gone; pure."""

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum

from msgspec import Struct

from gateway.config.model import Config
from gateway.ledger.decision_log import PastGroup
from gateway.migration.cells import Cells
from gateway.model import Mode
from gateway.routing.diff import Change, Effect, Whose, effect_of
from gateway.routing.replay import Moved, replayed
from gateway.routing.table import RouteTable

DAYS = 7
"""Days of traffic that are looked back over."""


class Side(StrEnum):
    """Who answers a message."""

    VKP = "vkp"
    NEW = "new"
    PATIENT = "patient"
    """VKP or the new service: a canary asks where the patient stands, whom the log does not know."""
    NOBODY = "nobody"


class ChangedTraffic(Struct, frozen=True):
    """Cells that change alike, and what they send."""

    change: Change
    effect: Effect
    per_day: float
    """Messages of these cells in a day."""
    untyped_per_day: float
    """Messages whose type was not read: they may be of these cells."""
    vendors: tuple[str, ...]
    """Those that sent any of them, by their short names."""


class TrafficDay(Struct, frozen=True):
    """One day's messages of a plan's cells, by who answered them and by who would answer them."""

    begins: float
    """Seconds since the epoch."""
    before: Mapping[Side, int]
    after: Mapping[Side, int]


class WhatIf(Struct, frozen=True):
    """The last days under other routes."""

    days: tuple[TrafficDay, ...]
    messages: int
    another_way: int
    type_unknown: int
    """Of the rest, those whose type was not read, and whose way would depend on it."""


def with_traffic(
    changes: Iterable[Change], groups: Sequence[PastGroup], config: Config, days: int
) -> list[ChangedTraffic]:
    """Return changes beside what their cells sent in a number of days."""
    known = {(vendor.key, system) for vendor in config.vendors.values() for system in vendor.systems}
    by_place: dict[str | None, list[PastGroup]] = {}
    for one in groups:
        by_place.setdefault(one.municipality, []).append(one)
    return [_cell(change, by_place.get(change.municipality, ()), known, days) for change in changes]


def _cell(change: Change, groups: Iterable[PastGroup], known: set[tuple[str, str]], days: int) -> ChangedTraffic:
    typed = untyped = 0
    vendors: dict[str, None] = {}
    for one in (each for each in groups if _is_of(change, each, known)):
        if not one.information:
            if len(change.information) > 1 or change.information[0] is not None:
                untyped += one.messages
                vendors.update({one.vendor: None} if one.vendor else {})
            continue
        if one.information in change.information:
            typed += one.messages
            vendors.update({one.vendor: None} if one.vendor else {})
    if None in change.information:
        # Every type changes alike, so that what was not read changes too.
        typed, untyped = typed + untyped, 0
        vendors.update({each.vendor: None for each in groups if each.vendor and _is_of(change, each, known)})
    return ChangedTraffic(
        change, effect_of(change.before, change.after), typed / days, untyped / days, tuple(sorted(vendors))
    )


def _is_of(change: Change, group: PastGroup, known: set[tuple[str, str]]) -> bool:
    if change.whose is Whose.EVERY:
        return True
    if change.whose is Whose.SYSTEM:
        return (change.vendor, change.system) == (group.vendor, group.system)
    return (group.vendor, group.system) not in known


def what_if(
    days: Iterable[tuple[float, Sequence[PastGroup]]], cells: Cells, after: RouteTable, before: RouteTable
) -> WhatIf:
    """Say which way the messages of a plan's cells went day by day, and would have gone with the table `after`."""
    told, messages, another_way, type_unknown = [], 0, 0, 0
    for begins, groups in days:
        mine = [one for one in groups if cells.may_be(one)]
        replay = replayed(mine, after, before, count=lambda one: one.messages)
        messages, another_way = messages + replay.messages, another_way + replay.another_way
        type_unknown += replay.type_unknown
        sides = _counted((one.mode, one.messages) for one in mine)
        told.append(TrafficDay(begins, sides, _moved(sides, replay.moved)))
    return WhatIf(tuple(told), messages, another_way, type_unknown)


def _counted(messages: Iterable[tuple[str | None, int]]) -> dict[Side, int]:
    found = dict.fromkeys(Side, 0)
    for mode, number in messages:
        found[side_of(mode)] += number
    return found


def _moved(before: Mapping[Side, int], moved: Iterable[Moved]) -> dict[Side, int]:
    found = dict(before)
    for one in moved:
        found[side_of(one.before)] -= one.messages
        found[side_of(one.after)] += one.messages
    return found


def side_of(mode: str | None) -> Side:
    """Return who answers a message that was decided so."""
    if mode is None or mode == Mode.CLOSED:
        return Side.NOBODY
    if mode == Mode.CANARY:
        return Side.PATIENT
    return Side.NEW if mode in (Mode.NEW, Mode.EPJ) else Side.VKP

"""Which cells two configurations route differently."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from enum import StrEnum

from msgspec import Struct

from gateway.model import Information, Mode
from gateway.routing.index import EVERY_INFORMATION, Buckets, Chain, Selector, winner
from gateway.routing.layers import Layer, Layers
from gateway.routing.route import RoutedConfig, new_part
from gateway.routing.table import RouteTable

Pair = tuple[str | None, str | None]
"""Vendor and system; None for a sender that the file does not know."""

_UNKNOWN: Pair = (None, None)


class Whose(StrEnum):
    """Whose messages a change is about."""

    EVERY = "every sender"
    SYSTEM = "one system"
    UNKNOWN = "senders that the file does not know"


class CellState(Struct, frozen=True):
    """How far a cell has migrated, and what says so."""

    mode: Mode | None
    """None where no route covers the cell."""
    share: float | None = None
    """The part that a canary takes over, 0 to 1."""
    always: tuple[str, ...] = ()
    never: tuple[str, ...] = ()
    layer: Layer = Layer.ROUTES
    rule: str | None = None
    """The name of the panic, override or cutover that decides; None where a route of the file does."""
    route: str | None = None
    """Where that route stands, `file:line:column`."""

    def __str__(self) -> str:
        return f"{self.mode or 'no route'}" + (
            "" if self.share is None else f" {self.share:.6%}".rstrip("0%").rstrip(".") + "%"
        )

    @property
    def new_part(self) -> float:
        """The part of the messages that VKP does not answer, 0 to 1."""
        return new_part(self.mode, self.share)

    def differs(self, other: "CellState") -> bool:
        """Tell whether messages may go another way; another route that says the same is no difference."""
        mine = (self.mode, self.share, frozenset(self.always), frozenset(self.never))
        return mine != (other.mode, other.share, frozenset(other.always), frozenset(other.never))


class Change(Struct, frozen=True):
    """Cells of one municipality that change alike."""

    municipality: str | None
    """Short name; None: requests that name no municipality of the file."""
    whose: Whose
    vendor: str | None
    system: str | None
    information: tuple[Information | None, ...]
    """None among them: messages that do not say, or were not read."""
    before: CellState
    after: CellState

    @property
    def changes_mode(self) -> bool:
        """Tell whether more changes than a canary's share or senders."""
        return self.before.mode is not self.after.mode

    def __str__(self) -> str:
        """Say it on one line, without where the routes stand."""
        whose = f"{self.vendor} {self.system}" if self.whose is Whose.SYSTEM else str(self.whose)
        types = ", ".join(each or "what does not say" for each in self.information)
        what = "every type" if len(self.information) == len(Information) + 1 else types
        where = self.municipality or "municipalities that the file does not know"
        return f"{where}, {whose}, {what}: {self.before} -> {self.after}"


class Effect(StrEnum):
    """What a change does to cells."""

    GOES_NEW = "goes-new"
    """More of their messages go to the new side than before."""
    GOES_BACK = "goes-back"
    """Fewer: VKP answers what the new side answered."""
    CLOSES = "closes"
    """Nobody answers any more."""
    OPENS = "opens"
    """Somebody answers what nobody did."""
    STAYS = "stays"
    """VKP answers before and after."""


def effect_of(before: CellState, after: CellState) -> Effect:
    """Return what becoming another does to a cell; of a canary whose senders change, whoever comes back counts."""
    if after.mode in _NOBODY:
        return Effect.CLOSES
    if before.mode in _NOBODY:
        return Effect.OPENS
    fewer = set(before.always) - set(after.always) or set(after.never) - set(before.never)
    if before.new_part > after.new_part or (before.new_part == after.new_part == before.share and fewer):
        return Effect.GOES_BACK
    return Effect.STAYS if before.new_part == after.new_part == 0 else Effect.GOES_NEW


_NOBODY = (None, Mode.CLOSED)
_Difference = tuple[tuple[Information | None, ...], CellState, CellState]


def changed_cells(
    old: RouteTable, new: RouteTable, config_old: RoutedConfig, config_new: RoutedConfig, now: datetime
) -> tuple[Change, ...]:
    """Return every cell whose mode, or canary, is another at `now`, with the layers of each table over its routes.

    What only one of the two files knows is unknown to the other, and decided there by what names neither.
    """
    before, after = (_Side(*side, now.timestamp()) for side in ((config_old, old.layers), (config_new, new.layers)))
    pairs = [_UNKNOWN, *dict.fromkeys((*_pairs(config_old), *_pairs(config_new)))]
    known: dict[tuple[int, int], tuple[_Difference, ...]] = {}
    found: list[Change] = []
    for municipality in (None, *dict.fromkeys((*config_old.municipalities, *config_new.municipalities))):
        by_pair: dict[Pair, tuple[_Difference, ...]] = {}
        for pair in pairs:
            ways = before.ways(municipality, pair), after.ways(municipality, pair)
            key = (id(ways[0]), id(ways[1]))
            if key not in known:
                known[key] = tuple(_differences(*ways))
            by_pair[pair] = known[key]
        found += _told(municipality, by_pair)
    return tuple(found)


class _Side:
    """One configuration with what lies over its routes."""

    def __init__(self, config: RoutedConfig, layers: Layers, at: float) -> None:
        self._municipalities = config.municipalities
        self._pairs = frozenset(_pairs(config))
        self._buckets = Buckets(config.routes)
        self._layers = layers
        self._at = at
        self._known: dict[tuple[int, ...], tuple[CellState, ...]] = {}

    def ways(self, municipality: str | None, pair: Pair) -> tuple[CellState, ...]:
        """Return how each type stands; senders alike share one object."""
        named = (
            municipality if municipality in self._municipalities else None,
            *(pair if pair in self._pairs else _UNKNOWN),
        )
        above, below = self._layers.chain(named), self._buckets.chain(*named)
        key = tuple(map(id, (*above, *below)))
        if key not in self._known:
            self._known[key] = tuple(self._standing(named, below, each) for each in EVERY_INFORMATION)
        return self._known[key]

    def _standing(self, named: Selector, below: Chain, information: Information | None) -> CellState:
        rule = self._layers.decides(named, information, self._at)
        route = rule.route if rule is not None else winner(below, information)
        if route is None:
            return CellState(None)
        said = (route.mode, route.share, route.always, route.never)
        if rule is None:
            return CellState(*said, route=str(route.place))
        return CellState(*said, rule.layer, rule.id, str(route.place))


def _pairs(config: RoutedConfig) -> Iterator[Pair]:
    return ((vendor.key, system) for vendor in config.vendors.values() for system in vendor.systems)


def _differences(before: tuple[CellState, ...], after: tuple[CellState, ...]) -> Iterator[_Difference]:
    """Return what changes, types that change alike together."""
    alike: dict[tuple[CellState, CellState], list[Information | None]] = {}
    for information, was, becomes in zip(EVERY_INFORMATION, before, after, strict=True):
        if was.differs(becomes):
            alike.setdefault((was, becomes), []).append(information)
    return ((tuple(types), was, becomes) for (was, becomes), types in alike.items())


def _told(municipality: str | None, by_pair: dict[Pair, tuple[_Difference, ...]]) -> Iterable[Change]:
    """Return the changes of a municipality; what all senders share is told once."""
    shared = by_pair[_UNKNOWN]
    if all(differences is shared or differences == shared for differences in by_pair.values()):
        return [Change(municipality, Whose.EVERY, None, None, types, was, becomes) for types, was, becomes in shared]
    return [
        Change(municipality, Whose.UNKNOWN if pair == _UNKNOWN else Whose.SYSTEM, *pair, types, was, becomes)
        for pair, differences in by_pair.items()
        for types, was, becomes in differences
    ]

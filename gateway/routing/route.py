"""One route: the cells that it names, their mode, and its policies.

A new key of a route is a field of `Policies` here, a key of `ROUTE` in `gateway.config.route_keys`, and the code that asks for it.
"""

from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any, Protocol, TypeAlias, get_args, get_type_hints

import msgspec
from msgspec import Struct

from gateway.model import MEMBERS, Group, Information, Mode, Place, Topic
from gateway.times import DAY, end_of_day


class AnswerWhen(StrEnum):
    """When a journaling is a success for its sender."""

    ACCEPTED = "accepted"
    JOURNALED = "journaled"


class OnOutage(StrEnum):
    """What a sender is told while the service is away."""

    REFUSE = "refuse"
    HOLD = "hold"


class Unclear(StrEnum):
    """What becomes of a held message that was sent and never answered."""

    QUARANTINE = "quarantine"
    RESEND = "resend"


class AcceptedDifference(Struct, frozen=True, order=True, omit_defaults=True):
    """A difference between the answers of VKP and the new side that is known, and counts as none for a time."""

    path: str
    """Where: element names below a resource type; what is below it too."""
    until: str
    """The last day on which it is accepted, in Norway: `2026-12-31`."""
    reason: str
    kind: str = ""
    """`missing`, `extra`, `different` or `iplos`; "" for each."""

    def __str__(self) -> str:
        return " ".join(filter(None, (self.path, self.kind, self.until, self.reason)))

    def covers(self, path: str, kind: str, now: float) -> bool:
        """Tell whether a difference is accepted at `now`, in seconds since the epoch."""
        is_here = path == self.path or path.startswith(f"{self.path}.")
        return is_here and self.kind in ("", kind) and now < end_of_day(self.until)


Seconds: TypeAlias = Annotated[float, "seconds"]
Part: TypeAlias = Annotated[float, "from 0 to 1"]


class Policies(Struct, frozen=True, kw_only=True):
    """What a route says beside its cells and its mode; each has a default, and a key of its name in routes.yaml."""

    losses: tuple[str, ...] = ()
    """Paths whose loss the route tolerates."""
    answer: AnswerWhen = AnswerWhen.ACCEPTED
    on_outage: OnOutage = OnOutage.REFUSE
    unclear: Unclear = Unclear.QUARANTINE
    acknowledge_within: Seconds = DAY
    """Seconds from the delivery, after which an event that is not acknowledged is overdue."""
    share: Part | None = None
    """The part of patients that a canary takes over, 0 to 1."""
    always: tuple[str, ...] = ()
    """Senders, by vkp-id or HER-id, whose patients a canary takes over all."""
    never: tuple[str, ...] = ()
    """Senders of whom a canary takes nothing over."""
    sample: Part = 1.0
    """The part of messages that a rehearsal looks at, 0 to 1."""
    share_with: tuple[str, ...] = ()
    """The kinds of services with which measurements are shared once they are journaled."""
    accept_differences: tuple[AcceptedDifference, ...] = ()
    """What a comparison may find and is known."""


def line_of(entry: str | Mapping[str, str]) -> str:
    """Return one of a list of a route in one line: a word, or an accepted difference as JSON has it."""
    return entry if isinstance(entry, str) else str(msgspec.convert(entry, AcceptedDifference))


POLICIES: tuple[str, ...] = Policies.__struct_fields__


class ValueKind(StrEnum):
    """What the value of a policy is; wherever people write one, it is asked for accordingly."""

    PART = "part"
    """0 to 1; people write percent."""
    SECONDS = "seconds"
    """People write a number with a unit, as 24h."""
    LIST = "list"
    ENTRIES = "entries"
    """Each is a mapping, or a text that says the same."""
    FLAG = "flag"
    WORD = "word"
    """One of the words of an enumeration."""


def _kind(hint: Any) -> ValueKind:
    hints = (hint, *get_args(hint))
    if Part in hints:
        return ValueKind.PART
    if Seconds in hints:
        return ValueKind.SECONDS
    if AcceptedDifference in hints:
        return ValueKind.ENTRIES
    if bool in hints:
        return ValueKind.FLAG
    return ValueKind.WORD if isinstance(hint, type) and issubclass(hint, StrEnum) else ValueKind.LIST


_HINTS = get_type_hints(Policies, include_extras=True)
KINDS: dict[str, ValueKind] = {name: _kind(_HINTS[name]) for name in POLICIES}
WORDS: dict[str, tuple[str, ...]] = {
    name: tuple(each.value for each in _HINTS[name]) for name, kind in KINDS.items() if kind is ValueKind.WORD
}
"""Of each policy that is a word, those that it may be; the first is the default."""


def policies_of(kind: ValueKind) -> tuple[str, ...]:
    """Return the policies whose values are of a kind."""
    return tuple(name for name in POLICIES if KINDS[name] is kind)


class Route(Policies, frozen=True):
    """A route as it is decided by; None in a selector means that the route does not name it."""

    municipality: str | None
    vendor: str | None
    system: str | None
    information: frozenset[Information] | None
    grouped: frozenset[Information]
    """Those of `information` that are there because a group was named; a type beats a group."""
    mode: Mode
    text: str | None
    """What a `closed` route tells the sender."""
    place: Place

    def names(self, topic: Topic) -> bool:
        """Tell whether it names a type, or a group as such."""
        if self.information is None or topic is None:
            return False
        return bool(self.grouped & MEMBERS[topic]) if isinstance(topic, Group) else topic in self.information

    def names_group_of(self, topic: Topic) -> bool:
        """Tell whether it names the topic by its group alone, so that a route which names the type goes before."""
        return isinstance(topic, Group) or topic in self.grouped

    @property
    def policies(self) -> dict[str, Any]:
        """What it says beside its cells, its mode and its text."""
        return {name: getattr(self, name) for name in POLICIES}

    @property
    def new_part(self) -> float:
        """The part of the messages that VKP does not answer, 0 to 1."""
        return new_part(self.mode, self.share)

    @property
    def said(self) -> tuple[object, ...]:
        """What it says of its cells, wherever it stands and whichever it names."""
        return (self.mode, self.text, *self.policies.values())


def new_part(mode: Mode | None, share: float | None) -> float:
    """Return the part of the messages that VKP does not answer, 0 to 1; of `closed` nobody answers any."""
    if mode is Mode.CANARY:
        return share or 0.0
    return 1.0 if mode in (Mode.NEW, Mode.EPJ) else 0.0


class RouteSpec(Policies, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A route as it is written: the keys of routes.yaml, durations in seconds and parts of a whole from 0 to 1.

    The API takes and gives it, a cutover consists of it, and the ledger keeps it.
    """

    municipality: str | None = None
    vendor: str | None = None
    system: str | None = None
    information: tuple[str, ...] | None = None
    """Types and groups."""
    mode: Mode
    text: str | None = None

    @classmethod
    def of(cls, route: Route) -> "RouteSpec":
        """Return what a route says, written in one way alone."""
        plain = {name: getattr(route, name) for name in cls.__struct_fields__ if name != "information"}
        return cls(**plain, information=words_of(route.information, route.grouped))

    def route(self, place: Place) -> Route:
        """Return the route that is meant; raises `ValueError` for an information type that nobody knows."""
        information, grouped = types_of(self.information)
        plain = {name: getattr(self, name) for name in self.__struct_fields__ if name != "information"}
        unordered = {name: tuple(sorted(set(plain[name]))) for name in _UNORDERED}
        return Route(**{**plain, **unordered}, information=information, grouped=grouped, place=place)

    def as_keys(self) -> dict[str, Any]:
        """Return the keys with their values as JSON has them; policies only where they are not the default."""
        found = {name: getattr(self, name) for name in self.__struct_fields__}
        said = {name: value for name, value in found.items() if name not in POLICIES or value != _USUAL[name]}
        return {
            name: msgspec.to_builtins(list(value)) if isinstance(value, tuple) else value
            for name, value in said.items()
        }


_USUAL = {name: getattr(Policies(), name) for name in POLICIES}
_UNORDERED = tuple(name for name, value in _USUAL.items() if isinstance(value, tuple))


def types_of(words: tuple[str, ...] | None) -> tuple[frozenset[Information] | None, frozenset[Information]]:
    """Return the types that types and groups mean, and those that only a group means; raises `ValueError` for other words."""
    if words is None:
        return None, frozenset()
    types = frozenset(Information(word) for word in words if word not in MEMBERS)
    groups = frozenset[Information]().union(*(MEMBERS[Group(word)] for word in words if word in MEMBERS))
    return types | groups, groups - types


def words_of(types: frozenset[Information] | None, grouped: frozenset[Information]) -> tuple[str, ...] | None:
    """Return the types and groups that mean some types."""
    if types is None:
        return None
    groups = sorted(group.value for group, members in MEMBERS.items() if members & grouped)
    return (*sorted(each.value for each in types - grouped), *groups)


class Planned(Protocol):
    """A cutover of a file."""

    @property
    def routes(self) -> Sequence[Route]:
        """What it sets."""


class RoutedVendor(Protocol):
    """A vendor of a file."""

    @property
    def key(self) -> str:
        """Its short name."""

    @property
    def systems(self) -> Collection[str]:
        """The short names of its systems."""


class RoutedUpstream(Protocol):
    """A server of a file."""

    @property
    def name(self) -> str:
        """What the file calls it."""


class RoutedConfig(Protocol):
    """What routing asks of a configuration."""

    @property
    def routes(self) -> tuple[Route, ...]:
        """In the order of the file."""

    @property
    def panics(self) -> tuple[Route, ...]:
        """What lies over everything as long as the file says so."""

    @property
    def municipalities(self) -> Mapping[str, object]:
        """By their short names."""

    @property
    def vendors(self) -> Mapping[str, RoutedVendor]:
        """By their short names."""

    @property
    def cutovers(self) -> Mapping[str, Planned]:
        """By their names."""

    @property
    def vkp(self) -> RoutedUpstream | None:
        """Legacy VKP; None where it is not configured."""

    def epj_of(self, municipality: str | None) -> RoutedUpstream | None:
        """Return a municipality's own record system; None where it answers nobody directly."""

    def upstream_for(self, information: Information | None) -> RoutedUpstream | None:
        """Return the information service that answers for a type; None where none does."""

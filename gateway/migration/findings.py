"""What was found in messages, grouped so that a vendor can mend it: what, where, how often, since when, and one to look at; pure."""

from collections.abc import Iterable
from typing import Any

from msgspec import Struct

from gateway.ledger.findings import CountedFinding, Times
from gateway.times import when

_ORDER = ("fault", "loss", "repair")
"""What stops messages first, then what may, then what went well."""


class FindingGroup(Struct, frozen=True):
    """One finding of many messages."""

    kind: str
    rule: str
    place: str
    detail: str
    messages: int
    first: float
    last: float
    """Seconds since the epoch."""
    reference: str
    """Of the last message."""
    municipalities: tuple[str, ...]
    systems: tuple[str, ...]
    types: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        """Return it for programs."""
        names = ("kind", "rule", "place", "detail", "messages", "reference", "municipalities", "systems", "types")
        return {**{name: getattr(self, name) for name in names}, "first": when(self.first), "last": when(self.last)}


def grouped(found: Iterable[tuple[CountedFinding, Times]]) -> list[FindingGroup]:
    """Return findings that are alike but for where and when they came, the gravest and most frequent first."""
    together: dict[tuple[str, str, str, str], list[tuple[CountedFinding, Times]]] = {}
    for one, times in found:
        together.setdefault((one.kind, one.rule, one.place, one.detail), []).append((one, times))
    groups = [_group(key, each) for key, each in together.items()]
    return sorted(groups, key=lambda one: (_ORDER.index(one.kind), -one.messages, one.rule, one.place))


def _group(key: tuple[str, str, str, str], alike: list[tuple[CountedFinding, Times]]) -> FindingGroup:
    newest = max((times for _, times in alike), key=lambda times: times.last)
    return FindingGroup(
        *key,
        messages=sum(times.messages for _, times in alike),
        first=min(times.first for _, times in alike),
        last=newest.last,
        reference=newest.reference,
        municipalities=_names(one.municipality for one, _ in alike),
        systems=_names(one.system for one, _ in alike),
        types=_names(one.information for one, _ in alike),
    )


def _names(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted({value for value in values if value}))

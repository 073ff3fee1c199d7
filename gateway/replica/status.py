"""How far each copy is, as people see it: from the database alone, so that every node says the same."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Connection

from gateway.config.model import Config, Municipality
from gateway.config.upstreams import OktUpstream, PitUpstream
from gateway.model import Information
from gateway.replica import feeds
from gateway.replica.feeds import FeedKey, Generation, Source
from gateway.replica.services import source_of
from gateway.times import DAY

State = Literal["answers", "old", "first"]
"""It is answered from; it is too old to be; it is being made for the first time."""


@dataclass(frozen=True, slots=True)
class CopyStatus:
    """One copy; times in seconds since the epoch."""

    municipality: str
    source: str
    state: State
    patients: int
    """In the generation that answers; of services, patients who were asked about."""
    fresh_at: float | None
    """As of when what answers is."""
    age: float | None
    """Seconds since then."""
    making: Generation | None
    """The generation that is being made beside it."""
    node: str | None
    """Which fills it."""
    failures: int
    """In a row."""
    failure: str | None
    """What went wrong last."""
    failed_at: float | None


def freshness_of(config: Config) -> dict[str, float]:
    """Return how old a copy of each service may be and still answer, in seconds."""
    found = (one for one in config.upstreams.values() if isinstance(one, PitUpstream | OktUpstream))
    return {one.KIND: one.freshness for one in found}


def sources_of(municipality: Municipality, types: Collection[Information]) -> list[Source]:
    """Return what retrieval of these types is answered from in a municipality: patients, who has which need, services."""
    if not {Information.PASIENTINFO, Information.TJENESTER} & {*types}:
        return []
    needs = source_of(municipality)
    wanted: list[Source | None] = ["pit", needs, "okt" if Information.TJENESTER in types else None]
    return list(dict.fromkeys(one for one in wanted if one is not None))


def copies(connection: Connection, freshness: Mapping[str, float], now: float) -> list[CopyStatus]:
    """Return every copy; `freshness` is how old one of each service may be, in seconds."""
    every = feeds.generations(connection)
    found = []
    for feed in feeds.feeds(connection):
        own = [one for one in every if (one.municipality, one.source) == FeedKey(feed.municipality, feed.source)]
        if feed.source == "pit":
            serving = next((one for one in own if one.generation == feed.serving), None)
            making = next((one for one in reversed(own) if one is not serving), None)
        else:
            # It is written over: what was learnt of each patient answers as long as it is fresh.
            serving = next((one for one in own if one.fresh_at is not None), None)
            making = next((one for one in own if one.complete_at is None), None)
        fresh_at = serving.fresh_at if serving is not None else None
        age = None if fresh_at is None else max(0.0, now - fresh_at)
        state: State = "first" if age is None else "old" if age > freshness.get(feed.source, DAY) else "answers"
        found.append(
            CopyStatus(
                feed.municipality,
                feed.source,
                state,
                serving.entries if serving is not None else 0,
                fresh_at,
                age,
                making,
                feed.owner,
                feed.failures,
                feed.failure,
                feed.failed_at,
            )
        )
    return found

"""What comparisons of VKP's answers with the new side's have shown, for people and programs."""

from collections import defaultdict
from typing import Annotated, Any

import msgspec
from aiohttp import web  # noqa: TID251 - the admin port is no part of the data plane
from sqlalchemy import Connection

from gateway.admin.context import LedgerContext, reach, short_name
from gateway.admin.endpoints import Endpoint, Needs, person
from gateway.admin.params import of_query, part_of
from gateway.admin.report import RehearsalsQuery
from gateway.auth.people.principal import Principal
from gateway.auth.people.rbac import Action
from gateway.ledger import comparisons
from gateway.ledger.comparisons import ComparisonSummary, KnownDifference
from gateway.times import DAY, when

_CURSOR = "comparison:"
_CELL = ("municipality", "vendor", "system", "information")
_Found = tuple[list[ComparisonSummary], list[KnownDifference]]


class ComparisonsQuery(RehearsalsQuery, frozen=True, forbid_unknown_fields=True):
    """Which cells, since when, and which difference of them."""

    fingerprint: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{12}$")] | None = None


class Comparisons:
    """The endpoint for what comparisons have shown, narrowed to the municipalities of the person's grants."""

    def __init__(self, context: LedgerContext) -> None:
        self._context = context

    def endpoints(self) -> list[Endpoint]:
        """Return the endpoints for programs."""
        return [
            Endpoint(
                *("GET", "/api/v1/comparisons", self._list, Needs.role(Action.VIEW)),
                summary="What comparisons have shown, cell by cell, with what differs; of seven days where nothing else is asked",
                answer="since comparisons next",
                query=ComparisonsQuery,
            )
        ]

    async def listed(self, who: Principal, asked: ComparisonsQuery) -> dict[str, Any]:
        """Return what the comparisons of cells that someone may see have shown; raises `Problem`."""
        within = reach(who, Action.VIEW)
        cell = {name: getattr(asked, name) for name in _CELL}
        cell["municipality"] = short_name(self._context.config, asked.municipality)
        since = asked.seconds(self._context.now())

        def work(connection: Connection) -> _Found:
            differences = comparisons.known_differences(connection, since=since, fingerprint=asked.fingerprint, **cell)
            return comparisons.summary(connection, since=since, **cell), differences

        cells, differences = await self._context.read(work)
        by_cell: dict[tuple[str, ...], list[KnownDifference]] = defaultdict(list)
        for one in differences:
            by_cell[_names(one)].append(one)
        found = [one for one in cells if within is None or one.municipality in within]
        if asked.fingerprint is not None:
            found = [one for one in found if _names(one) in by_cell]
        part, more = part_of(found, asked, _CURSOR)
        documents = [_document(one, by_cell.get(_names(one), [])) for one in part]
        return {"since": when(since), "comparisons": documents, "next": more}

    async def _list(self, request: web.Request) -> web.Response:
        return web.json_response(await self.listed(person(request), of_query(request, ComparisonsQuery)))


def _names(one: ComparisonSummary | KnownDifference) -> tuple[str, ...]:
    return (one.municipality, one.vendor, one.system, one.information)


def _document(one: ComparisonSummary, differences: list[KnownDifference]) -> dict[str, Any]:
    """Return what a cell's comparisons have shown; names that are not known are null."""
    return {
        **{name: getattr(one, name) or None for name in _CELL},
        "compared": one.compared,
        "clean_share": one.clean_share,
        "counts": dict(one.counts),
        "last": when(one.last_day * DAY),
        "differences": [
            {
                "fingerprint": each.fingerprint,
                "path": each.path,
                "kind": each.kind or None,
                "answers": each.answers,
                "places": each.places,
                "accepted": each.is_accepted,
                "first_seen": when(each.first_seen),
                "last_seen": when(each.last_seen),
                "correlation_id": each.correlation_id,
            }
            for each in differences
        ],
    }

"""The page of one municipality: its cells in words with what to do about each, its traffic, routes, senders and history."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiohttp import web  # noqa: TID251 - the admin port is no part of the data plane

from gateway.admin.endpoints import Endpoint, Needs, person
from gateway.admin.municipalities import Municipalities
from gateway.admin.municipality_view import CellView, MunicipalityNow, MunicipalityView
from gateway.admin.pages import prefilled
from gateway.admin.pages.charts import Chart, Line, line_chart, stack_chart
from gateway.admin.pages.live import stream
from gateway.admin.pages.render import fragment, page, words
from gateway.admin.pages.words import Words
from gateway.auth.people.principal import Principal
from gateway.auth.people.rbac import Action
from gateway.ledger.traffic import DAY, HOUR, Interval, Numbers, day_of
from gateway.migration.standing import TYPES, Step
from gateway.model import GOES_NEW, JOURNALING, RETRIEVAL, Mode

_ONE = "/municipalities/{municipality}"
_WAYS = (
    ("mun_way_vkp", "c1", ("", Mode.LEGACY, Mode.REHEARSE, Mode.COMPARE)),
    ("mun_way_new", "c2", GOES_NEW),
    ("mun_way_epj", "c5", (Mode.EPJ,)),
    ("mun_way_closed", "c6", (Mode.CLOSED,)),
)
"""Which way messages went: the text, the colour, and the modes of it."""


@dataclass(frozen=True, slots=True)
class CellLine:
    """One row: a cell, or cells that stand alike and of which nothing came; with the forms that whoever reads may use."""

    cells: tuple[CellView, ...]
    rehearse: str | None = None
    plan: str | None = None


@dataclass(frozen=True, slots=True)
class SenderLine:
    """A vendor's system with its cells, and the forms for all of them at once."""

    vendor: str
    system: str
    lines: tuple[CellLine, ...]
    untyped: Numbers | None
    rehearse: str | None
    plan: str | None


class MunicipalityPages:
    """The page, and what it is kept up to date with."""

    def __init__(self, municipalities: Municipalities) -> None:
        self._municipalities = municipalities

    def endpoints(self) -> list[Endpoint]:
        """Return the endpoints for people."""
        view = Needs.role(Action.VIEW, person=True)
        return [
            Endpoint("GET", _ONE, self._show, view),
            Endpoint("GET", f"{_ONE}/live", self._live, view, is_live=True),
        ]

    async def _show(self, request: web.Request) -> web.Response:
        who, says = person(request), words(request)
        view = await self._municipalities.seen_by(who, request.match_info["municipality"])
        return page(
            request,
            "municipality.html",
            **_shown(who, view),
            types=TYPES,
            charts=_charts(view, says),
        )

    async def _live(self, request: web.Request) -> web.StreamResponse:
        who, key = person(request), request.match_info["municipality"]

        async def regions() -> Mapping[str, str]:
            told = _shown(who, await self._municipalities.now_of(who, key))
            return {name: fragment(request, f"municipality_{name}.html", **told) for name in ("now", "cells")}

        return await stream(request, regions)


def _shown(who: Principal, view: MunicipalityNow) -> dict[str, Any]:
    return {"view": view, "senders": _senders(who, view)}


def _senders(who: Principal, view: MunicipalityNow) -> list[SenderLine]:
    by: dict[tuple[str, str], list[CellView]] = {}
    for one in view.cells:
        by.setdefault((one.cell.vendor, one.cell.system), []).append(one)
    return [
        SenderLine(
            vendor,
            system,
            tuple(_lines(who, cells, view.at)),
            view.untyped.get((vendor, system)),
            prefilled.rehearsal(who, [one for one in cells if one.cell.information in JOURNALING], view.at),
            prefilled.cutover(who, _ready(cells), view.at),
        )
        for (vendor, system), cells in by.items()
    ]


def _ready(cells: Sequence[CellView]) -> list[CellView]:
    """Return what may move together: cells whose rehearsals are good enough, and with them those of which nothing came."""
    is_some = any(one.step is Step.PLAN for one in cells)
    return [one for one in cells if is_some and one.step in (Step.PLAN, Step.QUIET)]


def _lines(who: Principal, cells: Sequence[CellView], now: float) -> Iterable[CellLine]:
    together: dict[tuple[object, ...], list[CellView]] = {}
    for one in cells:
        # What can begin is chosen type by type.
        is_quiet = not one.messages and not one.rehearsed and one.step is not Step.REHEARSE
        group = (one.cell.information in RETRIEVAL, one.cell.mode, one.cell.layer, one.step, one.lacks, one.cutover)
        key = group if is_quiet else (one.cell.information,)
        together.setdefault(key, []).append(one)
    for alike in together.values():
        yield CellLine(tuple(alike), prefilled.rehearsal(who, alike, now), prefilled.cutover(who, alike, now))


def _charts(view: MunicipalityView, says: Words) -> list[tuple[str, list[Chart]]]:
    """Return the charts of a day, by the hour, and of a month, by the day."""
    hour = int(view.at // HOUR) * HOUR
    hours = [hour - (23 - each) * HOUR for each in range(24)]
    noon = day_of(view.at) + DAY // 2
    days = [day_of(noon - (29 - each) * DAY) for each in range(30)]
    return [
        (says.text("mun_day"), _of(view.hours, hours, says.clock, says)),
        (says.text("mun_month"), _of(view.days, days, lambda at: says.date(at).partition(" ")[2], says)),
    ]


def _of(
    intervals: Sequence[Interval], starts: Sequence[int], label: Callable[[float], str], says: Words
) -> list[Chart]:
    times = [label(start) for start in starts]
    at: dict[int, list[Interval]] = {}
    for one in intervals:
        at.setdefault(one.start, []).append(one)
    columns = [at.get(start, []) for start in starts]
    ways = [
        Line(says.text(text), colour, tuple(_sum(each, modes).messages for each in columns))
        for text, colour, modes in _WAYS
    ]
    all_of = [_sum(each, None) for each in columns]
    failed = Line(says.text("mun_failed"), "c3", tuple(one.failed for one in all_of))
    mean = tuple(round(1000 * one.seconds / one.messages) if one.messages else 0 for one in all_of)
    slowest = tuple(round(1000 * one.slowest) for one in all_of)
    return [
        stack_chart(says.text("mun_traffic"), times, [way for way in ways if any(way.values)] or ways[:1]),
        line_chart(says.text("mun_failures"), times, [failed]),
        line_chart(
            says.text("mun_latency"),
            times,
            [Line(says.text("mun_mean"), "c1", mean), Line(says.text("mun_slowest"), "c4", slowest)],
        ),
    ]


def _sum(intervals: Sequence[Interval], modes: Sequence[str] | None) -> Numbers:
    numbers = Numbers()
    for one in intervals:
        if modes is None or one.mode in modes:
            numbers.add(one.numbers)
    return numbers

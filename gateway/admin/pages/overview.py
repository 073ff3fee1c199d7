"""The first page: where every municipality stands, what waits for whoever reads, and what comes next; kept up to date."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any
from urllib.parse import urlencode

from aiohttp import web  # noqa: TID251 - the admin port is no part of the data plane
from markupsafe import Markup

from gateway.admin.cutover_access import By
from gateway.admin.endpoints import Endpoint, Needs, person
from gateway.admin.overview import Overview, OverviewQuery, Snapshot, WaitingItem
from gateway.admin.pages.charts import SPARK_HEIGHT, SPARK_WIDTH
from gateway.admin.pages.live import stream
from gateway.admin.pages.render import fragment, page, piece, words
from gateway.admin.pages.words import Words
from gateway.admin.status import StatusBoard, grants_document, status_document
from gateway.auth.people.rbac import Action
from gateway.ledger.nodes import Away
from gateway.migration.overview import TROUBLES, MunicipalityRow
from gateway.migration.schedule import OSLO
from gateway.migration.standing import TYPES, by_name
from gateway.model import Mode
from gateway.times import DAY

_MOST_KEPT = 5_000
"""Rows whose HTML is kept: of all municipalities, in both languages, a few times over."""
_WIDTH, _HEIGHT = 640.0, 96.0
_HALF_A_YEAR = 182 * DAY
_FILTERS = ("search", "record_system", "vendor", "mode", "trouble")
_ROW = "overview_row.html"
_HELD_FOR = ("jft", "helseid")
"""Kinds of services without which messages are held."""


@dataclass(frozen=True, slots=True)
class Curve:
    """Municipalities that have moved, over time, up to the end of VKP, as points of an SVG."""

    moved: str
    needed: str
    """From today to all of them at the end; empty where no end is known."""
    first: float
    today: float
    """Across."""
    last: float
    """Seconds since the epoch, as `first`."""


class OverviewPages:
    """The page, and what it is kept up to date with."""

    def __init__(self, board: StatusBoard, overview: Overview) -> None:
        self._board = board
        self._overview = overview
        self._rows: dict[tuple[str, MunicipalityRow], Markup] = {}
        self._told: dict[tuple[str, tuple[str, ...]], str] = {}

    def endpoints(self) -> list[Endpoint]:
        """Return the endpoints for people."""
        view = Needs.role(Action.VIEW)
        return [
            Endpoint("GET", "/", self._show, view),
            Endpoint("GET", "/overview/live", self._live, Needs.role(Action.VIEW, person=True), is_live=True),
        ]

    async def _show(self, request: web.Request) -> web.Response:
        asked, who = _asked(request), person(request)
        found = await self._overview.seen_by(By.of(request), asked, even_unread=True)
        config, says = self._overview.standings().config, words(request)
        return page(
            request,
            "overview.html",
            **self._shown(found, says),
            asked=asked,
            rows=self.rows(found, says),
            is_narrowed=any(getattr(asked, name) for name in _FILTERS),
            types=TYPES,
            record_systems=[(one, one) for one in sorted({each.epj.system for each in config.municipalities.values()})],
            vendors=[(one.key, one.name) for one in by_name(config.vendors.values())],
            modes=tuple(Mode),
            mode_options=[(one.value, says.mode(one.value)) for one in Mode],
            trouble_options=[
                ("any", says.text("ov_any_trouble")),
                *((one, says.word("trouble", one)) for one in TROUBLES),
            ],
            live=f"/overview/live?{urlencode({n: request.query[n] for n in _FILTERS if request.query.get(n)})}",
            grants=grants_document(who.grants),
            running=status_document(self._board, who),
        )

    async def _live(self, request: web.Request) -> web.StreamResponse:
        asked, by, says = _asked(request), By.of(request), words(request)
        first: list[tuple[str, ...]] = []

        async def regions() -> Mapping[str, str]:
            found = await self._overview.seen_by(by, asked)
            keys = tuple(row.key for row in found.rows)
            first.append(keys) if not first else None
            told = self._shown(found, says)
            parts = {
                name: fragment(request, f"overview_{name}.html", **told)
                for name in ("away", "progress", "waiting", "ahead")
            }
            parts["changed"] = "" if keys == first[0] else says.text("ov_changed")
            return {**parts, **{f"m-{key}": str(html) for key, html in self.rows(found, says)}}

        return await stream(request, regions)

    def _shown(self, found: Snapshot, says: Words) -> dict[str, Any]:
        ends = None if found.ends is None else _begins(date.fromisoformat(found.ends))
        return {
            "found": found,
            "ends": ends,
            "curve": _curve(found, ends),
            "waiting": [(_waiting(one, says), _href(one), one) for one in found.waiting],
            "away": [(_away(one, says), says.word("away", one.kind)) for one in found.away],
            "is_holding": any(one.kind in _HELD_FOR for one in found.away),
        }

    def rows(self, found: Snapshot, says: Words) -> list[tuple[str, Markup]]:
        """Return the HTML of each row, by its key."""
        return [(row.key, self._row(row, says)) for row in found.rows]

    def _row(self, row: MunicipalityRow, says: Words) -> Markup:
        """Return the HTML of a row, made once for as long as it stays the same."""
        key = (says.language, row)
        if (known := self._rows.get(key)) is not None:
            return known
        if len(self._rows) >= _MOST_KEPT:
            self._rows.clear()
        made = piece(
            says, _ROW, row=row, modes=row.modes, points=_points(row.traffic[:-1]), told=self._modes(row.modes, says)
        )
        self._rows[key] = made
        return made

    def _modes(self, modes: tuple[str, ...], says: Words) -> str:
        """Return modes in words, once for the few ways in which municipalities stand."""
        key = (says.language, modes)
        if (known := self._told.get(key)) is not None:
            return known
        if len(self._told) >= _MOST_KEPT:
            self._told.clear()
        told = self._told[key] = says.standing(modes)
        return told


def _asked(request: web.Request) -> OverviewQuery:
    """Return what is asked for; what is no value of a filter does not narrow, as in a link of somebody's."""
    given = {name: request.query.get(name, "").strip()[:200] or None for name in _FILTERS}
    mode, trouble = given["mode"], given["trouble"]
    return OverviewQuery(
        search=given["search"],
        record_system=given["record_system"],
        vendor=given["vendor"],
        mode=Mode(mode) if mode in tuple(Mode) else None,
        trouble=trouble if trouble in ("any", *TROUBLES) else None,  # type: ignore[arg-type] # one of them
    )


def _points(values: Sequence[int]) -> str:
    """Return the curve of one row in whole numbers, since there are hundreds of them; empty where nothing came.

    Of whole days: today's would look like a fall until the evening.
    """
    most, across = max(values), (SPARK_WIDTH - 1) / (len(values) - 1)
    if not most:
        return ""
    high = SPARK_HEIGHT - 2
    return " ".join(f"{index * across:.0f},{1 + high - high * value / most:.0f}" for index, value in enumerate(values))


def _waiting(one: WaitingItem, says: Words) -> str:
    return says.text(f"waits-{one.kind}").format(number=says.count(one.number))


def _away(one: Away, says: Words) -> str:
    return says.text("ov_away").format(name=says.upstream(one.upstream), time=says.time(one.since))


def _href(one: WaitingItem) -> str:
    if one.cutover is not None:
        return f"/cutovers/{one.cutover}"
    return "/messages?mark=overdue" if one.kind == "overdue" else "/messages?state=quarantined"


def _begins(day: date) -> float:
    return datetime.combine(day, time(), OSLO).timestamp()


def _curve(found: Snapshot, ends: float | None) -> Curve | None:
    """Return the curve; None where there is neither a move nor an end to draw."""
    known = [at for at, _ in found.curve if at]
    if not found.total or (not known and ends is None):
        return None
    first = min([*known, found.at - _HALF_A_YEAR])
    last = max(ends or 0.0, found.at + _HALF_A_YEAR / 2)

    def point(at: float, number: int) -> str:
        across = (max(at, first) - first) / (last - first) * _WIDTH
        return f"{across:.1f},{_HEIGHT - _HEIGHT * number / found.total:.1f}"

    points, before = [point(first, 0)], 0
    for at, number in found.curve:
        points += [point(at, before), point(at, number)]
        before = number
    points.append(point(found.at, before))
    needed = f"{point(found.at, before)} {point(ends, found.total)}" if ends is not None and ends > found.at else ""
    return Curve(" ".join(points), needed, first, (found.at - first) / (last - first) * _WIDTH, last)

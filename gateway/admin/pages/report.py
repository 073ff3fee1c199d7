"""The page for how far the migration has come: each municipality with its cells, who still needs VKP, and what rehearsals have shown."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from aiohttp import web  # noqa: TID251 - the admin port is no part of the data plane

from gateway.admin.bounds import USUAL_BOUNDS, Bounds
from gateway.admin.context import LedgerContext, reach
from gateway.admin.csv import sheet_of
from gateway.admin.endpoints import Endpoint, Needs, csv_file, person
from gateway.admin.overview import Overview
from gateway.admin.pages.forms import choices
from gateway.admin.pages.render import page, words
from gateway.admin.pages.words import Words
from gateway.admin.report import Rehearsals, RehearsalsQuery, Report
from gateway.auth.people.rbac import Action
from gateway.ledger.rehearsals import RehearsalVerdict
from gateway.migration.report import UNREAD, CellRow, holding_back
from gateway.migration.schedule import OSLO, moment
from gateway.migration.standing import TYPES, Standing, Standings, alphabetical
from gateway.model import Mode

_TROUBLES = (RehearsalVerdict.REFUSED.value, RehearsalVerdict.DEFECT.value)
_HEADS = (
    *("municipality", "rep_by_epj", "rep_by_vendor", "over_system", "information", "cut_mode", "rep_standing"),
    *("rep_rehearsed", "rep_clean", "rep_messages", "rep_last", "rep_holds_back"),
)
"""Texts above the columns of the file."""


@dataclass(frozen=True, slots=True)
class MunicipalityCells:
    """One municipality: its cells together."""

    key: str
    record_system: str
    modes: tuple[str, ...]
    told: str
    """The modes in words."""
    cells: tuple[CellRow, ...]
    rehearsed: int
    clean_share: float | None
    messages: int
    with_vkp: int
    """Messages of cells that need VKP."""
    last_seen: float | None


@dataclass(frozen=True, slots=True)
class Sums:
    """The cells of a page together; messages of 30 days."""

    places: int
    moved: int
    messages: int
    with_vkp: int
    rehearsed: int
    clean_share: float | None

    @classmethod
    def of(cls, places: Sequence[MunicipalityCells], visible: Sequence[Standing]) -> "Sums":
        """Return the sums of cells, and of the municipalities that somebody may view."""
        rehearsed = sum(one.rehearsed for one in places)
        clean = sum(one.rehearsed * (one.clean_share or 0) for one in places)
        return cls(
            len(visible),
            sum(one.is_moved for one in visible),
            sum(one.messages for one in places),
            sum(one.with_vkp for one in places),
            rehearsed,
            clean / rehearsed if rehearsed else None,
        )


@dataclass(frozen=True, slots=True)
class SenderCells:
    """The cells of one system of a vendor."""

    vendor: str
    system: str
    messages: int
    modes: tuple[tuple[str, int], ...]
    """With the number of cells that have each."""
    cells: tuple[CellRow, ...]


@dataclass(frozen=True, slots=True)
class Tried:
    """What the rehearsals of one municipality showed."""

    municipality: str | None
    rehearsed: int
    clean_share: float | None
    troubles: tuple[tuple[str, int], ...]
    """Verdicts that somebody must look at, with their messages."""
    cells: tuple[dict[str, Any], ...]


class ReportPages:
    """The page of the report."""

    def __init__(
        self,
        report: Report,
        rehearsals: Rehearsals,
        context: LedgerContext,
        board: Overview,
        bounds: Bounds = USUAL_BOUNDS,
    ) -> None:
        self._bounds = bounds
        self._report = report
        self._rehearsals = rehearsals
        self._context = context
        self._board = board

    def endpoints(self) -> list[Endpoint]:
        """Return the endpoints for people."""
        view = Needs.role(Action.VIEW, person=True)
        return [Endpoint("GET", "/report", self._show, view), Endpoint("GET", "/report/file", self._file, view)]

    async def _show(self, request: web.Request) -> web.Response:
        who, w, named = person(request), words(request), request.query.get("municipality", "")
        cells = [row for row in await self._report.rows(who) if named in ("", row.municipality)]
        standings = self._board.standings()
        places, within = _places(cells, standings, w), reach(who, Action.VIEW)
        visible = [one for key, one in standings.all.items() if within is None or key in within]
        tried = await self._rehearsals.listed(
            who, RehearsalsQuery(limit=self._bounds.lines, municipality=named or None)
        )
        return page(
            request,
            "report.html",
            places=places,
            sums=Sums.of(places, visible),
            senders=_senders(places[0].cells) if named and places else (),
            types=TYPES,
            modes=tuple(Mode),
            vkp_success=self._context.config.vkp_success,
            back={name: counter.most_common(self._bounds.lines) for name, counter in holding_back(cells).items()},
            at_first=self._bounds.first_lines,
            rehearsals=_tried([_rehearsal(one, w) for one in tried["rehearsals"]], w),
            more_rehearsals=tried["next"] is not None,
            named=named,
            choices=choices(who, w),
        )

    async def _file(self, request: web.Request) -> web.Response:
        """Answer with every cell as a file for a spreadsheet, in the reader's language."""
        w, who = words(request), person(request)
        rows = [_sheet_row(row, w) for row in await self._report.rows(who)]
        heads = [w.text(name) for name in _HEADS]
        return csv_file(f"{w.text('rep_file_name')}.csv", sheet_of(heads, rows, w.text("csv_mark")))


def _sheet_row(row: CellRow, w: Words) -> list[object]:
    clean = "" if row.clean_share is None or not row.rehearsed else w.percent(row.clean_share).replace("\u00a0", " ")
    last = "" if row.last_seen is None else moment(row.last_seen).astimezone(OSLO).strftime("%Y-%m-%d %H:%M")
    return [
        w.municipality(row.municipality),
        row.epj,
        w.vendor(row.vendor),
        w.system(row.vendor, row.system),
        w.text("rep_unread") if row.information == UNREAD else w.type(row.information),
        w.mode(row.mode),
        w.word("rep", row.standing.value),
        row.rehearsed,
        clean,
        row.messages,
        last,
        w.text("rep_yes" if row.holds_back else "rep_no"),
    ]


def _places(cells: Iterable[CellRow], standings: Standings, w: Words) -> list[MunicipalityCells]:
    """Return the municipalities of cells, by name."""
    by: dict[str, list[CellRow]] = {}
    for one in cells:
        by.setdefault(one.municipality, []).append(one)
    found = [_place(key, tuple(alike), standings.all[key].modes, w) for key, alike in by.items()]
    return sorted(found, key=lambda one: alphabetical(w.municipality(one.key)))


def _place(key: str, cells: tuple[CellRow, ...], modes: tuple[str, ...], w: Words) -> MunicipalityCells:
    rehearsed = sum(one.rehearsed for one in cells)
    clean = sum(one.rehearsed * (one.clean_share or 0) for one in cells)
    return MunicipalityCells(
        key,
        cells[0].epj,
        modes,
        w.standing(modes),
        cells,
        rehearsed,
        clean / rehearsed if rehearsed else None,
        sum(one.messages for one in cells),
        sum(one.messages for one in cells if one.holds_back),
        max((one.last_seen for one in cells if one.last_seen is not None), default=None),
    )


def _senders(cells: Iterable[CellRow]) -> list[SenderCells]:
    by: dict[tuple[str, str], list[CellRow]] = {}
    for one in cells:
        by.setdefault((one.vendor, one.system), []).append(one)
    return [
        SenderCells(
            *key,
            sum(one.messages for one in alike),
            tuple(Counter(one.mode for one in alike if one.mode).most_common()),
            tuple(alike),
        )
        for key, alike in by.items()
    ]


def _tried(rehearsals: Iterable[dict[str, Any]], w: Words) -> list[Tried]:
    """Return rehearsals by municipality, by name; those of none come last."""
    by: dict[str | None, list[dict[str, Any]]] = {}
    for one in rehearsals:
        by.setdefault(one["municipality"], []).append(one)
    found = []
    for key, alike in by.items():
        rehearsed = sum(one["rehearsed"] for one in alike)
        clean = sum(one["rehearsed"] * (one["clean_share"] or 0) for one in alike)
        counts = Counter[str]()
        for one in alike:
            counts.update({name: number for name, number in one["counts"].items() if name in _TROUBLES})
        share = clean / rehearsed if rehearsed else None
        found.append(Tried(key, rehearsed, share, tuple(counts.most_common()), tuple(alike)))
    return sorted(
        found, key=lambda one: (one.municipality is None, alphabetical(w.municipality(one.municipality or "")))
    )


def _rehearsal(one: dict[str, Any], w: Words) -> dict[str, Any]:
    """Return what rehearsals of a cell showed, with each reason as the words of its fault, or of the rules that repaired."""
    reasons = []
    for reason in one["reasons"]:
        first, mark, said = reason["reason"].partition(": ")
        named = [first] if mark else reason["reason"].split(", ")
        told = [w.word("fault" if mark else "rule", name) for name in named]
        is_known = all(text != name for text, name in zip(told, named, strict=True))
        words_and_rest = (told, said) if is_known else ([], reason["reason"])
        reasons.append({**reason, "words": words_and_rest[0], "said": words_and_rest[1]})
    return {**one, "reasons": reasons}

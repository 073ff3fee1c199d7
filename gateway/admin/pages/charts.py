"""Curves for pages, as points of an SVG: what is drawn is worked out here, and components.html draws it; pure."""

from collections.abc import Sequence
from dataclasses import dataclass

SPARK_WIDTH, SPARK_HEIGHT = 96, 20
"""Of the small curve in a row of the overview."""
WIDTH, HEIGHT = 640, 160
_TICKS = 4


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that is counted at each time of a chart: its name for people, and the class that colours it."""

    name: str
    kind: str
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Drawn:
    """A line with the points of its curve, or of the area that it fills."""

    line: Line
    points: str
    is_area: bool


@dataclass(frozen=True, slots=True)
class Chart:
    """Lines over the same times; the labels of times and of values, with where they stand."""

    title: str
    drawn: tuple[Drawn, ...]
    times: tuple[str, ...]
    columns: tuple[tuple[float, str], ...]
    rows: tuple[tuple[float, float], ...]
    """The height and the value of each line across."""


def line_chart(title: str, times: Sequence[str], lines: Sequence[Line]) -> Chart:
    """Return a chart whose lines all begin at zero."""
    most = _top(max((max(one.values, default=0) for one in lines), default=0))
    drawn = tuple(Drawn(one, _curve(one.values, most, WIDTH, HEIGHT, 0), is_area=False) for one in lines)
    return _chart(title, times, drawn, most)


def stack_chart(title: str, times: Sequence[str], lines: Sequence[Line]) -> Chart:
    """Return a chart whose areas lie upon each other, the first lowest."""
    most = _top(max((sum(each) for each in zip(*(one.values for one in lines), strict=True)), default=0))
    below: list[float] = [0.0] * len(times)
    drawn = []
    for one in lines:
        above = [low + value for low, value in zip(below, one.values, strict=True)]
        upper = _curve(above, most, WIDTH, HEIGHT, 0)
        lower = " ".join(reversed(_curve(below, most, WIDTH, HEIGHT, 0).split()))
        drawn.append(Drawn(one, f"{upper} {lower}", is_area=True))
        below = above
    return _chart(title, times, tuple(drawn), most)


def _chart(title: str, times: Sequence[str], drawn: tuple[Drawn, ...], most: float) -> Chart:
    every = max(1, -(-len(times) // 6))
    columns = tuple((_across(index, len(times), WIDTH), times[index]) for index in range(0, len(times), every))
    rows = tuple((HEIGHT - HEIGHT * step / _TICKS, most * step / _TICKS) for step in range(_TICKS + 1))
    return Chart(title, drawn, tuple(times), columns, rows)


def _curve(values: Sequence[float], most: float, width: int, height: int, edge: int) -> str:
    return " ".join(
        f"{_across(index, len(values), width):.1f},{edge + height - height * value / most:.1f}"
        for index, value in enumerate(values)
    )


def _across(index: int, count: int, width: int) -> float:
    return 0.0 if count < 2 else index * width / (count - 1)


def _top(most: float) -> float:
    """Return the round number that the axis ends with; its quarters are whole from 4 on."""
    size = 1.0
    while size * 10 < most:
        size *= 10
    return next((size * step for step in (1, 2, 4, 8, 10) if size * step >= most), size * 10) if most > 4 else 4.0

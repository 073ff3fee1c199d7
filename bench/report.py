"""What a part of the benchmark found, as text for people, and where it stands in docs/benchmarks.md."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field


class NoSuchPart(Exception):  # noqa: N818 - the condition, told to whoever runs the benchmark
    """The document has no place for a part's results."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table with a title and remarks below it."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()

    def markdown(self) -> str:
        """Write the table; every column but the first is right-aligned."""
        rule = ["---", *("---:" for _ in self.columns[1:])]
        lines = [f"**{self.title}**", "", _line(self.columns), _line(rule), *map(_line, self.rows)]
        return "\n".join([*lines, *(f"\n{note}" for note in self.notes)])


@dataclass(frozen=True, slots=True)
class Goal:
    """A size to reach, and what was measured."""

    what: str
    reach: str
    measured: str
    reached: bool | None
    """None when it could not be judged, for instance because a peer is missing."""

    @property
    def verdict(self) -> str:
        """Say it in words."""
        return {True: "reached", False: "not reached", None: "not judged"}[self.reached]


@dataclass(frozen=True, slots=True)
class Findings:
    """Everything that one part found."""

    part: str
    tables: tuple[Table, ...]
    goals: tuple[Goal, ...] = ()
    circumstances: str = field(default="")
    """Date, machine and versions, in one sentence."""

    def markdown(self) -> str:
        """Write the part's results."""
        texts = [self.circumstances, *(table.markdown() for table in self.tables), goals_table(self.goals)]
        return "\n\n".join(text for text in texts if text)


def goals_table(goals: Sequence[Goal]) -> str:
    """Write what was to be reached and whether it was."""
    if not goals:
        return ""
    rows = tuple((goal.what, goal.reach, goal.measured, goal.verdict) for goal in goals)
    return Table("Sizes to reach", ("what", "reach", "measured", "verdict"), rows).markdown()


def replaced(document: str, part: str, text: str) -> str:
    """Return the document with the part's results between its two markers; raises `NoSuchPart`."""
    begin, end = f"<!-- bench:{part} -->", f"<!-- /bench:{part} -->"
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    if len(pattern.findall(document)) != 1:
        raise NoSuchPart(f"the document needs {begin} and {end} once")
    return pattern.sub(lambda _: f"{begin}\n\n{text}\n\n{end}", document)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"

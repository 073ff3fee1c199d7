"""How results are written."""

from pathlib import Path

import pytest

from bench.__main__ import PARTS
from bench.report import Findings, Goal, NoSuchPart, Table, goals_table, replaced

_TABLE = Table("Speed", ("", "per second"), (("gateway", "5"), ("nginx", "10")), ("Median.",))
_GOAL = Goal("speed", "at least 4", "5", reached=True)


def test_a_table_is_markdown_with_numbers_to_the_right() -> None:
    """Title, head, rows and remarks, in this order."""
    assert _TABLE.markdown().splitlines() == [
        "**Speed**",
        "",
        "|  | per second |",
        "| --- | ---: |",
        "| gateway | 5 |",
        "| nginx | 10 |",
        "",
        "Median.",
    ]


@pytest.mark.parametrize(("reached", "verdict"), [(True, "reached"), (False, "not reached"), (None, "not judged")])
def test_a_goal_says_whether_it_was_reached(reached: bool | None, verdict: str) -> None:
    """A goal that could not be judged, since a peer is missing, is neither."""
    assert f"| {verdict} |" in goals_table([Goal("speed", "4", "5", reached)])


def test_without_goals_there_is_no_table_of_them() -> None:
    """No empty table is written."""
    assert goals_table([]) == ""


def test_findings_begin_with_their_circumstances() -> None:
    """No number stands without its date and machine."""
    text = Findings("relay", (_TABLE,), (_GOAL,), "2026-01-01, a machine.").markdown()
    assert text.startswith("2026-01-01, a machine.\n\n**Speed**")
    assert text.endswith("| speed | at least 4 | 5 | reached |")


def test_only_the_measured_part_is_replaced() -> None:
    """What people wrote, and what other parts found, stays."""
    document = "Before\n<!-- bench:a -->old<!-- /bench:a -->\nBetween\n<!-- bench:b -->\nkept\n<!-- /bench:b -->\n"
    once = replaced(document, "a", r"new \1")
    assert once == (
        "Before\n<!-- bench:a -->\n\nnew \\1\n\n<!-- /bench:a -->\nBetween\n<!-- bench:b -->\nkept\n<!-- /bench:b -->\n"
    )
    assert replaced(once, "a", r"new \1") == once


@pytest.mark.parametrize("document", ["", "<!-- bench:a -->", "<!-- bench:a --><!-- /bench:a -->" * 2])
def test_a_document_without_one_place_for_a_part_is_refused(document: str) -> None:
    """Results are never lost and never written twice."""
    with pytest.raises(NoSuchPart):
        replaced(document, "a", "new")


@pytest.mark.parametrize("part", PARTS)
def test_the_document_names_every_part_and_has_a_place_for_it(part: str) -> None:
    """It is known that `--only` takes it, and `--write` works for it."""
    document = (Path(__file__).parents[2] / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    assert f"`{part}`" in document.partition("## How it is measured")[0]
    assert "new text" in replaced(document, part, "new text")

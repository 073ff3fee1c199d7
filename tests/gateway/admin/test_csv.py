"""Tables for spreadsheets: whole, and with nothing in them that is computed."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.admin.csv import cell_of, table_of


@pytest.mark.parametrize(
    "text", ["=1+1", "+47 911", "-x", "@SUM(A1)", "\t=1", "\r=1", "\n=1", '=HYPERLINK("http://x")', "=", "+1-1", "--1"]
)
def test_what_would_be_computed_is_a_text(text: str) -> None:
    """An apostrophe before it says so to a spreadsheet."""
    assert cell_of(text) == f"'{text}"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, ""),
        (True, "True"),
        (-1, "-1"),
        (0.25, "0.25"),
        (-1e-7, "-1e-07"),
        ("+47", "+47"),
        ("-", "-"),
        ("a=b", "a=b"),
    ],
)
def test_numbers_and_other_texts_are_left(value: object, shown: str) -> None:
    """Also one with a sign, and the dash that stands for what nobody read."""
    assert cell_of(value) == shown


@given(st.lists(st.fixed_dictionaries({"a": st.text(), "b": st.integers()})))
def test_table_is_read_as_it_was_written(rows: list[dict[str, object]]) -> None:
    """Whatever it holds, each row has its columns, and no others."""
    text = table_of(("b", "a"), [{**row, "more": "x"} for row in rows])
    found = list(csv.reader(io.StringIO(text, newline="")))
    assert found == [["b", "a"], *([str(row["b"]), cell_of(row["a"])] for row in rows)]

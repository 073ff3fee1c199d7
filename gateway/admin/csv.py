"""Tables as CSV (RFC 4180) for spreadsheets, which take a cell that begins as a formula for one.

Names in a table are of routes.yaml and of senders, so somebody else may have chosen them. A module of its own, since commands
write the same tables and know nothing of the admin port.
"""

import codecs
import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""What a formula begins with (OWASP, "CSV Injection")."""
_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")


def sheet_of(heads: Sequence[str], rows: Iterable[Sequence[object]], mark: str) -> bytes:
    """Return a table for a person's spreadsheet, whose country says what stands between cells, beginning with UTF-8's mark."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter=mark)
    writer.writerow(heads)
    writer.writerows([cell_of(value) for value in row] for row in rows)
    return codecs.BOM_UTF8 + text.getvalue().encode()


def table_of(columns: Sequence[str], rows: Iterable[Mapping[str, object]], *, heading: bool = True) -> str:
    """Return rows, under a heading unless they go on below others; of each the columns alone, and nothing where it has None."""
    text = io.StringIO()
    writer = csv.writer(text)
    if heading:
        writer.writerow(columns)
    writer.writerows([cell_of(row[name]) for name in columns] for row in rows)
    return text.getvalue()


def cell_of(value: object) -> str:
    """Return a value as a cell: a text that a spreadsheet would compute has an apostrophe before it."""
    text = "" if value is None else str(value)
    # One letter computes nothing: "-" is what a type is called that nobody read.
    is_formula = text.startswith(_FORMULA) and text != "-" and not _NUMBER.fullmatch(text)
    return f"'{text}" if is_formula else text

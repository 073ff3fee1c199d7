"""Tables of local patient numbers: what is wrong is told by its line, and nothing of a table is ever shown."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from gateway.config.load import Loaded, load
from gateway.config.read_parties import MOST_BYTES

if TYPE_CHECKING:
    from pathlib import Path

SYSTEM = "http://cosdoc.dips.no/lopenummer"
FIRST, SECOND = "12834010060", "05894910005"
FILE = """\
version: 1
helseid: {issuer: https://sts.example, client_id: gateway, key_file: key.json}
upstreams:
  vkp: {kind: vkp, url: https://vkp.example}
municipalities:
  nordfjell:
    name: Nordfjell kommune
    orgnr: "312229544"
    patient_ids: {"http://cosdoc.dips.no/lopenummer": {resolve: table, file: numbers/table.csv}}
    epj: {system: Gerica, generation: legacy}
routes:
  - {mode: legacy}
"""
PLACE = 'routes.yaml:9:78: "numbers/table.csv"'


def loaded(folder: Path, table: bytes) -> Loaded:
    """Load a file whose table stands in a folder beside it."""
    (folder / "numbers").mkdir(exist_ok=True)
    (folder / "numbers" / "table.csv").write_bytes(table)
    (folder / "routes.yaml").write_text(FILE, encoding="utf-8")
    return load(str(folder / "routes.yaml"))


def numbers(found: Loaded) -> dict[tuple[str, str], str]:
    """Return the table as a message's translation gets it."""
    assert found.config is not None, [str(problem) for problem in found.problems]
    return dict(found.config.municipalities["nordfjell"].local_numbers)


@pytest.mark.parametrize(
    "table",
    [
        f"1302,{FIRST}\n77,{SECOND}\n",
        f"1302;{FIRST}\r\n77;{SECOND}",
        f"\ufeff 1302 , {FIRST} \n\n,\n77,{SECOND}\n",
        f'"1302";"{FIRST}"\n"77";"{SECOND}"\n',
    ],
    ids=["comma", "semicolon", "blanks", "quotes"],
)
def test_table_is_read_as_record_systems_export_it(tmp_path: Path, table: str) -> None:
    """Both separators, both line ends, blanks and quotes are fine."""
    assert numbers(loaded(tmp_path, table.encode())) == {(SYSTEM, "1302"): FIRST, (SYSTEM, "77"): SECOND}


@pytest.mark.parametrize(
    ("table", "text"),
    [
        ("1302\n", "line 1: expected two columns, a local number and a national one"),
        (f"1302,{FIRST},x\n", "line 1: expected two columns, a local number and a national one"),
        (f"\n,{FIRST}\n", "line 2: expected two columns, a local number and a national one"),
        (f"1,{FIRST}\n1302,{FIRST[:-1]}1\n", "line 2: the second column is not a valid national identity number"),
        ("local,national\n", "line 1: the second column is not a valid national identity number"),
        (f"1302,{FIRST}\n7,{FIRST}\n1302,{SECOND}\n", "line 3: the local number stands in line 1 already"),
    ],
)
def test_wrong_line_is_told_by_its_number_alone(tmp_path: Path, table: str, text: str) -> None:
    """The place is that of the file's name; no number of the table is in the text."""
    found = loaded(tmp_path, table.encode())
    assert [str(problem) for problem in found.problems] == [f"{tmp_path}/{PLACE}, {text}"]
    assert found.config is None
    assert "1302" not in text


def test_table_of_another_kind_is_not_told_line_by_line(tmp_path: Path) -> None:
    """Twenty lines are enough to see what is wrong."""
    found = loaded(tmp_path, b"x\n" * 50)
    assert len(found.problems) == 21
    assert str(found.problems[-1]).endswith("30 more lines are wrong")


def test_table_that_is_not_text_or_too_large_is_refused(tmp_path: Path) -> None:
    """Latin-1 is told by its line, and a table without end is not read to it."""
    found = loaded(tmp_path, f"1,{FIRST}\n".encode() + "ø,1\n".encode("latin-1"))
    assert [str(problem) for problem in found.problems] == [f"{tmp_path}/{PLACE} cannot be read: line 2 is not UTF-8"]
    too_large = f"1302,{FIRST}\n".encode() + b"\n" * MOST_BYTES
    assert "larger than" in str(loaded(tmp_path, too_large).problems[0])


def test_pipe_is_not_waited_for(tmp_path: Path) -> None:
    """What is no file is refused at once."""
    (tmp_path / "numbers").mkdir()
    os.mkfifo(tmp_path / "numbers" / "table.csv")
    (tmp_path / "routes.yaml").write_text(FILE, encoding="utf-8")
    assert [str(problem) for problem in load(str(tmp_path / "routes.yaml")).problems] == [
        f"{tmp_path}/{PLACE} cannot be read: not a file"
    ]


def test_table_is_not_shown(tmp_path: Path) -> None:
    """Printing a configuration, as a log or a debugger may, shows no number."""
    found = loaded(tmp_path, f"1302,{FIRST}\n".encode())
    assert FIRST not in repr(found)
    assert FIRST not in str(found.config)

"""The tables of VKP's code systems through time: each stands where the repository's history has it, and each code has a meaning."""

import importlib.util
import json
import os
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from translators.terminology import ALERT, CodeSystem, code_system, code_systems, history_names
from translators.terminology.code_system import documents

ROOT = Path(__file__).parents[3]
HISTORY = os.environ.get("VKP_CODE_HISTORY")
TABLES = {row["url"]: row["tables"] for row in documents("tables")}
CURRENT = [system for system in code_systems() if system.url.endswith("-v090")]


def _script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("code_tables", ROOT / "scripts" / "code_tables.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _covered(system: CodeSystem) -> list[list[str]]:
    (row,) = (row for row in documents("code_systems") if row["url"] == system.url)
    return [table["tables"] for table in row["earlier"]]


def test_every_code_system_has_its_tables():
    """And no table is of a code system that is not there."""
    assert TABLES.keys() == {system.url for system in code_systems()}


@pytest.mark.parametrize("system", code_systems(), ids=lambda system: system.url.rpartition("/")[2])
def test_tables_follow_one_another(system: CodeSystem):
    """The last ends when the code system was deleted, if it was; v05 and v06 went when v090 came, and are in use all the same."""
    tables: list[dict[str, Any]] = TABLES[system.url]
    assert all(one["until"] == after["from"] for one, after in pairwise(tables))
    if system.url.endswith("-v090"):
        assert tables[-1]["until"] == system.until
    shown = tables[-1]["concepts"]
    late = set(map(str, range(9, 24))) if system.url.endswith(("section-v06", "reason-v06")) else set()
    assert {one.code: one.display for one in system.concepts if one.code not in late - shown.keys()} == shown


@pytest.mark.parametrize("system", CURRENT, ids=lambda system: system.url.rpartition("/")[2])
def test_superseded_tables_are_the_oldest_each_once_and_in_order(system: CodeSystem):
    """What no superseded table covers is the table of today, with codes and displays that were added since; none disagrees."""
    commits = [table["commit"] for table in TABLES[system.url]]
    covered = [commit for group in _covered(system) for commit in group]
    left = [commit for commit in commits if commit not in covered]
    assert sorted(covered, key=commits.index) == covered
    assert len(set(covered)) == len(covered)
    assert set(covered) <= set(commits)
    assert bool(left) == (system.until is None)
    for table in TABLES[system.url]:
        if table["commit"] in left:
            assert table["concepts"].keys() <= {concept.code for concept in system.concepts}


@pytest.mark.parametrize("system", CURRENT, ids=lambda system: system.url.rpartition("/")[2])
def test_a_superseded_table_is_named_by_the_day_it_ended_and_has_every_code_of_its_time(system: CodeSystem):
    """With its last display, and every display beside it."""
    by_commit = {table["commit"]: table for table in TABLES[system.url]}
    for table, group in zip(system.earlier, _covered(system), strict=True):
        published = [by_commit[commit] for commit in group]
        assert (table.since, table.until) == (published[0]["from"], published[-1]["until"])
        assert table.name == f"until-{table.until}"
        assert table.note
        codes = {code for one in published for code in one["concepts"]}
        assert {former.code for former in table.concepts} == codes == table.displays.keys()
        for former in table.concepts:
            assert former.meaning in table.displays[former.code]


def test_a_change_is_of_a_code_that_its_table_has():
    """A row for any other code would translate nothing."""
    for row in documents("code_systems"):
        by_commit = {table["commit"]: table["concepts"] for table in TABLES[row["url"]]}
        for table in row["earlier"]:
            assert table["today"].keys() <= {code for commit in table["tables"] for code in by_commit[commit]}


def test_the_early_table_of_alerts_is_whole():
    """55 codes, of which the sensors' alone mean what they meant."""
    alerts = code_system(ALERT)
    assert alerts is not None
    first = alerts.earlier[0]
    assert len(first.concepts) == 55
    assert {one.code for one in first.concepts if one.today == one.code} == {"4", *(f"4.{n}" for n in range(1, 24))}


def test_every_table_but_those_of_code_systems_that_never_changed_can_be_named():
    """The names that a configuration may use, and today's where there is one."""
    names = history_names()
    assert names == {
        "alert": {"until-2021-11-17", "until-2022-01-14", "until-2022-08-25", "today"},
        "class": {"until-2021-09-10", "until-2021-11-17"},
        "dispense": {"until-2021-11-02", "until-2021-11-11", "today"},
        "flag": {"until-2021-09-02", "until-2025-09-16"},
        "reason": {"until-2021-12-13", "today"},
        "section": {"until-2021-11-16", "until-2022-01-05", "today"},
        "severity": {"until-2021-06-03", "until-2021-09-02", "today"},
        "type": {"until-2021-11-17", "until-2022-03-23", "until-2022-04-06"},
    }
    named = {name for found in names.values() for name in found}
    assert named - {"today"} == {table.name for system in CURRENT for table in system.earlier}


def test_a_file_that_only_moved_is_one_table():
    """The repository's folders were moved once, which deleted every file and made it again."""
    rows = [
        {"from": "2019-09-13T13:29:12+0200", "commit": "1", "url": "http://x", "concepts": [["0", "a", None]]},
        {"from": "2019-11-29T10:28:54+0100", "commit": "2", "gone": "x.xml"},
        {"from": "2019-11-29T10:28:54+0100", "commit": "2", "url": "http://x", "concepts": [["0", "a", None]]},
        {"from": "2020-01-01T10:00:00+0100", "commit": "3", "url": "http://x", "concepts": [["1", "b", "0"]]},
        {"from": "2021-06-03T11:21:45+0200", "commit": "4", "gone": "x.xml"},
    ]
    (text,) = _script().files({"systems": {"vkp-x": rows}}).values()
    assert json.loads(text)["tables"] == [
        {"from": "2019-09-13", "until": "2020-01-01", "commit": "1", "concepts": {"0": "a"}},
        {"from": "2020-01-01", "until": "2021-06-03", "commit": "3", "concepts": {"1": "b"}},
    ]


if HISTORY:

    def test_the_tables_are_what_the_history_makes_of_them():
        """Compare with the history of the repository, in the file that VKP_CODE_HISTORY names."""
        made = _script().files(json.loads(Path(HISTORY or "").read_text(encoding="utf-8")))
        folder = ROOT / "translators" / "terminology" / "tables"
        assert {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()} == made

"""The page says what is checked, group by group, and no more."""

import re
from pathlib import Path

import pytest

from gateway.cli.doctor.checks import GROUPS
from gateway.cli.doctor.harness import Group

PAGE = (Path(__file__).parents[4] / "docs" / "transparency.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.name)
def test_every_check_stands_under_its_group(group: Group) -> None:
    """With the part of the RFC that the group is about."""
    heading = f"### {group.name[0].upper()}{group.name[1:]}\n"
    assert heading in PAGE
    part = re.split(r"\n##", PAGE.split(heading, 1)[1])[0]
    assert part.strip().startswith(f"{group.section}.")
    assert re.findall(r"^- (.*?)(?: \(.*\))?$", part, re.MULTILINE) == [check.name for check in group.checks]

"""docs/architecture.md says of the tree what is so."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
SMALL = 60
"""Lines below which a module must have a reason to be one."""


def test_every_small_module_has_a_reason_and_every_reason_a_small_module() -> None:
    """Rooms' faces, entry points and migrations, one for each change of tables, are small by their nature."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    listed = dict(re.findall(r"^\| `((?:gateway|translators)/\S+\.py)` \| (.+) \|$", text, re.MULTILINE))
    assert listed.keys() == set(_small_modules())
    assert all(len(reason) > 5 for reason in listed.values())


def _small_modules() -> list[str]:
    every = [path for room in ("gateway", "translators") for path in (ROOT / room).rglob("*.py")]
    judged = [one for one in every if not one.stem.startswith("__") and "migrations" not in one.parts]
    return [str(one.relative_to(ROOT)) for one in judged if len(one.read_text(encoding="utf-8").splitlines()) < SMALL]

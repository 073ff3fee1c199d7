"""`demo --once` as anyone would run it: real processes, real traffic, and a verdict on every message."""

from __future__ import annotations

import asyncio
import itertools
import json
import shutil
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[4]
KEYS = {
    "name", "surface", "municipality", "sender", "information", "mode", "upstream", "status", "code", "response", "receiver",
    "as_expected", "note", "type", "patients",
}  # fmt: skip


async def run(*arguments: str) -> tuple[int | None, bytes, bytes]:
    """Run the demo and return its exit code and output."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", "demo", "--once", *arguments,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    output, errors = await asyncio.wait_for(process.communicate(), 120)
    return process.returncode, output, errors


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Copy the demo's configuration."""
    copy = tmp_path / "routes.yaml"
    shutil.copy(ROOT / "routes.yaml", copy)
    return copy


@pytest.mark.slow
async def test_demo_goes_as_the_routes_say(config: Path) -> None:
    """One JSON document, every message as its route says, and no patient's number in it."""
    code, output, errors = await run("--json", "--config", str(config))
    document = json.loads(output)
    assert (code, document["ok"]) == (0, True), errors
    assert document.keys() == {"messages", "afterwards", "ok"}
    assert {one["name"]: one["found"] for one in document["afterwards"]} == {
        "comparison": ["Patient.address.city different", "Patient.identifier missing, accepted"],
        "sharing with PMD": ["1811: 1 measured"],
    }
    assert all(one.keys() == KEYS and one["as_expected"] for one in document["messages"])
    ways = {(one["surface"], one["mode"]) for one in document["messages"]}
    assert ways >= set(itertools.product(("vkp-r4", "vkp-stu3", "vkp-soap"), ("legacy", "new", "closed")))
    searches = [one for one in document["messages"] if one["type"] is not None]
    assert {one["mode"] for one in searches} == {"legacy", "epj", "closed", "compare", "canary", "new"}
    told = {(one["mode"], one["upstream"], one["type"], one["patients"]) for one in searches}
    by_surface = {(one["surface"], one["upstream"], one["patients"]) for one in searches}
    assert by_surface >= set(itertools.product(("vkp-r4", "vkp-stu3", "vkp-soap"), ("sorvik-epj", "pit", "okt"), (1,)))
    assert {
        ("epj", "sorvik-epj", "CarePlan", 1),
        ("new", "pit", "Patient", 1),
        ("new", "okt", "EpisodeOfCare", 1),
    } <= told
    assert {("canary", "pit", "Patient", 1), ("canary", "vkp", "Patient", 1), ("compare", "vkp", "Patient", 1)} <= told
    assert {one["response"] for one in document["messages"] if one["surface"] == "vkp-stu3"} == {
        None,
        "ok",
        "fatal-error",
    }
    assert {one["response"] for one in document["messages"] if one["surface"] == "vkp-soap"} == {
        None,
        "AppRec 1",
        "AppRec 2",
    }
    assert b"12834010060" not in output
    assert [each.name for each in config.parent.iterdir()] == [config.name]


@pytest.mark.slow
@pytest.mark.parametrize("text", ["version: 1\n", None])
async def test_demo_without_a_good_configuration_says_why(tmp_path: Path, text: str | None) -> None:
    """Exit 1 and the reason, without a trace."""
    config = tmp_path / "routes.yaml"
    if text is not None:
        config.write_text(text, encoding="utf-8")
    code, output, errors = await run("--config", str(config))
    assert (code, output) == (1, b"")
    assert errors.startswith(b"Error: ")

"""`report` and `routes` against a running admin port: all of it, however many parts that takes."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result

from gateway.admin.report import COLUMNS
from gateway.cli.admin_client import Bounds
from gateway.cli.main import main
from gateway.cli.output import VKP_SUCCESS
from tests.gateway.admin.api_scene import EVERYBODY, Scene, scene_of
from tests.gateway.admin.conftest import open_office, shelf
from tests.gateway.cli.test_messages import token

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.gateway.admin.shelf import Shelf
    from tests.gateway.office import Office

    Ask = Callable[..., Awaitable[Result]]

__all__ = ["open_office", "shelf"]


@pytest.fixture
async def office(open_office: Callable[..., Awaitable[Office]]) -> Office:
    """Start an admin port with everybody."""
    return await open_office(persons=EVERYBODY)


@pytest.fixture
async def scene(office: Office, shelf: Shelf, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """Put routes, rules over them, and messages there."""
    return await scene_of(office, shelf, tmp_path_factory.mktemp("running"))


@pytest.fixture
async def ask(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> Ask:
    """Run a command as a viewer, with few things in each answer."""
    monkeypatch.setenv("VKP_GATEWAY_ADMIN", scene.office.address)
    monkeypatch.setenv("VKP_GATEWAY_TOKEN_FILE", await token(scene.office, "viewer"))

    async def asked(*arguments: str) -> Result:
        result = await asyncio.to_thread(CliRunner().invoke, main, arguments, obj=Bounds(routes=1, cells=4))
        assert result.exit_code == 0, result.output
        return result

    return asked


async def test_report_has_every_cell(ask: Ask) -> None:
    """As JSON, as a table for a spreadsheet, and a line for each; then what VKP's success means, and who still needs VKP."""
    found = json.loads((await ask("report", "--json")).stdout)
    assert len(found["cells"]) > 4
    assert found["next"] is None
    table = list(csv.DictReader(io.StringIO((await ask("report", "--csv")).stdout)))
    assert [tuple(row) for row in table] == [COLUMNS] * len(found["cells"])
    lines = (await ask("report")).stdout.splitlines()
    assert len(lines) == len(found["cells"]) + 1 + len(found["holding_back"])
    assert lines[len(found["cells"])] == VKP_SUCCESS[found["vkp_success"]]
    assert lines[-1].startswith("still needs VKP, by ")


async def test_report_may_be_of_what_holds_back(ask: Ask) -> None:
    """Of nothing, where nothing came; a table has its heading all the same."""
    assert json.loads((await ask("report", "--holding-back", "--json")).stdout)["cells"] == []
    assert (await ask("report", "--holding-back", "--csv")).stdout.splitlines() == [",".join(COLUMNS)]


async def test_routes_are_all_there(ask: Ask) -> None:
    """The strongest first, however many answers that takes."""
    found = json.loads((await ask("routes", "--json")).stdout)["routes"]
    assert [one["layer"] for one in found][:2] == ["panic", "override"]
    assert len(found) > 2
    assert len((await ask("routes")).stdout.splitlines()) == 1 + len(found)

"""What is behind the pages about municipalities and vendors, and what is read of these."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.gateway.admin.test_overview import MORE, place
from tests.gateway.migration.cutovers.scene import config_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.gateway.admin.cutovers.conftest import World


@pytest.fixture
def site(world: World, tmp_path: Path) -> World:
    """Have vendors, senders and routes in force behind the admin port."""
    place(world, config_of(tmp_path, more=MORE))
    return world


def seen(page: str) -> str:
    """Return what a person reads of a page: no tags, no addresses."""
    return " ".join(html.unescape(re.sub(r"<(script|style)\b.*?</\1>|<[^>]+>", " ", page, flags=re.DOTALL)).split())


def links(page: str, path: str) -> list[dict[str, list[str]]]:
    """Return the parameters of each link to a path."""
    found = [urlsplit(html.unescape(one)) for one in re.findall(r'href="([^"]+)"', page)]
    return [parse_qs(one.query) for one in found if one.path == path and one.query]

"""Going back begins where the cells last went new."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from msgspec import json, structs

from gateway.ledger import cutovers
from gateway.ledger.cutovers import Row
from gateway.migration.panics import last_switch
from gateway.model import Information, Mode
from tests.gateway.ledger.conftest import NOW
from tests.gateway.ledger.test_overrides import override, put

if TYPE_CHECKING:
    from gateway.ledger.messages import Ledger

VARSEL = Information.VARSEL


async def switched(ledger: Ledger, name: str, at: float | None, **change: Any) -> None:
    """Write a cutover that has switched, or has not."""
    row = Row(
        name=name,
        plan=json.encode({"set": [change]}).decode(),
        hash="h",
        state="finished",
        at=NOW,
        submitted_by="nora",
        submitted_at=NOW,
        approvals="[]",
        switched_at=at,
        history="",
    )
    await ledger.store.write(lambda each: cutovers.insert(each, row))


async def since(ledger: Ledger, municipality: str, vendor: str | None = None, information: str | None = None) -> Any:
    """Return when the cells last went new."""
    return await ledger.store.read(lambda each: last_switch(each, municipality, vendor, information))


async def test_nothing_is_known_at_first(ledger: Ledger) -> None:
    """Also when something went another way than new."""
    await put(ledger, override("o-1", "havnes"))
    await switched(ledger, "one", NOW, municipality="havnes", mode="legacy")
    await switched(ledger, "two", None, municipality="havnes", mode="new")
    assert await since(ledger, "havnes") is None


@pytest.mark.parametrize("mode", [Mode.NEW, Mode.CANARY])
async def test_newest_switch_of_the_cells_counts(ledger: Ledger, mode: Mode) -> None:
    """By an override or a cutover, for one of the cells or for all."""
    await switched(ledger, "one", NOW - 50, municipality="havnes", vendor="dignio", mode=mode)
    await switched(ledger, "two", NOW - 40, information=["varsel"], mode=mode)
    assert await since(ledger, "havnes") == NOW - 40
    assert await since(ledger, "havnes", "dignio", "notat") == NOW - 50
    assert await since(ledger, "havnes", "evondos", "notat") is None
    assert await since(ledger, "sorvik", None, "varsel") == NOW - 40
    await put(ledger, structs.replace(override("o-1", "havnes", VARSEL, mode=mode, text=None), made_at=NOW - 30))
    assert await since(ledger, "havnes", None, "varsel") == NOW - 30
    assert await since(ledger, "sorvik", None, "varsel") == NOW - 40

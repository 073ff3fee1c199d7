"""Going back begins where any of the cells first went new."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from msgspec import json, structs

from gateway.ledger import cutovers, overrides
from gateway.ledger.audit import Note
from gateway.ledger.cutovers import Row
from gateway.migration.panics import Scope, since_when
from gateway.model import Information, Mode
from gateway.routing.layers import Layer
from tests.gateway.ledger.conftest import NOW, taken
from tests.gateway.ledger.test_overrides import override, put

if TYPE_CHECKING:
    from gateway.config.model import Config
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


async def since(
    ledger: Ledger, config: Config, municipality: str, vendor: str | None = None, information: str | None = None
) -> Any:
    """Return when any of the cells first went new."""
    scope = Scope(municipality, vendor, None if information is None else Information(information))
    return (await ledger.store.read(lambda each: since_when(each, scope, config)))[municipality]


async def test_nothing_is_known_at_first(ledger: Ledger, config: Config) -> None:
    """Also when something went another way than new."""
    await put(ledger, override("o-1", "havnes"))
    await switched(ledger, "one", NOW, municipality="havnes", mode="legacy")
    await switched(ledger, "two", None, municipality="havnes", mode="new")
    assert await since(ledger, config, "havnes") is None


@pytest.mark.parametrize("mode", [Mode.NEW, Mode.CANARY])
async def test_earliest_switch_of_the_cells_counts(ledger: Ledger, config: Config, mode: Mode) -> None:
    """By an override or a cutover, for one of the cells or for all: what came between two of them is with the new side too."""
    await switched(ledger, "one", NOW - 50, municipality="havnes", vendor="dignio", mode=mode)
    await switched(ledger, "two", NOW - 40, information=["varsel"], mode=mode)
    assert await since(ledger, config, "havnes") == NOW - 50
    assert await since(ledger, config, "havnes", "dignio", "notat") == NOW - 50
    assert await since(ledger, config, "havnes", "evondos", "notat") is None
    assert await since(ledger, config, "sorvik", None, "varsel") == NOW - 40
    await put(ledger, structs.replace(override("o-1", "havnes", VARSEL, mode=mode, text=None), made_at=NOW - 60))
    assert await since(ledger, config, "havnes", None, "varsel") == NOW - 60
    assert await since(ledger, config, "sorvik", None, "varsel") == NOW - 40


async def test_what_an_override_was_before_it_was_changed_counts(ledger: Ledger, config: Config) -> None:
    """Its row knows only what it is now, which may be legacy."""
    await put(ledger, structs.replace(override("o-1", "havnes", mode=Mode.NEW, text=None), made_at=NOW - 60))
    (before,) = await ledger.store.read(lambda each: overrides.named(each, Layer.OVERRIDE, "o-1"))
    route = structs.replace(before.route, mode=Mode.LEGACY)
    changed = overrides.Changed(route, "Rettet", before.ticket, before.until)
    note = Note(NOW - 10, "a", "olga", "override.change", "o-1", "Rettet")
    after = await ledger.store.write(lambda each: overrides.change(each, before, changed, {1}, note))
    assert isinstance(after, overrides.SetRule)
    assert after.made_at == NOW - 10
    assert await since(ledger, config, "havnes") == NOW - 60


async def test_the_first_message_counts_where_the_file_sent_it(ledger: Ledger, config: Config) -> None:
    """Routes of the file leave no switch behind."""
    await taken(ledger, "first", received_at=NOW - 70)
    await taken(ledger, "second", received_at=NOW - 30)
    assert await since(ledger, config, "havnes") == NOW - 70
    assert await since(ledger, config, "havnes", None, "notat") is None

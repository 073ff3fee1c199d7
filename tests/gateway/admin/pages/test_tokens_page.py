"""The page for API tokens: what is wrong with the form for a new one is told at its field, and a new one is shown once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.gateway.admin.shelf import PATIENT

if TYPE_CHECKING:
    from tests.gateway.office import Browser

FORM = {"name": "nattlig rapport", "days": "30", "roles": "viewer", "municipalities": ""}


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("name", "", "Skriv et navn"),
        ("name", f"om {PATIENT}", "Skriv et navn"),
        ("days", "0", "Skriv et antall dager"),
        ("roles", "", "Velg minst én rolle."),
        ("municipalities", "bergen", "Velg kommuner fra listen."),
    ],
)
async def test_what_is_wrong_is_told_at_its_field(olga: Browser, field: str, value: str, told: str) -> None:
    """What was written stays, but for what may be a patient's number."""
    page = await olga.post("/tokens", csrf=await olga.csrf(), **{**FORM, field: value})
    assert (page.status, PATIENT in page.text) == (400, False)
    assert f'id="error-{field}"' in page.text
    assert told in page.text
    assert 'data-address="/tokens"' in page.text
    if field != "name":
        assert 'value="nattlig rapport"' in page.text


async def test_nobody_gives_more_than_they_have(nora: Browser) -> None:
    """That is told at the roles."""
    page = await nora.post("/tokens", csrf=await nora.csrf(), **FORM)
    assert (page.status, "flere roller eller kommuner enn du har" in page.text) == (403, True)


async def test_municipalities_are_chosen_by_their_names(olga: Browser) -> None:
    """Nobody has to know a short name; what was ticked stays ticked where something else is wrong."""
    page = await olga.get("/tokens")
    assert '<input type="checkbox" name="municipalities" value="sorvik"> Sørvik kommune' in page.text
    wanted = {**FORM, "municipalities": ["nordfjell", "sorvik"], "csrf": await olga.csrf()}
    page = await olga.ask("POST", "/tokens", data={**wanted, "name": ""})
    assert page.text.count("checked> Sørvik kommune") == 1
    assert (await olga.ask("POST", "/tokens", data=wanted)).status == 200
    (token,) = (await olga.get("/api/tokens")).json["tokens"]
    assert token["municipalities"] == ["nordfjell", "sorvik"]


async def test_a_new_one_is_shown_once(olga: Browser) -> None:
    """Loading the page anew makes no other one."""
    page = await olga.post("/tokens", csrf=await olga.csrf(), **FORM)
    assert (page.status, 'id="secret"' in page.text, 'data-address="/tokens"' in page.text) == (200, True, True)
    page = await olga.get("/tokens")
    assert ('id="secret"' in page.text, "nattlig rapport" in page.text) == (False, True)

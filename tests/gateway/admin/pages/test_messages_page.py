"""The page where an operator decides about messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.gateway.admin.shelf import holds_nothing

if TYPE_CHECKING:
    from tests.gateway.admin.shelf import Shelf
    from tests.gateway.office import Browser


async def test_page_shows_what_needs_a_person(shelf: Shelf, olga: Browser) -> None:
    """In both languages: numbers, quarantine with buttons, and what is overdue."""
    page = await olga.get("/messages")
    assert page.text.count("<p>ingen</p>") == 3
    await shelf.quarantined("one/<b>")
    await shelf.delivered("two", overdue=True)
    page = await olga.get("/messages")
    assert page.status == 200
    assert holds_nothing(page.text)
    for shown in (
        "<h1>Meldinger</h1>",
        "<code>one/&lt;b&gt;</code>",
        'action="/quarantine/one%2F%3Cb%3E/release"',
        'formaction="/quarantine/one%2F%3Cb%3E/discard"',
        "quarantined: unclear",
        "<code>two</code>",
        "Ikke bekreftet i tide",
    ):
        assert shown in page.text
    assert "<h1>Messages</h1>" in (await olga.get("/messages?lang=en")).text


async def test_buttons_decide(shelf: Shelf, olga: Browser) -> None:
    """Each leads back to the page, with an entry in the audit."""
    for reference, decision, state in (("one", "release", "held"), ("two/b", "discard", "discarded")):
        await shelf.quarantined(reference, patient=reference)
        path = f"/quarantine/{reference.replace('/', '%2F')}/{decision}"
        page = await olga.post(path, csrf=await olga.csrf(), reason="Ringt")
        assert (page.status, page.location) == (303, "/messages")
        assert (await shelf.row(reference)).state == state
    assert [note.action for note in await shelf.audited()] == ["quarantine.release", "quarantine.discard"]
    page = await olga.post("/quarantine/one/release", csrf=await olga.csrf(), reason="Ringt")
    assert page.status == 409
    assert "Ingenting er endret" in page.text


async def test_button_needs_a_reason_and_the_page_itself(shelf: Shelf, olga: Browser) -> None:
    """Without one, or from somewhere else, nothing happens."""
    await shelf.quarantined("one")
    csrf = await olga.csrf()
    assert (await olga.post("/quarantine/one/release", csrf=csrf)).status == 400
    assert (await olga.post("/quarantine/one/release", csrf=csrf, reason=" ")).status == 400
    assert (await olga.post("/quarantine/one/release", reason="x")).status == 403
    elsewhere = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    data = {"csrf": csrf, "reason": "x"}
    assert (await olga.ask("POST", "/quarantine/one/discard", data=data, headers=elsewhere)).status == 403
    assert (await shelf.row("one")).state == "quarantined"


async def test_page_is_linked_for_operators_alone(shelf: Shelf, olga: Browser, vera: Browser) -> None:
    """A viewer has the API."""
    del shelf
    assert 'href="/messages"' in (await olga.get("/")).text
    assert 'href="/messages"' not in (await vera.get("/")).text


async def test_page_says_when_there_are_more(shelf: Shelf, olga: Browser) -> None:
    """It shows a hundred of a list."""
    for number in range(101):
        await shelf.quarantined(f"m{number}", patient=f"p{number}", promised=False)
    page = await olga.get("/messages?lang=en")
    assert page.text.count("<code>m") == 100
    assert "There are more" in page.text

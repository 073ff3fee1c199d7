"""The page where somebody tries a message: pasted or as a file, without JavaScript, told in words, and nowhere kept."""

from __future__ import annotations

import io
from importlib import resources
from typing import TYPE_CHECKING

import aiohttp

if TYPE_CHECKING:
    from tests.gateway.admin.shelf import Shelf
    from tests.gateway.office import Browser, Page


def example(name: str) -> bytes:
    """Return a message of the examples."""
    return resources.files("translators").joinpath("examples", name).read_bytes()


async def brought(browser: Browser, csrf: str | None = None, **parts: bytes) -> Page:
    """Send the form as a browser does, with a file where there is one."""
    form = aiohttp.FormData()
    form.add_field("csrf", csrf if csrf is not None else await browser.csrf())
    for name, value in parts.items():
        if name == "file":
            form.add_field(name, io.BytesIO(value), filename="melding.json")
        else:
            form.add_field(name, value.decode())
    if "file" not in parts:
        form.add_field("file", io.BytesIO(b""), filename="")
    return await browser.ask("POST", "/try", data=form)


async def test_pasted_message_and_file_are_told_alike(shelf: Shelf, vera: Browser) -> None:
    """Its way, and side by side what it says and what is made of it, with each repair by name."""
    del shelf
    assert "Prøv meldingen" in (await vera.get("/try")).text
    for parts in ({"text": example("quirks.json")}, {"file": example("quirks.json"), "text": b"something else"}):
        page = await brought(vera, **parts, municipality=b"nordfjell")
        assert page.status == 200, page.text
        for text in (
            "Ingenting er sendt",
            "uten feil etter reparasjon",
            "hos VKP",
            "VKP FHIR R4",
            "gjettet",
            '<span class="repaired"',
            "POST /v1/Bundle",
            "Nordfjell kommune",
        ):
            assert text in page.text
    english = await brought(vera, text=example("quirks.json"))
    assert "Choose a municipality" not in english.text
    assert "Velg kommune" in english.text


async def test_loss_and_refusal_are_told_in_words(shelf: Shelf, vera: Browser) -> None:
    """With VKP's code, and the line that cannot be carried."""
    del shelf
    text = example("note.json").replace(b'"status"', b'"unheard": "<b>", "status"', 1)
    page = await brought(vera, text=text)
    assert "innhold som ikke kan overføres" in page.text
    assert "VKPs kode 2.4" in page.text
    assert '<span class="lost" title="Composition.unheard">' in page.text
    assert "&#34;&lt;b&gt;&#34;" in page.text


async def test_nothing_and_strangers_are_said_at_the_field(shelf: Shelf, nora: Browser) -> None:
    """What was written stays in the form."""
    del shelf
    page = await brought(nora, text=b" ")
    assert (page.status, 'id="error-text">Lim inn' in page.text) == (400, True)
    page = await brought(nora, text=example("note.json"), municipality=b"sorvik")
    assert (page.status, 'id="error-municipality">Ikke kjent' in page.text) == (400, True)
    assert "Composition" in page.text


async def test_what_is_too_large_is_said_at_the_field(shelf: Shelf, vera: Browser) -> None:
    """Pasted or as a file; the rest of the form stays."""
    del shelf
    for name in ("text", "file"):
        page = await brought(vera, **{name: b"{" + b" " * 1_000_000 + b"}"}, municipality=b"nordfjell")
        assert (page.status, 'id="error-text">Meldingen er for stor. Den kan være på høyst 1 MB.' in page.text) == (
            400,
            True,
        )
        assert '<option value="nordfjell" selected>' in page.text


async def test_form_comes_from_the_page_itself(shelf: Shelf, vera: Browser) -> None:
    """A form in parts brings the page's token like every other, and is bounded."""
    del shelf
    assert (await brought(vera, csrf="", text=b"{}")).status == 403
    assert (await brought(vera, csrf="x", text=b"{}")).status == 403
    assert (await brought(vera, file=b" " * 1_100_000)).status == 400
    assert (await vera.post("/try", csrf=await vera.csrf(), text="{}")).status == 400
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    assert (await vera.ask("POST", "/try", data=b"--y", headers=headers)).status in (400, 403)
    stranger = vera.office.browser()
    assert (await brought(stranger, csrf="x", text=b"{}")).status == 401


async def test_kind_of_fault_comes_with_an_example(shelf: Shelf, vera: Browser) -> None:
    """Which stands in the form, to be tried; a link that asks for something else is refused."""
    del shelf
    reason = "malformed: Bundle.entry.resource.category: category is missing, which says what happened"
    page = await vera.get("/try", params={"information": "medisinering", "reason": reason})
    assert "har nettopp dette" in page.text
    assert "MedicationDispense" in page.text
    assert "ligner på dette" in (await vera.get("/try", params={"reason": "loss: nowhere at all"})).text
    assert (await vera.get("/try", params={"other": "x"})).status == 400
    assert (await vera.get("/try?lang=en")).status == 200


async def test_what_was_brought_is_nowhere(shelf: Shelf, vera: Browser) -> None:
    """Not in the log, and not in the audit."""
    await brought(vera, text=example("note.json").replace(b'"status"', b'"unheard": "Kari Hemmelig", "status"', 1))
    assert "Hemmelig" not in str(shelf.office.logged.events)
    assert await shelf.audited() == []

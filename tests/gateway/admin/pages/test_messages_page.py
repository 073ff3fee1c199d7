"""The pages for messages: found, told step by step to readers too, and decided about by operators."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from gateway.ledger import shares
from gateway.ledger.decision_log import PastDecision, write
from gateway.ledger.records import LeaseWatch
from gateway.ledger.shares import NewShare
from tests.gateway.admin.shelf import PATIENT, SECRET, holds_nothing
from tests.gateway.office import NOW

if TYPE_CHECKING:
    from tests.gateway.admin.shelf import Shelf
    from tests.gateway.office import Browser


async def decided(shelf: Shelf, reference: str, **more: str | None) -> None:
    """Have the decision log know a message."""
    row = PastDecision(
        at=shelf.office.clock.now,
        reference=reference,
        surface="vkp-r4",
        municipality=more.pop("municipality", "nordfjell"),
        sender="Evondos_Nordfjell",
        vendor="evondos",
        system="e300",
        information="varsel",
        mode=more.pop("mode", "new"),
        layer="cutover",
        rule="nordfjell-varsel",
        route="routes.yaml:20:5",
        outcome=more.pop("outcome", None) or "accepted",
        **more,
    )
    await shelf.ledger.store.write(lambda each: write(each, [row]))


async def test_reader_finds_messages_by_each_field(shelf: Shelf, vera: Browser) -> None:
    """By words alone, with links to each, and nothing of what they say."""
    assert "Ingen meldinger ennå" in (await vera.get("/messages")).text
    await shelf.quarantined("one/<b>")
    await shelf.delivered("two", overdue=True, municipality="sorvik", sender="other")
    for query, found in (
        ("", ["one%2F%3Cb%3E", "two"]),
        ("?state=quarantined", ["one%2F%3Cb%3E"]),
        ("?mark=overdue", ["two"]),
        ("?mark=possible-duplicate", []),
        ("?sender=other", ["two"]),
        ("?municipality=nordfjell&information=varsel", ["one%2F%3Cb%3E"]),
        ("?since=2026-05-28T22:26&until=2026-05-28T22:27", ["one%2F%3Cb%3E", "two"]),
        ("?until=2026-05-28T22:26", []),
    ):
        page = await vera.get(f"/messages{query}")
        assert page.status == 200
        assert holds_nothing(page.text)
        assert [name for name in ("one%2F%3Cb%3E", "two") if f'href="/messages/{name}"' in page.text] == found, query
        assert ("Ingen meldinger passer" in page.text) == (not found)
    page = await vera.get("/messages")
    for text in ("i karantene", "det er uklart om den kom fram", "ikke bekreftet i tide", "tor. 28. mai kl. 22.26"):
        assert text in page.text
    assert "quarantined<" not in page.text
    assert "<h1>Messages</h1>" in (await vera.get("/messages?lang=en")).text


async def test_reference_leads_to_the_message(shelf: Shelf, vera: Browser) -> None:
    """Of the ledger, or of the decision log alone; what nobody may see is said at the field, and what was written is kept."""
    await shelf.quarantined("one/b")
    await decided(shelf, "passed", mode="legacy", outcome="passed")
    for reference, path in (("one/b", "/messages/one%2Fb"), ("passed", "/messages/passed")):
        page = await vera.get("/messages", params={"reference": reference})
        assert (page.status, page.location) == (303, path)
    page = await vera.get("/messages", params={"reference": "<none>"})
    assert 'value="&lt;none&gt;"' in page.text
    assert 'id="error-reference">Ingen melding du kan se' in page.text


async def test_time_that_is_none_in_norway_is_said_at_its_field(shelf: Shelf, vera: Browser) -> None:
    """An hour that clocks skip, or that comes twice, is not guessed."""
    del shelf
    for wrong in ("2026-03-29T02:30", "2026-10-25T02:30", "soon"):
        page = await vera.get("/messages", params={"since": wrong})
        assert (page.status, 'id="error-since"' in page.text) == (200, True)


async def test_list_goes_on_with_what_was_asked(shelf: Shelf, vera: Browser) -> None:
    """A link leads to the older ones."""
    for number in range(51):
        await shelf.quarantined(f"m{number}", patient=f"p{number}", received_at=shelf.office.clock.now + number)
    page = await vera.get("/messages?state=quarantined")
    link = page.text.partition('href="/messages?state=quarantined&amp;cursor=')[2].partition('"')[0]
    rest = await vera.get(f"/messages?state=quarantined&cursor={link}")
    assert ('href="/messages/m50"' in page.text, 'href="/messages/m0"' in page.text) == (True, False)
    assert ('href="/messages/m0"' in rest.text, 'href="/messages/m1"' in rest.text) == (True, False)


async def test_way_of_a_message_is_told_step_by_step(shelf: Shelf, vera: Browser) -> None:
    """Its route, what was repaired and lost, each attempt, and what a service said; to a reader without what it says."""
    message = await shelf.message("one")
    await shelf.ledger.held(message, "JFT answered 503", next_try=shelf.office.clock.now + 60, counted=True)
    await decided(shelf, "one", repairs="empty-string-dropped", losses="Flag.note", outcome="held")
    page = await vera.get("/messages/one")
    assert holds_nothing(page.text)
    way = page.text[page.text.index('<ol class="way">') : page.text.index("</ol>")]
    told = [
        "mottatt",
        "flyttet",
        'href="/cutovers/nordfjell-varsel"',
        "Flag.note",
        "forsøk på levering",
        "Journalføringstjenesten svarte 503",
        "tatt vare på",
    ]
    places = [way.index(text) for text in told]
    assert places == sorted(places)
    assert "av en operatør" in page.text
    assert "/payload" not in page.text
    english = (await vera.get("/messages/one?lang=en")).text
    assert "route chosen:" in english
    assert "venter" not in english


async def test_message_that_was_refused_says_why(shelf: Shelf, vera: Browser) -> None:
    """By the decision log alone, where the ledger never had it."""
    await decided(shelf, "no", outcome="malformed", diagnostics="Bundle.entry.resource.status: is missing")
    page = await vera.get("/messages/no")
    assert "ugyldig format" in page.text
    assert "<code>Bundle.entry.resource.status</code>: mangler" in page.text


async def test_search_that_the_record_system_refused_says_so(shelf: Shelf, vera: Browser) -> None:
    """And not that the sender is not registered here, which has the same code."""
    why = "The record system, which answers in mode epj, refused the search (403, 1.4)"
    await decided(shelf, "theirs", mode="epj", outcome="no-access", diagnostics=why)
    await decided(shelf, "ours", mode="epj", outcome="no-access", diagnostics="The sender is not registered here")
    page = (await vera.get("/messages/theirs")).text
    assert "avvist av journalsystemet" in page
    assert "Journalsystemet, som svarer i modus epj, avviste søket (403, 1.4)" in page
    assert "har ikke tilgang til kommunen" not in page
    page = (await vera.get("/messages/ours")).text
    assert "avsenderen har ikke tilgang til kommunen" in page


async def test_message_elsewhere_is_not_there(shelf: Shelf, nora: Browser) -> None:
    """Neither by the list, nor by its page or its reference."""
    await shelf.quarantined("two", municipality="sorvik")
    await decided(shelf, "three", municipality="sorvik")
    assert 'href="/messages/two"' not in (await nora.get("/messages")).text
    for reference in ("two", "three"):
        assert (await nora.get(f"/messages/{reference}")).status == 404
        assert "Ingen melding du kan se" in (await nora.get(f"/messages?reference={reference}")).text


async def test_operator_decides_once_and_is_told_what_was_done(shelf: Shelf, olga: Browser) -> None:
    """The two decisions differ to the eye, each is asked for once more, and each is in the audit."""
    for reference, decision, state, told in (
        ("one", "release", "held", "Meldingen er frigitt"),
        ("two/b", "discard", "discarded", "Meldingen er forkastet"),
    ):
        await shelf.quarantined(reference, patient=reference)
        quoted = reference.replace("/", "%2F")
        shown = (await olga.get(f"/messages/{quoted}")).text
        assert f'action="/quarantine/{quoted}/{decision}"' in shown
        assert '<button class="grave">Forkast for godt</button>' in shown
        assert "<button>Frigi og lever nå</button>" in shown
        assert shown.count('<details class="confirm">') == 3
        page = await olga.post(f"/quarantine/{quoted}/{decision}", csrf=await olga.csrf(), reason="Ringt")
        assert (page.status, page.location) == (303, f"/messages/{quoted}?done={decision}")
        assert told in (await olga.get(page.location)).text
        assert (await shelf.row(reference)).state == state
    assert [note.action for note in await shelf.audited()] == ["quarantine.release", "quarantine.discard"]
    page = await olga.post("/quarantine/one/release", csrf=await olga.csrf(), reason="Ringt")
    assert page.status == 409
    assert "Det er allerede avgjort" in page.text
    assert 'data-address="/messages/one"' in page.text
    assert "venter på levering" in page.text
    assert "/release" not in page.text


async def test_an_old_link_does_not_say_that_something_was_done(shelf: Shelf, olga: Browser) -> None:
    """What the page says was done is what the message's history has."""
    await shelf.quarantined("one")
    for done in ("release", "discard", "shared", "given-up"):
        text = (await olga.get(f"/messages/one?done={done}")).text
        assert not any(said in text for said in ("Meldingen er ", "Målingene sendes", "Delingen er")), done
    await olga.post("/quarantine/one/release", csrf=await olga.csrf(), reason="Ringt")
    assert "Meldingen er frigitt" in (await olga.get("/messages/one?done=release")).text
    assert "Meldingen er forkastet" not in (await olga.get("/messages/one?done=discard")).text


async def test_decision_needs_a_reason_and_the_page_itself(shelf: Shelf, olga: Browser, vera: Browser) -> None:
    """Without one, from somewhere else, or by a reader, nothing happens."""
    await shelf.quarantined("one")
    csrf = await olga.csrf()
    for decision in ("release", "discard"):
        for given in ({}, {"reason": " "}, {"reason": f"om {PATIENT}"}):
            page = await olga.post(f"/quarantine/one/{decision}", csrf=csrf, **given)
            assert (page.status, PATIENT in page.text) == (400, False)
            assert f'id="{decision}-reason-error"' in page.text
            assert f'action="/quarantine/one/{decision}"' in page.text
    assert (await olga.post("/quarantine/one/release", reason="x")).status == 403
    assert (await vera.post("/quarantine/one/release", csrf=await vera.csrf(), reason="x")).status == 403
    elsewhere = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    data = {"csrf": csrf, "reason": "x"}
    assert (await olga.ask("POST", "/quarantine/one/discard", data=data, headers=elsewhere)).status == 403
    assert (await shelf.row("one")).state == "quarantined"


async def test_content_is_shown_to_an_operator_with_a_reason(shelf: Shelf, olga: Browser, vera: Browser) -> None:
    """And who saw it stands in the audit."""
    await shelf.quarantined("one")
    assert holds_nothing((await olga.get("/messages/one")).text)
    csrf = await olga.csrf()
    page = await olga.post("/messages/one/payload", csrf=csrf, reason="")
    assert (page.status, 'id="payload-reason-error"' in page.text, SECRET in page.text) == (400, True, False)
    assert (await vera.post("/messages/one/payload", csrf=await vera.csrf(), reason="x")).status == 403
    page = await olga.post("/messages/one/payload", csrf=csrf, reason="Vakta spør")
    assert (page.status, SECRET in page.text) == (200, True)
    assert [(note.action, note.reason) for note in await shelf.audited()] == [("message.payload", "Vakta spør")]


async def test_an_unclear_share_is_decided_about_on_its_messages_page(
    shelf: Shelf, olga: Browser, vera: Browser
) -> None:
    """By an operator, who is asked once more and says why; readers see how far it has come."""
    store = shelf.ledger.store
    for reference in ("again", "gone"):
        await shelf.delivered(
            reference, share=NewShare("pmd", b"sealed", left_out="Observation.device: it has no identifier")
        )
    taking = partial(shares.claim, node="gone", now=NOW, until=NOW + 1, most=2, longest=60.0)
    assert len(await store.write(taking)) == 2
    watch = LeaseWatch(shelf.office.clock)
    await store.write(lambda each: shares.recover(each, "node-a", watch, alone=True, longest=90.0, now=NOW))
    page = await vera.get("/messages/again")
    assert "uklart om den kom fram" in page.text
    assert "/shares/pmd/" not in page.text
    csrf = await olga.csrf()
    for reference, word, told in (
        ("again", "resend", "Målingene sendes på nytt."),
        ("gone", "discard", "Delingen er gitt opp."),
    ):
        path = f"/messages/{reference}/shares/pmd/{word}"
        assert f'action="{path}"' in (await olga.get(f"/messages/{reference}")).text
        assert (await vera.post(path, csrf=await vera.csrf(), reason="Ringt")).status == 403
        page = await olga.post(path, csrf=csrf, reason="Ringt PMD")
        assert page.status == 303
        page = await olga.get(page.location)
        assert told in page.text
        assert f'action="{path}"' not in page.text

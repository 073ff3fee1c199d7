"""What a caller may not write: parameters, references, reasons, numbers and bodies that were not asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.each import in_one_world
from tests.gateway.admin.shelf import OPERATE, PATIENT, WHY, error, holds_nothing, post

if TYPE_CHECKING:
    from tests.gateway.admin.shelf import Shelf
    from tests.gateway.office import Browser


@pytest.mark.parametrize(
    "query",
    [
        "?limit=0",
        "?limit=201",
        "?limit=-1",
        "?limit=x",
        "?limit=1&limit=2",
        "?state=lost",
        "?state=",
        "?overdue=perhaps",
        "?mark=other",
        "?information=alt",
        "?since=yesterday",
        "?since=2026-01-01",
        "?since=2026-01-01T00:00:00",
        "?cursor=%00",
        "?cursor=bWVzc2FnZTp4",
        "?cursor=YXVkaXQ6MQ",
        "?cursor=" + "OTk5" * 40,
        "?sender=%00",
        "?municipality=a%0Ab",
        "?sender=" + "x" * 201,
        f"?patient={PATIENT}",
        f"?{PATIENT}=1",
        f"?state={PATIENT}",
        f"?mark={PATIENT}",
    ],
)
async def test_hostile_parameters_are_refused(shelf: Shelf, vera: Browser, query: str) -> None:
    """With 400, and without repeating what was written."""
    await shelf.message("one")
    page = await vera.get(f"/api/v1/messages{query}")
    assert (page.status, page.json["code"]) == (400, "bad-request")
    assert holds_nothing(page.text)


@pytest.mark.parametrize("reference", ["%00", "x" * 200, "..%2F..%2Fmessages", "'%20OR%201=1", PATIENT, "%ED%A0%80"])
async def test_hostile_references_are_no_messages(shelf: Shelf, olga: Browser, reference: str) -> None:
    """Wherever a reference may stand."""
    await shelf.message("one")
    assert (await olga.get(f"/api/v1/messages/{reference}")).status == 404
    for path in ("messages/{}/payload", "messages/{}/resend", "quarantine/{}/release", "quarantine/{}/discard"):
        page = await post(olga, f"/api/v1/{path.format(reference)}", WHY)
        assert page.status == 404
        assert holds_nothing(page.text)
    assert await shelf.audited() == []


@pytest.mark.parametrize(
    "reason",
    ["", "  ", "x" * 501, "two\nlines", "\x00", "\x1b[2J", PATIENT, f"om {PATIENT[:6]} {PATIENT[6:]}.", 7, None, ["x"]],
)
async def test_reason_is_one_line_without_numbers(shelf: Shelf, olga: Browser, reason: object) -> None:
    """Nothing is done without one, and a patient's number is in none."""
    await shelf.quarantined("one")
    for path, body in OPERATE:
        if "reason" in body:
            page = await post(olga, path, {**body, "reason": reason})
            assert (page.status, page.json["code"]) == (400, "bad-request"), path
            assert holds_nothing(page.text)
    assert (await shelf.row("one")).state == "quarantined"
    assert await shelf.audited() == []


@pytest.mark.parametrize(("path", "body"), OPERATE)
async def test_bodies_that_were_not_asked_for_are_refused(
    shelf: Shelf, olga: Browser, path: str, body: dict[str, Any]
) -> None:
    """Other types, other members, none at all."""
    await shelf.quarantined("one")
    headers = {"X-CSRF-Token": await olga.csrf()}
    for wrong in ({}, [], None, "x", {**body, PATIENT: 1}, dict.fromkeys(body, 7)):
        page = await post(olga, path, wrong)
        assert (page.status, page.json["code"]) == (400, "bad-request"), wrong
        assert holds_nothing(page.text)
    for kind, raw in (("text/plain", b"{}"), ("application/json", b'{"reason": "\\ud800"}'), ("application/json", b"[" * 9999)):  # fmt: skip
        page = await olga.ask("POST", path, data=raw, headers={**headers, "Content-Type": kind})
        assert (page.status, page.json["code"]) == (400, "bad-request")
    assert await shelf.audited() == []


@in_one_world("number", ["", "1", "12834010061", f" {PATIENT}", PATIENT + "0", "１２８３４０１００６０", "x"])
async def test_number_must_be_one(shelf: Shelf, olga: Browser, number: str) -> None:
    """What is none is refused without being repeated, and nothing is written down."""
    for path, body in OPERATE[-2:]:
        page = await post(olga, path, {**body, "patient": number})
        assert error(page) == (
            400, "bad-request", "patient: expected a national identity number of eleven digits"
        )  # fmt: skip
    assert await shelf.audited() == []

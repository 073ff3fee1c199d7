"""Going back to VKP over the admin API: who may, when not, and what the audit keeps of it."""

from __future__ import annotations

import asyncio
import csv
import io
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import select

from gateway.admin.bounds import Bounds
from gateway.admin.idempotency import IdempotencyStore
from gateway.admin.rollback import CONFIRMATION, NOT_HERE
from gateway.admin.rollback_documents import COLUMNS
from gateway.auth.people.api_tokens import TokenRequest
from gateway.ledger.idempotency import LEASE
from gateway.ledger.tables import AUDIT
from gateway.outbox.returns import NO_CLIENT
from service_stubs.behaviour import Behaviour
from tests.each import in_one_world
from tests.gateway.admin.shelf import error
from tests.gateway.office import OLGA
from tests.gateway.return_scene import NOW, STILL_NEW, return_scene

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from joserfc.jwk import ECKey

    from tests.gateway.office import Browser, Office, Page
    from tests.gateway.return_scene import Scene

ROOT = "/api/v1/rollback"
SINCE = datetime.fromtimestamp(NOW - 60, UTC).isoformat()
HAVNES: dict[str, Any] = {"municipality": "havnes", "since": SINCE}
SURE = {"confirm": CONFIRMATION, "reason": "Gerica is stopped"}
REFUSED = [
    {"confirm": "yes"},
    {"confirm": None},
    {"reason": " "},
    {"reason": "about 13116900216"},
    {"rate": 0},
    {"rate": 1000},
    {"since": "2026-12-01T08:00"},
    {"information": ["legemidler"]},
    {"more": 1},
]


@pytest.fixture
async def scene(office: Office, tmp_path: Path, client_key: ECKey) -> AsyncIterator[Scene]:
    """Run the doubles behind the admin port, with a ledger and what sends."""
    folder = tmp_path / "rollback"
    folder.mkdir()
    async with return_scene(folder, client_key) as made:
        office.port.ledger.use(made.ledger, made.keys, made.means().config)
        office.port.rollback.use(made.returning())
        yield made


async def post(browser: Browser, path: str, **body: Any) -> Page:
    """Send JSON as a page does."""
    return await browser.ask("POST", ROOT + path, json=body, headers={"X-CSRF-Token": await browser.csrf()})


async def audited(scene: Scene) -> list[tuple[str, str, str | None]]:
    """Return what the audit has: action, target and reason."""
    wanted = select(AUDIT.c.action, AUDIT.c.target, AUDIT.c.reason).order_by(AUDIT.c.id)
    return await scene.store.read(lambda connection: [tuple(row) for row in connection.execute(wanted)])


async def ended(scene: Scene) -> None:
    """Wait until every job has ended."""
    for returning in scene.started:
        await asyncio.gather(*returning._tasks)


async def test_the_list_has_groups_counts_and_items(scene: Scene, olga: Browser) -> None:
    """References and where each stands, and nothing of what was sent."""
    first, second = await scene.delivered(), await scene.held()
    page = await post(olga, "/list", **HAVNES)
    assert page.status == 200
    assert page.json["groups"]["unread"] == {"messages": 1, "sendable": 1}
    assert page.json["groups"]["pending"] == {"messages": 1, "sendable": 1}
    assert [(one["reference"], one["group"]) for one in page.json["items"]] == [(first, "unread"), (second, "pending")]
    assert page.json["sending"] == {
        "possible": True,
        "obstacles": [],
        "without_client": [],
        "confirm": CONFIRMATION,
    }
    assert not {"payload", "patient", "body"} & page.json["items"][0].keys()


async def test_the_list_goes_on_with_its_cursor(scene: Scene, olga: Browser) -> None:
    """And may be of one group."""
    references = [await scene.delivered() for _ in range(3)]
    first = await post(olga, "/list", **HAVNES, limit=2)
    rest = await post(olga, "/list", **HAVNES, cursor=first.json["next"])
    assert [one["reference"] for one in first.json["items"] + rest.json["items"]] == references
    assert rest.json["next"] is None
    assert (await post(olga, "/list", **HAVNES, group="returned")).json["items"] == []


async def test_an_orgnr_names_a_municipality_too(scene: Scene, olga: Browser) -> None:
    """As everywhere."""
    await scene.delivered()
    page = await post(olga, "/list", municipality="315058384", since=SINCE)
    assert page.json["selection"]["municipality"] == "havnes"
    assert page.json["groups"]["unread"]["messages"] == 1


async def test_without_a_client_it_lists_and_exports_and_says_so(scene: Scene, olga: Browser) -> None:
    """Sending is refused with the same words."""
    await scene.delivered()
    scene.vkp_client = None
    page = await post(olga, "/list", **HAVNES)
    assert page.json["sending"]["obstacles"] == [NO_CLIENT.format("havnes")]
    assert len(page.json["items"]) == 1
    assert (await post(olga, "/export", **HAVNES)).status == 200
    sending = await post(olga, "/send", **HAVNES, **SURE)
    assert (sending.status, sending.json["detail"]) == (409, NO_CLIENT.format("havnes"))
    assert await audited(scene) == []


async def test_a_process_that_sends_nothing_says_so(scene: Scene, office: Office, olga: Browser) -> None:
    """An admin port may have a ledger, and nothing that sends."""
    await scene.delivered()
    office.port.rollback._sender = None
    assert (await post(olga, "/list", **HAVNES)).json["sending"]["obstacles"] == [NOT_HERE]
    assert (await post(olga, "/send", **HAVNES, **SURE)).status == 409
    assert not scene.vkp.received


async def test_the_export_is_a_table(scene: Scene, olga: Browser) -> None:
    """One line for each message, and why it is not sent."""
    first, second = await scene.delivered(), await scene.delivered()
    await scene.ledger.read((await scene.item(second)).id, next_poll=NOW)
    page = await post(olga, "/export", **HAVNES)
    assert page.headers["Content-Type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(page.text)))
    assert tuple(rows[0]) == COLUMNS
    assert [(one["reference"], one["group"], one["sent_in_bulk"]) for one in rows] == [
        (first, "unread", "yes"),
        (second, "possible-duplicate", "no"),
    ]


@pytest.mark.parametrize("admin_bounds", [Bounds(exported=2)], ids=["two"])
async def test_an_export_has_an_end(scene: Scene, olga: Browser) -> None:
    """What is too much for one answer is had by the list."""
    for _ in range(3):
        await scene.delivered()
    status, code, detail = error(await post(olga, "/export", **HAVNES))
    assert (status, code) == (409, "conflict")
    assert "more than 2 messages" in detail
    assert (await post(olga, "/export", **HAVNES, vendor="evondos")).status == 200


async def test_a_job_that_is_begun_again_with_its_key_is_one_job(scene: Scene, olga: Browser) -> None:
    """Its answer is the first one, also when the job has ended."""
    await scene.delivered()
    fields = {"X-CSRF-Token": await olga.csrf(), "Idempotency-Key": "once"}
    first = await olga.ask("POST", f"{ROOT}/send", json={**HAVNES, **SURE}, headers=fields)
    await ended(scene)
    again = await olga.ask("POST", f"{ROOT}/send", json={**HAVNES, **SURE}, headers=fields)
    assert (again.status, again.location, again.json) == (202, first.location, first.json)
    assert [action for action, _, _ in await audited(scene)] == ["rollback.send"]


async def test_a_job_is_begun_once_across_a_restart(scene: Scene, office: Office, olga: Browser) -> None:
    """A process that did not begin it answers with it, and begins no other for what has come since."""
    await scene.delivered()
    first = await begin(olga, "once")
    await ended(scene)
    await scene.delivered()
    again = await begin(await after_restart(scene, office), "once")
    assert (again.status, again.location, again.json) == (202, first.location, first.json)
    assert [action for action, _, _ in await audited(scene)] == ["rollback.send"]
    await ended(scene)
    assert len(scene.vkp.received) == 1


async def test_a_job_whose_process_ended_before_its_answer_was_noted_is_not_begun_again(
    scene: Scene, office: Office, olga: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it sent is not known, and it is said so: a person looks at what is left."""
    await scene.delivered()
    with monkeypatch.context() as patch:
        patch.setattr(IdempotencyStore, "_keep", _nothing)
        assert (await begin(olga, "once")).status == 202
    await ended(scene)
    await scene.delivered()
    office.clock.now += LEASE + 1
    again = await begin(await after_restart(scene, office), "once")
    assert (again.status, again.json["code"]) == (409, "conflict")
    assert "what came of it is not known" in again.json["detail"]
    await ended(scene)
    assert len(scene.vkp.received) == 1


async def begin(browser: Browser, key: str) -> Page:
    """Ask for a job with a key."""
    fields = {"X-CSRF-Token": await browser.csrf(), "Idempotency-Key": key}
    return await browser.ask("POST", f"{ROOT}/send", json={**HAVNES, **SURE}, headers=fields)


async def after_restart(scene: Scene, office: Office) -> Browser:
    """Let the operator log in at a process that has the same ledger and remembers nothing else."""
    await office.restart()
    office.port.ledger.use(scene.ledger, scene.keys, scene.means().config)
    office.port.rollback.use(scene.returning("node-1"))
    browser = office.browser()
    await browser.enter(OLGA)
    return browser


async def _nothing(*_: object) -> None:
    pass


async def test_sending_is_a_job_with_an_audit(scene: Scene, olga: Browser) -> None:
    """It says where it can be asked for, and what came of it."""
    first, second = await scene.delivered(), await scene.delivered()
    scene.read(second)
    page = await post(olga, "/send", **HAVNES, **SURE, rate=50)
    assert page.status == 202
    await ended(scene)
    job = (await olga.get(page.location)).json
    assert (job["progress"], job["counts"]["returned"], job["counts"]["read-meanwhile"]) == ("done", 1, 1)
    assert [(one["reference"], one["outcome"]) for one in job["not_returned"]] == [(second, "read-meanwhile")]
    assert await scene.states(first, second) == ["returned", "read"]
    assert await audited(scene) == [("rollback.send", "havnes", "Gerica is stopped")]


async def test_sending_waits_for_the_routes(scene: Scene, olga: Browser) -> None:
    """While a cell is new, what comes still goes to JFT."""
    await scene.delivered()
    scene.routes = STILL_NEW
    page = await post(olga, "/send", **HAVNES, **SURE)
    assert page.status == 409
    assert "havnes, dignio, prevent, varsel" in page.json["detail"]
    assert (await post(olga, "/send", **HAVNES, **SURE, vendor="evondos")).status == 202


@in_one_world("changed", REFUSED, ids=str)
async def test_sending_needs_a_whole_request(scene: Scene, olga: Browser, changed: dict[str, Any]) -> None:
    """A confirmation word for word, a reason without a patient, and a rate within bounds."""
    await scene.delivered()
    wanted = {**HAVNES, **SURE, **changed}
    page = await post(olga, "/send", **{name: value for name, value in wanted.items() if value is not None})
    assert page.status == 400
    assert "13116900216" not in page.text
    assert not scene.vkp.received


async def test_a_second_job_is_refused(scene: Scene, olga: Browser) -> None:
    """Until the first has ended."""
    for _ in range(3):
        await scene.delivered()
    first = await post(olga, "/send", **HAVNES, **SURE, rate=0.1)
    assert (await post(olga, "/send", **HAVNES, **SURE)).status == 409
    assert len(await audited(scene)) == 1
    assert (await post(olga, f"/jobs/{first.json['id']}/stop")).status == 202
    await ended(scene)
    assert (await olga.get(first.location)).json["progress"] == "stopped"
    assert [action for action, *_ in await audited(scene)] == ["rollback.send", "rollback.stop"]


async def test_an_operators_api_token_sends_and_the_audit_says_so(scene: Scene, office: Office) -> None:
    """The command line has nothing else; the person who made the token answers for what it confirms."""
    await scene.delivered()
    assert office.port.authenticator.auth is not None
    wanted = TokenRequest("tool", ["operator", "viewer"], 1, None)
    token, secret = await office.port.authenticator.auth.tokens.make(wanted, ("olga",), in_dev=False)
    program, headers = office.browser(), {"Authorization": f"Bearer {secret}", "Origin": None, "Sec-Fetch-Site": None}
    page = await program.ask("POST", f"{ROOT}/send", json={**HAVNES, **SURE}, headers=headers)
    assert page.status == 202
    await ended(scene)
    assert len(scene.vkp.received) == 1
    assert [action for action, *_ in await audited(scene)] == ["rollback.send"]
    actors = await scene.store.read(lambda connection: list(connection.execute(select(AUDIT.c.actor)).scalars()))
    assert token.id in actors[0]


async def test_an_operator_of_another_municipality_sees_and_sends_nothing(
    scene: Scene, nora: Browser, olga: Browser
) -> None:
    """Nor learns which messages and jobs there are."""
    reference = await scene.delivered()
    scene.read(reference)
    for path in ("/list", "/export"):
        assert (await post(nora, path, **HAVNES)).status == 403
    assert (await post(nora, "/send", **HAVNES, **SURE)).status == 403
    assert (await post(nora, "/send-one", reference=reference, **SURE)).status == 404
    job = (await post(olga, "/send", **HAVNES, **SURE)).json["id"]
    assert (await nora.get(f"{ROOT}/jobs/{job}")).status == 404
    assert (await post(nora, f"/jobs/{job}/stop")).status == 404
    assert not scene.vkp.received


async def test_a_viewer_sees_and_sends_nothing(scene: Scene, vera: Browser) -> None:
    """Looking is one thing."""
    await scene.delivered()
    assert (await post(vera, "/list", **HAVNES)).status == 200
    assert (await post(vera, "/send", **HAVNES, **SURE)).status == 403


async def test_one_that_was_read_is_sent_by_a_person(scene: Scene, olga: Browser) -> None:
    """Once, with an audit entry of its own."""
    reference = await scene.delivered()
    scene.read(reference)
    await scene.ledger.read((await scene.item(reference)).id, next_poll=NOW)
    page = await post(olga, "/send-one", reference=reference, **SURE)
    assert (page.status, page.json["outcome"]) == (200, "returned")
    again = await post(olga, "/send-one", reference=reference, **SURE)
    assert again.status == 409
    assert await audited(scene) == [("rollback.send-one", reference, "Gerica is stopped")]
    assert len(scene.taken) == 1


async def test_one_that_vkp_does_not_take_is_told(scene: Scene, olga: Browser) -> None:
    """With VKP's code."""
    reference = await scene.delivered()
    scene.read(reference)
    await scene.ledger.read((await scene.item(reference)).id, next_poll=NOW)
    scene.vkp.behave(Behaviour(status=400))
    page = await post(olga, "/send-one", reference=reference, **SURE)
    assert (page.status, page.json["detail"]) == (409, "refused: VKP refused it (400, 3)")


async def test_one_that_is_unread_is_not_sent_alone(scene: Scene, olga: Browser) -> None:
    """Nor one that nobody knows."""
    reference = await scene.delivered()
    assert (await post(olga, "/send-one", reference=reference, **SURE)).status == 409
    assert (await post(olga, "/send-one", reference="nowhere", **SURE)).status == 404


@pytest.mark.usefixtures("scene")
async def test_a_job_of_another_process_is_not_known(olga: Browser) -> None:
    """What is left can be asked for again."""
    page = await olga.get(f"{ROOT}/jobs/gone")
    assert page.status == 404


async def test_without_a_ledger_nothing_is_there(olga: Browser) -> None:
    """And that is said."""
    page = await post(olga, "/list", **HAVNES)
    assert (page.status, page.json["code"]) == (503, "no-ledger")

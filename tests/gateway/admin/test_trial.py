"""A message that somebody brings, by the API: what would become of it, and that it leaves no trace."""

from __future__ import annotations

import asyncio
import io
from importlib import resources
from typing import TYPE_CHECKING, Any

import pytest

from gateway.admin import trial
from gateway.migration.trial.examples import ExampleKind, _examples, example_of
from gateway.migration.trial.guess import surface_of
from gateway.surfaces.registry import SURFACES
from tests.each import in_one_world
from tests.gateway.admin.shelf import error, post

if TYPE_CHECKING:
    from tests.gateway.admin.shelf import Shelf
    from tests.gateway.office import Browser, Office

_PATH = "/api/v1/try"


def example(name: str) -> str:
    """Return a message of the examples."""
    return resources.files("translators").joinpath("examples", name).read_text(encoding="utf-8")


async def test_message_is_read_decided_and_translated(shelf: Shelf, vera: Browser) -> None:
    """Its interface is guessed; the municipality that is named decides; its calls, and what was repaired, are there."""
    del shelf
    page = await post(vera, _PATH, {"text": example("quirks.json"), "municipality": "312229544"})
    found = page.json
    assert page.status == 200
    assert (found["surface"], found["municipality"], found["information"]) == ("vkp-r4", "nordfjell", "varsel")
    assert found["guessed"] == ["sender", "surface"]
    assert (found["verdict"], found["decision"]["mode"], found["decision"]["layer"]) == ("repaired", "legacy", "routes")
    assert [(call["method"], call["path"]) for call in found["calls"]] == [("POST", "/v1/Bundle")]
    assert {"path": "Bundle.language", "rule": "empty-string-dropped"} in found["repairs"] or found["repairs"]
    coverage = found["coverage"]
    assert coverage["leaves"] == coverage["carried"] + coverage["repaired"] + coverage["lost"]


@pytest.mark.parametrize("name", [one.name for one in _examples()])
def test_interface_of_each_example_is_guessed(name: str) -> None:
    """By the message alone, in each form of each interface."""
    folder = name.partition("/")[0]
    wanted = {"stu3": "vkp-stu3", "soap": "vkp-soap"}.get(folder, "vkp-r4")
    guessed = surface_of(example(name).encode())
    assert guessed is next(one for one in SURFACES if wanted == one.NAME)


async def test_every_line_says_what_became_of_it(shelf: Shelf, vera: Browser) -> None:
    """What the coverage counts is what the lines say, of an example of every interface."""
    del shelf
    for name in ("note.json", "quirks.json", "stu3/dispense-with-flag.xml", "soap/note.xml"):
        found = (await post(vera, _PATH, {"text": example(name)})).json
        marks = [line["mark"] for line in found["message"]["places"]]
        assert set(marks) <= {"carried", "repaired", "used", "lost"}
        made = {line["path"] for line in found["result"]["places"] if line["mark"] == "derived"}
        assert {one["path"] for one in found["derived"]} <= made
        assert ("repaired" in marks) == bool(found["repairs"])


async def test_loss_is_shown_where_it_is(shelf: Shelf, vera: Browser) -> None:
    """The line that cannot be carried is marked, and the refusal says its place."""
    del shelf
    text = example("note.json").replace('"status"', '"unheard": "x", "status"', 1)
    found = (await post(vera, _PATH, {"text": text, "municipality": "nordfjell"})).json
    assert (found["verdict"], found["refusal"]["fault"], found["refusal"]["code"]) == ("refused", "loss", "2.4")
    lost = [line["path"] for line in found["message"]["places"] if line["mark"] == "lost"]
    assert lost == ["Composition.unheard"] == [found["refusal"]["path"]]
    assert found["calls"] == []


@in_one_world(
    ("body", "detail"),
    [
        ({}, "one of text and base64"),
        ({"text": "{}", "base64": "e30="}, "one of text and base64"),
        ({"base64": "!"}, "base64: not as expected"),
        ({"text": "{}", "municipality": "havnes"}, "municipality: none that you may view"),
        ({"text": "{}", "sender": "nobody"}, "sender: none that you may view"),
        ({"text": "{}", "surface": "other"}, "surface: not as expected"),
    ],
)
async def test_what_cannot_be_tried_is_said(shelf: Shelf, vera: Browser, body: dict[str, Any], detail: str) -> None:
    """With 400."""
    del shelf
    page = await post(vera, _PATH, body)
    assert error(page) == (400, "bad-request", detail)


async def test_what_is_no_message_is_told_by_its_fault(shelf: Shelf, vera: Browser) -> None:
    """Bytes of any sort are answered like a message that is refused."""
    del shelf
    for text in ("", "{", "<a/>", "null", "[1]", '{"resourceType": 7}', "<!DOCTYPE a><MsgHead/>"):
        found = (await post(vera, _PATH, {"text": text})).json
        assert found["verdict"] == "refused", text
        assert found["refusal"]["fault"] in ("malformed", "not-supported")


async def test_reader_of_one_municipality_tries_for_that_alone(office: Office, nora: Browser, shelf: Shelf) -> None:
    """No other is guessed, told of or chosen."""
    del office, shelf
    found = (await post(nora, _PATH, {"text": example("note.json")})).json
    assert found["municipality"] == "nordfjell"
    page = await post(nora, _PATH, {"text": example("note.json"), "municipality": "sorvik"})
    assert error(page) == (400, "bad-request", "municipality: none that you may view")


async def test_message_leaves_no_trace(shelf: Shelf, vera: Browser, capfd: pytest.CaptureFixture[str]) -> None:
    """Not in the log, the audit or the ledger, and the answer is not to be kept."""
    text = example("note.json").replace('"status"', '"unheard": "Kari Hemmelig", "status"', 1)
    page = await post(vera, _PATH, {"text": text})
    assert page.headers["Cache-Control"] == "no-store"
    assert "Hemmelig" not in capfd.readouterr().err
    assert "Hemmelig" not in str(shelf.office.logged.events)
    assert await shelf.audited() == []


async def test_one_is_tried_at_a_time_and_not_for_long(
    shelf: Shelf, vera: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who comes meanwhile is told so; what takes too long is given up; a defect is told by its type alone."""
    began, ends = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def slow(*_: object) -> None:
        loop.call_soon_threadsafe(began.set)
        asyncio.run_coroutine_threadsafe(ends.wait(), loop).result()
        raise RuntimeError("Kari Hemmelig")

    monkeypatch.setattr(trial, "tried", slow)
    async with asyncio.TaskGroup() as group:
        first = group.create_task(post(vera, _PATH, {"text": "{}"}))
        await began.wait()
        assert error(await post(vera, _PATH, {"text": "{}"}))[:2] == (429, "too-many")
        ends.set()
    page = first.result()
    assert (page.status, "Hemmelig" in page.text) == (500, False)
    shelf.office.port.trials.patience = 0.0
    ends.clear()
    assert error(await post(vera, _PATH, {"text": "{}"}))[:2] == (400, "bad-request")
    ends.set()


async def test_body_is_bounded(shelf: Shelf, vera: Browser) -> None:
    """Beyond a megabyte nothing is read."""
    del shelf
    headers = {"X-CSRF-Token": await vera.csrf(), "Content-Type": "application/json"}
    for size, limit in ((trial.LARGEST + 1, trial.LARGEST), (2 * trial.LARGEST, 2 * trial.LARGEST)):
        data = io.BytesIO(b'{"text": "%s"}' % (b" " * size))
        page = await vera.ask("POST", _PATH, data=data, headers=headers)
        assert error(page) == (400, "bad-request", f"larger than {limit} bytes")


async def test_synthetic_person_is_taken_for_a_good_one_and_said_so(shelf: Shelf, vera: Browser) -> None:
    """Production refuses such numbers, which would hide whatever else there is to see."""
    body = {"text": example("note.json")}
    assert (await post(vera, _PATH, body)).json["is_synthetic"] is False
    shelf.office.reload(environment="production")
    found = (await post(vera, _PATH, body)).json
    assert (found["verdict"], found["is_synthetic"]) == ("clean", True)
    bad = (await post(vera, _PATH, {"text": example("bad-patient.json")})).json
    assert (bad["verdict"], bad["is_synthetic"]) == ("refused", False)


@pytest.mark.parametrize(
    "kind",
    [
        ExampleKind(
            "medisinering", "malformed: Bundle.entry.resource.category: category is missing, which says what happened"
        ),
        ExampleKind(
            "varsel", "patient: Bundle.entry.resource.subject.identifier.value: not a valid national identity number"
        ),
        ExampleKind("notat", "loss: would be lost: Composition.unheard"),
        ExampleKind("varsel", rule="malformed", place="Bundle.entry.resource.status"),
        ExampleKind("notat", rule="empty-string-dropped"),
        ExampleKind("varsel", rule="loss", place="DetectedIssue.unheard"),
        ExampleKind("maledata", rule="loss", place="Observation.code.unheard"),
        ExampleKind(reason="test"),
    ],
    ids=str,
)
def test_kind_of_fault_has_an_example_that_shows_it(kind: ExampleKind) -> None:
    """What rehearsals and findings are counted by leads to a message with the very same."""
    assert example_of(kind).is_exact


async def test_example_of_a_kind_that_none_has_is_one_of_its_type(shelf: Shelf, vera: Browser) -> None:
    """And says that it is only like it."""
    del shelf
    page = await vera.get(f"{_PATH}/example", params={"information": "notat", "reason": "loss: nowhere at all"})
    assert (page.json["is_exact"], "Composition" in page.json["text"]) == (False, True)

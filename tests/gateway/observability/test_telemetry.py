"""Logs and metrics: enough to know what happened, and nothing that names a patient."""

from __future__ import annotations

import io
import json
import logging
from typing import TYPE_CHECKING, Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from gateway.model import Account, Envelope, Information, Mode
from gateway.observability import metrics, telemetry

if TYPE_CHECKING:
    from uuid import UUID

NUMBER = "12834010060"
TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl"


def masked(**event: Any) -> dict[str, Any]:
    """Pass an event through the mask."""
    return dict(telemetry.mask(None, "info", event))


@pytest.mark.parametrize(
    "text", [NUMBER, f"({NUMBER})", f"a{NUMBER}b", f"identifier={NUMBER}&x", f"{NUMBER},{NUMBER}", f"x\n{NUMBER}"]
)
def test_eleven_digits_are_hidden(text: str) -> None:
    """Whatever stands around them."""
    assert NUMBER not in masked(event=text, other=text).values()
    assert NUMBER not in str(masked(event=text, other=text))


@pytest.mark.parametrize("text", ["1234567890", "123456789012", "312229544", "2026-11-03T07:19:40"])
def test_other_numbers_stay(text: str) -> None:
    """Organisation numbers and times are needed to understand a log."""
    assert masked(event=text)["event"] == text


@pytest.mark.parametrize(
    "text",
    [
        *(TOKEN, f"Bearer {TOKEN}", f"{TOKEN}.x.y", TOKEN.rsplit(".", 1)[0] + "."),
        *(f"Bearer%20{TOKEN}", f"api.{TOKEN}", f"-eyJx{TOKEN}", f"{TOKEN} and {TOKEN}"),
    ],
)
def test_tokens_are_hidden(text: str) -> None:
    """Signed, encrypted or cut off."""
    assert "eyJ" not in masked(event=text)["event"]


@pytest.mark.parametrize("piece", ["eyJ", "eyJ.", ".", "eyJabcdefgh"])
def test_a_long_text_is_gone_through_once(piece: str) -> None:
    """It would take hours, were each place looked at as the beginning of a token: a test ends before that."""
    text = f"{piece * 500_000}!"
    assert len(masked(event=text)["event"]) <= len(text)


@pytest.mark.parametrize("last", ["12834010060a", "a12834010060", "128340100601", "1a2834010060"])
def test_id_of_an_event_stays_whole(last: str) -> None:
    """A UUID may end in eleven digits; an event is found again by it."""
    event_id = f"0d0bbd6c-7f0e-4b6a-9a57-{last}"
    assert masked(event_id=event_id)["event_id"] == event_id


@given(st.uuids())
def test_no_uuid_is_changed(event_id: UUID) -> None:
    """Whatever its digits."""
    assert masked(event_id=str(event_id))["event_id"] == str(event_id)


@given(st.text(), st.text())
def test_number_is_never_left_in_any_text(before: str, after: str) -> None:
    """Unless more digits make another number of it."""
    shown = masked(event=f"{before}x{NUMBER}x{after}")["event"]
    assert f"x{NUMBER}x" not in shown


def test_number_is_hidden_in_lists_and_mappings() -> None:
    """Events carry lists too."""
    shown = json.dumps(masked(problems=[f"a {NUMBER}", {"b": (NUMBER, TOKEN)}], count=3, nothing=None))
    assert NUMBER not in shown
    assert "eyJ" not in shown


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    """Return what was logged."""
    telemetry.flush()
    return [json.loads(line) for line in stream.getvalue().splitlines()]


@pytest.mark.parametrize(
    ("told", "logged"),
    [
        ("Bundle.entry[2].resource.olaNordmann: not an element", "Bundle.entry[2].resource.(name): not an element"),
        ('the key "Nordmann" stands twice in one object', 'the key "(name)" stands twice in one object'),
        ('the key "code" stands twice in one object', 'the key "code" stands twice in one object'),
        ("Bundle.entry[0].resource.subject.identifier[1].value: bad", None),
        (
            "MedicationDispense.medicationReference.kari.kari[3], Encounter._status",
            "MedicationDispense.medicationReference.(name).(name)[3], Encounter._status",
        ),
        ("Cannot connect to host vkp.example:443. Reference 1.", None),
    ],
)
def test_names_that_a_sender_chose_are_not_logged(told: str, logged: str | None) -> None:
    """What is told the sender of its own message names its places; in the log only names of FHIR's stay."""
    stream = io.StringIO()
    telemetry.configure(stream)
    envelope = Envelope("vkp-r4", None, None, None, None, None)
    telemetry.record(Account("c", envelope, None, None, None, "malformed", told), 400, 0.0)
    (line,) = lines(stream)
    assert line["diagnostics"] == (told if logged is None else logged)


def test_exception_is_logged_by_type_and_place_only() -> None:
    """Its text and its variables may hold what a sender wrote."""
    stream = io.StringIO()
    telemetry.configure(stream)
    try:
        _fail(f"secret {NUMBER}")
    except ValueError:
        structlog.get_logger().exception("failed", correlation_id="c")
    finally:
        structlog.reset_defaults()
    (line,) = lines(stream)
    assert (line["exception"], line["level"], line["correlation_id"]) == ("ValueError", "error", "c")
    assert any(frame.startswith("_fail:") for frame in line["frames"])
    assert "secret" not in stream.getvalue()


def test_exception_that_is_handed_over_is_logged_alike() -> None:
    """A task's failure is logged after the fact, where nothing is being handled."""
    stream = io.StringIO()
    telemetry.configure(stream)
    failure: Exception | None = None
    try:
        _fail(f"secret {NUMBER}")
    except ValueError as error:
        failure = error
    try:
        structlog.get_logger().error("failed", exc_info=failure)
    finally:
        structlog.reset_defaults()
    (line,) = lines(stream)
    assert line["exception"] == "ValueError"
    assert any(frame.startswith("_fail:") for frame in line["frames"])
    assert "secret" not in stream.getvalue()


def _fail(text: str) -> None:
    raise ValueError(text)


def account(**changes: Any) -> Account:
    """Make the account of an accepted message."""
    envelope = Envelope("vkp-r4", "telemetry-test", "sender", "vendor", "system", Information.VARSEL)
    normal = {
        "correlation_id": "c",
        "envelope": envelope,
        "mode": Mode.NEW,
        "upstream": "jft",
        "route": "routes.yaml:1:1",
        "outcome": "accepted",
    }
    return Account(**{**normal, **changes})


def value(name: str, **labels: str) -> float:
    """Return a metric's value."""
    return metrics.REGISTRY.get_sample_value(name, labels) or 0.0


def test_message_is_logged_once_and_counted() -> None:
    """One wide event and one count, by what the message was and what became of it."""
    stream = io.StringIO()
    telemetry.configure(stream)
    labels = {
        "surface": "vkp-r4",
        "municipality": "telemetry-test",
        "information": "varsel",
        "mode": "new",
        "outcome": "accepted",
    }
    before = value("vkp_gateway_repairs_total", rule="telemetry-rule"), value("vkp_gateway_losses_total")
    try:
        telemetry.record(
            account(repairs=("telemetry-rule", "telemetry-rule"), losses=("Flag.note", "Flag.text"), event_id="e"),
            200,
            0.0123456,
        )
    finally:
        structlog.reset_defaults()
    (line,) = lines(stream)
    assert (line["event"], line["outcome"], line["status"], line["event_id"]) == ("message", "accepted", 200, "e")
    assert line["milliseconds"] == 12.346
    assert value("vkp_gateway_messages_total", **labels) == 1
    after = value("vkp_gateway_repairs_total", rule="telemetry-rule"), value("vkp_gateway_losses_total")
    assert (after[0] - before[0], after[1] - before[1]) == (2, 2)


def test_line_has_its_members_in_their_order() -> None:
    """Whoever reads logs by their beginnings finds what they found before."""
    stream = io.StringIO()
    telemetry.configure(stream)
    telemetry.record(account(repairs=("a", "b"), losses=("c",)), 200, 0.5)
    telemetry.flush()
    told, _, timestamp = stream.getvalue().rpartition('"timestamp":')
    assert told == (
        '{"event":"message","level":"info","correlation_id":"c","surface":"vkp-r4","municipality":"telemetry-test",'
        '"sender":"sender","information":"varsel","mode":"new","canary":false,"layer":null,"rule":null,"generation":null,'
        '"upstream":"jft","route":"routes.yaml:1:1","outcome":"accepted","status":200,"milliseconds":500.0,'
        '"diagnostics":null,"repairs":["a","b"],"losses":1,"event_id":null,"first":null,"marks":[],'
    )
    assert timestamp.endswith('+00:00"}\n')


def test_half_of_a_surrogate_pair_costs_no_other_line() -> None:
    """Lines are written together, and a sender's text may be what no line can hold."""
    stream = io.StringIO()
    telemetry.configure(stream)
    for number in range(3):
        telemetry.record(account(correlation_id=str(number), diagnostics="\ud800" if number == 1 else None), 200, 0.5)
    assert [(line["correlation_id"], line["diagnostics"]) for line in lines(stream)] == [
        ("0", None),
        ("1", "\ud800"),
        ("2", None),
    ]


def test_unknown_parts_are_empty_labels() -> None:
    """A request that names nothing that is known makes no new label of what it said."""
    telemetry.configure(io.StringIO())
    empty = {"surface": "unrecognised", "municipality": "", "information": "", "mode": "", "outcome": "telemetry"}
    try:
        envelope = Envelope("unrecognised", None, None, None, None, None)
        telemetry.record(account(envelope=envelope, mode=None, outcome="telemetry"), 404, 0.1)
    finally:
        structlog.reset_defaults()
    assert value("vkp_gateway_messages_total", **empty) == 1


async def test_what_was_gathered_is_counted_before_anything_is_shown() -> None:
    """Where an event loop runs messages are written and counted a moment later, and whoever asks still gets exact numbers."""
    stream = io.StringIO()
    telemetry.configure(stream)
    for _ in range(3):
        telemetry.record(account(outcome="gathered"), 200, 0.1)
    assert not stream.getvalue()
    assert value("vkp_gateway_messages_total", **labels_of("gathered")) == 3
    assert len(lines(stream)) == 3


async def test_many_messages_are_written_without_waiting() -> None:
    """So that those which come meanwhile do not wait for all of them."""
    stream = io.StringIO()
    telemetry.configure(stream)
    for number in range(64):
        assert not stream.getvalue()
        telemetry.record(account(correlation_id=str(number)), 200, 0.1)
    assert [line["correlation_id"] for line in lines(stream)] == [str(number) for number in range(64)]


def labels_of(outcome: str) -> dict[str, str]:
    """Return the labels of the messages of these tests."""
    named = {"surface": "vkp-r4", "municipality": "telemetry-test", "information": "varsel", "mode": "new"}
    return {**named, "outcome": outcome}


class Full(io.StringIO):
    """A file of which only a part of a text can be written while its disk is full."""

    is_full = False

    def write(self, text: str) -> int:
        """Write what there is room for."""
        if self.is_full:
            super().write(text[:5])
            raise OSError
        return super().write(text)


def test_line_that_was_cut_off_takes_no_other_with_it() -> None:
    """What is written when the disk has room again begins on a line of its own."""
    stream, before = Full(), structlog.get_config()
    try:
        telemetry.configure(stream)
        stream.is_full = True
        structlog.get_logger().info("first")
        stream.is_full = False
        structlog.get_logger().info("second")
    finally:
        structlog.configure(**before)
    cut, whole = stream.getvalue().splitlines()
    assert (len(cut), json.loads(whole)["event"]) == (5, "second")


def test_what_libraries_log_is_a_line_as_all_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the values in it, and without the text of an exception: both may hold what a sender wrote."""
    stream = io.StringIO()
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    before = structlog.get_config()
    try:
        for _ in range(2):
            telemetry.configure(stream)
        logging.getLogger("psycopg").warning("error ignored terminating %r: %s", "dbname=internal", "Ola Nordmann")
        lost = ValueError("Ola Nordmann")
        logging.getLogger("asyncio").error("Task exception was never retrieved\nfuture: <Ola Nordmann>", exc_info=lost)
    finally:
        structlog.configure(**before)
    first, second = map(json.loads, stream.getvalue().splitlines())
    assert (first["event"], first["library"], first["level"]) == ("library.told", "psycopg", "warning")
    assert first["text"] == "error ignored terminating %r: %s"
    assert (second["text"], second["exception"]) == ("Task exception was never retrieved", "ValueError")
    assert "Nordmann" not in stream.getvalue()

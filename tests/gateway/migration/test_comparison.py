"""The answers of both sides wait in a bounded queue and are compared beside the lane, which nothing of it holds up."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import TYPE_CHECKING, Any

import pytest
from msgspec import structs

from gateway.ledger.comparisons import known_differences, summary
from gateway.ledger.database import Database, open_store
from gateway.migration import comparison as module
from gateway.migration.comparison import Comparisons, judge
from gateway.model import Envelope, Information, Mode, Place, Reply
from gateway.observability import metrics
from gateway.pipeline.after_pass import ComparedAnswers
from gateway.routing.route import AcceptedDifference, RouteSpec
from gateway.times import end_of_day
from tests.gateway.clocks import FakeClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

NUMBER = "13116900216"
NOW = end_of_day("2026-11-30") - 1
TELECOM = AcceptedDifference("Patient.telecom", "2026-11-30", "the EPJ has none")
ENVELOPE = Envelope("vkp-r4", "nordfjell", "s", "evondos", "e300", Information.PASIENTINFO)


def bundle(**patient: Any) -> bytes:
    """Return a searchset with one patient."""
    person = {"resourceType": "Patient", "identifier": [{"value": NUMBER}], **patient}
    return json.dumps({"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": person}]}).encode()


def answers(theirs: Reply | bytes, ours: Reply | bytes | None, *accepted: AcceptedDifference) -> ComparedAnswers:
    """Return two answers; bytes are what was found."""
    both = [Reply(200, (), one) if isinstance(one, bytes) else one for one in (theirs, ours)]
    route = RouteSpec(mode=Mode.COMPARE, accept_differences=accepted).route(Place("routes.yaml", 1, 1))
    assert both[0] is not None
    return ComparedAnswers("r-1", ENVELOPE, route, both[0], both[1])


NOTHING = b'{"resourceType": "Bundle", "type": "searchset", "total": 0}'
SAME, OTHER, PHONE = bundle(gender="female"), bundle(gender="male"), bundle(gender="female", telecom=[{"value": "1"}])


@pytest.mark.parametrize(
    ("theirs", "ours", "outcome"),
    [
        (SAME, SAME, "equal"),
        (SAME, OTHER, "different"),
        (PHONE, SAME, "accepted"),
        (PHONE, OTHER, "different"),
        (Reply(503, (), b""), SAME, "vkp-failed"),
        (Reply(401, (), b""), SAME, "vkp-failed"),
        (Reply(504, (), b""), Reply(504, (), b""), "vkp-timed-out"),
        (SAME, Reply(503, (), b""), "new-failed"),
        (SAME, Reply(504, (), b""), "new-timed-out"),
        (b"<html>", SAME, "unreadable"),
        (SAME, b"<html>", "new-failed"),
        (SAME, SAME[:-1], "new-failed"),
        (b"<html>", b"<html>", "unreadable"),
        (b"[]", NOTHING, "unreadable"),
        (b'{"resourceType": "Bundle", "type": "searchset", "entry": ["x"]}', NOTHING, "unreadable"),
        (b'{"resourceType": "Bundle", "type": "searchset", "entry": [{}]}', NOTHING, "unreadable"),
        (b"<html/>", NOTHING, "unreadable"),
        (SAME, None, "skipped"),
    ],
)
def test_two_answers_show_whether_the_new_side_says_the_same(
    theirs: Reply | bytes, ours: Reply | bytes | None, outcome: str
) -> None:
    """And which side did not answer."""
    assert judge(answers(theirs, ours, TELECOM), NOW).outcome == outcome


def test_what_is_accepted_counts_again_after_its_last_day() -> None:
    """A difference that somebody meant to look at is not forgotten."""
    assert judge(answers(PHONE, SAME, TELECOM), NOW).outcome == "accepted"
    assert judge(answers(PHONE, SAME, TELECOM), NOW + 1).outcome == "different"


def test_iplos_for_a_service_level_needs_no_acceptance_and_another_type_does() -> None:
    """That OKT has no service levels is a fact; that a service is another is a difference."""

    def service(system: str, code: str) -> bytes:
        coding = {"coding": [{"system": system, "code": code}]}
        resource = {"resourceType": "EpisodeOfCare", "type": [coding], "period": {"start": "2026-01-01"}}
        return json.dumps(resource).encode()

    level, iplos = service("urn:level", "2.2.3"), service("urn:oid:2.16.578.1.12.4.1.1.9151", "27")
    assert judge(answers(level, iplos), NOW).outcome == "accepted"
    assert judge(answers(level, service("urn:level", "2.2.1")), NOW).outcome == "different"
    assert judge(answers(iplos, service("urn:oid:2.16.578.1.12.4.1.1.9151", "28")), NOW).outcome == "different"


def test_xml_is_compared_with_xml() -> None:
    """As STU3 senders have both."""
    one = '<Patient xmlns="http://hl7.org/fhir"><identifier><value value="1"/></identifier>{}</Patient>'
    male, female = (one.format(f'<gender value="{word}"/>').encode() for word in ("male", "female"))
    assert judge(answers(male, male), NOW).outcome == "equal"
    (found,) = judge(answers(male, female), NOW).found
    assert (found[0].path, found[0].kind, found[1]) == ("Patient.gender", "different", False)


def test_plain_xml_of_soap_is_compared_by_the_names_of_fhir() -> None:
    """Whatever prefixes and version of SOAP; an IPLOS code for a service level is accepted as everywhere."""

    def service(kode: str, navn: str, soap: str = "http://schemas.xmlsoap.org/soap/envelope/") -> bytes:
        inside = f"<Tjeneste><Pasient><Id>1</Id><Type>FNR</Type></Pasient>{kode}<Navn>{navn}</Navn><Fra>2026-01-01</Fra></Tjeneste>"
        answer = f'<HentTjenesterResponse xmlns="http://vkp.nhn.no/Innhenting">{inside}</HentTjenesterResponse>'
        return f'<s:Envelope xmlns:s="{soap}"><s:Body>{answer}</s:Body></s:Envelope>'.encode()

    level = "<Kode>2.2.3</Kode>"
    iplos = "<Kode>27</Kode><Kodeverk>urn:oid:2.16.578.1.12.4.1.1.9151</Kodeverk>"
    newer = "http://www.w3.org/2003/05/soap-envelope"
    assert judge(answers(service(level, "Dispenser"), service(level, "Dispenser", newer)), NOW).outcome == "equal"
    assert judge(answers(service(level, "Dispenser"), service(iplos, "Dispenser")), NOW).outcome == "accepted"
    (found,) = judge(answers(service(level, "Dispenser"), service(level, "Alarm")), NOW).found
    assert found[0].path == "EpisodeOfCare.type.coding.display"


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Database]:
    """Open a ledger."""
    opened = await asyncio.to_thread(open_store, "sqlite:///ledger.db", tmp_path, patience=0.0)
    yield opened
    await opened.close()


async def done(comparisons: Comparisons) -> None:
    """Let everything be compared and written."""
    comparisons.start()
    await asyncio.sleep(0)
    await comparisons.stop()


async def test_what_was_found_is_in_the_ledger_when_it_stops_and_holds_no_value(store: Database) -> None:
    """By cell, and in the metric; a number that stands in both answers stands nowhere else."""
    labels = {"municipality": "nordfjell", "vendor": "evondos", "information": "pasientinfo", "outcome": "different"}
    before = metrics.REGISTRY.get_sample_value("vkp_gateway_compared_total", labels) or 0.0
    comparisons = Comparisons(lambda: store, FakeClock())
    for ours in (OTHER, SAME, bundle(**{NUMBER: "x"})):
        comparisons.take(answers(PHONE, ours, TELECOM))
    await done(comparisons)
    (found,) = await store.read(lambda each: summary(each, since=0))
    assert found.counts == {"different": 2, "accepted": 1}
    assert metrics.REGISTRY.get_sample_value("vkp_gateway_compared_total", labels) == before + 2
    known = await store.read(lambda each: known_differences(each, since=0))
    assert {(one.path, one.kind, one.answers, one.is_accepted) for one in known} == {
        ("Patient.telecom", "missing", 3, True),
        ("Patient.gender", "different", 1, False),
        ("Patient.gender", "missing", 1, False),
        ("Patient.(name withheld)", "extra", 1, False),
    }
    assert NUMBER not in repr(known)


async def test_a_burst_is_skipped_and_counted(store: Database) -> None:
    """By number; nobody waits, and nothing is held without bound."""
    comparisons = Comparisons(lambda: store, FakeClock(), most=2)
    for _ in range(5):
        comparisons.take(answers(SAME, SAME))
    await done(comparisons)
    (found,) = await store.read(lambda each: summary(each, since=0))
    assert found.counts == {"equal": 2, "skipped": 3}


async def test_what_cannot_be_compared_by_a_fault_of_ours_is_counted_too(
    store: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Never as if it had not been asked: a gate must not open by it."""

    def broken(*_: object) -> tuple[()]:
        raise RuntimeError("a defect")

    monkeypatch.setattr(module, "differences", broken)
    comparisons = Comparisons(lambda: store, FakeClock())
    comparisons.take(answers(SAME, SAME))
    await done(comparisons)
    (found,) = await store.read(lambda each: summary(each, since=0))
    assert found.counts == {"new-failed": 1}


async def test_a_large_answer_of_either_side_is_compared_in_a_thread(
    store: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Senders do not wait while one is read."""
    threads, large = list[bool](), bundle(gender="female", name=[{"text": "x" * 60_000}])

    def seen(given: ComparedAnswers, now: float) -> module.Judged:
        threads.append(threading.current_thread() is not threading.main_thread())
        return judge(given, now)

    monkeypatch.setattr(module, "judge", seen)
    comparisons = Comparisons(lambda: store, FakeClock())
    for theirs, ours in ((SAME, SAME), (large, SAME), (SAME, large)):
        comparisons.take(answers(theirs, ours))
    await done(comparisons)
    assert threads == [False, True, True]


async def test_a_ledger_that_is_away_for_a_while_loses_no_count(store: Database) -> None:
    """They are written with the next."""
    clock, found = FakeClock(), [None, store]
    comparisons = Comparisons(lambda: found[0], clock)
    comparisons.take(answers(SAME, OTHER))
    comparisons.start()
    await comparisons._flush()
    found.pop(0)
    await comparisons.stop()
    assert [one.compared for one in await store.read(lambda each: summary(each, since=0))] == [1]
    assert len(await store.read(lambda each: known_differences(each, since=0))) == 1


async def test_an_answer_that_breaks_the_comparison_is_told_of_and_the_next_is_compared(
    store: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A defect of ours stops nothing."""
    comparisons, whole = Comparisons(lambda: store, FakeClock()), judge

    def breaking(given: ComparedAnswers, now: float) -> module.Judged:
        if given.correlation_id == "broken":
            raise RuntimeError
        return whole(given, now)

    monkeypatch.setattr(module, "judge", breaking)
    comparisons.take(structs.replace(answers(SAME, SAME), correlation_id="broken"))
    comparisons.take(answers(SAME, SAME))
    await done(comparisons)
    assert [one.compared for one in await store.read(lambda each: summary(each, since=0))] == [1]

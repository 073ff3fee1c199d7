"""The double of PMD takes what the pages and profiles say, and refuses the rest."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from service_stubs.listening import running
from service_stubs.pmd import PmdStub

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

TAG = {
    "system": "https://register.geonorge.no/sosi-kodelister/inndelinger/inndelingsbase/kommunenummer",
    "code": "1804",
}
PROFILES = "http://hl7.no/fhir/vkpobservation/StructureDefinition/"
WEIGHT: dict[str, Any] = {
    "resourceType": "Observation",
    "meta": {"profile": [f"{PROFILES}vkp-Observation-Bodyweight"]},
    "status": "final",
    "category": [{"coding": [{"code": "vital-signs"}]}],
    "code": {"coding": [{"system": "http://loinc.org", "code": "29463-7"}]},
    "subject": {"identifier": {"system": "urn:oid:2.16.578.1.12.4.1.4.1", "value": "01813210165"}},
    "effectiveDateTime": "2026-11-03T08:58:00+01:00",
}
BUNDLE: dict[str, Any] = {
    "resourceType": "Bundle",
    "meta": {"tag": [TAG]},
    "identifier": {"system": "https://www.nhn.no/komlink/bundle-identifier", "value": "urn:uuid:1"},
    "type": "collection",
    "timestamp": "2026-11-03T09:02:00+01:00",
    "entry": [{"fullUrl": "urn:uuid:a", "resource": WEIGHT}],
}


@pytest.fixture
async def pmd() -> AsyncIterator[PmdStub]:
    """Start one that takes whoever comes."""
    async with running(PmdStub()) as stub:
        yield stub


async def sent(pmd: PmdStub, bundle: Any, path: str = "/", kind: str = "application/fhir+json") -> tuple[int, Any]:
    """Send a bundle; return status and body."""
    async with aiohttp.ClientSession() as session:
        body = json.dumps(bundle).encode()
        async with session.post(f"{pmd.url}{path}", data=body, headers={"Content-Type": kind}) as answer:
            text = await answer.text()
            return answer.status, json.loads(text) if text else None


def changed(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    """Return the bundle with one change."""
    bundle = copy.deepcopy(BUNDLE)
    change(bundle)
    return bundle


async def test_a_bundle_is_taken_with_a_result_for_each_entry(pmd: PmdStub) -> None:
    """As the profile of the answer has it; entries that are people are passed over."""
    status, answer = await sent(pmd, changed(lambda one: one["entry"].append(_person())))
    assert (status, answer["type"]) == (200, "batch-response")
    assert [one["response"]["status"] for one in answer["entry"]] == ["200"]
    (kept,) = pmd.shared
    assert (kept.kommunenummer, kept.form, len(kept.observations)) == ("1804", "collection", 1)


def _person() -> dict[str, Any]:
    return {"fullUrl": "urn:uuid:p", "resource": {"resourceType": "Patient"}}


WRONG: dict[str, Callable[[dict[str, Any]], object]] = {
    "no municipality": lambda one: one["meta"].pop("tag"),
    "another type": lambda one: one.update(type="transaction"),
    "no identifier": lambda one: one.pop("identifier"),
    "no entry": lambda one: one.update(entry=[]),
    "no url": lambda one: one["entry"][0].pop("fullUrl"),
    "a batch without requests": lambda one: one.update(type="batch"),
    "the misspelt code": lambda one: one["entry"][0]["resource"]["code"]["coding"][0].update(code="29563-7"),
    "another profile": lambda one: one["entry"][0]["resource"]["meta"].update(profile=[f"{PROFILES}vkp-Observation"]),
    "no category": lambda one: one["entry"][0]["resource"].pop("category"),
    "a real number": lambda one: one["entry"][0]["resource"]["subject"]["identifier"].update(value="13116900216"),
    "no time": lambda one: one["entry"][0]["resource"].pop("effectiveDateTime"),
    "another resource": lambda one: one["entry"][0]["resource"].update(resourceType="Flag"),
}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.fact("pmd-tag")
async def test_what_is_not_as_documented_is_refused(pmd: PmdStub, name: str) -> None:
    """And said why, without the number."""
    assert (await sent(pmd, changed(WRONG[name])))[0] in (400, 422)
    assert len(pmd.refused) == 1
    assert len(pmd.shared) == 0


async def test_only_the_root_takes_bundles_in_fhir_json(pmd: PmdStub) -> None:
    """The page of January has no other address."""
    assert (await sent(pmd, BUNDLE, "/Observation"))[0] == 404
    assert (await sent(pmd, BUNDLE, kind="application/json"))[0] == 415

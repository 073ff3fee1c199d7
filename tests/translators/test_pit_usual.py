"""A page of PIT that is read in the quick way is what the careful one makes of it; whatever is odd is left to that."""

import json
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service_stubs.people import person
from tests.translators.right_resources import right_resource, spoil
from translators.fhir.json_codec import encode
from translators.pit import PROFILE, PitPage, careful_page, page_of, usual_page
from translators.pit_usual import page, patient

_ODD = (
    b"\\u003a",
    b"\\ud800",
    b"\xff",
    b"\x01",
    b" ",
    b'""',
    b"{}",
    b"[]",
    b",",
    b":",
    b'"id":"x",',
    b"\xc2\xa0",
    b"0",
    b"null",
)
"""What is put somewhere into a page that was right."""


def _patient(random: Random) -> dict[str, Any]:
    """Draw a Patient that is right, and mostly usual."""
    usual = {**person(random.randrange(1000)), "id": "a-1"}
    meta = {
        "versionId": "1",
        "lastUpdated": "2026-05-04T08:36:37.123Z",
        "source": "#x",
        "profile": ["http://a.example"],
    }
    usual["meta"] = meta
    if random.random() < 0.5:
        drawn = right_resource(random, "Patient")
        usual |= {name: drawn[name] for name in random.sample(sorted(drawn), min(3, len(drawn))) if name != "meta"}
    if random.random() < 0.5:
        period = {"start": "2026-01-01", "end": random.choice(["2026-01-02", "2025-12-31", "2026-01-01T00:00:00Z"])}
        usual["name"] = [
            {"family": "Danser", "extension": [{"url": "http://a.example", "valueString": "x"}], "period": period}
        ]
    return usual


def _page(*patients: dict[str, Any]) -> bytes:
    links = [{"relation": "self", "url": "https://a.example/v1/Patient?x=1"}]
    links.append({"relation": "next", "url": "https://a.example/v1/Patient?cursor=2"})
    entries = [{"fullUrl": "https://a.example/1", "resource": one, "search": {"mode": "match"}} for one in patients]
    return encode({"resourceType": "Bundle", "type": "searchset", "link": links, "entry": entries})


def _told(found: PitPage) -> list[Any]:
    """Return all of a page, its resources without the order of their members."""
    return [found.next, [(one[:-1], json.loads(one.written)) for one in found.patients]]


@given(st.randoms(use_true_random=False), st.integers(0, 3))
def test_what_is_read_quickly_is_what_is_read_carefully(random: Random, spoilt: int) -> None:
    """Of right patients and of such as are wrong somewhere."""
    patients = [_patient(random) for _ in range(2)]
    for _ in range(spoilt):
        spoil(random, patients)
    body = _page(*patients)
    found = usual_page(body, None)
    if found is not None:
        assert _told(found) == _told(careful_page(body, None))


@given(st.randoms(use_true_random=False), st.sampled_from(_ODD))
def test_odd_bytes_anywhere_are_read_as_carefully(random: Random, odd: bytes) -> None:
    """Keys that stand twice, escapes, texts of blanks, what is no UTF-8 or no JSON."""
    body = _page({**_patient(random), "name": [{"family": "Danser", "given": ["Line"]}]})
    place = random.choice([at for at, byte in enumerate(body) if byte in b'":,{['])
    written = body[: place + 1] + odd + body[place + 1 :]
    found = usual_page(written, None)
    if found is not None:
        assert _told(found) == _told(careful_page(written, None))


def test_patients_as_they_usually_are_are_read_quickly() -> None:
    """All of the doubles' people but those who were born on a 29 February."""
    meta = {"versionId": "1", "lastUpdated": "2026-05-04T08:36:37.123+00:00"}
    read = page(_page(*({**person(index), "id": f"a-{index}", "meta": meta} for index in range(50))))
    assert read is not None
    assert [one for one in read.resources if patient(one, PROFILE) is None and b"-02-29" not in bytes(one)] == []


@pytest.mark.parametrize(
    "changes",
    [
        {"multipleBirthInteger": 2},
        {"birthDate": "2024-02-29"},
        {"telecom": [{"system": "phone", "value": "1", "rank": 1}]},
        {"name": [{"family": "Danser", "_family": {"id": "x"}}]},
        {"contact": [{"relationship": [{"text": "mor"}], "name": {"text": "  x"}}]},
    ],
)
def test_patient_who_is_unusual_is_carried_whole_all_the_same(changes: dict[str, Any]) -> None:
    """One of a page that is read carefully, and the digits of a number."""
    meta = {"lastUpdated": "2026-05-04T08:36:37Z"}
    body = _page({**person(1), "id": "a-1", "meta": meta}, {**person(2), "id": "a-2", "meta": meta, **changes})
    body = body.replace(b'"multipleBirthInteger":2', b'"multipleBirthInteger": 2')
    found = page_of(body, None)
    assert _told(found) == _told(careful_page(body, None))
    assert json.loads(found.patients[1].written).items() >= changes.items()


def test_place_of_what_is_wrong_is_told_as_before() -> None:
    """Also where all around it is usual."""
    wrong = {**person(1), "id": "a-1", "meta": {"lastUpdated": "2026-05-04T08:36:37Z"}, "gender": "kvinne"}
    body = _page({**wrong, "gender": "female"}, wrong)
    with pytest.raises(Exception, match=r"Bundle\.entry\[1\]\.resource\.gender"):
        page_of(body, None)

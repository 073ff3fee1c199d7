"""Two answers to one search are compared by what they mean; the cases are files of VKP's answer, the new side's and the differences."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from translators.comparison import differences
from translators.fhir.json_codec import decode

CASES = sorted((Path(__file__).parent / "comparisons").glob("*.json"))


@pytest.mark.parametrize("file", CASES, ids=lambda file: file.stem)
def test_two_answers_differ_as_the_case_says(file: Path) -> None:
    """By path, kind and count."""
    case = decode(file.read_bytes())
    assert isinstance(case, dict)
    wanted = json.loads(file.read_text())["differences"]
    found = [[one.path, one.kind.value, one.count] for one in differences(case["vkp"], case["new"])]
    assert found == wanted


@pytest.mark.parametrize("file", CASES, ids=lambda file: file.stem)
def test_an_answer_is_equal_to_itself_and_no_difference_shows_a_value(file: Path) -> None:
    """Whatever the answer is."""
    case = decode(file.read_bytes())
    assert isinstance(case, dict)
    assert differences(case["vkp"], case["vkp"]) == differences(case["new"], case["new"]) == ()
    told = repr(differences(case["vkp"], case["new"]))
    assert not any(value in told for value in ("13116900216", "05073500186", "4711", "Danser", "Dansar", "hansen"))


def test_a_long_list_takes_work_in_proportion() -> None:
    """Four times the patients take nothing like sixteen times the calls, in the worst order too."""

    def calls(number: int) -> int:
        people = [
            {"resource": {"resourceType": "Patient", "identifier": [{"value": str(one)}], "gender": str(one % 7)}}
            for one in range(number)
        ]
        theirs, ours = {"resourceType": "Bundle", "entry": people}, {"resourceType": "Bundle", "entry": people[::-1]}
        counted = [0]

        def count(_frame: object, event: str, _argument: object) -> None:
            counted[0] += event in {"call", "c_call"}

        sys.setprofile(count)
        try:
            assert differences(theirs, ours) == ()
        finally:
            sys.setprofile(None)
        return counted[0]

    assert calls(800) < 5 * calls(200)


@pytest.mark.parametrize("odd", [None, 1, [], ["x"], {}, {"x": "y"}], ids=str)
def test_coding_whose_system_is_no_text_is_another(odd: object) -> None:
    """It is told as any other difference."""

    def answer(code: str, system: object) -> Any:
        service = {"resourceType": "EpisodeOfCare", "id": "1", "type": [{"coding": [{"system": system, "code": code}]}]}
        return {"resourceType": "Bundle", "entry": [{"resource": {**service, "period": {"start": "2024-05-17"}}}]}

    assert differences(answer("1.1", "http://levels.example"), answer("1", odd))

"""Answers in STU3: whatever is drawn from R4's tables is told whole in STU3's, in both wire forms, or refused by its path."""

import re
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.translators.drawing import Drawing, check_elements, strings
from translators.contract import Refused, Tree
from translators.fhir import json_codec, xml_codec
from translators.fhir.elements import r4, stu3
from translators.fhir.stu3_to_r4 import renaming
from translators.stu3.answers import ANSWERED, OLD_IDENTIFIER, expressed

DRAWING = Drawing(r4(), tuple(sorted(ANSWERED)), strict=True)


def _expressed_or_refusal(resource: Tree) -> dict[str, Tree] | str:
    try:
        return expressed(resource)
    except Refused as refused:
        return str(refused)


@pytest.mark.slow
@given(st.data())
def test_every_text_of_a_resource_is_told_or_the_resource_is_refused_without_a_value(data: Any) -> None:
    """Every element of the answer is STU3's, and XML holds the same as JSON."""
    resource = DRAWING.object(data.draw, data.draw(st.sampled_from(sorted(ANSWERED))), 1)
    told = _expressed_or_refusal(resource)
    if isinstance(told, str):
        assert re.match(r"[A-Za-z.\[\]0-9_]+: ", told)
        assert not re.search(r"[0-9]{6}", told)
        return
    check_elements(stu3(), told)
    missing, added = (Counter(_values(one)) for one in (resource, told))
    missing, added = missing - added, added - missing
    for text, times in missing.items():
        # That an identifier is no longer in use is said by its extension's name.
        by_name = list(strings(told)).count(OLD_IDENTIFIER) if text == "old" else 0
        assert by_name + sum(added[older] for older in _older_codes(text)) >= times, text
    assert json_codec.decode(json_codec.encode(told)) == told


def _older_codes(code: str) -> set[str]:
    """Return what STU3 calls a code of R4's, wherever it calls it something else."""
    return {old for codes in renaming().codes.values() for old, new in codes.items() if new == code}


def _values(tree: Tree) -> list[str]:
    return [text for text in strings(tree) if "://" not in text]


def test_a_code_that_r4_renamed_is_told_by_its_older_name() -> None:
    """CarePlan.status `on-hold` is STU3's `suspended`; what has no other name stays."""
    told = [expressed({"resourceType": "CarePlan", "status": status}) for status in ("on-hold", "revoked", "active")]
    assert [one["status"] for one in told] == ["suspended", "cancelled", "active"]


@pytest.mark.parametrize(
    "resource", [None, [], {}, {"resourceType": "Bundle"}, {"resourceType": "Patient", "name": "x"}]
)
def test_what_is_no_resource_of_vkp_is_refused(resource: Tree) -> None:
    """Also a resource whose elements are of another type."""
    assert isinstance(_expressed_or_refusal(resource), str)


def test_a_resource_is_told_in_xml_in_the_order_of_the_definition() -> None:
    """Extensions that were made come where XML has them."""
    told = expressed({"resourceType": "Patient", "active": True, "meta": {"source": "urn:x"}})
    assert xml_codec.decode(xml_codec.encode(told, stu3()), stu3())[0] == told

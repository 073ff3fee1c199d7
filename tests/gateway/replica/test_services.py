"""Tjenstlig behov: which services of a patient stand behind the ServiceCodes of a sender."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.replica.services import Service, has_need, matches

PROFILE = {"TA": ["%.2.1"], "GPS": ["%.2.3"], "RT": ["3.%"]}
TODAY = "2026-11-29"


@pytest.mark.parametrize(
    ("service", "codes", "expected"),
    [
        ({"iplos": 6}, ["TA"], True),
        ({"iplos": 6}, ["GPS"], False),
        ({"iplos": 6}, ["GPS", "TA"], True),
        ({"iplos": 6}, [], False),
        ({"iplos": 6}, ["UNKNOWN"], False),
        ({"iplos": 27}, ["RT"], False),
        ({"level": "1.2.1"}, ["TA"], True),
        ({"level": "1.2.3"}, ["TA"], False),
        ({"level": "3.1"}, ["RT"], True),
        ({"iplos": 6, "ends": "2026-11-28"}, ["TA"], False),
        ({"iplos": 6, "ends": "2026-11-29"}, ["TA"], True),
        ({"iplos": 6, "begins": "2026-11-30"}, ["TA"], False),
        ({"iplos": 6, "is_ceased": True}, ["TA"], False),
    ],
)
def test_need_is_a_service_under_way_behind_one_of_the_codes(
    service: dict[str, Any], codes: list[str], *, expected: bool
) -> None:
    """By IPLOS number, or by level where the partner profile has a pattern."""
    known = Service(**{"iplos": None, "level": None, "begins": None, "ends": None, **service})
    assert has_need([known], codes, PROFILE, TODAY) is expected


@pytest.mark.parametrize(
    ("pattern", "level", "expected"),
    [
        ("2.2.3", "2.2.3", True),
        ("2.2.3", "2.2.31", False),
        ("%.2.3", "2.2.3", True),
        ("%.2.3", "2.2.30", False),
        ("2.%.3", "2.7.3", True),
        ("2.%.3", "2.3", False),
        ("%2%2%", "2", False),
        ("%2%2%", "122", True),
        ("%", "", True),
        ("%%", "1", True),
        ("%", None, False),
    ],
)
def test_percent_in_a_pattern_stands_for_any_text(pattern: str, level: str | None, *, expected: bool) -> None:
    """As in VKP's partner profile; everything else stands for itself."""
    assert matches(pattern, level) is expected

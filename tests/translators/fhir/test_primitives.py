"""The forms of FHIR R4's primitives, and which of two moments is the earlier."""

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service_stubs.fhir_times import compare
from service_stubs.fhir_values import text_fault
from translators.fhir.moments import order_of
from translators.fhir.primitives import NUMBERS, TEXTS

RIGHT = {
    "base64Binary": ["QUJD", "QUI=", "QQ==", "QU\nJD"],
    "canonical": ["http://a.example/x|1", "#x", "urn:oid:1.2.3"],
    "code": ["x", "a b", "æ"],
    "date": ["2026", "2026-11", "2026-11-30", "2024-02-29", "2000-02-29"],
    "dateTime": ["2026", "2026-11-03", "2026-11-03T08:00:00Z", "2026-11-03T08:00:60.1234567+14:00"],
    "id": ["a", "A-1.b", "x" * 64],
    "instant": ["2026-11-03T08:00:00Z", "2026-11-03T08:00:00.123-02:00"],
    "oid": ["urn:oid:2.16.578.1.12.4.1.4.1", "urn:oid:0.0"],
    "time": ["08:00:00", "23:59:60.5"],
    "uri": ["http://a.example/x", "relative/x", "urn:oid:1.2", "urn:uuid:0b5b2a0e-7d34-4c0e-9d2a-3c1b9f1d5c11"],
    "url": ["mailto:a@b.example", "https://a.example"],
    "uuid": ["urn:uuid:0b5b2a0e-7d34-4c0e-9d2a-3c1b9f1d5c11"],
}
WRONG = {
    "base64Binary": ["ABC", "A===", "====", "QUJD*", " "],
    "canonical": ["relative", "a b:c", ""],
    "code": [" x", "x ", "a  b", "\t", ""],
    "date": ["03.11.2026", "2026-13", "2026-11-31", "2026-02-29", "1900-02-29", "0000", "26-11-03", "2026-11-03T08:00:00Z"],
    "dateTime": ["2026-11-03T08:00:00", "2026-11-03T08:00Z", "2026-11-03 08:00:00Z", "2026-11-03T24:00:00Z", "2026-02-30"],
    "id": ["a_b", "x" * 65, "å", ""],
    "instant": ["2026-11-03", "2026-11", "2026-11-03T08:00Z", "2026-02-30T08:00:00Z", "2026-11-03T08:00:00+14:30"],
    "oid": ["1.2.3", "urn:oid:3.1", "urn:oid:1", "urn:oid:1.02"],
    "time": ["8:00:00", "24:00:00", "08:00", "08:00:00Z"],
    "uri": ["a b", "", "urn:uuid:0B5B2A0E-7D34-4C0E-9D2A-3C1B9F1D5C11", "urn:uuid:x", "urn:oid:x"],
    "url": ["a b"],
    "uuid": ["0b5b2a0e-7d34-4c0e-9d2a-3c1b9f1d5c11", "urn:uuid:x"],
}  # fmt: skip
NOT_OF_THE_DOUBLE = {"uuid"}
"""Types of which the models judge alone."""


def _all(values: dict[str, list[str]]) -> list[tuple[str, str]]:
    return [(kind, value) for kind, listed in values.items() for value in listed]


@pytest.mark.parametrize(("kind", "value"), _all(RIGHT))
def test_a_right_value_is_right(kind: str, value: str) -> None:
    """By our table and by the double's."""
    assert TEXTS[kind](value)
    assert text_fault(kind[0].upper() + kind[1:], value) is None


@pytest.mark.parametrize(("kind", "value"), _all(WRONG))
def test_a_wrong_value_is_wrong(kind: str, value: str) -> None:
    """Likewise."""
    assert not TEXTS[kind](value)
    if kind not in NOT_OF_THE_DOUBLE:
        assert text_fault(kind[0].upper() + kind[1:], value) is not None


def test_every_primitive_has_values_that_are_tried() -> None:
    """A new one would be noticed."""
    assert RIGHT.keys() == WRONG.keys() == TEXTS.keys()


@pytest.mark.parametrize(
    ("kind", "right", "wrong"),
    [
        ("decimal", ["0", "-1.50", "2e3", "1.0E-7"], ["01", "1.", ".5", "+1"]),
        ("integer", ["0", "-5", "2147483647"], ["1.0", "1e3", "-0.0", "2147483648", "9" * 50]),
        ("positiveInt", ["1", "2147483647"], ["0", "-1", "1.5"]),
        ("unsignedInt", ["0", "1"], ["-1", "1e1"]),
    ],
)
def test_numbers_are_judged_by_their_digits(kind: str, right: list[str], wrong: list[str]) -> None:
    """As they are written, whatever their size."""
    assert [value for value in right if not NUMBERS[kind](value)] == []
    assert [value for value in wrong if NUMBERS[kind](value)] == []


@pytest.mark.parametrize(
    ("first", "second", "order"),
    [
        ("2026-11-03", "2026-11-03", 0),
        ("2026", "2026-11", None),
        ("2025", "2026-11", -1),
        ("2026-11-04", "2026-11-03T08:00:00Z", 1),
        ("2026-11-03", "2026-11-03T08:00:00Z", None),
        ("2026-11-03T08:00:00+01:00", "2026-11-03T07:00:00Z", 0),
        ("2026-11-03T00:30:00+02:00", "2026-11-02T23:00:00Z", -1),
        ("2026-11-03T08:00:00.5Z", "2026-11-03T08:00:00.49Z", 1),
        ("2026-11-03T08:00:00Z", "2026-11-03T08:00:00.000Z", 0),
        ("2024-02-29T23:59:59-01:00", "2024-03-01T00:59:58Z", 1),
        ("2026-01-01T00:00:00+01:00", "2025-12-31T23:00:00Z", 0),
    ],
)
def test_moments_are_compared_as_far_as_both_say(first: str, second: str, order: int | None) -> None:
    """In any offset and with any fraction; both ways round, and as the double compares them by Python's calendar."""
    assert order_of(first, second) == compare(first, second) == order
    assert order_of(second, first) == (None if order is None else -order)


_MOMENTS = st.builds(
    lambda at, fraction, zone: f"{at:%Y-%m-%dT%H:%M:%S}{fraction}{zone}".rjust(20, "0"),
    st.datetimes(datetime(1999, 12, 30, tzinfo=None), datetime(2000, 1, 2, tzinfo=None)),  # noqa: DTZ001 - the offset is drawn
    st.sampled_from(["", ".5", ".49", ".500"]),
    st.sampled_from(["Z", "+00:00", "+01:00", "-11:30"]),
)


@given(_MOMENTS, _MOMENTS)
def test_moments_are_compared_however_they_are_spelled(first: str, second: str) -> None:
    """Alike or not, as the double compares them."""
    assert order_of(first, second) == compare(first, second)
    assert order_of(second, first) == -compare(first, second)

"""Services: what an OktEvent may be, which services answer a ServiceCode, and patterns of levels."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from translators.contract import Refused
from translators.fhir.json_codec import encode
from translators.fhir.structure import structure_faults
from translators.okt import active_services, extent_of, services_of
from translators.services import Service, answers, episode_of_care, matches

NUMBER = "22750884907"
TODAY = "2026-11-29"
IDENTIFIER = "0f0f0f0f-0000-4000-8000-000000000000"
DATES = st.dates().map(str)
TEXTS = st.text(max_size=20) | st.sampled_from(
    ["", " ", "15 timer", "1,5 t", "20 min", "dagopphold", "06", "6", "26", "100"]
)
ANYTHING = st.none() | st.booleans() | st.integers() | TEXTS | DATES | st.lists(TEXTS, max_size=2)
NAMES = st.sampled_from(
    ["endDate", "needsCaption", "serviceDescription", "serviceLevel", "stayType", "temporaryCessation", "weeklyExtent"]
)
RIGHT = st.fixed_dictionaries(
    {
        "startDate": DATES,
        "iplosCode": st.fixed_dictionaries({"iplosCodeValue": st.integers(1, 99).map(lambda n: f"{n:02}")}),
    },
    optional={"weeklyExtent": TEXTS, "stayType": TEXTS, "temporaryCessation": st.booleans(), "serviceLevel": TEXTS},
)
WRONG = st.builds(lambda message, name, value: {**message, name: value}, RIGHT, NAMES | st.text(max_size=12), ANYTHING)


def _event(messages: Any, number: str = NUMBER) -> bytes:
    return json.dumps({"personIdentifier": number, "oktMessages": messages}).encode()


def _services_or_refusal(body: bytes) -> tuple[Service, ...] | str:
    try:
        return services_of(body, NUMBER)
    except Refused as refused:
        return str(refused)


@pytest.mark.parametrize("empty", ["", " ", None], ids=str)
def test_an_empty_text_is_absent_also_where_true_or_false_stands(empty: str | None) -> None:
    """As OKT says of all that it leaves out; any other text there refuses the answer."""
    message = {"startDate": "2022-06-20", "iplosCode": {"iplosCodeValue": "06"}}
    told = {**message, "temporaryCessation": empty, "needsCaption": empty}
    assert services_of(_event([told]), NUMBER) == services_of(_event([message]), NUMBER)
    with pytest.raises(Refused, match=r"^OktEvent.oktMessages\[0\].needsCaption: true or false is expected"):
        services_of(_event([{**message, "needsCaption": "nei"}]), NUMBER)


@pytest.mark.slow
@given(st.lists(RIGHT | WRONG, max_size=4))
def test_an_event_becomes_valid_resources_for_every_service_or_is_refused_without_a_value(messages: list[Any]) -> None:
    """Of a refusal its path is told, and of a name that is no element's not even that."""
    services = _services_or_refusal(_event(messages))
    if isinstance(services, str):
        assert re.match(r"OktEvent[\w.\[\]() ]*: |not well-formed JSON|a text holds half", services)
        assert not re.search(r"[0-9]{6}", services)
        return
    assert len(services) == len(messages)
    for message, service in zip(messages, services, strict=True):
        episode = episode_of_care(service, NUMBER, TODAY, IDENTIFIER)
        assert structure_faults(episode) == []
        written = encode(episode).decode()
        for name in ("startDate", "serviceLevel", "weeklyExtent"):
            text = message.get(name)
            assert not text or not text.strip() or json.dumps(text, ensure_ascii=False) in written


@pytest.mark.slow
@given(st.text("%a2.b", max_size=12), st.text("a2.bAB", max_size=12))
def test_a_pattern_matches_what_the_same_expression_does(pattern: str, level: str) -> None:
    """With everything but the percent sign taken as it stands."""
    expression = ".*".join(map(re.escape, pattern.split("%")))
    assert matches(pattern, level) is bool(re.fullmatch(expression, level, re.IGNORECASE | re.DOTALL))


def test_a_pattern_of_many_wildcards_is_as_fast_as_any_other() -> None:
    """Regular expressions are not, for such a pattern."""
    assert not matches("%a" * 2000 + "b", "a" * 4000)


@pytest.mark.parametrize(
    ("pattern", "level", "expected"),
    [
        ("%.2.3", "2.2.3", True),
        ("%.2.3", "12.2.3", True),
        ("%.2.3", "2.2.31", False),
        ("2.2.3", "2.2.3", True),
        ("2%3", "23", True),
        ("2%2", "2", False),
        ("%", "", True),
        ("Sone A%", "sone a 2", True),
    ],
)
@pytest.mark.fact("vkp-partner-profile")
def test_a_percent_sign_stands_for_any_text(pattern: str, level: str, expected: bool) -> None:
    """The whole level is compared."""
    assert matches(pattern, level) is expected


PROFILE = {"TA": ["%.2.1"], "RT": ["%.9"]}


@pytest.mark.parametrize(
    ("codes", "service", "expected"),
    [
        (["TA"], Service(iplos=6), True),
        (["MD", "TA"], Service(iplos=6), True),
        (["TA"], Service(iplos=26), False),
        (["GPS"], Service(iplos=26), True),
        (["MD"], Service(iplos=27), True),
        (["DT"], Service(iplos=28), True),
        (["MD"], Service(iplos=28), False),
        *((["RT", "DHO"], Service(iplos=iplos), False) for iplos in (6, 26, 27, 28)),
        (["TA"], Service(level="4.2.1"), True),
        (["RT"], Service(level="4.9"), True),
        (["GPS"], Service(level="4.2.1"), False),
        (["DHO", "GPS"], Service(level="DHO"), True),
        (["TA"], Service(iplos=1, place="1.2.1"), False),
        (["TA"], Service(iplos=6, ceased=True), False),
        (["TA"], Service(iplos=6, end="2026-11-28"), False),
        (["TA"], Service(iplos=6, end="2026-11-29"), True),
        ([], Service(iplos=6, level="4.2.1"), False),
    ],
)
@pytest.mark.fact("okt-iplos")
def test_a_need_is_fulfilled_by_type_or_level_of_a_service_under_way(
    codes: list[str],
    service: Service,
    expected: bool,
) -> None:
    """An organisational place is no level, whatever it looks like."""
    assert answers(codes, service, TODAY, PROFILE) is expected


@pytest.mark.parametrize(
    ("text", "value", "unit"),
    [
        ("15 timer", "15", "h"),
        ("1,50 timer", "1.50", "h"),
        ("007 t.", "7", "h"),
        ("15 minutter", "15", "min"),
        ("1 time 30 min", "90", "min"),
        ("15", None, None),
        ("2 timer daglig", None, None),
        ("5-6 timer", None, None),
    ],
)
@pytest.mark.fact("okt-texts")
def test_an_extent_is_read_where_it_says_hours_or_minutes(text: str, value: str | None, unit: str | None) -> None:
    """Digits as they were written; every other text is kept as text alone."""
    extent = extent_of(text)
    assert (extent.text, extent.value, extent.unit) == (text, value, unit)


def test_a_status_tells_how_many_services_are_active_and_nothing_else() -> None:
    """An OktStatus is read as strictly as an OktEvent."""
    body = json.dumps({"personIdentifier": NUMBER, "oktStatus": 2}).encode()
    assert active_services(body, NUMBER) == 2
    for wrong in (b"2", b'{"oktStatus": 2}', body.replace(b"2}", b'"2"}'), body.replace(b"2}", b"-2}")):
        with pytest.raises(Refused):
            active_services(wrong, NUMBER)

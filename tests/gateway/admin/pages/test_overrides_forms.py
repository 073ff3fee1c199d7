"""Forms for overrides: what one shows is what it sets."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.admin.overrides import OverrideBody
from gateway.admin.pages.forms import iso_of
from gateway.admin.pages.overrides_view import filled, override_of
from gateway.admin.pages.route_fields import NAMES, fields_of, meant, modes_of, shown, wrong
from gateway.admin.problems import Problem
from gateway.routing.route import POLICIES
from gateway.times import DAY

_LETTERS = st.characters(categories=["L", "N", "P"])
WORD = st.text(_LETTERS, min_size=1, max_size=20)
WORDS = st.none() | st.lists(WORD, min_size=1, max_size=3)
PARTS = st.none() | st.integers(1, 10_000).map(lambda each: each / 10_000)
OVERRIDES = st.builds(
    OverrideBody,
    mode=WORD,
    reason=WORD,
    ticket=WORD,
    until=st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31)).map(  # noqa: DTZ001 - strategies want naive ones
        lambda each: each.replace(microsecond=0, tzinfo=UTC)
    ),
    municipality=st.none() | WORD.filter(lambda each: each != "*"),
    vendor=st.none() | WORD,
    system=st.none() | WORD,
    information=WORDS,
    text=st.none() | WORD,
    share=PARTS,
    always=WORDS,
    never=WORDS,
    sample=PARTS.filter(lambda each: each != 1.0),  # what all are rehearsed without a word
    losses=WORDS,
    answer=st.none() | st.just("journaled"),
    on_outage=st.none() | st.just("hold"),
    unclear=st.none() | st.just("resend"),
    acknowledge_within=st.none()
    | st.floats(1, 1_000_000).map(lambda each: round(each, 3)).filter(lambda each: each != DAY),
)


def sent(values: dict[str, Any]) -> dict[str, list[str]]:
    """Return a form as a browser sends it."""
    lists = {name: value for name, value in values.items() if isinstance(value, list)}
    policies = {name: list(given) for name, given in values["policies"].items()}
    return {name: [value] for name, value in values.items() if isinstance(value, str)} | lists | policies


@given(OVERRIDES)
def test_form_sends_back_what_it_was_filled_with(override: OverrideBody) -> None:
    """Every key, whatever it holds, and the very instant of its end."""
    document = {name: value for name, value in msgspec.structs.asdict(override).items() if value is not None}
    document |= {"until": override.until.isoformat().replace("+00:00", "Z")}
    assert override_of(sent(filled(document))) == override


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(None, ()), (DAY, ()), (7200.0, ("2",)), (90.0, ("0,025",)), (100.0, ("100 s",)), (1_000_000.5, ("1000000,5 s",))],
)
def test_duration_is_told_in_hours_where_that_is_exact(seconds: float | None, told: tuple[str, ...]) -> None:
    """A day is the usual one; and whatever the field shows sets what it was."""
    assert shown("acknowledge_within", seconds) == told
    assert meant("acknowledge_within", told) == (None if seconds == DAY else seconds)


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("24h", 86_400.0), ("1,5", 5400.0), ("90 min", 5400.0), ("2 døgn", 172_800.0), ("30 s", 30.0)],
)
def test_duration_may_be_written_with_its_unit(written: str, seconds: float) -> None:
    """What has none is hours."""
    assert wrong("acknowledge_within", [written]) == ""
    assert meant("acknowledge_within", [written]) == seconds


def test_field_belongs_to_the_modes_that_the_file_has_it_for() -> None:
    """The wizard shows those of the mode that was chosen; and every policy has its field."""
    assert fields_of("canary") == (
        *("share", "always", "never", "on_outage", "unclear", "answer", "acknowledge_within", "losses", "share_with"),
    )
    assert fields_of("closed") == ("text",)
    assert fields_of("legacy") == ()
    assert set(NAMES) == {"text", *POLICIES}
    assert modes_of("sample") == ("rehearse",)


@pytest.mark.parametrize(
    ("written", "iso"),
    [
        ("01.12.2026 kl. 10.00", "2026-12-01T10:00"),
        ("1.12.2026 kl 6:05", "2026-12-01T06:05"),
        ("1. 12. 2026, 06.05.09", "2026-12-01T06:05:09"),
        ("2026-12-01T10:00", "2026-12-01T10:00"),
        ("1.12.2026", "1.12.2026"),
        ("1.12.26 kl. 10.00", "1.12.26 kl. 10.00"),
        ("i morgen", "i morgen"),
    ],
)
def test_time_is_read_as_people_write_it(written: str, iso: str) -> None:
    """And as programs do; what is neither is left to be refused."""
    assert iso_of(written) == iso
    assert iso_of("1.12.2026", day_alone=True) == "2026-12-01T00:00"


def test_refusal_repeats_nothing_that_was_written() -> None:
    """Whatever is wrong with a value, it may be a patient's number."""
    form = {"mode": ["m"], "reason": ["r"], "ticket": ["t"], "until": ["2026-06-01T12:00"]}
    for name in ("mode", "vendor", "until", "until_was", "share", "acknowledge_within", "losses", "information"):
        with pytest.raises(Problem) as refused:
            override_of({**form, name: ["12834010060" * 30]})
        assert "12834010060" not in refused.value.detail
        assert name.removesuffix("_was") in refused.value.detail

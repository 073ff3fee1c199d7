"""Forms for overrides: what one shows is what it sets."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.admin.overrides import OverrideBody
from gateway.admin.pages.overrides_view import filled, override_of
from gateway.admin.problems import Problem

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
    sample=PARTS,
    losses=WORDS,
    answer=st.none() | WORD,
    on_outage=st.none() | WORD,
    unclear=st.none() | WORD,
)


def sent(values: dict[str, Any]) -> dict[str, list[str]]:
    """Return a form as a browser sends it."""
    lists = {name: value for name, value in values.items() if isinstance(value, list)}
    return {name: [value] for name, value in values.items() if isinstance(value, str)} | lists


@given(OVERRIDES)
def test_form_sends_back_what_it_was_filled_with(override: OverrideBody) -> None:
    """Every key, whatever it holds, and the very instant of its end."""
    document = {name: value for name, value in msgspec.structs.asdict(override).items() if value is not None}
    document |= {"until": override.until.isoformat().replace("+00:00", "Z")}
    assert override_of(sent(filled(document))) == override


@pytest.mark.parametrize(
    ("seconds", "told"), [(None, None), (86_400.0, None), (90.0, "90s"), (1_000_000.5, "1000000.5s")]
)
def test_duration_is_told_as_the_file_has_it(seconds: float | None, told: str | None) -> None:
    """A day is the usual one."""
    document = {"mode": "new", "reason": "r", "ticket": "t", "until": "2026-06-01T10:00:00Z"}
    found = override_of(sent(filled({**document, "acknowledge_within": seconds})))
    assert found.acknowledge_within == told


def test_refusal_repeats_nothing_that_was_written() -> None:
    """Whatever is wrong with a value, it may be a patient's number."""
    form = {"mode": ["m"], "reason": ["r"], "ticket": ["t"], "until": ["2026-06-01T12:00"]}
    for name in ("mode", "vendor", "until", "until_was", "share", "acknowledge_within", "losses", "information"):
        with pytest.raises(Problem) as refused:
            override_of({**form, name: ["12834010060" * 30]})
        assert "12834010060" not in refused.value.detail
        assert name.removesuffix("_was") in refused.value.detail

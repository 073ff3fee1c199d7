"""Reading one long value takes no more time than in proportion, as reading many does (`test_growth.py`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.translators.test_growth import MARGIN, TIMES, message, seconds, translated
from translators.fhir import json_codec

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.slow

LONG_VALUES: dict[str, tuple[str, Callable[[int], bytes]]] = {
    "full URL of many versions, and a blank": (
        "vkp-r4",
        lambda count: json_codec.encode(message("vkp-r4")).replace(
            b"urn:uuid:0", b"http://x" + b"/Patient/1/_history/1" * count + b" "
        ),
    ),
    "blanks before an envelope in UTF-16": (
        "vkp-soap",
        lambda count: (" " * 10 * count + "<Envelope/>").encode("utf-16"),
    ),
}
"""One value, or what stands between, that has many of what is looked for in it, and is none of it in the end."""


@pytest.mark.parametrize("value", LONG_VALUES)
def test_no_long_value_takes_more_time_than_in_proportion(value: str) -> None:
    """Sixteen times as much takes sixteen times as long: something is looked for in the text."""
    surface, make = LONG_VALUES[value]
    few, many = (translated(surface, make(each)) for each in (200, 200 * TIMES))
    few()
    assert seconds(many) < MARGIN * TIMES * min(seconds(few) for _ in range(3)) + 0.05

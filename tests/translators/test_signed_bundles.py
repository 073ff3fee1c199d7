"""A Bundle that its sender has signed: carried as it is, or not at all."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

import pytest

from translators.contract import Reason, Settings
from translators.fhir.json_codec import decode
from translators.national_number import TEST_KINDS
from translators.translate import translate

SIGNATURE = {
    "type": [{"code": "1.2.840.10065.1.12.1.1"}],
    "when": "2026-11-03T08:00:21+01:00",
    "who": {"display": "x"},
    "data": "eA==",
}


def _signed() -> dict[str, Any]:
    text = resources.files("translators").joinpath("examples", "alarm-follow-up.json").read_text(encoding="utf-8")
    return {**json.loads(text), "signature": SIGNATURE}


def test_what_nothing_is_changed_of_keeps_its_signature() -> None:
    """It signs what is sent."""
    result = translate(decode(json.dumps(_signed()).encode()), "vkp-r4", "jft", Settings(TEST_KINDS))
    assert result.refusal is None
    assert json.loads(result.calls[0].body)["signature"] == SIGNATURE


@pytest.mark.parametrize("change", ["repaired", "derived"])
def test_what_is_changed_is_refused(change: str) -> None:
    """Whoever checks the signature would find it false."""
    sent = _signed()
    if change == "repaired":
        sent["entry"][1]["resource"]["severity"] = ""
    else:
        del sent["entry"][0]["resource"]["date"]
    settings = Settings(TEST_KINDS, received="2026-11-03T08:00:22.000+00:00")
    result = translate(decode(json.dumps(sent).encode()), "vkp-r4", "jft", settings)
    assert result.refusal is not None
    assert (result.refusal.reason, result.refusal.path, result.calls) == (Reason.SIGNATURE, "Bundle.signature", ())

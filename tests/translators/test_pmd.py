"""What of a journaled message is shared with PMD. Every file in shared/: the message, a line of dashes, the bundle, a line of dashes, what is left out.

REWRITE_CASES=1 pytest tests/translators/test_pmd.py writes the last two parts anew; read what changed.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from translators.fhir.json_codec import decode, encode
from translators.fhir.structure import check
from translators.pmd import Shared, Sharing, shared

if TYPE_CHECKING:
    from translators.contract import Tree

CASES = sorted((Path(__file__).parent / "shared").glob("*.case"))
LINE = "----------\n"
PATIENT = "01813210165"
HOW = Sharing("1804", PATIENT, "r-1", "2026-11-03T09:02:00.000+00:00")


@pytest.mark.parametrize("file", CASES, ids=lambda file: file.stem)
@pytest.mark.fact("pmd-tag")
@pytest.mark.fact("pmd-weight")
def test_a_message_is_shared_as_its_case_says(file: Path) -> None:
    """Each Observation with the profile of its code, and nothing that refers to what is not sent."""
    message, wanted, left_out = file.read_text(encoding="utf-8").split(LINE)
    found = shared(decode(message.encode()), HOW)
    bundle = "nothing\n" if found.bundle is None else _shown(encode(found.bundle))
    told = "".join(f"{one}\n" for one in found.left_out)
    if os.environ.get("REWRITE_CASES"):
        file.write_text(LINE.join((message, bundle, told)), encoding="utf-8")
        return
    assert bundle == wanted
    assert told == left_out
    assert PATIENT not in told


@pytest.mark.parametrize("file", CASES, ids=lambda file: file.stem)
def test_what_is_shared_is_valid_r4(file: Path) -> None:
    """By the element tables, and whatever the form."""
    message = decode(file.read_text(encoding="utf-8").split(LINE)[0].encode())
    found = shared(message, HOW)
    assert found.bundle is None or not check(found.bundle).faults


def test_a_batch_has_its_profile_and_a_request_in_each_entry() -> None:
    """As the profile of VkpObservation has it."""
    message = decode((Path(__file__).parent / "shared" / "weight.case").read_bytes().split(LINE.encode())[0])
    found = shared(message, Sharing("1804", PATIENT, "r-1", HOW.received, form="batch"))
    assert found.bundle is not None
    assert found.bundle["type"] == "batch"
    bundle = json.loads(encode(found.bundle))
    assert bundle["meta"]["profile"] == ["http://hl7.no/fhir/vkpobservation/StructureDefinition/pmd-Bundle-Observation"]
    assert [one["request"] for one in bundle["entry"]] == [{"method": "POST", "url": "Observation"}]


def test_a_message_always_gives_the_same_bundle() -> None:
    """So that what is sent again is known to be the same."""
    message = decode((Path(__file__).parent / "shared" / "weight.case").read_bytes().split(LINE.encode())[0])
    assert shared(message, HOW) == shared(message, HOW)


def _shown(body: bytes) -> str:
    # As text: numbers keep their digits.
    lines = json.loads(body, parse_float=str, parse_int=str)
    return json.dumps(lines, indent=1, ensure_ascii=False) + "\n"


@pytest.mark.parametrize(
    "subject",
    [
        {"reference": "#device"},
        {"reference": "Device/d-1"},
        {"reference": "https://a.example/fhir/Device/d-1/_history/2"},
        {"type": "Device", "display": "vekten"},
    ],
)
def test_what_was_measured_of_a_device_is_never_shared_as_the_patients(subject: Tree) -> None:
    """However the message says that it is one."""
    observation: dict[str, Tree] = {
        "resourceType": "Observation",
        "contained": [{"resourceType": "Device", "id": "device"}],
        "code": {"coding": [{"system": "http://loinc.org", "code": "8310-5"}]},
        "subject": subject,
        "effectiveDateTime": "2026-11-03T08:58:00+01:00",
    }
    device: dict[str, Tree] = {
        "fullUrl": "https://a.example/fhir/Device/d-1",
        "resource": {"resourceType": "Device", "id": "d-1"},
    }
    message: Tree = {"resourceType": "Bundle", "entry": [{"fullUrl": "urn:x", "resource": observation}, device]}
    assert shared(message, HOW) == Shared(None, ("Observation: its subject is no patient",))
    patients = observation | {
        "subject": {"reference": "#device"},
        "contained": [{"resourceType": "Patient", "id": "device"}],
    }
    assert shared(patients, HOW).bundle is not None

"""Every file in retrieval_cases/: what a service told, a line of dashes, and the resources that VKP's senders are told.

    from: okt                      (which translation)
    number: 22750884907            (whom the service was asked about)
    today: 2026-11-29
    <the service's answer>
    ----------
    <the resources, in JSON> or `refused: <path>: <text>`
    need: TA MD                    (the ServiceCodes whose tjenstlig behov is fulfilled)

REWRITE_CASES=1 pytest tests/translators/test_retrieval_cases.py writes the last part anew; read what changed.
"""

import json
import os
from pathlib import Path
from uuid import UUID

import pytest

from translators import okt
from translators.contract import Refused
from translators.fhir.json_codec import encode
from translators.fhir.structure import structure_faults
from translators.services import SERVICE_CODES, Service, answers, episode_of_care

CASES = sorted((Path(__file__).parent / "retrieval_cases").glob("*.case"))
LINE = "----------\n"
HEADER = ("from", "number", "today")


def _told(header: dict[str, str], body: str) -> str:
    number, today = header["number"], header["today"]
    try:
        services = okt.services_of(body.encode(), number)
    except Refused as refused:
        return f"refused: {refused}\n"
    episodes = [episode_of_care(one, number, today, str(UUID(int=index))) for index, one in enumerate(services)]
    for episode in episodes:
        assert not structure_faults(episode)
    shown = json.dumps(json.loads(encode(episodes)), ensure_ascii=False, indent=1)
    return f"{shown}\nneed: {' '.join(_needs(services, today))}".rstrip() + "\n"


def _needs(services: tuple[Service, ...], today: str) -> list[str]:
    return sorted(code for code in SERVICE_CODES if any(answers([code], one, today, {}) for one in services))


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_a_services_answer_becomes_what_the_case_says(path: Path) -> None:
    """Every resource is valid R4, and a person has read it."""
    told, _, expected = path.read_text(encoding="utf-8").partition(LINE)
    lines = told.splitlines(keepends=True)
    header = dict(line.rstrip("\n").split(": ", 1) for line in lines[: len(HEADER)])
    assert tuple(header) == HEADER
    found = _told(header, "".join(lines[len(HEADER) :]))
    if os.environ.get("REWRITE_CASES"):
        path.write_text(told + LINE + found, encoding="utf-8")
    assert found == expected

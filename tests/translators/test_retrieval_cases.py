"""Every file in retrieval_cases/: what a service told, a line of dashes, and what VKP's senders are told.

    from: okt                      (OKT's answer -> R4; or `inner`: a resource of the inner language -> STU3)
    number: 22750884907            (okt: whom the service was asked about)
    today: 2026-11-29              (okt)
    <the service's answer>
    ----------
    <the resources, in JSON> or `refused: <path>: <text>`
    need: TA MD                    (okt: the ServiceCodes whose tjenstlig behov is fulfilled)
    <the resource in XML>          (inner)

REWRITE_CASES=1 pytest tests/translators/test_retrieval_cases.py writes the last part anew; read what changed.
"""

import json
import os
import re
from pathlib import Path
from uuid import UUID

import pytest

from translators import okt
from translators.contract import Refused
from translators.fhir import xml_codec
from translators.fhir.elements import stu3
from translators.fhir.json_codec import decode, encode
from translators.fhir.structure import structure_faults
from translators.services import SERVICE_CODES, Service, answers, episode_of_care
from translators.stu3.answers import expressed

CASES = sorted((Path(__file__).parent / "retrieval_cases").glob("*.case"))
LINE = "----------\n"


def _told(header: dict[str, str], body: str) -> str:
    try:
        return _of_okt(header, body) if header["from"] == "okt" else _of_inner(body)
    except Refused as refused:
        return f"refused: {refused}\n"


def _of_inner(body: str) -> str:
    told = expressed(decode(body.encode()))
    written = xml_codec.encode(told, stu3())
    assert xml_codec.decode(written, stu3())[0] == told
    return written.decode().replace("><", ">\n<") + "\n"


def _of_okt(header: dict[str, str], body: str) -> str:
    number, today = header["number"], header["today"]
    services = okt.services_of(body.encode(), number)
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
    begin = re.search(r"^[{\[<]", told, re.MULTILINE)
    assert begin
    header = dict(line.split(": ", 1) for line in told[: begin.start()].splitlines())
    found = _told(header, told[begin.start() :])
    if os.environ.get("REWRITE_CASES"):
        path.write_text(told + LINE + found, encoding="utf-8")
    assert found == expected

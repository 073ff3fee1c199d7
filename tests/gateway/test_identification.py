"""Reading a request's head never fails, whatever it holds: a defect there would answer nobody."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.commands.request_file import WholeBody
from gateway.config.load import load_text
from gateway.faults import Failure
from gateway.identification import Identification
from gateway.model import Information, RequestHead
from gateway.surfaces.target import is_origin_form
from tests.gateway.conftest import message

FILE = """\
version: 1
helseid: {issuer: https://sts.example, client_id: gateway, key_file: key.json}
upstreams:
  vkp: {kind: vkp, url: https://vkp.example}
  jft: {kind: jft, write_url: https://write.example, read_url: https://read.example, status: test}
municipalities:
  nordfjell:
    {name: N, orgnr: "312229544", her_ids: ["102287"], epj: {system: G, generation: legacy, reads: [jft]}}
routes:
  - {mode: legacy}
  - {information: [medisinering], mode: new}
"""

HEADERS = st.lists(
    st.tuples(st.sampled_from([b"Authorization", b"authorization", b"Host", b"\xff"]), st.binary(max_size=80)),
    max_size=4,
)
TARGETS = st.one_of(
    st.binary(max_size=60).map(lambda data: data.decode("utf-8", "surrogateescape")),
    st.sampled_from(["/epj/r4/312229544/", "/EPJ//r4/%33", "/epj/stu3/102287/"]).flatmap(
        lambda start: st.text(max_size=20).map(lambda end: start + end)
    ),
)


@pytest.fixture(scope="module")
def identification() -> Identification:
    """Make one with routes that differ by what a message is about."""
    loaded = load_text(FILE, "routes.yaml")
    assert loaded.table is not None, loaded.problems
    return Identification(loaded.table, 100_000)


@given(st.sampled_from(["POST", "GET", ""]), TARGETS, HEADERS)
def test_any_head_is_something(
    identification: Identification, method: str, target: str, headers: list[tuple[bytes, bytes]]
) -> None:
    """It is recognised, unrecognised, or refused for its target."""
    try:
        identified = identification.recognise(RequestHead(method, target, tuple(headers)))
    except Failure:
        assert not is_origin_form(target)
    else:
        assert identified.operation is None or method == "POST"


@given(st.binary(max_size=200))
async def test_any_body_is_content_or_a_reason(identification: Identification, body: bytes) -> None:
    """Bytes of any kind are read or refused, and only then have no information type."""
    head = RequestHead("POST", "/epj/r4/312229544/bundle", ())
    identified = await identification.identify(head, WholeBody(body))
    assert identified.content is not None
    assert identified.content.failure is not None or identified.content.tree is not None


@pytest.mark.parametrize(
    ("resource", "name", "information"),
    [
        ("medicationdispense", "dispensed", Information.MEDISINERING),
        ("bundle", "dispense-failed", Information.MEDISINERING),
        ("bundle", "alarm-follow-up", Information.VARSEL),
        ("bundle", "supervision", Information.TILSYN),
        ("bundle", "measurement", Information.MALEDATA),
        ("composition", "note", Information.NOTAT),
    ],
)
async def test_message_says_what_it_is_about(
    identification: Identification, resource: str, name: str, information: Information
) -> None:
    """Where routes differ by it, the body tells."""
    head = RequestHead("POST", f"/epj/r4/312229544/{resource}", ())
    identified = await identification.identify(head, WholeBody(message(name)))
    assert identified.envelope.information is information

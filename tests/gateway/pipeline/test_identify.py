"""Reading a request's head never fails, whatever it holds: a defect there would answer nobody."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cli.explain_request import WholeBody
from gateway.config.directory import Directory
from gateway.config.load import Loaded, load_text
from gateway.errors import Failure
from gateway.model import Information, RequestHead
from gateway.pipeline.identify import Identifier
from gateway.surfaces.paths import is_origin_form
from tests.gateway.world import message, stu3_message

if TYPE_CHECKING:
    from gateway.routing.table import RouteTable

FILE = """\
version: 1
helseid: {issuer: https://sts.example, client_id: gateway, key_file: key.json}
upstreams:
  vkp: {kind: vkp, url: https://vkp.example}
  jft: {kind: jft, write_url: https://write.example, read_url: https://read.example, status: test}
municipalities:
  nordfjell:
    {name: N, orgnr: "312229544", her_ids: ["102287"], epj: {system: G, generation: legacy, reads: [jft]}}
vendors:
  dignio:
    name: D
    systems:
      prevent:
        name: P
        senders: [{vkp_id: Dignio_Nordfjell, municipality: nordfjell}, {her_id: "8134527", municipality: nordfjell}]
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
def loaded() -> Loaded:
    """Load routes that differ by what a message is about."""
    return load_text(FILE, "routes.yaml")


@pytest.fixture(scope="module")
def table(loaded: Loaded) -> RouteTable:
    """Compile them."""
    assert loaded.table is not None, loaded.problems
    return loaded.table


@pytest.fixture(scope="module")
def identifier(loaded: Loaded) -> Identifier:
    """Make what identifies requests with their names."""
    assert loaded.config is not None, loaded.problems
    return Identifier(100_000, Directory(loaded.config))


@given(st.sampled_from(["POST", "GET", ""]), TARGETS, HEADERS)
def test_any_head_is_something(
    table: RouteTable, identifier: Identifier, method: str, target: str, headers: list[tuple[bytes, bytes]]
) -> None:
    """It is recognised, unrecognised, or refused for its target."""
    try:
        identified = identifier.recognise(RequestHead(method, target, tuple(headers)), table)
    except Failure:
        assert not is_origin_form(target)
    else:
        assert identified.operation is None or method == "POST"


@pytest.mark.parametrize("target", ["/epj/r4/312229544/bundle", "/epj/stu3/102287/bundle"])
@given(st.one_of(st.binary(max_size=200), st.binary(max_size=200).map(lambda data: b"<" + data)))
async def test_any_body_is_content_or_a_reason(
    table: RouteTable, identifier: Identifier, target: str, body: bytes
) -> None:
    """Bytes of any kind are read or refused, and only then have no information type."""
    head = RequestHead("POST", target, ())
    identified = await identifier.identify(head, WholeBody(body), table)
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
    table: RouteTable, identifier: Identifier, resource: str, name: str, information: Information
) -> None:
    """Where routes differ by it, the body tells."""
    head = RequestHead("POST", f"/epj/r4/312229544/{resource}", ())
    identified = await identifier.identify(head, WholeBody(message(name)), table)
    assert identified.envelope.information is information


@pytest.mark.parametrize("form", ["xml", "json"])
@pytest.mark.parametrize(
    ("resource", "name", "information"),
    [
        ("bundle", "dispensed", Information.MEDISINERING),
        ("bundle", "dispense-with-flag", Information.MEDISINERING),
        ("$process-message", "test", Information.MEDISINERING),
        ("bundle", "patient-composition", Information.NOTAT),
        ("bundle", "location-measurement", Information.VARSEL),
        ("bundle", "camera-observation", Information.TILSYN),
        ("encounter", "digital-encounter", Information.TILSYN),
    ],
)
async def test_stu3_message_says_what_it_is_about(
    table: RouteTable, identifier: Identifier, resource: str, name: str, information: Information, *, form: str
) -> None:
    """In XML as in JSON, of the municipality whose HER-id the path has."""
    head = RequestHead("POST", f"/epj/stu3/102287/{resource}", ())
    identified = await identifier.identify(head, WholeBody(stu3_message(f"{name}.{form}")), table)
    envelope = identified.envelope
    assert (envelope.surface, envelope.municipality) == ("vkp-stu3", "nordfjell")
    assert envelope.information is information


def claiming(vkp_id: str | None, her_id: str | None) -> bytes:
    """Make a field with a token that says so; nobody signed it."""
    claims = {"nhn:vkp/client/claims/vkp-id": vkp_id, "e-helse/claims/her_id": her_id}
    encoded = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=")
    return b"Bearer e30." + encoded + b".x"


@pytest.mark.fact("vkp-client-claims")
@pytest.mark.parametrize(
    ("target", "vkp_id", "her_id", "sender"),
    [
        ("/epj/r4/312229544/bundle", "Dignio_Nordfjell", "8134527", "Dignio_Nordfjell"),
        ("/epj/stu3/102287/bundle", "Dignio_Nordfjell", "8134527", "8134527"),
        ("/epj/r4/312229544/bundle", None, "8134527", "8134527"),
        ("/epj/stu3/102287/bundle", "Dignio_Nordfjell", None, "Dignio_Nordfjell"),
        ("/epj/stu3/102287/bundle", "Dignio_Nordfjell", "1", None),
        ("/ws/102287", "Dignio_Nordfjell", "8134527", "Dignio_Nordfjell"),
        ("/epj/stu3/102287/bundle", None, None, None),
    ],
)
def test_sender_is_who_the_claim_of_the_surface_names(  # noqa: PLR0917 - fixtures and cases
    table: RouteTable, identifier: Identifier, target: str, vkp_id: str | None, her_id: str | None, sender: str | None
) -> None:
    """R4 goes by the vkp-id and STU3 by the HER-id; the other one only finds a route, it gives no access."""
    head = RequestHead("POST", target, ((b"Authorization", claiming(vkp_id, her_id)),))
    assert identifier.recognise(head, table).envelope.sender == sender

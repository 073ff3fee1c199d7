"""For which organisation HelseID's double gives a token."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.service_stubs.test_token_endpoint import CLAIMS, OTHER_ORGNR, refusal

if TYPE_CHECKING:
    from service_stubs.helseid import HelseIdStub
    from tests.service_stubs.conftest import Sender


@pytest.mark.parametrize("child", ["", None, "310000099"])
async def test_organisation_may_be_given_in_every_published_form(
    sender: Sender, helseid: HelseIdStub, child: str | None
) -> None:
    """The .NET library ends with a colon without a child, the Java library does not."""
    token = await sender.token(helseid.url, assertion_details=sender.details(sender.orgnr, child))
    _, claims = sender.decoded(token)
    assert claims[f"{CLAIMS}/orgnr_parent"] == sender.orgnr
    assert claims.get(f"{CLAIMS}/orgnr_child") == (child or None)


async def test_organisation_may_stand_in_a_list(sender: Sender, helseid: HelseIdStub) -> None:
    """One element of it."""
    token = await sender.token(helseid.url, assertion_details=[sender.details(sender.orgnr)])
    assert sender.decoded(token)[1][f"{CLAIMS}/orgnr_parent"] == sender.orgnr


def _details(**identifier: Any) -> dict[str, Any]:
    normal = {"system": "urn:oid:1.0.6523", "type": "ENH", "value": "NO:ORGNR:310000001:"}
    organization = {"identifier": {**normal, **identifier}}
    return {"type": "helseid_authorization", "practitioner_role": {"organization": organization}}


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        "NO:ORGNR:310000001:",
        {},
        [],
        [_details(), _details()],
        {**_details(), "type": "other"},
        {"type": "helseid_authorization", "practitioner_role": []},
        _details(system="urn:oid:2.16.578.1.12.4.1.4.101"),
        _details(type="X"),
        _details(value="310000001"),
        _details(value="NO:ORGNR:31000000:"),
        _details(value=310000001),
        _details(extra="x"),
    ],
    ids=str,
)
async def test_multi_tenant_client_must_name_its_organisation_rightly(
    sender: Sender, helseid: HelseIdStub, wrong: Any
) -> None:
    """Without a readable organisation there is no token."""
    assertion = sender.assertion(helseid.url, assertion_details=wrong)
    assert await refusal(sender, helseid, assertion=assertion) == "invalid_request"


@pytest.mark.fact("helseid-fk5")
async def test_organisation_in_both_claims_is_refused(sender: Sender, helseid: HelseIdStub) -> None:
    """Two places could contradict each other."""
    assertion = sender.assertion(helseid.url, authorization_details=sender.details(sender.orgnr))
    assert await refusal(sender, helseid, assertion=assertion) == "invalid_request"


async def test_scope_is_rejected_for_an_organisation_that_has_not_delegated(
    sender: Sender, helseid: HelseIdStub
) -> None:
    """HelseID answers 200 all the same; the scope is missing in token and answer."""
    helseid.register(sender.registration(delegations=[OTHER_ORGNR]))
    response = await sender.token_response(helseid.url)
    assert (response["scope"], response["rejected_scope"]) == ("", "nhn:jft/api")
    assert sender.decoded(response["access_token"])[1]["scope"] == []


async def test_scope_is_given_for_an_organisation_that_has_delegated(sender: Sender, helseid: HelseIdStub) -> None:
    """A delegation opens the scope."""
    helseid.register(sender.registration(delegations=[sender.orgnr]))
    assert "rejected_scope" not in await sender.token_response(helseid.url)


async def test_single_tenant_client_gets_its_own_organisation(sender: Sender, helseid: HelseIdStub) -> None:
    """HelseID knows the parent; the client may name a child."""
    helseid.register(sender.registration(tenancy="single", orgnr=OTHER_ORGNR))
    child = _details(system="urn:oid:2.16.578.1.12.4.1.4.101", value="310000099")
    for given, expected in ((None, None), (child, "310000099")):
        _, claims = sender.decoded(await sender.token(helseid.url, assertion_details=given))
        assert claims[f"{CLAIMS}/orgnr_parent"] == OTHER_ORGNR
        assert claims.get(f"{CLAIMS}/orgnr_child") == expected
        assert claims["helseid://claims/client/client_tenancy"] == "single-tenant"


async def test_single_tenant_client_may_not_name_a_parent(sender: Sender, helseid: HelseIdStub) -> None:
    """The multi-tenant form is refused for a single-tenant client."""
    helseid.register(sender.registration(tenancy="single", orgnr=OTHER_ORGNR))
    assert await refusal(sender, helseid) == "invalid_request"

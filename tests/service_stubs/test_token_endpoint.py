"""HelseID's token endpoint gives tokens to those who ask rightly and to nobody else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from joserfc.jwk import ECKey, RSAKey

if TYPE_CHECKING:
    from service_stubs.helseid import HelseIdStub
    from tests.service_stubs.conftest import Clock, Sender

OTHER_ORGNR = "310000002"
CLAIMS = "helseid://claims/client/claims"


async def refusal(
    sender: Sender,
    helseid: HelseIdStub,
    *,
    assertion: str | None = None,
    form: dict[str, Any] | None = None,
    proofs: list[str] | None = None,
) -> str:
    """Ask with a valid nonce and one thing wrong, and return the error code."""
    url = helseid.url
    if proofs is None:
        proofs = [sender.proof("POST", f"{url}/connect/token", nonce=await sender.nonce(url))]
    full_form = sender.form(sender.assertion(url) if assertion is None else assertion, **(form or {}))
    status, body, _ = await sender.ask(url, full_form, *proofs)
    assert status == 400, body
    assert body["error_description"]
    return str(body["error"])


async def test_token_carries_the_claims_that_jft_needs(sender: Sender, helseid: HelseIdStub, clock: Clock) -> None:
    """A right request yields a bound token for one API and one municipality."""
    response = await sender.token_response(helseid.url)
    header, claims = sender.decoded(response.pop("access_token"))
    assert response == {"expires_in": 600, "token_type": "DPoP", "scope": "nhn:jft/api"}
    assert (header["typ"], header["alg"]) == ("at+jwt", "RS256")
    assert claims.pop("jti")
    assert claims == {
        "iss": helseid.issuer,
        "aud": "nhn:jft",
        "nbf": int(clock.now),
        "iat": int(clock.now),
        "exp": int(clock.now) + 600,
        "scope": ["nhn:jft/api"],
        "client_id": sender.client_id,
        "client_amr": "private_key_jwt",
        "helseid://claims/client/client_name": "Gateway",
        "helseid://claims/client/client_tenancy": "multi-tenant",
        f"{CLAIMS}/orgnr_parent": sender.orgnr,
        "cnf": {"jkt": sender.proof_key.thumbprint()},
    }


async def test_answers_are_not_cached(sender: Sender, helseid: HelseIdStub) -> None:
    """RFC 6749 section 5.1 demands Cache-Control no-store."""
    async with sender.session.post(f"{helseid.url}/connect/token", data={"a": "b"}) as response:
        assert response.headers["Cache-Control"] == "no-store"


async def test_first_request_without_nonce_is_sent_back_with_one(sender: Sender, helseid: HelseIdStub) -> None:
    """RFC 9449 section 8."""
    assert await sender.nonce(helseid.url)


async def test_nonce_challenge_spends_the_assertion(sender: Sender, helseid: HelseIdStub) -> None:
    """The retry with the nonce needs a new assertion, not only a new proof."""
    url = helseid.url
    endpoint = f"{url}/connect/token"
    form = sender.form(sender.assertion(url))
    _, _, nonce = await sender.ask(url, form, sender.proof("POST", endpoint))
    status, body, _ = await sender.ask(url, form, sender.proof("POST", endpoint, nonce=nonce))
    assert (status, body["error"]) == (400, "invalid_client")


async def test_log_shows_that_the_retry_was_made_anew(sender: Sender, helseid: HelseIdStub) -> None:
    """Tests of a client can see from the log that assertion and proof differ between the two requests."""
    await sender.token(helseid.url)
    first, second = helseid.log
    assert (first.outcome, second.outcome) == ("use_dpop_nonce", "ok")
    assert first.assertion_jti != second.assertion_jti
    assert first.proof_jti != second.proof_jti
    assert (first.proof_nonce, second.orgnr) == (None, sender.orgnr)
    assert second.proof_nonce


async def test_expired_nonce_is_replaced(sender: Sender, helseid: HelseIdStub, clock: Clock) -> None:
    """A nonce lives for a minute."""
    nonce = await sender.nonce(helseid.url)
    clock.now += 61
    proof = sender.proof("POST", f"{helseid.url}/connect/token", nonce=nonce)
    assert await refusal(sender, helseid, proofs=[proof]) == "use_dpop_nonce"


async def test_unknown_nonce_is_replaced(sender: Sender, helseid: HelseIdStub) -> None:
    """A nonce that the stub has not issued counts as none."""
    proof = sender.proof("POST", f"{helseid.url}/connect/token", nonce="invented")
    assert await refusal(sender, helseid, proofs=[proof]) == "use_dpop_nonce"


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "someone-else"},
        {"sub": "someone-else"},
        {"sub": None},
        {"aud": "https://elsewhere.example"},
        {"aud": None},
        {"exp": None},
        {"exp": 1_780_000_000 - 1},
        {"exp": 1_780_000_000 + 66},
        {"exp": "soon"},
        {"nbf": 1_780_000_000 + 10},
        {"iat": 1_780_000_000 + 10},
        {"iat": "now"},
        {"jti": None},
        {"jti": ""},
    ],
    ids=str,
)
async def test_assertion_with_a_wrong_claim_is_refused(
    sender: Sender, helseid: HelseIdStub, claims: dict[str, Any]
) -> None:
    """Each claim of the assertion is checked."""
    assertion = sender.assertion(helseid.url, **claims)
    assert await refusal(sender, helseid, assertion=assertion) == "invalid_client"


async def test_assertion_for_the_issuer_among_others_is_refused(sender: Sender, helseid: HelseIdStub) -> None:
    """Only the issuer may be the audience, so that no other server can use the assertion."""
    assertion = sender.assertion(helseid.url, aud=[helseid.issuer, "https://elsewhere.example"])
    assert await refusal(sender, helseid, assertion=assertion) == "invalid_client"


async def test_assertion_with_the_issuer_as_only_listed_audience_passes(sender: Sender, helseid: HelseIdStub) -> None:
    """RFC 7519 section 4.1.3 allows text or a list."""
    assert await sender.token(helseid.url, aud=[helseid.issuer])


@pytest.mark.fact("helseid-assertion", "helseid-kid")
@pytest.mark.parametrize("header", [{"typ": "at+jwt"}, {"typ": "JWT"}, {"kid": "unknown"}, {"kid": None}], ids=str)
async def test_assertion_with_a_wrong_header_is_refused(
    sender: Sender, helseid: HelseIdStub, header: dict[str, Any]
) -> None:
    """`typ` and `kid` are checked."""
    assertion = sender.assertion(helseid.url, header)
    assert await refusal(sender, helseid, assertion=assertion) == "invalid_client"


async def test_assertion_of_an_unregistered_key_is_refused(sender: Sender, helseid: HelseIdStub) -> None:
    """The signature decides, not the key id."""
    registered, sender.key = sender.key, ECKey.generate_key("P-256")
    assertion = sender.assertion(helseid.url, {"kid": registered.thumbprint()})
    sender.key = registered
    assert await refusal(sender, helseid, assertion=assertion) == "invalid_client"


async def test_shared_secret_assertion_is_refused(sender: Sender, helseid: HelseIdStub) -> None:
    """HelseID takes asymmetric algorithms only."""
    assertion = sender.assertion(helseid.url)
    header, claims = sender.decoded(assertion)
    parts = assertion.split(".")
    assert header["alg"] == "ES256"
    unsigned = f"eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{parts[1]}."
    assert claims["iss"] == sender.client_id
    assert await refusal(sender, helseid, assertion=unsigned) == "invalid_client"


@pytest.mark.parametrize("assertion", ["", "a.b", "a.b.c", "W10.W10.c", "e30.e30.c"])
async def test_unreadable_assertion_is_refused(sender: Sender, helseid: HelseIdStub, assertion: str) -> None:
    """Text that is no token is refused like a wrong token."""
    assert await refusal(sender, helseid, assertion=assertion) == "invalid_client"


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({"grant_type": "implicit"}, "unsupported_grant_type"),
        ({"grant_type": None}, "unsupported_grant_type"),
        ({"client_assertion_type": "password"}, "invalid_client"),
        ({"client_assertion_type": None}, "invalid_client"),
        ({"client_id": "someone-else"}, "invalid_client"),
        ({"scope": "nhn:other/api"}, "invalid_scope"),
        ({"scope": "nhn:jft/api openid"}, "invalid_scope"),
        ({"scope": ""}, "invalid_scope"),
    ],
    ids=str,
)
async def test_wrong_form_is_refused(sender: Sender, helseid: HelseIdStub, form: dict[str, Any], error: str) -> None:
    """Each parameter of the request is checked."""
    assert await refusal(sender, helseid, form=form) == error


@pytest.mark.parametrize("form", [{"client_id": None}, {"scope": None}], ids=str)
async def test_optional_parameters_may_be_left_out(sender: Sender, helseid: HelseIdStub, form: dict[str, Any]) -> None:
    """The assertion names the client; without a scope all registered ones are given."""
    wanted = list(sender.registration().scopes) if "scope" in form else ["nhn:jft/api"]
    assert (await sender.token_response(helseid.url, form))["scope"].split() == wanted


async def test_other_content_type_is_refused(sender: Sender, helseid: HelseIdStub) -> None:
    """A token request is a form."""
    async with sender.session.post(f"{helseid.url}/connect/token", json={}) as response:
        assert (response.status, (await response.json())["error"]) == (400, "invalid_request")


@pytest.mark.parametrize("form", ["scope=a&scope=b", "a", "a=%FF"])
async def test_malformed_form_is_refused(sender: Sender, helseid: HelseIdStub, form: str) -> None:
    """Repeated parameters (RFC 6749 section 3.2) and unreadable ones are refused."""
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    async with sender.session.post(f"{helseid.url}/connect/token", data=form, headers=headers) as response:
        assert (response.status, (await response.json())["error"]) == (400, "invalid_request")


async def test_unreadable_proof_is_refused(sender: Sender, helseid: HelseIdStub) -> None:
    """Text that is no token is no proof."""
    assert await refusal(sender, helseid, proofs=["proof"]) == "invalid_dpop_proof"


@pytest.mark.parametrize("copies", [0, 2])
async def test_exactly_one_proof_is_needed(sender: Sender, helseid: HelseIdStub, copies: int) -> None:
    """RFC 9449 section 4.3, check 1."""
    nonce = await sender.nonce(helseid.url)
    proofs = [sender.proof("POST", f"{helseid.url}/connect/token", nonce=nonce) for _ in range(copies)]
    assert await refusal(sender, helseid, proofs=proofs) == "invalid_dpop_proof"


@pytest.mark.parametrize(
    "claims",
    [
        {"htm": "GET"},
        {"htu": "http://127.0.0.1/connect/token"},
        {"iat": 1_780_000_000 - 16},
        {"iat": 1_780_000_000 + 6},
        {"iat": None},
        {"jti": None},
    ],
    ids=str,
)
async def test_proof_with_a_wrong_claim_is_refused(
    sender: Sender, helseid: HelseIdStub, claims: dict[str, Any]
) -> None:
    """Each claim of the proof is checked."""
    nonce = await sender.nonce(helseid.url)
    proof = sender.proof("POST", f"{helseid.url}/connect/token", **{"nonce": nonce, **claims})
    assert await refusal(sender, helseid, proofs=[proof]) == "invalid_dpop_proof"


async def test_proof_for_the_address_with_a_query_is_refused(sender: Sender, helseid: HelseIdStub) -> None:
    """`htu` has no query (RFC 9449 section 4.2)."""
    proof = sender.proof("POST", f"{helseid.url}/connect/token?x=1", nonce=await sender.nonce(helseid.url))
    assert await refusal(sender, helseid, proofs=[proof]) == "invalid_dpop_proof"


async def test_proof_is_taken_once(sender: Sender, helseid: HelseIdStub) -> None:
    """HelseID refuses a proof whose `jti` it has seen."""
    proof = sender.proof("POST", f"{helseid.url}/connect/token", nonce=await sender.nonce(helseid.url))
    status, _, _ = await sender.ask(helseid.url, sender.form(sender.assertion(helseid.url)), proof)
    assert status == 200
    assert await refusal(sender, helseid, proofs=[proof]) == "invalid_dpop_proof"


@pytest.mark.fact("helseid-assertion")
async def test_assertion_is_taken_once(sender: Sender, helseid: HelseIdStub) -> None:
    """An assertion is single use, also after a success."""
    assertion = sender.assertion(helseid.url)
    nonce = await sender.nonce(helseid.url)
    proof = sender.proof("POST", f"{helseid.url}/connect/token", nonce=nonce)
    assert (await sender.ask(helseid.url, sender.form(assertion), proof))[0] == 200
    assert await refusal(sender, helseid, assertion=assertion) == "invalid_client"


async def test_client_may_sign_with_rsa(sender: Sender, helseid: HelseIdStub, key_pool: list[RSAKey]) -> None:
    """HelseID's key generator makes RSA keys too; PS256 stands for that family here."""
    key = key_pool[0]
    jwk = {**key.as_dict(private=False), "kid": "rsa-1"}
    helseid.register(sender.registration(jwks={"keys": [jwk]}))
    sender.key = key  # type: ignore[assignment]  # any key of joserfc signs
    header = {"alg": "PS256", "kid": "rsa-1"}
    challenge = sender.proof("POST", f"{helseid.url}/connect/token")
    _, _, nonce = await sender.ask(helseid.url, sender.form(sender.assertion(helseid.url, header)), challenge)
    proof = sender.proof("POST", f"{helseid.url}/connect/token", nonce=nonce)
    status, _, _ = await sender.ask(helseid.url, sender.form(sender.assertion(helseid.url, header)), proof)
    assert status == 200


async def test_scopes_of_two_apis_make_two_audiences(sender: Sender, helseid: HelseIdStub) -> None:
    """One API per token is the rule; whoever asks for two gets a token that strict APIs refuse."""
    helseid.register(sender.registration(scopes=["nhn:jft/api", "nhn:pit/api.read"]))
    response = await sender.token_response(helseid.url, {"scope": "nhn:jft/api nhn:pit/api.read"})
    assert sender.decoded(response["access_token"])[1]["aud"] == ["nhn:jft", "nhn:pit"]


@pytest.mark.fact("helseid-fk3")
async def test_a_token_that_is_asked_for_while_one_is_valid_is_counted(
    sender: Sender, helseid: HelseIdStub, clock: Clock
) -> None:
    """FK3 allows none; in its last minute, for another organisation, and for another proof key it is no such request."""
    await sender.token(helseid.url)
    sender.orgnr = "310000002"
    await sender.token(helseid.url, assertion_details=sender.details(sender.orgnr))
    clock.now += 541
    await sender.token(helseid.url)
    assert not helseid.needless
    clock.now += 60
    await sender.token(helseid.url)
    assert [one.orgnr for one in helseid.needless] == ["310000001"]


@pytest.mark.fact("helseid-fk2")
async def test_endpoints_move_as_discovery_says(sender: Sender, helseid: HelseIdStub) -> None:
    """What a client keeps too long is not there any more."""
    before = helseid._metadata()
    helseid.move()
    for name in ("jwks_uri", "token_endpoint"):
        now = helseid._metadata()[name]
        assert now != before[name]
        for url, missing in ((before[name], True), (now, False)):
            async with sender.session.request("GET" if name == "jwks_uri" else "POST", url) as response:
                assert (response.status == 404) == missing

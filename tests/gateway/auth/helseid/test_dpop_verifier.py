"""What verifiers do with anything at all, at the edges of time, and when their memory is full."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import ECKey
from joserfc.jws import JWSRegistry

from gateway.auth.helseid.claims import Credentials
from gateway.auth.helseid.dpop import normalised
from gateway.auth.helseid.dpop_verifier import DpopVerifier, ProofRefused, ProvenRequest, TooManyProofs
from gateway.auth.helseid.jws import Unreadable, read, time_of
from gateway.auth.helseid.token_verifier import TokenRefused, TokenVerifier
from tests.gateway.auth.helseid.device import compact, encoded

if TYPE_CHECKING:
    from gateway.auth.helseid.issuer import Issuer
    from tests.gateway.auth.helseid.conftest import Clock

URL = "https://api.vkp.example/epj/r4/315058384/bundle"
KEY = ECKey.generate_key("P-256")
TOKEN = Credentials("dpop", "token")
BOUND = {"cnf": {"jkt": KEY.thumbprint()}}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "alg": st.sampled_from(["ES256", "RS256", "none", "HS256"]) | JSON,
        "typ": st.sampled_from(["dpop+jwt", "at+jwt"]) | JSON,
        "kid": JSON,
        "crit": JSON,
        "jwk": st.fixed_dictionaries({"kty": st.sampled_from(["EC", "RSA"])}, optional=dict.fromkeys("xyned", JSON))
        | JSON,
    },
)


def proof(clock: Clock, **claims: Any) -> bytes:
    """Make a proof that is right but for `claims`."""
    said = {"jti": "j", "htm": "POST", "htu": URL, "iat": clock.now, "ath": encoded(TOKEN.digest), **claims}
    header = {"typ": "dpop+jwt", "alg": "ES256", "jwk": KEY.as_dict(private=False)}
    return compact(header, said, lambda content: JWSRegistry.algorithms["ES256"].sign(content, KEY)).encode()


def check(proofs: DpopVerifier, value: bytes) -> None:
    """Check a proof for the usual request."""
    proofs.check(ProvenRequest("POST", URL, [value]), TOKEN, BOUND)


@pytest.mark.parametrize(("age", "good"), [(-5.1, False), (-5, True), (0, True), (15, True), (15.1, False)])
def test_window_of_a_proof(clock: Clock, age: float, *, good: bool) -> None:
    """Ten seconds from when it was made, and five for clocks that differ."""
    value = proof(clock, iat=clock.now - age)
    if good:
        check(DpopVerifier(clock), value)
    else:
        with pytest.raises(ProofRefused, match="iat"):
            check(DpopVerifier(clock), value)


def test_used_proofs_are_remembered_as_long_as_they_are_good_and_no_longer(clock: Clock) -> None:
    """A proof from a clock that is ahead is good for longest: all that time it is known."""
    proofs = DpopVerifier(clock)
    value = proof(clock, iat=clock.now + 5)
    check(proofs, value)
    for _ in range(19):
        clock.now += 1
        with pytest.raises(ProofRefused, match="used before"):
            check(proofs, value)
    clock.now += 2.5
    with pytest.raises(ProofRefused, match="iat"):
        check(proofs, value)
    check(proofs, proof(clock, jti="other"))
    assert len(proofs._used) == 1


def test_memory_of_proofs_is_bounded_and_forgets_none_too_early(clock: Clock) -> None:
    """When it is full, more are told to wait: a proof that is forgotten could be used again."""
    proofs = DpopVerifier(clock, most_remembered=3)
    for number in range(3):
        check(proofs, proof(clock, jti=str(number)))
    with pytest.raises(TooManyProofs):
        check(proofs, proof(clock, jti="3"))
    with pytest.raises(ProofRefused, match="used before"):
        check(proofs, proof(clock, jti="0"))
    clock.now += 22
    check(proofs, proof(clock, jti="3"))


def test_one_client_does_not_take_the_room_of_all(clock: Clock) -> None:
    """However often one calls, another's proofs still find room."""
    proofs = DpopVerifier(clock, most_of_one=2)
    for number in range(2):
        check(proofs, proof(clock, jti=str(number)))
    with pytest.raises(TooManyProofs):
        check(proofs, proof(clock, jti="2"))
    call = ProvenRequest("POST", URL, [proof(clock, jti="3")])
    proofs.check(call, TOKEN, {**BOUND, "client_id": "another"})
    clock.now += 22
    check(proofs, proof(clock, jti="2"))
    assert len(proofs._of_client) == 1


@given(
    st.binary(max_size=200)
    | st.builds(
        lambda text: text.encode("latin-1"),
        st.from_regex(r"[\w-]*\.[\w-]*\.[\w-]*", alphabet=st.characters(max_codepoint=255)),
    )
)
def test_no_bytes_are_more_than_a_refused_proof(value: bytes) -> None:
    """Whatever a sender writes into the field, the answer is that it proves nothing."""
    with pytest.raises(ProofRefused):
        DpopVerifier(lambda: 0.0).check(ProvenRequest("POST", URL, [value]), TOKEN, BOUND)


@given(HEADERS, JSON | st.fixed_dictionaries({}, optional=dict.fromkeys(["jti", "htm", "htu", "iat", "ath"], JSON)))
def test_no_header_and_claims_are_more_than_a_refused_proof(header: Any, claims: Any) -> None:
    """Neither are tokens that are well-formed, with anything in them; also where the key is the right one."""
    value = compact(header, claims, lambda _: b"x" * 64).encode()
    right = compact(
        {**header, "typ": "dpop+jwt", "alg": "ES256", "jwk": KEY.as_dict(private=False)}, claims, lambda _: b""
    )
    for each in (value, right.encode()):
        with pytest.raises(ProofRefused):
            DpopVerifier(lambda: 0.0).check(ProvenRequest("POST", URL, [each]), TOKEN, BOUND)


@given(
    st.text(max_size=100)
    | st.builds(lambda header, claims: compact(header, claims, lambda _: b"x" * 256), HEADERS, JSON)
)
async def test_no_text_is_more_than_a_refused_token(value: str) -> None:
    """The verifier of tokens raises nothing but its refusal."""

    class NoKeys:
        url = "https://sts.example"

        async def key(self, _kid: str | None) -> ECKey:
            return KEY

    verifier = TokenVerifier(NoKeys(), "nhn:vkp", lambda: 0.0)  # type: ignore[arg-type] # as much of an issuer as is asked
    with pytest.raises(TokenRefused):
        await verifier.verify(Credentials("bearer", value))


@given(st.text(max_size=60))
def test_any_address_has_one_form_or_none(url: str) -> None:
    """Normalising twice is normalising once."""
    for each in (url, f"https://a.example/{url}", f"https://{url}/"):
        found = normalised(each)
        assert found is None or normalised(found) == found


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("HTTPS://API.Example:443/A/b", "https://api.example/A/b"),
        ("http://a.example:80", "http://a.example/"),
        ("http://a.example:8080/x/", "http://a.example:8080/x/"),
        ("https://a.example/%7eb/%c3%b8/%2F", "https://a.example/~b/%C3%B8/%2F"),
        ("https://a.example/a/./b/../c", "https://a.example/a/c"),
        ("https://a.example/../../a/..", "https://a.example/"),
        ("https://[::1]:8443/a", "https://[::1]:8443/a"),
        ("https://a.example//a", "https://a.example//a"),
        ("ftp://a.example/", None),
        ("//a.example/", None),
        ("https:///a", None),
        ("https://a.example:x/", None),
        ("https://a.example:99999/", None),
        ("https://a@b.example/", None),
        ("https://a.example/?", None),
        ("https://a.example/#", None),
        ("https://a.example/\t", None),
        ("https://[::1/", None),
        ("", None),
    ],
)
def test_form_of_an_address(url: str, expected: str | None) -> None:
    """Scheme, host, port, escapes and dots (RFC 3986 sections 6.2.2 and 6.2.3); nothing else."""
    assert normalised(url) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, 0.0),
        (1.5, 1.5),
        (10**400, None),
        (-1, None),
        (float("nan"), None),
        (float("inf"), None),
        (True, None),
        ("1", None),
    ],
)
def test_time_is_a_number_that_can_be_reckoned_with(value: object, expected: float | None) -> None:
    """Python's integers know no end, and its floats no number that is none."""
    assert time_of(value) == expected


@pytest.mark.parametrize("digits", [5_000, 100])
def test_number_of_many_digits_breaks_nothing(digits: int) -> None:
    """Reading it takes no time, and what cannot be read is refused."""
    claims = json.dumps({"exp": 0}).replace("0", "9" * digits).encode()
    text = compact({"alg": "ES256"}, claims, lambda _: b"")
    if digits > 4_300:
        with pytest.raises(Unreadable):
            read(text)
    else:
        assert time_of(read(text).claims["exp"]) is None


def test_encoding_is_url_safe_and_without_padding() -> None:
    """What other decoders forgive is refused: the signature is over the text."""
    header, claims, signature = compact({"alg": "ES256"}, {"a": "??>>"}, lambda _: b"\xff\xfe").split(".")
    assert read(f"{header}.{claims}.{signature}").signature == b"\xff\xfe"
    plain = base64.b64encode(b"\xff\xfe").decode()
    for wrong in (plain, f"{signature}=", f"{signature}\n", f" {signature}", signature + "A" * 2):
        with pytest.raises(Unreadable):
            read(f"{header}.{claims}.{wrong}")


async def test_claims_of_the_issuer_alone_are_believed(issuer: Issuer, clock: Clock) -> None:
    """A token that is signed by a sender's own key stays refused, whoever's name it bears."""
    token = compact({"typ": "at+jwt", "alg": "ES256"}, {"iss": issuer.url}, lambda _: b"x" * 64)
    with pytest.raises(TokenRefused):
        await TokenVerifier(issuer, "nhn:vkp", clock).verify(Credentials("bearer", token))


@pytest.mark.parametrize("moved", [3600.0, -3600.0])
def test_wall_clock_that_is_set_lets_no_used_proof_in_again(clock: Clock, moved: float) -> None:
    """Neither when it comes back, nor when an old proof looks fresh because it was set back; new proofs are good."""
    proofs = DpopVerifier(clock)
    value = proof(clock, iat=clock())
    check(proofs, value)
    clock.ahead = moved
    clock.now += 1
    check(proofs, proof(clock, iat=clock(), jti="while it is wrong"))
    clock.now += 3600
    clock.ahead = -3601.0
    with pytest.raises(ProofRefused, match="use"):
        check(proofs, value)
    clock.ahead = 0.0
    if moved < 0:
        check(proofs, proof(clock, iat=clock(), jti="new"))

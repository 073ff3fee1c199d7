"""DPoP proofs: for one request each, and bound to its address and token."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

from gateway.auth.helseid.dpop import DpopProver


def parts(proof: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return header and claims."""
    header, claims, _ = proof.split(".")
    return tuple(json.loads(base64.urlsafe_b64decode(part + "==")) for part in (header, claims))  # type: ignore[return-value]


def test_proof_is_for_one_request() -> None:
    """Method, address without query, time and a new id each time (RFC 9449 section 4.2)."""
    prover = DpopProver(lambda: 1_780_000_000.9)
    first, second = (parts(prover.proof("POST", "https://jft.example:1/v1/Bundle?a=b#c")) for _ in range(2))
    assert (first[1]["htm"], first[1]["htu"]) == ("POST", "https://jft.example:1/v1/Bundle")
    assert first[1]["iat"] == 1_780_000_000
    assert first[1]["jti"] != second[1]["jti"]
    assert {"ath", "nonce"}.isdisjoint(first[1])


def test_proof_holds_the_public_key_only() -> None:
    """The private half stays in the process."""
    header, _ = parts(DpopProver(lambda: 0).proof("GET", "https://a.example/"))
    assert (header["typ"], header["alg"]) == ("dpop+jwt", "ES256")
    assert header["jwk"].keys() >= {"kty", "crv", "x", "y"}
    assert "d" not in header["jwk"]


def test_proof_is_bound_to_token_and_nonce() -> None:
    """`ath` is the token's hash."""
    _, claims = parts(DpopProver(lambda: 0).proof("GET", "https://a.example/", token="token", nonce="n"))
    digest = base64.urlsafe_b64encode(hashlib.sha256(b"token").digest()).rstrip(b"=").decode()
    assert (claims["ath"], claims["nonce"]) == (digest, "n")

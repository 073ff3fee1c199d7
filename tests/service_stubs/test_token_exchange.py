"""Token exchange at HelseID's double, and the senders' tokens that it makes badly on purpose."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest

from service_stubs.sender_tokens import SenderToken
from service_stubs.tokens import UnreadableTokenError, read_token

if TYPE_CHECKING:
    from service_stubs.helseid import HelseIdStub
    from tests.service_stubs.conftest import Clock, Sender

EXCHANGE = {
    "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
    "subject_token_type": "urn:ietf:params:oauth:token-type:access_token",
}


@pytest.fixture(autouse=True)
def _may_exchange(sender: Sender, helseid: HelseIdStub) -> None:
    helseid.register(sender.registration(may_exchange=True))


def subject(helseid: HelseIdStub, **wanted: Any) -> str:
    """Make the token of another client."""
    return helseid.sender_token(SenderToken(**{"vkp_id": "x", "client_id": "the-sender", **wanted}))


async def outcome(sender: Sender, helseid: HelseIdStub, **form: Any) -> str:
    """Ask for an exchange that is right but for `form`, and return `ok` or the error."""
    nonce = await sender.nonce(helseid.url)
    proof = sender.proof("POST", f"{helseid.url}/connect/token", nonce=nonce)
    wanted = sender.form(sender.assertion(helseid.url), **{**EXCHANGE, "subject_token": subject(helseid), **form})
    status, body, _ = await sender.ask(helseid.url, wanted, proof)
    return "ok" if status == 200 else str(body["error"])


async def test_token_of_another_becomes_our_own(sender: Sender, helseid: HelseIdStub) -> None:
    """It is bound to our key, for the API that was asked for, and names whom it was made of (RFC 8693 section 4.1)."""
    response = await sender.token_response(helseid.url, {**EXCHANGE, "subject_token": subject(helseid)})
    _, claims = sender.decoded(response["access_token"])
    assert (claims["aud"], claims["client_id"], claims["act"]) == (
        "nhn:jft",
        sender.client_id,
        {"client_id": "the-sender"},
    )
    assert claims["cnf"] == {"jkt": sender.proof_key.thumbprint()}
    assert response["issued_token_type"] == EXCHANGE["subject_token_type"]


@pytest.mark.fact("helseid-exchange")
@pytest.mark.parametrize(("audience", "expected"), [("nhn:jft", "invalid_grant"), (["nhn:x", "nhn:vkp"], "ok")])
async def test_subject_token_must_have_been_sent_to_the_client(
    sender: Sender, helseid: HelseIdStub, audience: Any, expected: str
) -> None:
    """A token for another API is not the client's to exchange."""
    assert await outcome(sender, helseid, subject_token=subject(helseid, claims={"aud": audience})) == expected


async def test_client_must_be_allowed_to_exchange(sender: Sender, helseid: HelseIdStub) -> None:
    """It is a right of its own."""
    helseid.register(sender.registration())
    assert await outcome(sender, helseid) == "unauthorized_client"


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({"subject_token": None}, "invalid_grant"),
        ({"subject_token": "x"}, "invalid_grant"),
        ({"subject_token_type": None}, "invalid_request"),
        ({"subject_token_type": "urn:ietf:params:oauth:token-type:id_token"}, "invalid_request"),
        ({"requested_token_type": "urn:ietf:params:oauth:token-type:id_token"}, "invalid_request"),
        ({"requested_token_type": EXCHANGE["subject_token_type"]}, "ok"),
        ({"scope": "nhn:other/api"}, "invalid_scope"),
    ],
    ids=str,
)
async def test_form_of_an_exchange_is_checked(
    sender: Sender, helseid: HelseIdStub, form: dict[str, Any], error: str
) -> None:
    """Each parameter (RFC 8693 section 2.1)."""
    assert await outcome(sender, helseid, **form) == error


@pytest.mark.parametrize(
    "wanted",
    [
        {"lifetime": -1},
        {"claims": {"exp": None}},
        {"claims": {"nbf": 1_780_000_060}},
        {"claims": {"iss": "https://elsewhere.example"}},
        {"signing": "other-key"},
        {"signing": "none"},
        {"signing": "hs256"},
        {"signing": "cut"},
        {"header": {"crit": ["x"]}},
        {"repeated": {"exp": 1}},
    ],
    ids=str,
)
async def test_subject_token_is_checked(sender: Sender, helseid: HelseIdStub, wanted: dict[str, Any]) -> None:
    """A token that no API would take is exchanged for nothing."""
    assert await outcome(sender, helseid, subject_token=subject(helseid, **wanted)) == "invalid_grant"


async def test_token_of_an_old_key_is_taken_while_the_key_is_published(
    sender: Sender, helseid: HelseIdStub, clock: Clock
) -> None:
    """As any API would."""
    del clock
    token = subject(helseid)
    helseid.rotate_key(keep_old=True)
    assert await outcome(sender, helseid, subject_token=token) == "ok"
    helseid.rotate_key()
    assert await outcome(sender, helseid, subject_token=token) == "invalid_grant"


def payload(token: str) -> str:
    """Return the claims as they are written."""
    return base64.urlsafe_b64decode(token.split(".")[1] + "==").decode()


def test_sender_token_can_be_bound_repeat_itself_and_be_long(helseid: HelseIdStub) -> None:
    """What a test of a verifier needs."""
    assert json.loads(payload(subject(helseid, bound_to="key")))["cnf"] == {"jkt": "key"}
    assert payload(subject(helseid, repeated={"aud": "x"})).count('"aud"') == 2
    assert len(subject(helseid, padding=20_000)) > 20_000
    assert "padding" not in payload(subject(helseid))


def test_double_reads_no_token_that_two_readers_may_read_differently(helseid: HelseIdStub) -> None:
    """A name twice, or an extension that is not known."""
    for wanted in ({"repeated": {"aud": "x"}}, {"header": {"crit": ["x"]}}):
        with pytest.raises(UnreadableTokenError):
            read_token(subject(helseid, **wanted))

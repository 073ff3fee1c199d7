"""The life of an API token: made, shown once, used, listed, revoked, expired."""

from __future__ import annotations

import json
import stat
from typing import TYPE_CHECKING, Any

import pytest

from gateway.auth.people.api_tokens import DAY, PREFIX, ApiTokens, TokenRequest
from gateway.errors import StartupError
from gateway.observability import telemetry
from tests.each import in_one_world
from tests.gateway.office import NORA, PERSONS, VERA, Browser, Clock

if TYPE_CHECKING:
    from pathlib import Path

    from tests.gateway.office import Office, Page

VIEWER = {"name": "Prometheus", "roles": ["viewer"], "days": 30}


async def make(browser: Browser, **changes: Any) -> Page:
    """Ask for a token."""
    headers = {"X-CSRF-Token": (await browser.get("/api/me")).json["csrf"]}
    return await browser.ask("POST", "/api/tokens", json={**VIEWER, **changes}, headers=headers)


async def use(office: Office, token: str, path: str = "/api/me", method: str = "GET", **options: Any) -> Page:
    """Use a token as a program does."""
    headers = {"Authorization": f"Bearer {token}", "Origin": None, "Sec-Fetch-Site": None}
    return await office.browser().ask(method, path, headers=headers, **options)


async def test_life_of_a_token(office: Office, olga: Browser) -> None:
    """It is shown once, kept as a hash in a file for the gateway alone, and gone when it is revoked."""
    made = await make(olga)
    assert made.status == 201
    token, token_id = made.json["token"], made.json["id"]
    assert token.startswith(PREFIX)
    me = await use(office, token)
    assert me.json["via"] == "api-token"
    assert me.json["grants"] == [{"role": "viewer", "municipalities": None}]
    assert me.json["csrf"] is None

    (listed,) = (await olga.get("/api/tokens")).json["tokens"]
    assert (listed["id"], listed["name"], listed["state"]) == (token_id, "Prometheus", "valid")
    assert listed["made_by"] == ["olga"]
    path = office.folder / "var" / "api-tokens.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert token not in path.read_text()
    assert [one.name for one in path.parent.iterdir()] == [path.name]
    assert token not in json.dumps(listed)
    assert token not in (await olga.get("/tokens")).text

    headers = {"X-CSRF-Token": await olga.csrf()}
    assert (await olga.ask("DELETE", made.headers["Location"], headers=headers)).status == 204
    assert (await use(office, token)).status == 401
    assert (await olga.get("/api/tokens")).json["tokens"][0]["state"] == "revoked"
    assert token not in office.logged.everything()
    assert [each["id"] for each in office.logged.named("people.token.made")] == [token_id]
    assert [each["id"] for each in office.logged.named("people.token.revoked")] == [token_id]


async def test_token_by_the_page(office: Office, olga: Browser) -> None:
    """The page makes the same token, and takes it back."""
    csrf = await olga.csrf()
    page = await olga.post("/tokens", name="<b>Skript</b>", days="7", roles="viewer", municipalities="", csrf=csrf)
    token = page.text.split('<code id="secret">')[1].split("<")[0]
    assert (await use(office, token)).status == 200
    listed = await olga.get("/tokens")
    assert "&lt;b&gt;Skript&lt;/b&gt;" in listed.text
    (known,) = (await olga.get("/api/tokens")).json["tokens"]
    assert (await olga.post(f"/tokens/{known['id']}/revoke", csrf=csrf)).location == "/tokens"
    assert (await use(office, token)).status == 401


async def test_token_expires(office: Office, olga: Browser) -> None:
    """At the end of its last day."""
    token = (await make(olga, days=1)).json["token"]
    office.clock.now += DAY - 1
    assert (await use(office, token)).status == 200
    office.clock.now += 1
    assert (await use(office, token)).status == 401


@in_one_world(
    "changes",
    [
        {"days": 0},
        {"days": 366},
        {"days": "30"},
        {"roles": []},
        {"roles": ["admin"]},
        {"roles": ["approver"]},
        {"name": ""},
        {"name": "x" * 81},
        {"name": "a\nb"},
        {"municipalities": []},
        {"municipalities": ["bergen"]},
        {"more": 1},
    ],
    ids=str,
)
async def test_wrong_wish_is_refused(olga: Browser, changes: dict[str, Any]) -> None:
    """Nothing is made, and the answer says what is wrong."""
    answer = await make(olga, **changes)
    assert (answer.status, answer.json["code"]) == (400, "bad-request")
    assert not (await olga.get("/api/tokens")).json["tokens"]


async def test_operator_of_one_municipality_makes_tokens_for_it(office: Office, olga: Browser) -> None:
    """Nobody hands on more than they have, or sees and ends what reaches further than they do."""
    everywhere = (await make(olga)).json["id"]
    nora = office.browser()
    await nora.enter(NORA)
    place = {"municipalities": ["nordfjell"]}
    assert (await make(nora, roles=["operator"])).status == 403
    assert (await make(nora, roles=["operator"], municipalities=["nordfjell", "sorvik"])).status == 403
    assert (await make(nora, roles=["viewer"], **place)).status == 403
    made = await make(nora, roles=["planner", "operator"], **place)
    assert made.status == 201
    assert [each["id"] for each in (await nora.get("/api/tokens")).json["tokens"]] == [made.json["id"]]
    headers = {"X-CSRF-Token": await nora.csrf()}
    assert (await nora.ask("DELETE", f"/api/tokens/{everywhere}", headers=headers)).status == 404
    assert (await nora.ask("DELETE", "/api/tokens/unknown", headers=headers)).status == 404
    assert len((await olga.get("/api/tokens")).json["tokens"]) == 2


async def test_token_may_no_more_than_its_maker_still_may(office: Office, olga: Browser) -> None:
    """When the maker's entry loses a role, or goes, so does the token."""
    token = (await make(olga, roles=["viewer", "operator"])).json["token"]
    office.reload(persons=PERSONS.replace("roles: [operator, viewer]", "roles: [viewer], municipalities: [sorvik]"))
    assert (await use(office, token)).json["grants"] == [{"role": "viewer", "municipalities": ["sorvik"]}]
    office.reload(persons=PERSONS.replace("    olga:", "    olaf:"))
    assert (await use(office, token)).status == 401


async def test_token_makes_no_tokens(office: Office, olga: Browser) -> None:
    """A program cannot give itself a longer life, nor log anyone out."""
    token = (await make(olga, roles=["operator"])).json["token"]
    for method, path in (("GET", "/api/tokens"), ("POST", "/api/tokens"), ("POST", "/logout"), ("GET", "/tokens")):
        assert (await use(office, token, path, method)).status == 403


async def test_cookie_counts_for_nothing_beside_a_token(olga: Browser) -> None:
    """A wrong token is refused, whoever is logged in in that browser."""
    for value in ("Bearer vkpgw_wrong", "Basic b2xnYTpvbGdh", "Bearer", ""):
        assert (await olga.get("/api/me", headers={"Authorization": value})).status == 401


async def test_failed_attempts_are_slowed_down(office: Office, olga: Browser) -> None:
    """After twenty wrong tokens in a minute there is 429; a right one still works, so nobody can lock others out."""
    token = (await make(olga)).json["token"]
    answers = [(await use(office, f"{PREFIX}wrong-{number}")).status for number in range(22)]
    assert answers == [*[401] * 20, 429, 429]
    assert (await use(office, token)).status == 200
    office.clock.now += 60
    assert (await use(office, f"{PREFIX}wrong")).status == 401
    assert "wrong-1" not in office.logged.everything()


async def test_role_of_viewers_is_not_enough(office: Office) -> None:
    """Tokens are for operators."""
    vera = office.browser()
    await vera.enter(VERA)
    for path in ("/tokens", "/api/tokens"):
        assert (await vera.get(path)).status == 403
    assert "/tokens" not in (await vera.get("/")).text
    assert (await make(vera)).status == 403


def test_token_is_masked_in_the_log() -> None:
    """None is logged; if one ever were, it would not be shown."""
    shown = telemetry.mask(None, "", {"event": f"a {PREFIX}{'x' * 43} b"})
    assert shown == {"event": "a (token) b"}


async def test_tokens_outlive_the_process(tmp_path: Path) -> None:
    """They are in the file; what has long ended is not kept."""
    clock = Clock()
    tokens = ApiTokens(tmp_path / "tokens.json", clock)
    old, _ = await tokens.make(TokenRequest("old", ["viewer"], 1), ("olga",), in_dev=False)
    clock.now += 90 * DAY
    _, secret = await tokens.make(TokenRequest("new", ["viewer"], 1), ("olga",), in_dev=False)
    again = ApiTokens(tmp_path / "tokens.json", clock)
    found = again.find(secret)
    assert found is not None
    assert found.name == "new"
    assert again.get(old.id) is not None
    clock.now += 2 * DAY
    await again.make(TokenRequest("third", ["viewer"], 1), ("olga",), in_dev=False)
    assert again.get(old.id) is None


@pytest.mark.parametrize("content", [b"", b"[]", b'{"tokens": [{}]}', b'{"tokens": [], "version": 2}', b"\xff"])
async def test_file_that_is_none_of_ours_is_not_overwritten(office: Office, content: bytes) -> None:
    """A start or a reload with it fails, with the reason."""
    path = office.folder / "other.json"
    path.write_bytes(content)
    path.chmod(0o600)
    config = office.write(more="  tokens_file: other.json\n")
    with pytest.raises(StartupError, match=r"people.tokens_file: other.json"):
        office.port.prepare(config)
    assert path.read_bytes() == content


async def test_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    """As with any file of secrets."""
    path = tmp_path / "tokens.json"
    path.write_text('{"tokens": []}')
    path.chmod(0o640)
    with pytest.raises(StartupError, match="chmod 600"):
        ApiTokens(path, Clock())


async def test_token_that_cannot_be_stored_is_not_given(office: Office, olga: Browser) -> None:
    """A token that would be gone after a restart is no token."""
    (office.folder / "var").write_text("a file where the folder should be")
    answer = await make(olga)
    assert (answer.status, answer.json["code"]) == (503, "not-stored")
    assert not (await olga.get("/api/tokens")).json["tokens"]

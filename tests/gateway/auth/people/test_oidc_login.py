"""The whole login against HelseID's double, and every way in which it must fail."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from service_stubs.behaviour import Behaviour
from tests.gateway.office import ARNE, NOBODY, OLGA, VERA, Browser

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from service_stubs.logins import Fault
    from tests.gateway.office import Office

SESSION, LOGIN = "vkp-gateway-session", "vkp-gateway-login"


async def test_person_logs_in_and_out(office: Office) -> None:
    """From the first page to a session, whose page escapes the name; logging out ends it at the server too."""
    browser = office.browser()
    first = await browser.get("/")
    assert (first.status, first.location) == (303, "/login")
    assert "/login/start" in (await browser.get("/login")).text
    page = await browser.log_in(OLGA)
    assert (page.status, page.location) == (303, "/")
    overview = await browser.get("/")
    assert overview.status == 200
    assert "Olga &lt;Operatør&gt;" in overview.text
    assert "operatør" in overview.text

    kept = browser.cookies[SESSION]
    out = await browser.post("/logout", csrf=await browser.csrf())
    assert out.headers["Clear-Site-Data"] == '"cache"', "what the Back button would show"
    assert (out.status, out.location) == (303, "/login")
    assert SESSION not in browser.cookies
    stolen = Browser(office, {SESSION: kept})
    assert (await stolen.get("/api/me")).status == 401


async def test_request_says_nothing_in_the_browser_that_was_not_pushed(office: Office) -> None:
    """The address at HelseID has the client and the name of the pushed request alone."""
    address = urlsplit(await office.browser().to_helseid())
    assert f"{address.scheme}://{address.netloc}" == office.helseid.issuer
    assert dict(parse_qsl(address.query)).keys() == {"client_id", "request_uri"}


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("denied", "let nobody in"),
        ("another-state", "no login has begun"),
        ("another-response-issuer", "answer is from another issuer"),
        ("no-response-issuer", "answer is from another issuer"),
        ("no-code", "without a code"),
        ("no-id-token", "no ID token"),
        ("bearer", "no bound token"),
        ("another-nonce", "another login"),
        ("no-nonce", "another login"),
        ("another-issuer", "ID token is from another issuer"),
        ("another-audience", "for another client"),
        ("two-audiences", "for another client"),
        ("another-party", "made for another client"),
        ("expired", "expired"),
        ("old", "expired"),
        ("from-the-future", "not valid yet"),
        ("without-times", "usable times"),
        ("low-security-level", "security level"),
        ("no-security-level", "security level"),
        ("no-subject", "names nobody"),
        ("access-token", "by its type"),
        ("other-key", "signature"),
        ("unsigned", "algorithm"),
        ("hs256", "algorithm"),
    ],
)
async def test_wrong_answer_logs_nobody_in(office: Office, fault: Fault, reason: str) -> None:
    """Whatever is wrong with an answer, there is no session, and the log says why without saying who."""
    browser = office.browser()
    office.let_in(OLGA, fault)
    page = await browser.log_in()
    assert page.status == 403, page.text
    assert SESSION not in browser.cookies
    assert (await browser.get("/api/me")).status == 401
    (refused,) = office.logged.named("people.login.refused")
    assert reason in refused["reason"]
    assert not office.logged.named("people.login")


@pytest.mark.parametrize("fault", ["par-redirect", "par-nameless", "par-elsewhere", "authorize-elsewhere"])
async def test_login_does_not_begin(office: Office, fault: Fault) -> None:
    """A pushed request that is redirected or unnamed, and addresses outside HelseID's origin, lead nowhere."""
    office.let_in(OLGA, fault)
    page = await office.browser().get("/login/start")
    assert page.status == 503
    assert "Location" not in page.headers


async def test_redirected_token_request_is_not_followed(office: Office) -> None:
    """The code and our assertion go to HelseID's token endpoint, and nowhere else."""
    office.let_in(OLGA, "redirect")
    assert (await office.browser().log_in()).status == 503


async def test_helseid_that_is_down_is_said_so(office: Office) -> None:
    """A person reads that HelseID cannot be reached, and no session begins."""
    office.helseid.behave(Behaviour(status=500, times=5))
    assert (await office.browser().log_in(OLGA)).status == 503


async def test_used_code_is_refused(office: Office) -> None:
    """A code that was redeemed before brings nobody in."""
    assert (await office.browser().log_in(OLGA)).status == 303
    office.let_in(OLGA, "used-code")
    assert (await office.browser().log_in()).status == 403


async def test_answer_counts_once(office: Office) -> None:
    """The address that HelseID sent the browser to is worth nothing a second time."""
    browser = office.browser()
    office.let_in(OLGA)
    callback = await browser.from_helseid(await browser.to_helseid())
    again = dict(browser.cookies)
    assert (await browser.get(callback)).status == 303
    assert (await Browser(office, again).get(callback)).status == 403


async def test_answer_counts_in_its_own_browser_alone(office: Office) -> None:
    """Somebody else's answer cannot be put into my browser, and looking at it does not spoil it."""
    mine, theirs = office.browser(), office.browser()
    office.let_in(OLGA)
    callback = await theirs.from_helseid(await theirs.to_helseid())
    await mine.to_helseid()
    assert (await mine.get(callback)).status == 403
    assert (await office.browser().get(callback)).status == 403
    assert SESSION not in mine.cookies
    assert (await theirs.get(callback)).status == 303


async def test_login_that_began_before_more_was_asked_is_refused(office: Office) -> None:
    """A reload that changes the level, between the first page and the answer, lets nobody in by the old one."""
    browser = office.browser()
    office.let_in(OLGA)
    callback = await browser.from_helseid(await browser.to_helseid())
    office.reload(more="  security_level: 3\n")
    assert (await browser.get(callback)).status == 403


async def test_login_goes_on_over_a_reload(office: Office) -> None:
    """Any other reload disturbs nobody who is on the way."""
    browser = office.browser()
    office.let_in(OLGA)
    callback = await browser.from_helseid(await browser.to_helseid())
    office.reload(more="  session: {idle: 5m}\n")
    assert (await browser.get(callback)).status == 303


async def test_login_that_took_too_long_is_refused(office: Office) -> None:
    """Ten minutes are enough for a login."""
    browser = office.browser()
    address = await browser.to_helseid()
    office.let_in(OLGA)
    callback = await browser.from_helseid(address)
    office.clock.now += 601
    assert (await browser.get(callback)).status == 403


async def test_parameter_that_is_given_twice_is_refused(office: Office) -> None:
    """Two readers of an address must not read two things."""
    browser = office.browser()
    office.let_in(OLGA)
    callback = await browser.from_helseid(await browser.to_helseid())
    assert (await browser.get(f"{callback}&{urlencode({'code': 'another'})}")).status == 403


async def test_logins_that_begin_too_often_must_wait(office: Office) -> None:
    """Each begun login costs HelseID a request and us a place."""
    browser = office.browser()
    answers = [(await browser.get("/login/start")).status for _ in range(21)]
    assert answers == [*[303] * 20, 429]
    office.clock.now += 61
    assert (await browser.get("/login/start")).status == 303


async def test_session_has_a_new_id_at_every_login(office: Office) -> None:
    """An id that was put into a browser, or used before, is never the one of the next session."""
    browser = Browser(office, {SESSION: "planted"})
    await browser.log_in(OLGA)
    first = browser.cookies[SESSION]
    assert first != "planted"
    await browser.log_in(VERA)
    assert browser.cookies[SESSION] not in {first, "planted"}
    assert (await Browser(office, {SESSION: first}).get("/api/me")).status == 401


async def test_person_without_a_role_is_told_by_what_they_are_known(office: Office) -> None:
    """Logged in at HelseID and known to nobody: no session, and the values with which a role can be given."""
    browser = office.browser()
    page = await browser.log_in(NOBODY)
    assert page.status == 403
    assert "p-stranger" in page.text
    assert SESSION not in browser.cookies
    assert LOGIN not in browser.cookies


async def test_roles_go_by_any_claim(office: Office) -> None:
    """An entry may go by the HPR number as well."""
    browser = office.browser()
    assert (await browser.log_in(ARNE)).status == 303
    me = (await browser.get("/api/me")).json
    assert me["grants"] == [{"role": "approver", "municipalities": None}]
    assert me["known_as"] == ["arne"]


async def test_number_in_a_claim_stands_for_its_digits(office: Office) -> None:
    """JSON may have the HPR number as a number."""
    browser = office.browser()
    page = await browser.log_in(VERA.__class__(sub="x", claims={"helseid://claims/hpr/hpr_number": 9144897}))
    assert page.status == 303


async def test_roles_of_several_entries_count_together(open_office: Callable[..., Awaitable[Office]]) -> None:
    """Each with its own limit."""
    persons = """\
    one: {claim: sub, value: vera, roles: [viewer]}
    two: {claim: sub, value: vera, roles: [planner], municipalities: [sorvik]}
"""
    office = await open_office(persons=persons)
    browser = office.browser()
    await browser.log_in(VERA)
    me = (await browser.get("/api/me")).json
    assert me["known_as"] == ["one", "two"]
    assert me["grants"] == [
        {"role": "viewer", "municipalities": None},
        {"role": "planner", "municipalities": ["sorvik"]},
    ]


async def test_lower_level_is_enough_where_the_file_says_so(open_office: Callable[..., Awaitable[Office]]) -> None:
    """`security_level: 3` takes 3, and still not 2."""
    office = await open_office(more="  security_level: 3\n")
    browser = office.browser()
    three = VERA.__class__(sub="vera", security_level="3")
    assert (await browser.log_in(three)).status == 303
    office.let_in(VERA, "low-security-level")
    assert (await office.browser().log_in()).status == 403


async def test_cookies_over_https_are_bound_to_the_host(open_office: Callable[..., Awaitable[Office]]) -> None:
    """Behind a terminator: __Host-, Secure, HttpOnly, SameSite=Lax, no Domain; and HSTS."""
    office = await open_office(url="https://admin.example")
    browser = office.browser()
    browser.host = "admin.example"
    office.let_in(OLGA)
    start = await browser.get("/login/start")
    login = start.cookie(f"__Host-{LOGIN}")
    callback = urlsplit(await browser.from_helseid(start.location))
    page = await browser.get(f"{callback.path}?{callback.query}")
    session = page.cookie(f"__Host-{SESSION}")
    for cookie in (login, session):
        assert cookie["secure"]
        assert cookie["httponly"]
        assert cookie["samesite"] == "Lax"
        assert cookie["path"] == "/"
        assert not cookie["domain"]
    assert not session["max-age"]
    assert page.headers["Strict-Transport-Security"]
    assert (await browser.get("/api/me")).status == 200


async def test_cookies_over_loopback_http_are_not_secure(office: Office) -> None:
    """Where there is no TLS a Secure cookie would not come back."""
    cookie = (await office.browser().log_in(OLGA)).cookie(SESSION)
    assert not cookie["secure"]
    assert cookie["httponly"]
    assert cookie["samesite"] == "Lax"


async def test_login_under_another_name_begins_where_it_can_end(office: Office) -> None:
    """A login at localhost goes to the configured name first, since only there is it known again."""
    browser = office.browser()
    browser.host = f"localhost:{office.settings['port']}"
    page = await browser.get("/login/start")
    assert (page.status, page.location) == (303, f"{office.origin}/login/start")


async def test_nothing_personal_is_logged(office: Office) -> None:
    """Names, claims, codes, sessions and tokens are in no line of the log."""
    browser = office.browser()
    await browser.log_in(OLGA)
    await office.browser().log_in(NOBODY)
    office.let_in(VERA, "another-nonce")
    await office.browser().log_in()
    shown = office.logged.everything()
    for private in ("Olga", "Fremmed", "Vera", "s-olga", "stranger", "p-vera", OLGA.pid or "", "eyJ"):
        assert private not in shown
    assert browser.cookies[SESSION] not in shown
    (login,) = office.logged.named("people.login")
    assert login["known_as"] == ("olga",)
    assert len(login["subject"]) == 16


async def test_assertions_and_proofs_are_made_anew(office: Office) -> None:
    """The double takes each once, so two logins in one second show that none is used again."""
    assert (await office.browser().log_in(OLGA)).status == 303
    assert (await office.browser().log_in(OLGA)).status == 303

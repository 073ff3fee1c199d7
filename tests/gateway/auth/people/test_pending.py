"""Logins under way: each once, not for long, and not too many."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.auth.people.oidc_login import LIFETIME, PendingLogins
from tests.gateway.office import Clock

if TYPE_CHECKING:
    from tests.gateway.office import Office


async def test_login_is_found_once_in_its_browser_and_time(office: Office) -> None:
    """By state and cookie together; a try in another browser leaves it where it is."""
    login = office.port.authenticator.auth.login if office.port.authenticator.auth else None
    assert login is not None
    clock = Clock()
    pending = PendingLogins(clock)
    known, browser = pending.begin(login)
    assert pending.take(known.state, "another") is None
    assert pending.take("another", browser) is None
    begun = pending.take(known.state, browser)
    assert begun is not None
    assert begun.known == known
    assert pending.take(known.state, browser) is None
    known, browser = pending.begin(login)
    clock.now += LIFETIME
    assert pending.take(known.state, browser) is None


async def test_there_is_room_for_some_at_a_time(office: Office) -> None:
    """What has taken too long makes room."""
    login = office.port.authenticator.auth.login if office.port.authenticator.auth else None
    assert login is not None
    clock = Clock()
    pending = PendingLogins(clock)
    for _ in range(199):
        pending.begin(login)
    assert not pending.is_full()
    pending.begin(login)
    assert pending.is_full()
    clock.now += LIFETIME
    assert not pending.is_full()


async def test_secrets_are_not_shown(office: Office) -> None:
    """Neither in a log nor in a traceback."""
    login = office.port.authenticator.auth.login if office.port.authenticator.auth else None
    assert login is not None
    known, browser = PendingLogins(Clock()).begin(login)
    assert known.state not in repr(known)
    assert known.verifier not in repr(known)
    assert len({known.state, known.nonce, known.verifier, browser}) == 4

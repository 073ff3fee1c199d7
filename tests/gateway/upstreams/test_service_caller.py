"""Questions to a service: what of its answers is the caller's to judge, and what says that the service is away."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gateway.config.upstreams import Breaker
from gateway.proxy.http_client import Caller
from gateway.upstreams.circuit_breaker import CircuitBreaker
from gateway.upstreams.service_caller import ServiceCaller, ServiceUnavailable
from service_stubs.behaviour import Behaviour
from tests.gateway.world import HAVNES
from translators.contract import Call

if TYPE_CHECKING:
    from tests.gateway.upstreams.conftest import Scene

QUESTION = Call("jft", "GET", "/v1/Bundle?_count=1", (), b"")
SCOPE = "nhn:jft/api"


def _caller(scene: Scene, failures: int = 5) -> ServiceCaller:
    settings, url = Breaker(failures=failures, pause=3600.0), scene.jft.read_url
    made = (scene.tokens, scene.prover, Caller(url, None))
    return ServiceCaller("jft", url, *made, breaker=CircuitBreaker(settings), settings=settings)


async def test_question_is_proven_without_its_query_and_with_the_nonce_that_is_asked_for(scene: Scene) -> None:
    """As RFC 9449 says; the double refuses anything else."""
    scene.jft.behave(Behaviour(dpop_nonce=True))
    assert (await _caller(scene).ask(QUESTION, HAVNES, SCOPE, 5.0)).status == 200


async def test_refusal_of_the_question_is_an_answer(scene: Scene) -> None:
    """Whoever asked knows what 400 or 404 means."""
    scene.jft.behave(Behaviour(status=404))
    assert (await _caller(scene).ask(QUESTION, HAVNES, SCOPE, 5.0)).status == 404


@pytest.mark.parametrize("status", [401, 403, 408, 429, 500, 503, 504])
async def test_answers_that_say_nothing_of_the_question_are_told_as_unavailable(scene: Scene, status: int) -> None:
    """With the seconds that the service asks for."""
    scene.jft.behave(Behaviour(status=status, retry_after=7))
    with pytest.raises(ServiceUnavailable) as caught:
        await _caller(scene).ask(QUESTION, HAVNES, SCOPE, 5.0)
    assert caught.value.retry_after == (30 if status in (401, 403) else 7)


async def test_service_that_keeps_failing_is_left_alone(scene: Scene) -> None:
    """Nothing is sent to it until the pause has passed."""
    caller = _caller(scene, failures=1)
    scene.jft.behave(Behaviour(status="drop"))
    for _ in range(2):
        with pytest.raises(ServiceUnavailable):
            await caller.ask(QUESTION, HAVNES, SCOPE, 5.0)
    with pytest.raises(ServiceUnavailable, match="left alone"):
        await caller.ask(QUESTION, HAVNES, SCOPE, 5.0)


@pytest.mark.parametrize(("status", "is_silent"), [(504, True), (500, False), (503, False)])
async def test_what_a_gateway_before_the_service_sent_on_may_have_arrived(
    scene: Scene, status: int, *, is_silent: bool
) -> None:
    """504 says that somebody waited for the service in vain."""
    scene.jft.behave(Behaviour(status=status))
    with pytest.raises(ServiceUnavailable) as caught:
        await _caller(scene).ask(QUESTION, HAVNES, SCOPE, 5.0)
    assert caught.value.is_silent is is_silent


async def test_nothing_is_sent_when_no_time_is_left_and_the_service_is_not_blamed(scene: Scene) -> None:
    """A token that came late says nothing of the service."""
    caller = _caller(scene, failures=1)
    with pytest.raises(ServiceUnavailable, match="no time was left") as caught:
        await caller.ask(QUESTION, HAVNES, SCOPE, 0.0)
    assert not caught.value.is_silent
    with pytest.raises(ServiceUnavailable, match="no time was left"):
        await caller.ask_with(QUESTION, (), 0.0)
    assert (await caller.ask(QUESTION, HAVNES, SCOPE, 5.0)).status < 500

"""The circuit breaker: a service that fails is left alone, and asked with one call whether it is back."""

from dataclasses import dataclass

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from gateway.config.upstreams import Breaker
from gateway.upstreams.circuit_breaker import Attempt, CircuitBreaker

SETTINGS = Breaker(failures=3, pause=5.0, longest=12.0)


def _taken(breaker: CircuitBreaker, now: float) -> Attempt:
    attempt = breaker.may(now)
    assert attempt is not None
    return attempt


def _opened(at: float = 0.0) -> CircuitBreaker:
    breaker = CircuitBreaker(SETTINGS)
    for _ in range(SETTINGS.failures):
        breaker.failed(_taken(breaker, at), at)
    return breaker


def test_it_opens_after_failures_in_a_row() -> None:
    """A success between them begins the count anew."""
    breaker = CircuitBreaker(SETTINGS)
    for succeeds in (False, False, True, False, False):
        attempt = _taken(breaker, 0.0)
        if succeeds:
            breaker.succeeded(attempt)
        else:
            breaker.failed(attempt, 0.0)
    assert (breaker.is_closed, breaker.wait(0.0)) == (True, 0.0)
    breaker.failed(_taken(breaker, 1.0), 1.0)
    assert (breaker.is_closed, breaker.is_open(1.0), breaker.wait(1.0)) == (False, True, 5.0)
    assert breaker.may(5.9) is None


def test_one_probe_goes_after_the_pause_and_closes_it() -> None:
    """Nobody else goes until it is back."""
    breaker = _opened()
    assert not breaker.is_open(5.0)
    probe = _taken(breaker, 5.0)
    assert (probe.is_probe, breaker.is_probing, breaker.may(5.0)) == (True, True, None)
    assert breaker.wait(5.0) > 0
    breaker.succeeded(probe)
    assert (breaker.is_closed, breaker.is_probing) == (True, False)
    assert not _taken(breaker, 5.0).is_probe


def test_it_tells_since_when_no_call_has_succeeded() -> None:
    """From the first failure of those that opened it, through probes that fail, until one succeeds."""
    breaker, told = CircuitBreaker(SETTINGS), []
    breaker.failed(_taken(breaker, 1.0), 1.0)
    breaker.succeeded(_taken(breaker, 2.0))
    for now in (3.0, 4.0, 5.0, 10.0):
        breaker.failed(_taken(breaker, now), now)
        told.append(breaker.away_since)
    assert told == [None, None, 3.0, 3.0]
    breaker.succeeded(_taken(breaker, 30.0))
    assert breaker.away_since is None
    breaker.hold_off(40.0, 60.0)
    breaker.hold_off(50.0, 60.0)
    assert breaker.away_since == 40.0


def test_the_pause_doubles_while_probes_fail_and_begins_anew_after_a_success() -> None:
    """Up to the longest."""
    breaker, now, waits = _opened(), 0.0, []
    for _ in range(4):
        waits.append(breaker.wait(now))
        now += waits[-1]
        breaker.failed(_taken(breaker, now), now)
    assert waits == [5.0, 10.0, 12.0, 12.0]
    now += 12.0
    breaker.succeeded(_taken(breaker, now))
    for _ in range(SETTINGS.failures):
        breaker.failed(_taken(breaker, now), now)
    assert breaker.wait(now) == 5.0


def test_a_probe_without_a_verdict_is_given_back() -> None:
    """The next call is the probe then."""
    breaker = _opened()
    breaker.gave_up(_taken(breaker, 5.0))
    assert not breaker.is_probing
    assert _taken(breaker, 5.0).is_probe


@pytest.mark.parametrize("outcome", ["succeeded", "failed", "gave_up"])
def test_a_call_that_began_before_it_opened_changes_nothing(outcome: str) -> None:
    """It tells of another time: neither is a probe's place free, nor is anything closed or opened."""
    breaker = CircuitBreaker(SETTINGS)
    early = _taken(breaker, 0.0)
    for _ in range(SETTINGS.failures):
        breaker.failed(_taken(breaker, 0.0), 0.0)
    _taken(breaker, 5.0)
    assert not breaker.is_current(early)
    match outcome:
        case "succeeded":
            breaker.succeeded(early)
        case "failed":
            breaker.failed(early, 5.0)
        case _:
            breaker.gave_up(early)
    assert (breaker.is_closed, breaker.is_probing, breaker.may(5.0)) == (False, True, None)


@pytest.mark.parametrize(("seconds", "expected"), [(0, 0.0), (7, 7.0), (299, 299.0), (86_400, 300.0)])
def test_a_service_that_asks_to_be_left_alone_is(seconds: float, expected: float) -> None:
    """Also after one answer; for five minutes at most."""
    breaker = CircuitBreaker(SETTINGS)
    breaker.hold_off(100.0, seconds)
    assert breaker.wait(100.0) == expected
    assert _taken(breaker, 100.0 + expected).is_probe == (seconds > 0)


def test_holding_off_never_makes_the_pause_shorter() -> None:
    """A second that the service asks for is no reason to come sooner."""
    breaker = _opened()
    breaker.hold_off(0.0, 1)
    assert breaker.wait(0.0) == 5.0


@dataclass
class _Model:
    """What the breaker should be: since when, until when, how many failures."""

    open_until: float | None = None
    pause: float = SETTINGS.pause
    failures: int = 0
    probe: Attempt | None = None

    def turn(self, until: float | None) -> None:
        self.open_until, self.failures, self.probe = until, 0, None


class Breaking(RuleBasedStateMachine):
    """Any calls, ending in any order, with time passing: the breaker is what the model is."""

    attempts = Bundle("attempts")

    def __init__(self) -> None:
        super().__init__()
        self.breaker = CircuitBreaker(SETTINGS)
        self.model = _Model()
        self.now = 0.0
        self.since_turn: list[Attempt] = []

    def _is_current(self, attempt: Attempt) -> bool:
        return any(attempt is one for one in self.since_turn)

    def _turn(self, until: float | None) -> None:
        self.model.turn(until)
        self.since_turn.clear()

    @rule(seconds=st.sampled_from([0.5, 1.0, 5.0, 12.0]))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds

    @rule(target=attempts)
    def call(self) -> Attempt | None:
        until, probe = self.model.open_until, self.model.probe
        expected = until is None or (self.now >= until and probe is None)
        attempt = self.breaker.may(self.now)
        assert (attempt is not None) == expected
        if attempt is not None:
            assert attempt.is_probe == (until is not None)
            self.model.probe = attempt if attempt.is_probe else None
            self.since_turn.append(attempt)
        return attempt

    @rule(attempt=consumes(attempts))
    def succeed(self, attempt: Attempt | None) -> None:
        if attempt is None:
            return
        if self._is_current(attempt):
            self.model.failures = 0
            if attempt.is_probe:
                self.model.pause = SETTINGS.pause
                self._turn(None)
        self.breaker.succeeded(attempt)

    @rule(attempt=consumes(attempts))
    def fail(self, attempt: Attempt | None) -> None:
        if attempt is None:
            return
        if self._is_current(attempt):
            self.model.failures += 1
            if attempt.is_probe:
                self.model.pause = min(2 * self.model.pause, SETTINGS.longest)
                self._turn(max(self.now + self.model.pause, self.model.open_until or 0.0))
            elif self.model.failures == SETTINGS.failures:
                self._turn(self.now + self.model.pause)
        self.breaker.failed(attempt, self.now)

    @rule(attempt=consumes(attempts))
    def give_up(self, attempt: Attempt | None) -> None:
        if attempt is None:
            return
        if attempt is self.model.probe:
            self.model.probe = None
        self.breaker.gave_up(attempt)

    @rule(seconds=st.sampled_from([0.0, 3.0, 1000.0]))
    def hold_off(self, seconds: float) -> None:
        until = self.now + min(seconds, 300.0)
        if self.model.open_until is not None:
            self.model.open_until = max(self.model.open_until, until)
        elif seconds:
            self._turn(until)
        self.breaker.hold_off(self.now, seconds)

    @invariant()
    def is_what_the_model_is(self) -> None:
        until, probe = self.model.open_until, self.model.probe
        assert self.breaker.is_closed == (until is None)
        assert self.breaker.is_probing == (probe is not None)
        may = until is None or (self.now >= until and probe is None)
        assert self.breaker.is_open(self.now) == (not may) == (self.breaker.wait(self.now) > 0)
        assert self.breaker.wait(self.now) <= 300.0


TestBreaking = pytest.mark.slow(Breaking.TestCase)
TestBreaking.settings = settings(max_examples=100, stateful_step_count=40)

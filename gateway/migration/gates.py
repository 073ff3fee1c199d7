"""Whether a cutover that has switched goes on, is done, or rolls itself back; pure, and latched."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum

from gateway.config.plans import Gate, RollBackWhen
from gateway.counting import counted
from gateway.errors import Fault
from gateway.times import DAY

FAILED = frozenset(
    {
        # The service, or the way to it.
        *(Fault.UNAVAILABLE.value, Fault.NO_ANSWER.value, Fault.NOT_SUPPORTED.value),
        # The message, or the search: rehearsals and comparisons promised that such do not come, and VKP would have taken it.
        *(
            Fault.REFUSED_BY_SERVICE.value,
            Fault.LOSS.value,
            Fault.MALFORMED.value,
            Fault.PARAMETERS.value,
            Fault.ADDRESS.value,
            Fault.PATIENT.value,
            Fault.UNKNOWN_PATIENT.value,
            Fault.SIGNATURE.value,
            Fault.TOO_LARGE.value,
        ),
        # What the search is answered from: a patient's services are others here, or it finds more than is given.
        *(Fault.NO_SERVICE.value, Fault.TOO_MANY_FOUND.value),
        *("unclear", "quarantined"),
    }
)
"""Outcomes of messages that failed because they went new."""
FINE = frozenset({"accepted", "answered", "held", "duplicate", "passed"})
"""Outcomes of those that went well. What is in neither says nothing of the switch: a token, too many, an access register, a need that is not the sender's."""


class GateDecision(Enum):
    """What becomes of a cutover that has switched."""

    GO_ON = "go-on"
    ROLL_BACK = "roll-back"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What became of the messages that a cutover decided since it switched."""

    fine: int
    failed: int
    waiting: int = 0
    """Those of the fine ones that were held, and are not delivered yet."""

    @property
    def messages(self) -> int:
        """Those that say something of the switch."""
        return self.fine + self.failed


def outcomes_of(counted: Mapping[str, int], quarantined: int, waiting: int = 0) -> Outcomes:
    """Count outcomes; a message that was held, and set aside for a person later, failed after all.

    `waiting` are those that were held and are not delivered yet: the log of decisions may lag behind them.
    """
    fine = sum(number for outcome, number in counted.items() if outcome in FINE)
    failed = sum(number for outcome, number in counted.items() if outcome in FAILED)
    return Outcomes(max(waiting, fine - quarantined), failed + quarantined, waiting)


def judge_outcomes(
    rule: RollBackWhen | None,
    outcomes: Outcomes,
    switched_at: float,
    now: float,
    before: GateDecision = GateDecision.GO_ON,
) -> GateDecision:
    """Say what becomes of it; `before` is what was said last, and what once said roll back says so for ever."""
    if before is not GateDecision.GO_ON:
        return before
    if rule is None:
        return GateDecision.DONE
    if why_back(rule, outcomes) is not None:
        return GateDecision.ROLL_BACK
    return GateDecision.DONE if now - switched_at >= rule.within else GateDecision.GO_ON


def why_back(rule: RollBackWhen, outcomes: Outcomes) -> str | None:
    """Say why a rule takes a cutover back; None where it does not."""
    if outcomes.messages < rule.of_at_least:
        return None
    if _is_share(rule.failed_at_least, outcomes.failed, outcomes.messages):
        return f"{outcomes.failed} of {counted(outcomes.messages, 'message')} failed"
    if rule.held_at_least is not None and _is_share(rule.held_at_least, outcomes.waiting, outcomes.messages):
        return f"{outcomes.waiting} of {counted(outcomes.messages, 'message')} held and not delivered"
    return None


def _is_share(least: float, part: int, whole: int) -> bool:
    # In decimals: 0.07 * 100 is more than 7 in binary ones.
    return part > 0 and Decimal(repr(least)) * whole <= part


@dataclass(frozen=True, slots=True)
class GateNumbers:
    """What rehearsals and comparisons of a cutover's cells have shown."""

    rehearsed: int
    """Messages that were rehearsed, and searches that were compared or that the new side did not answer."""
    clean: int
    """Those that would have been delivered, repaired ones among them, and those that were answered the same."""
    how: str = "rehearsed"
    """In words: what is journaled is rehearsed, what is retrieved is compared."""


@dataclass(frozen=True, slots=True)
class Passing:
    """What a gate says, in words for people."""

    ok: bool
    text: str


def judge_gate(gate: Gate | None, numbers: GateNumbers) -> Passing:
    """Hold the numbers against a gate."""
    if gate is None:
        return Passing(True, "the plan asks for no rehearsals")
    days = f"in the last {_span(gate.within)}"
    if numbers.rehearsed <= 0:
        return Passing(False, f"nothing was {numbers.how} {days}; {gate.rehearsed_at_least} are asked for")
    told = f"{numbers.rehearsed} {numbers.how} {days}, {numbers.clean} of them clean ({_percent(numbers)})"
    reasons = []
    if numbers.rehearsed < gate.rehearsed_at_least:
        reasons.append(f"{gate.rehearsed_at_least} are asked for")
    # In decimals: 0.07 * 100 is more than 7 in binary ones.
    if numbers.clean < Decimal(repr(gate.clean_at_least)) * numbers.rehearsed:
        reasons.append(f"{_share(gate.clean_at_least)} clean are asked for")
    return Passing(not reasons, "; ".join([told, *reasons]))


_ENOUGH, _FEWEST = 200, 20
"""Messages that a gate asks for at most, and at least."""
_CLEAN = 0.995
_WEEK = 7 * DAY
_WEEKS = (1, 2, 4)
_FEW, _MANY = 5, 20
"""Messages of which a share is failed, where few come, and where many do."""
_SHORTEST, _LONGEST = 900.0, 2 * DAY
"""Seconds for which a cutover is watched."""


def suggested_gate(messages_a_week: float) -> Gate:
    """Return a gate that the traffic which is there can open: in the shortest time that brings enough messages, else in four weeks.

    It asks for four of five that are expected, so that a quiet week does not close it.
    """
    weeks = next((each for each in _WEEKS if messages_a_week * each * 0.8 >= _ENOUGH), _WEEKS[-1])
    asked = min(_ENOUGH, max(_FEWEST, int(messages_a_week * weeks * 0.8)))
    return Gate(asked, _CLEAN, weeks * _WEEK)


def suggested_watch(messages_a_week: float) -> RollBackWhen:
    """Return a rule by which a cutover rolls itself back that can decide in the time for which it watches."""
    of = _MANY if messages_a_week >= _ENOUGH else _FEW
    expected = _LONGEST if messages_a_week <= 0 else 2 * of * _WEEK / messages_a_week
    within = min(_LONGEST, max(_SHORTEST, -(-expected // _SHORTEST) * _SHORTEST))
    return RollBackWhen(0.05 if of == _MANY else 0.2, of, within, 0.5)


def _percent(numbers: GateNumbers) -> str:
    # Rounded down: 99.96 % must not look like all of them.
    return f"{numbers.clean * 10_000 // numbers.rehearsed / 100:g} %"


def _share(part: float) -> str:
    return f"{Decimal(repr(part)) * 100:f}".rstrip("0").rstrip(".") + " %"


def _span(seconds: float) -> str:
    for unit, size in (("day", 86_400), ("hour", 3600), ("minute", 60)):
        if seconds >= size and seconds % size == 0:
            return counted(int(seconds // size), unit)
    return f"{seconds:g} seconds"

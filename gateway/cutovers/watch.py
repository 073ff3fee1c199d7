"""Whether a cutover that has switched goes on, is done, or rolls itself back; pure, and latched."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum

from gateway.config.routes import RollBackWhen
from gateway.errors import Fault

FAILED = frozenset(
    {
        # The service, or the way to it.
        *(Fault.UNAVAILABLE.value, Fault.NO_ANSWER.value, Fault.NOT_SUPPORTED.value),
        # The message: rehearsals promised that such do not come, and VKP would have taken it.
        *(Fault.REFUSED_BY_SERVICE.value, Fault.LOSS.value, Fault.MALFORMED.value, Fault.PATIENT.value),
        *("unclear", "quarantined"),
    }
)
"""Outcomes of messages that failed because they went new."""
FINE = frozenset({"accepted", "held", "duplicate", "passed"})
"""Outcomes of those that went well. What is in neither says nothing of the switch: a token, too many, an access register."""


class Verdict(Enum):
    """What becomes of a cutover that has switched."""

    GO_ON = "go-on"
    ROLL_BACK = "roll-back"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What became of the messages that a cutover decided since it switched."""

    fine: int
    failed: int

    @property
    def messages(self) -> int:
        """Those that say something of the switch."""
        return self.fine + self.failed


def outcomes_of(counted: Mapping[str, int], quarantined: int) -> Outcomes:
    """Count outcomes; a message that was held, and set aside for a person later, failed after all."""
    fine = sum(number for outcome, number in counted.items() if outcome in FINE)
    failed = sum(number for outcome, number in counted.items() if outcome in FAILED)
    return Outcomes(max(0, fine - quarantined), failed + quarantined)


def judge(
    rule: RollBackWhen | None, outcomes: Outcomes, switched_at: float, now: float, before: Verdict = Verdict.GO_ON
) -> Verdict:
    """Say what becomes of it; `before` is what was said last, and what once said roll back says so for ever."""
    if before is not Verdict.GO_ON:
        return before
    if rule is None:
        return Verdict.DONE
    if (
        outcomes.failed
        and outcomes.messages >= rule.of_at_least
        and _share(rule) * outcomes.messages <= outcomes.failed
    ):
        return Verdict.ROLL_BACK
    return Verdict.DONE if now - switched_at >= rule.within else Verdict.GO_ON


def _share(rule: RollBackWhen) -> Decimal:
    # In decimals: 0.07 * 100 is more than 7 in binary ones.
    return Decimal(repr(rule.failed_at_least))

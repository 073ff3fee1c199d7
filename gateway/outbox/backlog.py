"""How much is held, as last counted, and what has been held since."""

from collections import Counter
from collections.abc import Mapping

import structlog

from gateway.observability.telemetry import QUARANTINED, UNCLEAR


class Backlog:
    """Held messages by municipality; counted for all nodes now and then, and for this one in between."""

    def __init__(self) -> None:
        self._held: Counter[str] = Counter()

    def counted(self, held: Mapping[str, int]) -> None:
        """Take a new count."""
        self._held = Counter(held)

    def add(self, municipality: str) -> None:
        """Count a message that is held from now on."""
        self._held[municipality] += 1

    def is_full(self, municipality: str, most: int) -> bool:
        """Tell whether no more is held for a municipality."""
        return self._held[municipality] >= most


log = structlog.get_logger()

UNCLEAR_REASON = "unclear"
"""The reason of what was sent and never answered."""


def set_aside(reference: str, municipality: str, reason: str) -> None:
    """Tell that a promised message was set aside for a person to decide."""
    QUARANTINED.labels(municipality).inc()
    if reason == UNCLEAR_REASON:
        UNCLEAR.labels(municipality).inc()
        log.error("delivery.unclear", reference=reference, municipality=municipality)
    else:
        log.error("delivery.quarantined", reference=reference, municipality=municipality, reason=reason)

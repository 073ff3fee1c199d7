"""What an operator must hear of at once: a promised message that waits for a person."""

import structlog

from gateway.observability.telemetry import QUARANTINED, UNCLEAR

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

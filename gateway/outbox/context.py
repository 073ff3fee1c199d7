"""What the parts of the outbox share: what one configuration delivers with, how much is held, and what was set aside."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import structlog

from gateway.config.model import Config
from gateway.config.upstreams import Follow
from gateway.ledger.key_files import Keys
from gateway.observability.metrics import QUARANTINED, UNCLEAR
from gateway.routing.table import ActiveTable
from gateway.upstreams.jft import JftClient
from gateway.upstreams.pmd import PmdClient
from gateway.upstreams.vkp import VkpClients

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class DeliveryContext:
    """What one configuration delivers with."""

    config: Config
    keys: Keys
    service: JftClient
    follow: Follow
    routes: ActiveTable
    vkp: VkpClients | None
    """Our own clients of VKP, where there are any."""
    pmd: PmdClient | None = None
    """The client of the service that measurements are shared with; None where there is none."""


CurrentDelivery = Callable[[], DeliveryContext | None]
"""Returns what the configuration in use delivers with; None where nothing is delivered."""


class Backlog:
    """Held messages by municipality, and by sender there; counted for all nodes now and then, and for this one in between."""

    def __init__(self) -> None:
        self._held: Counter[str] = Counter()
        self._of_senders: Counter[tuple[str, str]] = Counter()

    def counted(self, held: Mapping[str, int], of_senders: Mapping[tuple[str, str], int]) -> None:
        """Take a new count; a sender of a municipality that has little held need not be counted."""
        self._held, self._of_senders = Counter(held), Counter(of_senders)

    def add(self, municipality: str, sender: str) -> None:
        """Count a message that is held from now on."""
        self._held[municipality] += 1
        self._of_senders[municipality, sender] += 1

    def is_share_used_up(self, municipality: str, sender: str, most: int) -> bool:
        """Tell whether no more is held of a sender for a municipality."""
        return self._of_senders[municipality, sender] >= most

    def is_full(self, municipality: str, most: int) -> bool:
        """Tell whether no more is held for a municipality."""
        return self._held[municipality] >= most


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

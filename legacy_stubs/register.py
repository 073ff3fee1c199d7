"""VKP's own register: who may call for which municipality, and with which ServiceCodes (VKP's portal, P2 and C1)."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from legacy_stubs.outcomes import RefusedError


@dataclass(frozen=True)
class AccessRegister:
    """What is registered; by default everybody may do everything, as in a test environment that is open."""

    receivers: Mapping[str, frozenset[str]] | None = None
    """By sender (vkp-id or HER-id), the municipalities (orgnr or HER-id) that it may call; None: all may call all."""
    inactive: frozenset[str] = frozenset()
    """Municipalities that have stopped submission and queries."""
    known: frozenset[str] | None = None
    """The municipalities that VKP knows; None: all."""
    services: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """By sender, its ServiceCodes in lower case; a sender that is missing is not held to any."""

    def check_access(self, sender: str, receiver: str) -> None:
        """Raise RefusedError unless the sender may call for the receiver."""
        if self.known is not None and receiver not in self.known:
            raise RefusedError(400, "2.2", "Mottakeren er ukjent.", "the municipality of the address is not registered")
        if receiver in self.inactive:
            raise RefusedError(403, "1.1", "Mottakeren er ikke aktiv.", "the municipality has stopped its connection")
        if self.receivers is not None and receiver not in self.receivers.get(sender, frozenset()):
            text = "Avsenderen har ikke tilgang til mottakeren."
            raise RefusedError(403, "1.4", text, "the sender is not registered for the municipality")

    def check_services(self, sender: str, codes: frozenset[str]) -> None:
        """Raise RefusedError where a sender names services that it is not registered for."""
        if sender in self.services and not codes <= self.services[sender]:
            raise RefusedError(
                400, "1.3", "Tjenstlig behov er ikke oppfylt.", "a service that the sender does not have"
            )

"""What the configuration says about translating a message."""

from collections import ChainMap
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, cast

from gateway.config.model import Config, Environment, Municipality, Sender
from gateway.errors import fault_of
from gateway.model import Envelope, Finding
from gateway.pipeline.identify import Identified
from gateway.routing.route import Route
from translators.contract import Settings, Translation
from translators.national_number import PRODUCTION_KINDS, TEST_KINDS

if TYPE_CHECKING:
    # What asks for numbers has the clients of services, which a command that only translates does without.
    from gateway.pipeline.patient_numbers import PatientNumbers


def allowed_numbers(config: Config) -> frozenset[str]:
    """Return the kinds of national numbers that may identify a person in this environment."""
    own = TEST_KINDS if config.environment is Environment.TEST else PRODUCTION_KINDS
    return frozenset({*own, *config.patient_numbers_also})


def settings(  # noqa: PLR0913 - what is known of a message
    config: Config,
    allowed: frozenset[str],
    *,
    municipality: Municipality | None,
    sender: Sender | None,
    route: Route | None,
    received: datetime | None = None,
    learnt: Mapping[tuple[str, str], str] | None = None,
) -> Settings:
    """Return the settings for a message of a sender to a municipality, as far as those are known.

    `received` is when the gateway got it, for what does not say itself when it happened; `learnt` are national numbers by the
    record system's own, beside those of the municipality's tables.
    """
    service = config.jft
    numbers: Mapping[tuple[str, str], str] = municipality.local_numbers if municipality else {}
    if learnt:
        numbers = ChainMap(dict(learnt), cast("dict[tuple[str, str], str]", numbers))
    return Settings(
        allowed_numbers=allowed,
        numbers=service.numbers if service is not None else "patient",
        tolerated_losses=route.losses if route else (),
        source_system=config.vendors[sender.vendor].systems[sender.system] if sender else None,
        code_history=sender.code_history if sender else (),
        received=received.isoformat(timespec="milliseconds") if received else None,
        local_numbers=numbers,
        unknown_codes="pass" if municipality is not None and municipality.unknown_codes_pass else "refuse",
        not_to_be_journaled=config.not_to_be_journaled,
        signature=sender.signature if sender else "refuse",
    )


def findings_of(translation: Translation) -> tuple[Finding, ...]:
    """Return what a translation tells of a message for its vendor."""
    refusal = translation.refusal
    if refusal is None and not translation.losses and not translation.repairs:
        return ()
    return (
        *(
            ()
            if refusal is None
            else (Finding("fault", fault_of(refusal.reason).value, refusal.path or "", refusal.text),)
        ),
        *(Finding("loss", "loss", each.element, each.reason) for each in translation.losses),
        *(Finding("repair", each.rule, each.path) for each in translation.repairs),
    )


class ClaimedSettings:
    """The settings of one configuration for messages whose sender is only what the token claims."""

    def __init__(self, config: Config, numbers: "PatientNumbers | None" = None) -> None:
        self._config = config
        self.numbers = numbers
        """Who is asked for national numbers beside the municipality's tables; None: nobody."""
        self._allowed = allowed_numbers(config)
        self._senders = {sender.key: sender for sender in config.senders}

    def sender(self, envelope: Envelope) -> Sender | None:
        """Return the sender that the envelope names."""
        return self._senders.get(envelope.sender) if envelope.sender is not None else None

    def settings(self, identified: Identified, route: Route | None, received: datetime | None = None) -> Settings:
        """Return the settings for a message, as far as its municipality and its sender are known."""
        return settings(
            self._config,
            self._allowed,
            municipality=identified.municipality,
            sender=self.sender(identified.envelope),
            route=route,
            received=received,
            learnt=identified.local_numbers,
        )

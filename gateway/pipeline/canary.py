"""Where a patient stands in a canary: a share by a keyed hash of the national number, alike on every node and every day."""

import hashlib
import hmac
from datetime import datetime

from msgspec import structs

from gateway.config.model import Config
from gateway.pipeline.identify import Identified, ReadMessage
from gateway.pipeline.translate import ClaimedSettings
from gateway.routing.route import Route
from translators.translate import patient, read

_PURPOSE = b"vkp-gateway canary share\x00"
"""In front of what is hashed, so that the same key for another purpose would make other hashes."""
_BITS = 53
"""As many as a float holds: with more, the last few patients would round up to 1, and no share would reach them."""


def share_of(key: bytes, number: str) -> float:
    """Return where a patient stands, from 0 up to but never 1: the first bits of HMAC-SHA256 over the national number.

    A canary takes over who stands below its share, so that a larger share only adds patients.
    """
    made = hmac.digest(key, _PURPOSE + number.encode(), hashlib.sha256)
    return (int.from_bytes(made[:8]) >> (64 - _BITS)) / (1 << _BITS)


class Canary:
    """Places the messages of one configuration; without a key it places none, and so a canary takes nothing over."""

    def __init__(self, config: Config, key: bytes | None) -> None:
        self._claimed = ClaimedSettings(config)
        self._key = key

    def share(self, number: str | None) -> float | None:
        """Return where the patient with a national number stands; None without one, or without a key."""
        return share_of(self._key, number) if self._key is not None and number is not None else None

    def placed(
        self, identified: Identified, route: Route | None = None, received: datetime | None = None
    ) -> Identified:
        """Return a message with where its patient stands; as it is where no usable number names one.

        It is read into the inner language for it, with the settings of its route, and need not be read again.
        """
        content = identified.content
        if self._key is None or content is None or content.failure is not None or identified.envelope.share is not None:
            return identified
        settings = self._claimed.settings(identified, route, received)
        message = read(content.tree, identified.surface.NAME, settings)
        identified = structs.replace(identified, read=ReadMessage(message, settings))
        number = patient(message, settings)
        if number is None:
            return identified
        envelope = structs.replace(identified.envelope, share=share_of(self._key, number))
        return structs.replace(identified, envelope=envelope)

"""The messages of a chaos test: documents alike but for what they are called and whom they are about."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, field
from importlib import resources

from service_stubs.national_numbers import complete

HOLDS, REFUSES, PASSES = "312229544", "313231593", "315058384"
"""Municipalities: messages are held while JFT is away; they are refused then; VKP answers."""
_ID = b"9F41C0DE7EF000120261103071502"
_PATIENT = b"12834010060"


@dataclass
class Message:
    """One message, and what its sender knows of it."""

    business_id: str
    municipality: str
    sender: int
    body: bytes
    is_done: bool = False
    """Whether its sender was told of success."""
    references: set[str] = field(default_factory=set)
    """Of every success that the gateway told."""
    unclear: int = 0
    """Attempts that reached a gateway and ended in 504 or without an answer."""
    refusals: int = 0
    """Attempts that ended in 503."""

    @property
    def number(self) -> bytes:
        """The patient's number."""
        found = re.search(rb"(?<!\d)\d{11}(?!\d)", self.body)
        assert found is not None
        return found[0]


def patients(count: int) -> list[bytes]:
    """Return synthetic national numbers: born in a month that is raised by 80."""
    found: list[bytes] = []
    for individual in range(1_000):
        try:
            found.append(complete(f"{1 + individual % 28:02}8{1 + individual % 9}70{individual:03}").encode())
        except ValueError:
            continue
        if len(found) == count:
            return found
    raise AssertionError("there are not so many")


def messages(count: int, *, seed: int, senders: int, municipalities: tuple[str, ...]) -> list[Message]:
    """Make messages of several senders to several municipalities, about sixty patients."""
    draw = random.Random(seed)  # noqa: S311 - the same messages in every run
    template = resources.files("translators").joinpath("examples", "alarm-follow-up.json").read_bytes()
    known = patients(60)
    return [
        Message(
            business_id := f"CHAOS{seed:04}{number:08}",
            municipalities[number % len(municipalities)],
            draw.randrange(senders),
            template.replace(_ID, business_id.encode()).replace(_PATIENT, draw.choice(known)),
        )
        for number in range(count)
    ]

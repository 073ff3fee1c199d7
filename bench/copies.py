"""Messages alike but for what makes each a message of its own: its id, and one of many patients."""

import itertools
import time
from collections.abc import Iterator
from datetime import date

from service_stubs.national_numbers import number_for

ID, PATIENT = b"9F41C0DE7EF000120261103071502", b"12834010060"
"""What stands in the demo's message."""
_PATIENTS = 997
"""A prime, so that no pattern in the load falls together with it."""
_DAYS = 28


def patients() -> list[bytes]:
    """Return synthetic national numbers, all different."""
    dates = (date(1930 + n // _DAYS, 1 + n % 12, 1 + n % _DAYS) for n in range(_PATIENTS))
    return [number_for(born, 100 + index % 300).encode() for index, born in enumerate(dates)]


def series() -> int:
    """Return a number that begins ids which no other series has."""
    return time.time_ns() // 1000 % 10**16


def name_of(begins: int, number: int) -> bytes:
    """Return the id of a message: as long as the one that it stands for."""
    return b"%016d%013d" % (begins, number)


def copies(message: bytes) -> Iterator[bytes]:
    """Return one message after the other, for ever."""
    begins, numbers = series(), patients()
    for count in itertools.count():
        yield message.replace(ID, name_of(begins, count)).replace(PATIENT, numbers[count % _PATIENTS])

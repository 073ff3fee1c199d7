"""What a process for work of its own does: it reads questions about bodies and answers them, until whoever started it has ended.

An answer is 4 bytes of length (big-endian) and then MessagePack. A question is two such lengths, MessagePack, and the body that it is about,
which nobody copies for it. Commands that start no process use what it is asked too, so nothing here needs an event loop.
"""

import gc
import os
import signal
import sys
from collections.abc import Callable
from typing import BinaryIO, Final, TypeVar

import msgspec
from msgspec import structs

LENGTH: Final = 4
"""Bytes of a length."""
_HERE: Final = bytes(LENGTH)
"""An empty message: what a process says first."""
_NICE: Final = 10
"""What senders wait for goes first on a core that both need."""
_GARBAGE: Final = 200_000
"""Objects between two searches for circles, of which what is read has none."""

Q = TypeVar("Q", bound="Question")


class Question(msgspec.Struct, frozen=True, array_like=True):
    """A body, and what is asked of it."""

    body: bytes


class Defect(msgspec.Struct, array_like=True, tag="defect"):
    """What an answer is where something was raised: its name alone, for its text may have something of a patient."""

    name: str


def framed(question: Question) -> tuple[bytes, ...]:
    """Return what is written of a question, one piece after the other."""
    written = msgspec.msgpack.encode(structs.replace(question, body=b""), enc_hook=plain)
    return len(written).to_bytes(LENGTH), len(question.body).to_bytes(LENGTH), written, question.body


def plain(value: object) -> object:
    """Return what is written of a value that MessagePack does not know: a text of our own kinds as any text."""
    if isinstance(value, str):
        return str(value)
    raise TypeError(type(value).__name__)


def serve(source: BinaryIO, sink: BinaryIO, question: type[Q], answer: Callable[[Q], object]) -> None:
    """Say that it is there, then answer each question in turn until there are no more."""
    sink.write(_HERE)
    sink.flush()
    decoder = msgspec.msgpack.Decoder(question)
    while len(head := source.read(2 * LENGTH)) == 2 * LENGTH:
        asked, body = (source.read(int.from_bytes(size)) for size in (head[:LENGTH], head[LENGTH:]))
        written = _answered(decoder, asked, body, answer)
        sink.write(len(written).to_bytes(LENGTH))
        sink.write(written)
        sink.flush()


def _answered(decoder: msgspec.msgpack.Decoder[Q], asked: bytes, body: bytes, answer: Callable[[Q], object]) -> bytes:
    try:
        return msgspec.msgpack.encode(answer(structs.replace(decoder.decode(asked), body=body)), enc_hook=plain)
    except Exception as error:  # noqa: BLE001 - whoever asked is told, by its name alone
        return msgspec.msgpack.encode(Defect(type(error).__name__))


def main(question: type[Q], answer: Callable[[Q], object]) -> None:
    """Be such a process until whoever started it has ended."""
    # Not in a session of its own: Linux may give each session the same share of a core, whatever its processes' niceness.
    os.setpgid(0, 0)
    # Whoever started it may be told to stop too, and has work to finish first.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    os.nice(_NICE)
    gc.freeze()
    gc.set_threshold(_GARBAGE)
    serve(sys.stdin.buffer, sys.stdout.buffer, question, answer)

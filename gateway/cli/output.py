"""How answers are printed: JSON for programs, lines and sentences for people, and for these how far long work is."""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import click
import msgspec

VKP_SUCCESS = {
    "stored": "what VKP took is stored there; whether it is in the record is seen in VKP's Min side (vkp_success: stored)",
    "journaled": "what VKP took is in the record (vkp_success: journaled)",
}
"""What is told of messages that VKP has accepted."""


def print_json(document: object) -> None:
    """Print one JSON document."""
    click.echo(msgspec.json.format(msgspec.json.encode(document), indent=2).decode())


def print_lines(items: Iterable[object], line: Callable[..., str], none: str) -> None:
    """Print a line for each item; where there is none, say so in the sentence `none`.

    The sentence goes to standard error: a program that reads lines gets none.
    """
    is_empty = True
    for item in items:
        is_empty = False
        click.echo(plain(line(item)))
    if is_empty:
        click.echo(none, err=True)


def plain(text: object) -> str:
    """Return a text of somebody else's for a terminal, without what would steer it."""
    return "".join(letter if letter.isprintable() else " " for letter in str(text))


def shows_progress(*, as_json: bool) -> bool:
    """Tell whether progress is shown: with `--json`, and where standard error is no terminal, it is not."""
    return not as_json and sys.stderr.isatty()


@contextmanager
def progress(label: str, length: int, *, as_json: bool) -> Iterator[Callable[[int], None]]:
    """Show how much of `length` is done; the caller says how much more each time.

    It goes to standard error, so that no pipe and no file gets it, and nothing is shown where `shows_progress` says so.
    """
    if not shows_progress(as_json=as_json):
        yield lambda _more: None
        return
    steps = max(1, length // 200)
    with click.progressbar(length=length, label=label, file=sys.stderr, update_min_steps=steps) as bar:
        yield bar.update

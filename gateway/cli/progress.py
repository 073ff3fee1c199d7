"""How far long work is: on a terminal alone, on standard error, so that no pipe and no file gets it."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click


def is_shown(*, as_json: bool) -> bool:
    """Tell whether progress is shown: with `--json`, and where standard error is no terminal, it is not."""
    return not as_json and sys.stderr.isatty()


@contextmanager
def progress(label: str, length: int, *, as_json: bool) -> Iterator[Callable[[int], None]]:
    """Show how much of `length` is done; the caller says how much more each time.

    Nothing is shown where `is_shown` says so.
    """
    if not is_shown(as_json=as_json):
        yield lambda _more: None
        return
    steps = max(1, length // 200)
    with click.progressbar(length=length, label=label, file=sys.stderr, update_min_steps=steps) as bar:
        yield bar.update

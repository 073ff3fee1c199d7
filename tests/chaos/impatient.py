"""`python -m gateway`, which waits seconds instead of half a minute before it takes over what another node had.

Everything else is as it is: a test need not wait that long for each node that it kills.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from gateway.cli import serve
from gateway.cli.main import main
from gateway.ledger import messages
from gateway.outbox import dispatcher
from gateway.runtime.node import Node
from gateway.tasks import Intervals

if TYPE_CHECKING:
    from types import ModuleType


def shorten(module: ModuleType, name: str, seconds: float) -> None:
    """Give a module's time another value."""
    assert getattr(module, name) > seconds
    setattr(module, name, seconds)


shorten(messages, "LEASE", 4.0)
shorten(dispatcher, "_TIMEOUT", 5.0)
vars(serve)["Node"] = partial(Node, intervals=Intervals(recover=1.0))
main(prog_name="python -m gateway")

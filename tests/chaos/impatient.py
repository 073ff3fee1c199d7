"""`python -m gateway`, which waits seconds instead of half a minute before it takes over what another node had.

Everything else is as it is: a test need not wait that long for each node that it kills.
"""

from __future__ import annotations

from functools import partial

from gateway.cli import serve
from gateway.cli.main import main
from gateway.runtime.node import Node
from gateway.tasks import Intervals

vars(serve)["Node"] = partial(Node, intervals=Intervals(recover=1.0, lease=4.0, delivery=5.0))
main(prog_name="python -m gateway")

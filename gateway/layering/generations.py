"""Counts the tables that a process has taken: by a start, a reload, or a change of what lies over the routes."""

from prometheus_client import Gauge

from gateway.observability.telemetry import REGISTRY

GENERATION = Gauge(
    "vkp_gateway_generation",
    "How many tables of routes the process has taken since it started.",
    registry=REGISTRY,
    multiprocess_mode="mostrecent",
)


class Generations:
    """Numbers the tables of one process, from 1."""

    def __init__(self) -> None:
        self.number = 0

    @property
    def next(self) -> int:
        """The number that the table which is taken next will have."""
        return self.number + 1

    def taken(self) -> int:
        """Return the number of a table that is in use from now on."""
        self.number += 1
        GENERATION.set(self.number)
        return self.number

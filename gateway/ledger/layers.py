"""What lies over the routes by the ledger: overrides and panics that hold, and cutovers that have switched.

A module of its own, since it joins two that do not know each other in this direction.
"""

from sqlalchemy import Connection

from gateway.ledger import cutovers, overrides
from gateway.routing.layers import Layers


def layers_of(connection: Connection, now: float) -> Layers:
    """Return what lies over the routes at `now`, in seconds since the epoch."""
    # The version first: what is written between the two is seen at the next look.
    version = overrides.layers_version(connection)
    held = [one.over_routes() for one in overrides.current(connection, now)]
    return Layers([*held, *cutovers.executed(connection)], version, cutovers.planned(connection))

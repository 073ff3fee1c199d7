"""When cells last went new, as far as the ledger knows: where going back begins."""

from collections.abc import Collection

from sqlalchemy import Connection, select

from gateway.ledger.cutovers import routes_of
from gateway.ledger.tables import CUTOVER, RULE
from gateway.model import Mode
from gateway.routing.layers import Layer

C, R = CUTOVER.c, RULE.c
_GOES_NEW = (Mode.NEW, Mode.CANARY)
_Selector = tuple[str | None, str | None, Collection[str] | None]
"""Municipality, vendor and information types that are named."""


def last_switch(connection: Connection, municipality: str, vendor: str | None, information: str | None) -> float | None:
    """Return when cells of a municipality last went new, by an override or a cutover; None when neither is known."""
    wanted = (municipality, vendor, information)
    overrides = select(R.municipality, R.vendor, R.information, R.made_at).where(
        R.layer == Layer.OVERRIDE.value, R.mode.in_([mode.value for mode in _GOES_NEW])
    )
    moments = [
        row.made_at
        for row in connection.execute(overrides)
        if _touches((row.municipality, row.vendor, row.information and row.information.split()), wanted)
    ]
    switched = select(C.name, C.plan, C.switched_at).where(C.switched_at.is_not(None))
    for row in connection.execute(switched):
        new = [route for route in routes_of(row.name, row.plan) if route.mode in _GOES_NEW]
        if any(_touches((route.municipality, route.vendor, route.information), wanted) for route in new):
            moments.append(row.switched_at)
    return max(moments, default=None)


def _touches(selector: _Selector, wanted: tuple[str, str | None, str | None]) -> bool:
    """Tell whether a selector and a wish may mean the same cell."""
    municipality, vendor, information = selector
    return (
        municipality in (None, wanted[0])
        and (vendor is None or wanted[1] in (None, vendor))
        and (information is None or wanted[2] is None or wanted[2] in information)
    )

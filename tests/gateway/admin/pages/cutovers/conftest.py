"""The pages for cutovers, over the routes and people of the cutovers' API."""

from tests.gateway.admin.cutovers.conftest import arne, office, world

__all__ = ["arne", "office", "world"]

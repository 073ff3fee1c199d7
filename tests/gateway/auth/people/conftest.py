"""The admin port with people that these tests share."""

from tests.gateway.office import office, olga, open_office

__all__ = ["office", "olga", "open_office"]

"""The admin port with people, and a ledger for it, as the API's tests have them."""

from tests.gateway.admin.conftest import nora, office, olga, open_office, shelf, vera

__all__ = ["nora", "office", "olga", "open_office", "shelf", "vera"]

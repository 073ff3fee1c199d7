"""What VKP took where a municipality moves is known again once a route has changed side."""

from functools import partial

from gateway.config.definitions import Config
from gateway.delivery.journaling import Journaling
from gateway.delivery.orders import business_of
from gateway.identification import Identification, Identified
from gateway.model import Account, Afterwards, Group
from gateway.routing.table import RouteTable


class Passed:
    """Notes journalings that VKP took, when it has answered: only their keyed hashes and VKP's status."""

    def __init__(
        self, config: Config, table: RouteTable, identification: Identification, journaling: Journaling | None
    ) -> None:
        self._limit = config.limits.body
        self._table = table
        self._identification = identification
        self._journaling = journaling

    def afterwards(self, identified: Identified) -> Afterwards | None:
        """Return what is done after a request has passed; None where nothing is."""
        operation, municipality = identified.operation, identified.envelope.municipality
        if operation is None or operation.group is not Group.JOURNALING or identified.envelope.sender is None:
            return None
        if self._journaling is None or not self._table.is_moving(municipality):
            return None
        return Afterwards(self._limit, partial(self._note, self._journaling, identified))

    def _note(self, journaling: Journaling, identified: Identified, account: Account, status: int, body: bytes) -> None:
        if not 200 <= status < 300:
            return
        content = identified.content or self._identification.content(body, identified)
        business = business_of(content.tree) if content.failure is None else None
        if business is not None:
            journaling.note_passed(account, business, status)

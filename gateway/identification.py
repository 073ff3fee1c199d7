"""What a request is, read from its path, its claims and, only where routes differ by it, its body."""

from dataclasses import dataclass

from msgspec import Struct, structs

from gateway.config.definitions import Municipality, Sender
from gateway.faults import Failure, Fault
from gateway.helseid.claims import Credentials, claimed_ids, credentials
from gateway.model import Body, Envelope, Group, Information, RequestHead
from gateway.routing.table import RouteTable
from gateway.surfaces import vkp_r4
from gateway.surfaces.target import Path, is_origin_form, path_of
from gateway.surfaces.vkp_r4 import Operation
from translators.contract import Refused, Tree
from translators.information import information_of

UNRECOGNISED = "unrecognised"
"""The surface of a request that no surface knows."""


@dataclass(frozen=True, slots=True)
class Content:
    """A journaling's body, once it was read: its tree, or the failure that reading it was."""

    tree: Tree = None
    failure: Failure | None = None


class Identified(Struct, frozen=True):
    """A request with what is known of it; the sender is only what the token claims."""

    envelope: Envelope
    path: Path
    operation: Operation | None
    """None for a request that no surface recognises."""
    municipality: Municipality | None
    presented: Credentials | None
    depends_on_content: bool = False
    """Whether the routes that remain differ by what the body says."""
    content: Content | None = None
    """None while the body was not read."""

    def is_served(self, unrecognised_paths: tuple[str, ...]) -> bool:
        """Whether anything is served at this address: a surface knows it, or it lies below what may pass unrecognised."""
        return self.operation is not None or any(self.path.is_below(prefix) for prefix in unrecognised_paths)


class Identification:
    """Makes the envelope of each request with the names of one configuration."""

    def __init__(self, table: RouteTable, body_limit: int) -> None:
        self._table = table
        self._body_limit = body_limit

    async def identify(self, head: RequestHead, body: Body) -> Identified:
        """Return what a request is; raises `Failure` for a target that could name a server."""
        identified = self.recognise(head)
        operation = identified.operation
        if operation is None or not identified.depends_on_content:
            return identified
        content = await self.read(body, operation)
        envelope = self.with_information(identified.envelope, content)
        return structs.replace(identified, envelope=envelope, content=content)

    def recognise(self, head: RequestHead) -> Identified:
        """Return what the head alone tells; raises `Failure` for a target that could name a server."""
        if not is_origin_form(head.target):
            raise Failure(Fault.BAD_TARGET, "The request target must be a path")
        path = path_of(head.target)
        presented = credentials(head.authorization)
        sender = self._claimed_sender(presented)
        recognised = vkp_r4.recognise(head, path)
        if recognised is None:
            municipality = self._named_municipality(path)
            return Identified(_envelope(UNRECOGNISED, municipality, sender, None), path, None, municipality, presented)
        operation = recognised.operation
        municipality = self._table.municipality_by_orgnr(recognised.orgnr)
        envelope = _envelope(vkp_r4.NAME, municipality, sender, operation.information)
        depends = operation.group is Group.JOURNALING and self._depends_on_content(envelope)
        return Identified(envelope, path, operation, municipality, presented, depends_on_content=depends)

    async def read(self, body: Body, operation: Operation) -> Content:
        """Read a journaling's body; what cannot be read has no information type, and says why."""
        data = await body.read(self._body_limit)
        if data is None:
            return Content(failure=Failure(Fault.TOO_LARGE, f"The body is larger than {self._body_limit} bytes"))
        try:
            return Content(tree=vkp_r4.read(data, operation))
        except Refused as refusal:
            return Content(failure=Failure(Fault.MALFORMED, str(refusal)))

    def with_information(self, envelope: Envelope, content: Content) -> Envelope:
        """Return the envelope with what the content is about."""
        name = information_of(content.tree) if content.failure is None else None
        return structs.replace(envelope, information=Information(name) if name else None)

    def _depends_on_content(self, envelope: Envelope) -> bool:
        return self._table.differs(envelope.municipality, envelope.vendor, envelope.system, Group.JOURNALING)

    def _claimed_sender(self, presented: Credentials | None) -> Sender | None:
        claimed = claimed_ids(presented)
        if claimed.vkp_id is not None:
            return self._table.sender_by_vkp_id(claimed.vkp_id)
        return self._table.sender_by_her_id(claimed.her_id) if claimed.her_id is not None else None

    def _named_municipality(self, path: Path) -> Municipality | None:
        found = (
            self._table.municipality_by_orgnr(part) or self._table.municipality_by_her_id(part)
            for part in path.segments
        )
        return next((municipality for municipality in found if municipality), None)


def _envelope(
    surface: str, municipality: Municipality | None, sender: Sender | None, information: Information | None
) -> Envelope:
    return Envelope(
        surface=surface,
        municipality=municipality.key if municipality else None,
        sender=sender.key if sender else None,
        vendor=sender.vendor if sender else None,
        system=sender.system if sender else None,
        information=information,
    )

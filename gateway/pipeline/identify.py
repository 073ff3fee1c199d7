"""What a request is, read from its path, its claims and, only where routes differ by it, its body."""

import re
from dataclasses import replace
from urllib.parse import unquote

from msgspec import Struct, structs

from gateway.auth.helseid.claims import HER_ID, Credentials, claimed_ids, credentials
from gateway.config.directory import Directory, envelope_of
from gateway.config.model import Municipality, Sender
from gateway.errors import Failure, Fault
from gateway.model import UNRECOGNISED, Body, Envelope, Group, Information, RequestHead
from gateway.pipeline import bodies
from gateway.pipeline.bodies import content_of
from gateway.routing.table import RouteTable
from gateway.surfaces.base import Content, Operation, Recognised, Surface
from gateway.surfaces.paths import Path, is_origin_form, path_of
from gateway.surfaces.registry import FALLBACK, group_of, surface_at
from translators.contract import Message, Refused, Settings

_NUMBER = re.compile("[0-9]+", re.ASCII)


class ReadMessage(Struct, frozen=True):
    """A message that was read into the inner language, or why it could not be, and the settings that it was read with."""

    message: Message | Refused
    settings: Settings


class Identified(Struct, frozen=True):
    """A request with what is known of it; the sender is only what the token claims."""

    envelope: Envelope
    path: Path
    surface: Surface
    """The one that recognises the request, or the one that answers what none does."""
    recognised: Recognised | None
    """None for a request that no surface recognises."""
    municipality: Municipality | None
    presented: Credentials | None
    depends_on_content: bool = False
    """Whether the routes that remain differ by what the body says."""
    content: Content | None = None
    """None while the body was not read."""
    read: ReadMessage | None = None
    """The message in the inner language, where a canary had to know its patient."""
    code_history: tuple[tuple[str, str], ...] = ()
    """By code system, the table that the sender's codes are of."""
    local_numbers: dict[tuple[str, str], str] | None = None
    """National numbers of those whom the message names by a number of the record system's own that is in no table; None while
    nobody was asked."""

    @property
    def operation(self) -> Operation | None:
        """What is asked for; None for a request that no surface recognises."""
        return self.recognised.operation if self.recognised else None

    @property
    def asks_for_numbers(self) -> bool:
        """Whether somebody has to be asked for national numbers, where the municipality's tables do not have them."""
        return self.municipality is not None and bool(self.municipality.resolvers)

    def is_served(self, unrecognised_paths: tuple[str, ...]) -> bool:
        """Whether anything is served at this address: a surface knows it, or it lies below what may pass unrecognised."""
        return self.operation is not None or any(self.path.is_below(prefix) for prefix in unrecognised_paths)


class Identifier:
    """Makes the envelope of each request with the names of one configuration."""

    def __init__(self, body_limit: int, directory: Directory) -> None:
        self._body_limit = body_limit
        self._directory = directory

    async def identify(self, head: RequestHead, body: Body, table: RouteTable) -> Identified:
        """Return what a request is; raises `Failure` for a target that could name a server."""
        identified = self.recognise(head, table)
        if not identified.depends_on_content:
            return identified
        return self.with_content(identified, await self.read(body, identified))

    def with_content(self, identified: Identified, content: Content) -> Identified:
        """Add what the body tells to what the head did."""
        identified, content = _with_address(identified, content, self._directory)
        envelope = self.with_information(identified.envelope, content, identified.code_history)
        if identified.operation is not None and identified.operation.information is not None:
            envelope = structs.replace(envelope, information=identified.operation.information)
        return structs.replace(identified, envelope=envelope, content=content)

    def recognise(self, head: RequestHead, table: RouteTable) -> Identified:
        """Return what the head alone tells; raises `Failure` for a target that could name a server."""
        if not is_origin_form(head.target):
            raise Failure(Fault.BAD_TARGET, "The request target must be a path")
        path = path_of(head.target)
        presented = credentials(head.authorization)
        surface, recognised = asked_for(head, path)
        if recognised is None:
            municipality, sender = (
                _named_municipality(self._directory, path),
                _claimed_sender(self._directory, presented, None),
            )
            envelope = envelope_of(UNRECOGNISED, municipality, sender, None, group_of(head.method, path))
            return Identified(envelope, path, surface, None, municipality, presented)
        operation = recognised.operation
        municipality = _addressed_municipality(self._directory, recognised)
        sender = _claimed_sender(self._directory, presented, operation)
        envelope = envelope_of(surface.NAME, municipality, sender, operation.only_type, operation.group)
        depends = operation.group is Group.JOURNALING and _depends_on_content(table, envelope)
        if recognised.by_content:
            # Which search is asked for says the body too, and what scope that needs.
            depends = operation.group is Group.RETRIEVAL or table.differs_by_municipality(
                envelope.vendor, envelope.system, operation.group
            )
        history = sender.code_history if sender is not None else ()
        return Identified(
            envelope,
            path,
            surface,
            recognised,
            municipality,
            presented,
            depends_on_content=depends,
            code_history=history,
        )

    async def read(self, body: Body, identified: Identified) -> Content:
        """Read a journaling's body; what cannot be read has no information type, and says why."""
        data = await body.read(self._body_limit)
        if data is None:
            return Content(failure=Failure(Fault.TOO_LARGE, f"The body is larger than {self._body_limit} bytes"))
        return Identifier.content(data, identified)

    @staticmethod
    def content(data: bytes, identified: Identified) -> Content:
        """Return the content of a journaling's whole body."""
        return content_of(data, identified.surface, identified.operation)

    def with_information(
        self, envelope: Envelope, content: Content, code_history: tuple[tuple[str, str], ...]
    ) -> Envelope:
        """Return the envelope with what the content is about, by the tables that the sender's codes are of."""
        name = bodies.information(content, code_history)
        return structs.replace(envelope, information=Information(name) if name else None)


def _with_address(identified: Identified, content: Content, directory: Directory) -> tuple[Identified, Content]:
    """Add whom the content is for, where the path does not say; content that names two municipalities cannot be used.

    What cannot be used for another reason may still say whom it is for, and where VKP answers for that one it is VKP's to judge.
    """
    recognised = identified.recognised
    if recognised is None or not recognised.by_content:
        return identified, content
    whom = identified.surface.addressed(content.tree)
    if whom.operation is not None:
        identified = structs.replace(identified, recognised=replace(recognised, operation=whom.operation))
    found = [directory.municipality_by_orgnr(number) for number in whom.orgnrs]
    found += [directory.municipality_by_her_id(number) for number in whom.her_ids]
    known = {one.key: one for one in found if one is not None}
    if len(known) > 1:
        failure = content.failure or Failure(Fault.ADDRESS, "The receiver names two municipalities")
        return identified, replace(content, failure=failure)
    for municipality in known.values():
        envelope = structs.replace(identified.envelope, municipality=municipality.key)
        identified = structs.replace(identified, municipality=municipality, envelope=envelope)
    return identified, content


def _depends_on_content(table: RouteTable, envelope: Envelope) -> bool:
    named = (envelope.municipality, envelope.vendor, envelope.system)
    if not table.differs(*named, Group.JOURNALING):
        return False
    # Where the path says the type, only who the patient is may still matter.
    return envelope.information is None or table.asks_for_patients(*named, Group.JOURNALING)


def _claimed_sender(directory: Directory, presented: Credentials | None, operation: Operation | None) -> Sender | None:
    """Find the sender by the claim that names it here, or by the other one where that is missing."""
    claimed = claimed_ids(presented)
    prefers_her_id = operation is not None and operation.sender_claim == HER_ID
    if claimed.her_id is not None and (prefers_her_id or claimed.vkp_id is None):
        return directory.sender_by_her_id(claimed.her_id)
    return directory.sender_by_vkp_id(claimed.vkp_id) if claimed.vkp_id is not None else None


def _addressed_municipality(directory: Directory, recognised: Recognised) -> Municipality | None:
    if recognised.her_id is not None:
        return directory.municipality_by_her_id(recognised.her_id)
    return directory.municipality_by_orgnr(recognised.orgnr) if recognised.orgnr is not None else None


def _named_municipality(directory: Directory, path: Path) -> Municipality | None:
    found = (
        directory.municipality_by_orgnr(number) or directory.municipality_by_her_id(number)
        for part in path.segments
        for number in _numbers_of(part)
    )
    return next((municipality for municipality in found if municipality), None)


def _numbers_of(segment: str) -> list[str]:
    """Return the numbers in a segment, however a server behind might read it: escaped again, with parameters or blanks."""
    for _ in range(3):
        segment = unquote(segment, errors="replace")
    return _NUMBER.findall(segment)


def asked_for(head: RequestHead, path: Path) -> tuple[Surface, Recognised | None]:
    """Return the surface that recognises a request and what it makes of it."""
    surface = surface_at(path)
    recognised = surface.recognise(head, path) if surface is not None else None
    return (FALLBACK, None) if surface is None or recognised is None else (surface, recognised)

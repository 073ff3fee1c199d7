"""What a retrieval asks for, alike on every surface."""

from msgspec import Struct

from gateway.model import Information


class PatientKey(Struct, frozen=True):
    """Whom a search is about; never shown."""

    system: str | None
    """None: bare, taken to be a national number."""
    value: str


class DateBound(Struct, frozen=True):
    """One end of the time that a search is about."""

    prefix: str
    """`ge` or `le`."""
    instant: str
    """As the sender wrote it."""


class Search(Struct, frozen=True, kw_only=True):
    """One retrieval: a search, or in STU3 also a read of one resource by its id."""

    kind: str
    """The FHIR type that is asked for."""
    information: Information
    patient: PatientKey | None = None
    """None: every patient with a service behind the service codes, a list search."""
    service_codes: tuple[str, ...] = ()
    """In upper case."""
    dates: tuple[DateBound, ...] = ()
    id: str | None = None
    """STU3: of the one resource that is read."""
    name: str | None = None
    """STU3: a part of the patient's name."""
    types: tuple[str, ...] = ()
    """STU3: types of the resource, `system|code` or a bare code; what names a service is in `service_codes`."""
    categories: tuple[str, ...] = ()
    """STU3: likewise."""

    def __repr__(self) -> str:
        """Show nothing that may identify a patient."""
        return f"Search({self.kind}, {self.information}, {','.join(self.service_codes)})"

"""A page of PIT as it usually is, read in half the time: into types that say what is right of each element.

What is in any way unusual - an element that is seldom there, an escape, a blank in front, a 29 February, a number - is told by None,
and `pit` reads it carefully. Of what is read here nothing would be refused there, and the same would come of it: a test holds the
two together.
"""

from typing import Annotated, Final, Literal, NamedTuple, TypeAlias, TypeVar

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from translators.patient import BEST_FIRST

T = TypeVar("T")
Maybe: TypeAlias = T | UnsetType

_DAY: Final = (
    r"(?!0000)[0-9]{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
    r"|02-(?:0[1-9]|1[0-9]|2[0-8]))"
)
_TIME: Final = r"T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]+)?(?:Z|[+-](?:0[0-9]|1[0-3]):[0-5][0-9])"
_Text = Annotated[str, Meta(min_length=1)]
_Some: TypeAlias = Annotated[list[T], Meta(min_length=1)]
_Date = Annotated[str, Meta(pattern=rf"\A{_DAY}\Z")]
_DateTime = Annotated[str, Meta(pattern=rf"\A{_DAY}(?:{_TIME})?\Z")]
_Instant = Annotated[str, Meta(pattern=rf"\A{_DAY}{_TIME}\Z")]
_System = Annotated[str, Meta(pattern=r"\A(?:https?://\S++|urn:oid:[0-2](?:\.(?:0|[1-9][0-9]*+))+)\Z")]
_Url = Annotated[str, Meta(pattern=r"\Ahttps?://\S+\Z")]
_Code = Annotated[str, Meta(pattern=r"\A\S+\Z")]
_Id = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9.-]{1,64}\Z")]
_Gender = Literal["male", "female", "other", "unknown"]

_ODD_IN: Final = (b"\xc2", b"\xe1", b"\xe2", b"\xe3", b"{}", b'" ')
"""What may be an empty object, or begin a text of blanks alone; letters of Norwegian are written with another byte."""


class _Coding(Struct, forbid_unknown_fields=True):
    system: Maybe[_System] = UNSET
    version: Maybe[_Text] = UNSET
    code: Maybe[_Code] = UNSET
    display: Maybe[_Text] = UNSET


class _Concept(Struct, forbid_unknown_fields=True):
    coding: Maybe[_Some[_Coding]] = UNSET
    text: Maybe[_Text] = UNSET


class _Extension(Struct, forbid_unknown_fields=True):
    url: _Url
    valueString: Maybe[_Text] = UNSET  # noqa: N815 - as in FHIR, and below
    valueBoolean: Maybe[bool] = UNSET  # noqa: N815
    valueCoding: Maybe[_Coding] = UNSET  # noqa: N815
    valueCodeableConcept: Maybe[_Concept] = UNSET  # noqa: N815

    def __post_init__(self) -> None:
        values = (self.valueString, self.valueBoolean, self.valueCoding, self.valueCodeableConcept)
        if values.count(UNSET) != len(values) - 1:
            raise ValueError("not one value")


class _Period(Struct, forbid_unknown_fields=True):
    start: Maybe[_DateTime] = UNSET
    end: Maybe[_DateTime] = UNSET

    def __post_init__(self) -> None:
        if self.start is UNSET or self.end is UNSET:
            return
        if len(self.start) != 10 or len(self.end) != 10 or self.start > self.end:
            raise ValueError("perhaps not in order")


class _Assigner(Struct, forbid_unknown_fields=True):
    display: _Text


class Identifier(Struct, forbid_unknown_fields=True):
    """A number of a patient, and whose it is."""

    use: Maybe[Literal["usual", "official", "temp", "secondary", "old"]] = UNSET
    type: Maybe[_Concept] = UNSET
    system: Maybe[_System] = UNSET
    value: Maybe[_Text] = UNSET
    period: Maybe[_Period] = UNSET
    assigner: Maybe[_Assigner] = UNSET


class _Reference(Struct, forbid_unknown_fields=True):
    reference: Maybe[Annotated[str, Meta(pattern=r"\A[^#]")]] = UNSET
    identifier: Maybe[Identifier] = UNSET
    display: Maybe[_Text] = UNSET


class _Name(Struct, forbid_unknown_fields=True):
    use: Maybe[Literal["usual", "official", "temp", "nickname", "anonymous", "old", "maiden"]] = UNSET
    text: Maybe[_Text] = UNSET
    family: Maybe[_Text] = UNSET
    given: Maybe[_Some[_Text]] = UNSET
    prefix: Maybe[_Some[_Text]] = UNSET
    suffix: Maybe[_Some[_Text]] = UNSET
    period: Maybe[_Period] = UNSET
    extension: Maybe[_Some[_Extension]] = UNSET


class _Telecom(Struct, forbid_unknown_fields=True):
    system: Literal["phone", "fax", "email", "pager", "url", "sms", "other"]
    value: Maybe[_Text] = UNSET
    use: Maybe[Literal["home", "work", "temp", "old", "mobile"]] = UNSET
    period: Maybe[_Period] = UNSET


class _Address(Struct, forbid_unknown_fields=True):
    use: Maybe[Literal["home", "work", "temp", "old", "billing"]] = UNSET
    type: Maybe[Literal["postal", "physical", "both"]] = UNSET
    text: Maybe[_Text] = UNSET
    line: Maybe[_Some[_Text]] = UNSET
    city: Maybe[_Text] = UNSET
    district: Maybe[_Text] = UNSET
    state: Maybe[_Text] = UNSET
    postalCode: Maybe[_Text] = UNSET  # noqa: N815
    country: Maybe[_Text] = UNSET
    period: Maybe[_Period] = UNSET
    extension: Maybe[_Some[_Extension]] = UNSET


class _Contact(Struct, forbid_unknown_fields=True):
    relationship: Maybe[_Some[_Concept]] = UNSET
    name: Maybe[_Name] = UNSET
    telecom: Maybe[_Some[_Telecom]] = UNSET
    address: Maybe[_Address] = UNSET
    gender: Maybe[_Gender] = UNSET
    organization: Maybe[_Reference] = UNSET
    period: Maybe[_Period] = UNSET

    def __post_init__(self) -> None:
        if self.name is self.telecom is self.address is self.organization is UNSET:
            raise ValueError("nobody")


class _Communication(Struct, forbid_unknown_fields=True):
    language: _Concept
    preferred: Maybe[bool] = UNSET


class _PatientLink(Struct, forbid_unknown_fields=True):
    other: _Reference
    type: Literal["replaced-by", "replaces", "refer", "seealso"]


class _Meta(Struct, forbid_unknown_fields=True):
    lastUpdated: _Instant  # noqa: N815
    versionId: Maybe[_Id] = UNSET  # noqa: N815
    source: Maybe[Annotated[str, Meta(pattern=r"\A(?!urn:)\S+\Z")]] = UNSET
    profile: Maybe[_Some[_Url]] = UNSET
    security: Maybe[_Some[_Coding]] = UNSET
    tag: Maybe[_Some[_Coding]] = UNSET


class Patient(Struct, forbid_unknown_fields=True, tag_field="resourceType", tag="Patient"):
    """A Patient that is right."""

    id: _Id
    meta: _Meta
    identifier: Maybe[_Some[Identifier]] = UNSET
    active: Maybe[bool] = UNSET
    name: Maybe[_Some[_Name]] = UNSET
    telecom: Maybe[_Some[_Telecom]] = UNSET
    gender: Maybe[_Gender] = UNSET
    birthDate: Maybe[_Date] = UNSET  # noqa: N815
    deceasedBoolean: Maybe[bool] = UNSET  # noqa: N815
    deceasedDateTime: Maybe[_DateTime] = UNSET  # noqa: N815
    address: Maybe[_Some[_Address]] = UNSET
    maritalStatus: Maybe[_Concept] = UNSET  # noqa: N815
    contact: Maybe[_Some[_Contact]] = UNSET
    communication: Maybe[_Some[_Communication]] = UNSET
    generalPractitioner: Maybe[_Some[_Reference]] = UNSET  # noqa: N815
    managingOrganization: Maybe[_Reference] = UNSET  # noqa: N815
    link: Maybe[_Some[_PatientLink]] = UNSET
    extension: Maybe[_Some[_Extension]] = UNSET

    def __post_init__(self) -> None:
        if self.deceasedBoolean is not UNSET and self.deceasedDateTime is not UNSET:
            raise ValueError("two of a choice")


class _Link(Struct, forbid_unknown_fields=True):
    relation: str
    url: str


class _Search(Struct, forbid_unknown_fields=True):
    mode: Literal["match"]


class _Entry(Struct, forbid_unknown_fields=True):
    resource: Raw
    fullUrl: Maybe[_Text] = UNSET  # noqa: N815
    search: Maybe[_Search] = UNSET


class _Bundle(Struct, forbid_unknown_fields=True, tag_field="resourceType", tag="Bundle"):
    type: Literal["searchset"]
    id: Maybe[_Text] = UNSET
    total: Maybe[int] = UNSET
    timestamp: Maybe[_Text] = UNSET
    link: Maybe[list[_Link]] = UNSET
    entry: Maybe[list[_Entry]] = UNSET


class UsualPage(NamedTuple):
    """What stands on a page."""

    links: list[tuple[str, str]]
    """Relation and URL of each."""
    resources: list[Raw]


class UsualPatient(NamedTuple):
    """A Patient, and how it is written in another order and with another profile."""

    patient: Patient
    written: bytes


_BUNDLES = msgspec.json.Decoder(_Bundle)
_PATIENTS = msgspec.json.Decoder(Patient)
_ENCODER = msgspec.json.Encoder()
_RANKS: Final[dict[object, int]] = {system: rank for rank, system in enumerate(BEST_FIRST)}


def page(body: bytes) -> UsualPage | None:
    """Return the resources of a page, not looked at, where all around them is usual; else None."""
    if b"\\u003" in body:
        return None
    try:
        found = _BUNDLES.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    if _ENCODER.encode(found).count(b":") != body.count(b":"):
        return None  # a key stands twice
    links = [] if found.link is UNSET else [(one.relation, one.url) for one in found.link]
    return UsualPage(links, [] if found.entry is UNSET else [one.resource for one in found.entry])


def _standing(identifier: Identifier) -> tuple[bool, int]:
    return identifier.use == "old", _RANKS.get(identifier.system, len(_RANKS))


def patient(resource: Raw, profile: str) -> UsualPatient | None:
    """Return a Patient where it is usual, with `profile` in place of its own, and without what says how it is stored; else None."""
    data = bytes(resource)
    if b"\\" in data:
        return None
    try:
        found = _PATIENTS.decode(data)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    colons = data.count(b":") + 1 + profile.count(":")
    meta = found.meta
    for left_out in (meta.versionId, meta.source):
        if left_out is not UNSET:
            colons -= 1 + left_out.count(":")
    if meta.profile is not UNSET:
        colons -= 1 + sum(one.count(":") for one in meta.profile)
    if found.identifier is not UNSET:
        found.identifier.sort(key=_standing)
    found.meta = _Meta(meta.lastUpdated, profile=[profile], security=meta.security, tag=meta.tag)
    written = _ENCODER.encode(found)
    for odd in _ODD_IN:
        if odd in written:
            return None
    # Where a key stands twice the last of its members alone was read.
    return UsualPatient(found, written) if written.count(b":") == colons else None

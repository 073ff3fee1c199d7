"""The demo's traffic: what is sent, and what each mode must make of it."""

from dataclasses import dataclass, replace
from enum import Enum
from functools import cache
from importlib import resources

from gateway.model import PASSING, Information, Mode
from gateway.surfaces import vkp_r4

_TEXT_PLAIN = "text/plain; charset=utf-8"
"""What NHN's public sample client sends JSON as."""


class Flaw(Enum):
    """What is wrong with a message, if anything."""

    NONE = "none"
    TOKEN = "wrong token"  # noqa: S105 - no secret
    PATIENT = "bad patient number"
    CATEGORY = "does not say what happened"


_REFUSED = {Flaw.PATIENT: "2.1", Flaw.CATEGORY: "2.4"}
"""The codes of what neither VKP nor a service takes."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One request of a legacy sender."""

    name: str
    municipality: str
    sender: str
    """Its vkp-id, or on the surface vkp-stu3 its HER-id."""
    information: Information
    path: str
    """Below `/epj/r4/{orgnr}/` or `/epj/stu3/{HER-id}/`."""
    file: str | None = None
    form: str | None = None
    flaw: Flaw = Flaw.NONE
    content_type: str | None = _TEXT_PLAIN
    prefix: str = "/epj/r4"
    surface: str = vkp_r4.NAME
    answered: bool = False
    """Whether the answer is a message, which says by a code what became of the one that was sent."""
    is_test: bool = False
    """Whether the message only tests the way."""
    is_again: bool = False
    """Whether it is the message before once more, byte for byte, as a sender does that heard no answer."""
    names_in_path: bool = True
    """Whether the path names the municipality; elsewhere the message does, and is answered with an AppRec."""
    instead: tuple[tuple[bytes, bytes], ...] = ()
    """What stands in the file, and what this sender writes in its place."""
    kind: str | None = None
    """The FHIR type that a search asks for; None for a journaling."""
    codes: str = "rt"
    """The ServiceCodes of a search."""
    patients: int | None = None
    """How many patients a search is answered with where it is answered."""

    def target(self, municipality: str) -> str:
        """Return the request target as this sender writes it; `municipality` is its orgnr or HER-id."""
        return f"{self.prefix}/{municipality}/{self.path}" if self.names_in_path else f"{self.prefix}/{self.path}"

    @property
    def body(self) -> bytes:
        """The bytes that are sent, but for the ids, which every message has of its own."""
        data = (self.form or "").encode() if self.file is None else _message(self.file)
        for written, wanted in self.instead:
            data = data.replace(written, wanted)
        return data


@dataclass(frozen=True, slots=True)
class Expected:
    """What must happen: the status, VKP's code, who must have received the message, and the code of its answer."""

    status: int
    code: str | None
    receiver: str | None
    """`vkp`, `jft`, `epj` or nobody."""
    response: str | None = None
    """`ok` or `fatal-error`, where the answer is a message."""
    patients: int | None = None
    """How many are in the answer to a search."""


def expected(scenario: Scenario, mode: Mode) -> Expected:
    """Return what must happen to a scenario whose route has this mode."""
    wanted = _expected(scenario, mode)
    if not scenario.names_in_path and scenario.kind is None:
        if scenario.flaw is Flaw.TOKEN:
            # Whom it is for is not read for a stranger, and some municipality has moved.
            return Expected(401, "1.5", None)
        is_taken = wanted.status == 200
        return replace(wanted, status=200, code=None if is_taken else "X99", response=f"AppRec {1 if is_taken else 2}")
    if not scenario.answered or (scenario.flaw is Flaw.TOKEN and wanted.receiver is None):
        # The message of a stranger is not read, so that no message answers it.
        return wanted
    return replace(wanted, response="ok" if wanted.status == 200 else "fatal-error")


def _expected(scenario: Scenario, mode: Mode) -> Expected:
    if scenario.kind is not None and mode is not Mode.CLOSED and scenario.flaw is Flaw.NONE:
        receiver = "vkp" if mode in PASSING else "epj" if mode is Mode.EPJ else None
        return Expected(200, None, receiver, patients=scenario.patients)
    if mode in PASSING:
        if scenario.flaw is Flaw.TOKEN:
            return Expected(401, "1.5", "vkp")
        code = _REFUSED.get(scenario.flaw)
        return Expected(200, None, "vkp") if code is None else Expected(400, code, "vkp")
    if scenario.flaw is Flaw.TOKEN:
        return Expected(401, "1.5", None)
    if mode is Mode.CLOSED:
        return Expected(400, "1.2", None)
    if scenario.flaw in _REFUSED:
        return Expected(400, _REFUSED[scenario.flaw], None)
    return Expected(200, None, None if scenario.is_test or scenario.is_again else "jft")


@cache
def _message(file: str) -> bytes:
    return resources.files("translators").joinpath("examples", file).read_bytes()


def r4_scenarios() -> list[Scenario]:
    """Return the traffic of the R4 interface, in the order it is sent."""
    return [
        *_every_kind("nordfjell", "Skyresponse_Alarm_Nordfjell", "Dignio_Prevent_Nordfjell"),
        *_every_kind("havnes", "Skyresponse_Alarm_Havnes", "Dignio_Prevent_Havnes"),
        *_every_kind("sorvik", "skyresponse-test", "Dignio_Prevent_Sorvik"),
        *_one_vendor_ahead(),
        *_quirks("nordfjell", "Skyresponse_Alarm_Nordfjell"),
        *_quirks("havnes", "Skyresponse_Alarm_Havnes"),
        *_flaws("nordfjell", "Skyresponse_Alarm_Nordfjell"),
        *_flaws("havnes", "Skyresponse_Alarm_Havnes"),
    ]


def _every_kind(municipality: str, alarms: str, homes: str) -> list[Scenario]:
    def sent(  # noqa: PLR0913 - what a scenario is
        name: str, sender: str, information: Information, path: str, file: str, *, again: bool = False
    ) -> Scenario:
        return Scenario(name, municipality, sender, information, path, file, is_again=again)

    return [
        sent("alarm follow-up with note", alarms, Information.VARSEL, "bundle", "alarm-follow-up.json"),
        sent("successful dispense", homes, Information.MEDISINERING, "medicationdispense", "dispensed.json"),
        sent(
            "the same message again",
            homes,
            Information.MEDISINERING,
            "medicationdispense",
            "dispensed.json",
            again=True,
        ),
        sent("dispense failure", homes, Information.MEDISINERING, "bundle", "dispense-failed.json"),
        sent("supervision with note", alarms, Information.TILSYN, "bundle", "supervision.json"),
        sent("measurement with alert", homes, Information.MALEDATA, "bundle", "measurement.json"),
        sent("free note", homes, Information.NOTAT, "composition", "note.json"),
        sent("supervision alone", alarms, Information.TILSYN, "encounter", "encounter-alone.json"),
    ]


def _one_vendor_ahead() -> list[Scenario]:
    """One vendor's medication in a municipality that is otherwise on VKP: the body decides."""
    sender = "Evondos_E300_Nordfjell"
    dispense = Scenario(
        "successful dispense", "nordfjell", sender, Information.MEDISINERING, "medicationdispense", "dispensed.json"
    )
    note = Scenario("free note", "nordfjell", sender, Information.NOTAT, "composition", "note.json")
    return [dispense, note]


def _quirks(municipality: str, sender: str) -> list[Scenario]:
    def sent(name: str, file: str = "alarm-follow-up.json", **wire: str | None) -> Scenario:
        return Scenario(name, municipality, sender, Information.VARSEL, path="bundle", file=file, **wire)  # type: ignore[arg-type] # mypy cannot match ** to single fields

    return [
        sent("quirk: blanks, empty strings, objects for arrays", "quirks.json"),
        sent("quirk: no Content-Type", content_type=None),
        sent("quirk: form Content-Type on JSON", content_type="application/x-www-form-urlencoded"),
        sent("quirk: letter case of the path", prefix="/EPJ/R4"),
        sent("quirk: escaped path", prefix="/%65pj/r4"),
        Scenario("quirk: trailing slash", municipality, sender, Information.VARSEL, "bundle/", "alarm-follow-up.json"),
        Scenario(
            "quirk: subscription key",
            municipality,
            sender,
            Information.VARSEL,
            "bundle?subscription-key=x",
            "alarm-follow-up.json",
        ),
    ]


def _flaws(municipality: str, sender: str) -> list[Scenario]:
    return [
        Scenario(
            "wrong token", municipality, sender, Information.VARSEL, "bundle", "alarm-follow-up.json", flaw=Flaw.TOKEN
        ),
        Scenario(
            "bad patient number",
            municipality,
            sender,
            Information.VARSEL,
            "bundle",
            "bad-patient.json",
            flaw=Flaw.PATIENT,
        ),
    ]

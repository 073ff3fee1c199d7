"""Everything that can go wrong with a message, and what each case is called on every surface."""

from dataclasses import dataclass
from enum import Enum
from typing import assert_never

from translators.contract import Reason


@dataclass(frozen=True, slots=True)
class Wording:
    """How a fault is told to a sender (codes: CodeSystem vkp-operation-outcome-v090; types: FHIR R4 IssueType)."""

    status: int
    """HTTP status."""
    code: str
    issue_type: str
    text: str
    """For a person who uses the sender's system, in Norwegian; `details.text`."""


class Fault(Enum):
    """Why a request was not done; the value is the name in logs and metrics."""

    CLOSED = "closed"
    NOT_SUPPORTED = "not-supported"
    MALFORMED = "malformed"
    PARAMETERS = "parameters"
    ADDRESS = "address"
    PATIENT = "patient"
    UNKNOWN_PATIENT = "unknown-patient"
    LOSS = "loss"
    REFUSED_BY_SERVICE = "refused-by-service"
    SIGNATURE = "signature"
    TOO_LARGE = "too-large"
    TOO_MANY_FOUND = "too-many-found"
    TOKEN = "token"  # noqa: S105 - the name of a fault, no secret
    SCOPE = "scope"
    NO_ACCESS = "no-access"
    NO_NEED = "no-need"
    """The sender says no need, or one that is not its own."""
    NO_SERVICE = "no-service"
    """By what is known here the patient has no service behind the need: VKP, which knows other services, may say otherwise."""
    TOO_MANY = "too-many"
    UNAVAILABLE = "unavailable"
    NO_ANSWER = "no-answer"
    BAD_REQUEST = "bad-request"
    BAD_TARGET = "bad-target"
    UNRECOGNISED = "unrecognised"
    SENDER_LEFT = "sender-left"

    @property
    def is_temporary(self) -> bool:
        """Whether the same request may succeed later."""
        return self in (Fault.TOO_MANY, Fault.UNAVAILABLE, Fault.NO_ANSWER)


CODES = {
    "1": "forbudt",
    "1.1": "ikke aktiv",
    "1.2": "ikke tillatt",
    "1.3": "ikke oppfylt tjenstlig behov",
    "1.4": "ikke tilgang",
    "1.5": "ikke tilgang",
    "2": "ugyldige data",
    "2.1": "ugyldig personidentifikator",
    "2.2": "ugyldig systemidentifikator",
    "2.3": "ugyldig antall parametere",
    "2.4": "ugyldig format",
    "3": "annen feil",
    "3.1": "time out",
}
"""CodeSystem vkp-operation-outcome-v090: every code with its display."""

WORDINGS = {
    Fault.CLOSED: Wording(400, "1.2", "suppressed", "Tjenesten er stengt"),
    Fault.NOT_SUPPORTED: Wording(400, "3", "not-supported", "Meldingen eller søket støttes ikke ennå"),
    Fault.MALFORMED: Wording(400, "2.4", "structure", "Meldingen har ugyldig format"),
    Fault.PARAMETERS: Wording(400, "2.3", "invalid", "Søket har feil parametere"),
    Fault.ADDRESS: Wording(400, "2.2", "value", "Avsender eller mottaker i meldingen stemmer ikke med forespørselen"),
    Fault.PATIENT: Wording(400, "2.1", "value", "Ugyldig eller manglende personidentifikator"),
    Fault.UNKNOWN_PATIENT: Wording(400, "2.1", "value", "Pasienten er ikke kjent ved dette nummeret"),
    Fault.LOSS: Wording(400, "2.4", "structure", "Meldingen har innhold som ikke kan overføres"),
    Fault.REFUSED_BY_SERVICE: Wording(400, "2.4", "invalid", "Meldingen ble avvist av mottakertjenesten"),
    Fault.SIGNATURE: Wording(400, "2.4", "security", "Meldingen er signert, og signaturen kan ikke kontrolleres"),
    Fault.TOO_LARGE: Wording(413, "2.4", "too-long", "Meldingen er for stor"),
    Fault.TOO_MANY_FOUND: Wording(400, "3", "too-costly", "Søket gir for mange treff, avgrens det"),
    Fault.TOKEN: Wording(401, "1.5", "login", "Tilgangstokenet mangler eller er ugyldig"),
    Fault.SCOPE: Wording(403, "1.2", "forbidden", "Tilgangstokenet gir ikke rett til dette endepunktet"),
    Fault.NO_ACCESS: Wording(403, "1.4", "forbidden", "Avsenderen har ikke tilgang til kommunen"),
    Fault.NO_NEED: Wording(400, "1.3", "forbidden", "Tjenstlig behov er ikke oppfylt"),
    Fault.NO_SERVICE: Wording(400, "1.3", "forbidden", "Tjenstlig behov er ikke oppfylt"),
    Fault.TOO_MANY: Wording(429, "3.1", "throttled", "For mange forespørsler, prøv igjen senere"),
    Fault.UNAVAILABLE: Wording(503, "3.1", "transient", "Midlertidig feil, prøv igjen senere"),
    Fault.NO_ANSWER: Wording(504, "3.1", "timeout", "Mottakertjenesten svarte ikke i tide"),
    Fault.BAD_REQUEST: Wording(400, "2.4", "invalid", "Forespørselen er ikke gyldig HTTP"),
    Fault.BAD_TARGET: Wording(400, "2.4", "invalid", "Forespørselen har ugyldig adresse"),
    Fault.UNRECOGNISED: Wording(404, "3", "not-found", "Adressen finnes ikke"),
    Fault.SENDER_LEFT: Wording(408, "3.1", "incomplete", "Forespørselen ble avbrutt"),
}
"""What each fault is called unless `answers` in routes.yaml says otherwise."""


def fault_of(reason: Reason) -> Fault:
    """Return the fault for a translator's refusal."""
    match reason:
        case Reason.FORMAT:
            return Fault.MALFORMED
        case Reason.PATIENT:
            return Fault.PATIENT
        case Reason.UNKNOWN_PATIENT:
            return Fault.UNKNOWN_PATIENT
        case Reason.LOSS:
            return Fault.LOSS
        case Reason.UNSUPPORTED:
            return Fault.NOT_SUPPORTED
        case Reason.SIGNATURE:
            return Fault.SIGNATURE
    assert_never(reason)


class Failure(Exception):  # noqa: N818 - a fault that ends a message's way, raised at the step that meets it
    """A message's way ends here; `diagnostics` is for the sender's developer and holds no personal data."""

    def __init__(
        self,
        fault: Fault,
        diagnostics: str,
        *,
        text: str | None = None,
        retry_after: int | None = None,
        challenges: tuple[str, ...] = (),
    ) -> None:
        super().__init__(f"{fault.value}: {diagnostics}")
        self.fault = fault
        self.diagnostics = diagnostics
        self.text = text
        """What the sender's user is told in place of the fault's own text."""
        self.retry_after = retry_after
        """Seconds, for temporary faults."""
        self.challenges = challenges
        """What WWW-Authenticate says of a token in place of the usual (RFC 9110 section 11.6.1)."""


class StartupError(Exception):
    """A configuration without errors cannot be used here and now; the text says what, why and what to do, and holds no secret."""


class KeyMissing(StartupError):  # noqa: N818 - the condition
    """A key is not where it should be: perhaps only here, where somebody looks at a configuration for another machine."""

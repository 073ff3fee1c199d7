"""Certificates in use: they follow their files as these change."""

import re
import socket
import ssl
import time
from collections.abc import Callable
from pathlib import Path

import structlog

from gateway.config.model import Config
from gateway.errors import StartupError
from gateway.observability.metrics import CERTIFICATES_UNUSABLE
from gateway.proxy.certificate_files import ContextSource, Files, Make, needed

log = structlog.get_logger()


_OF_OUR_CERTIFICATE = re.compile(
    "ALERT_(CERTIFICATE_REQUIRED|BAD_CERTIFICATE|CERTIFICATE_(EXPIRED|REVOKED|UNKNOWN)|UNSUPPORTED_CERTIFICATE|UNKNOWN_CA)"
)
"""Alerts by which a server says that it does not accept a client's certificate (RFC 8446 section 6.2), in OpenSSL's words."""


class ReloadingContext:
    """An `SSLContext` that is made anew when its files have changed; bad files leave it as it was.

    A certificate that has expired, or is not valid yet, is bad as long as the one in use is valid.
    """

    def __init__(self, what: str, files: Files, make: Make, clock: Callable[[], float] = time.time) -> None:
        self.what = what
        self._files = files
        self._make = make
        self._clock = clock
        self._stamp = files.stamp()
        material = files.read()
        self._digest = material.digest
        self._bad: bytes | None = None
        self._is_told = False
        self.context = self._made(material)
        self._source = ContextSource(material.cert, None, None)
        CERTIFICATES_UNUSABLE.labels(what).set(0)

    def why_not(self) -> str | None:
        """Say why the certificate in use is not valid now; None where it is, or where there is none."""
        return self._source.why_not(self._clock())

    @property
    def validity(self) -> tuple[float, float] | None:
        """From when until when the certificate in use is valid, in seconds since the epoch; None where there is none."""
        return self._source.validity

    def is_current(self, files: Files) -> bool:
        """Tell whether the context is what these files would make now."""
        try:
            return files == self._files and files.read().digest == self._digest
        except StartupError:
            return False

    def look(self) -> None:
        """Take the files if they have changed and can be used."""
        stamp = self._files.stamp()
        if stamp == self._stamp and self._bad is None:
            return
        try:
            material = self._files.read()
            digest = material.digest
        except StartupError as error:
            self._refuse(b"unreadable", str(error))
            return
        if digest != self._digest:
            why = material.why_not(self._clock())
            if why is not None and self.why_not() is None:
                self._refuse(digest, f"{self.what}: {why}, and the one in use is valid")
                return
            try:
                self.context = self._made(material)
            except StartupError as error:
                self._refuse(digest, str(error))
                return
            self._digest, self._source = digest, ContextSource(material.cert, None, None)
            log.info("certificates.taken", of=self.what)
        self._stamp, self._bad, self._is_told = stamp, None, False
        CERTIFICATES_UNUSABLE.labels(self.what).set(0)

    def _made(self, material: ContextSource) -> ssl.SSLContext:
        try:
            return self._make(material)
        except StartupError as error:
            raise StartupError(f"{self.what}: its certificates cannot be used: {error}") from None

    def _refuse(self, digest: bytes, reason: str) -> None:
        """Say once that files are bad, at the second look: a certificate and its key are seldom exchanged at one moment."""
        if self._bad == digest and not self._is_told:
            self._is_told = True
            log.error("certificates.refused", of=self.what, reason=reason)
            CERTIFICATES_UNUSABLE.labels(self.what).set(1)
        self._bad = digest


class Certificates:
    """The certificates in use; those whose files are the same in name and content are taken over from `before`."""

    def __init__(self, config: Config, folder: Path, before: "Certificates | None" = None) -> None:
        """Read them all; raises `StartupError`."""
        self._kept = {what: _kept(what, files, make, before) for what, files, make in needed(config, folder)}

    def of(self, what: str) -> ReloadingContext | None:
        """Return how connections to an upstream, or those of the data port, are encrypted; None where they are not."""
        return self._kept.get(what)

    def validities(self) -> dict[str, tuple[float, float]]:
        """Return from when until when each certificate of ours is valid, by what it is for."""
        found = {what: kept.validity for what, kept in self._kept.items()}
        return {what: validity for what, validity in found.items() if validity is not None}

    def look(self) -> None:
        """Take files that have been exchanged."""
        for kept in self._kept.values():
            kept.look()


def _kept(what: str, files: Files, make: Make, before: Certificates | None) -> ReloadingContext:
    known = before._kept.get(what) if before else None  # noqa: SLF001 - its own kind
    if known is not None and known.is_current(files):
        return known
    made = ReloadingContext(what, files, make)
    if (why := made.why_not()) is None:
        return made
    if known is not None and known.why_not() is None:
        raise StartupError(f"{what}: {why}, and the one in use is valid")
    log.error("certificates.not_valid", of=what, reason=why)
    return made


def is_of_our_certificate(error: Exception | None) -> bool:
    """Tell whether a server has said that it does not accept our certificate."""
    return (
        isinstance(error, ssl.SSLError) and _OF_OUR_CERTIFICATE.search(getattr(error, "reason", None) or "") is not None
    )


def failure_told(error: Exception) -> str:
    """Name a failure, and OpenSSL's reason where it is one of TLS; neither holds anything of what was sent."""
    if isinstance(error, socket.gaierror):
        return "its name cannot be resolved"
    reason = getattr(error, "reason", None) if isinstance(error, ssl.SSLError) else None
    # Behind a comma stands the name that a sender has asked for.
    more = (
        getattr(error, "verify_message", "").partition(",")[0]
        if isinstance(error, ssl.SSLCertVerificationError)
        else ""
    )
    return ": ".join(filter(None, (type(error).__name__, (reason or "").lower().replace("_", " "), more)))

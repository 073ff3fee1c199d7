"""Certificates in files: what they are for, where they are, and how connections are encrypted with them."""

import hashlib
import math
import os
import re
import socket
import ssl
from collections.abc import Callable
from contextlib import ExitStack, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509

from gateway.config.model import Config
from gateway.config.upstreams import JftUpstream, Upstream
from gateway.errors import StartupError
from gateway.files import contents
from gateway.times import when

DATA_PORT = "listen.data"
"""What certificates are for that are not an upstream's."""
_FROM_ENVIRONMENT = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_MOST_BYTES = 4 * 1024 * 1024
"""Of a file; the authorities of a whole system are a quarter of it."""


@dataclass(frozen=True, slots=True)
class Files:
    """Where a certificate, its key and the authorities to trust are: paths, or `${NAME}` of the environment."""

    folder: Path
    cert: str | None = None
    key: str | None = None
    authorities: str | None = None

    def read(self) -> "ContextSource":
        """Return what the files hold now; raises `StartupError`."""
        return ContextSource(self._read(self.cert), self._read(self.key), self._read(self.authorities))

    def unreadable(self) -> list[str]:
        """Return those that are not here, or that this user may not read."""
        return [each for each in (self.authorities, self.cert, self.key) if each and not self._is_readable(each)]

    def stamp(self) -> tuple[tuple[int, int, int] | None, ...]:
        """Return what tells cheaply that a file may have changed."""
        return tuple(_stamp(self.folder / each) for each in (self.cert, self.key, self.authorities) if each)

    def _is_readable(self, named: str) -> bool:
        if variable := _FROM_ENVIRONMENT.fullmatch(named):
            return variable[1] in os.environ
        return os.access(self.folder / named, os.R_OK)

    def _read(self, named: str | None) -> bytes | None:
        if named is None:
            return None
        try:
            if variable := _FROM_ENVIRONMENT.fullmatch(named):
                return os.environ[variable[1]].encode()
            data = contents(self.folder / named, _MOST_BYTES)
        except KeyError:
            raise StartupError(f"the environment variable in {named} is not set") from None
        except OSError as error:
            raise StartupError(f"{named}: {error.strerror}") from None
        if len(data) > _MOST_BYTES:
            raise StartupError(f"{named} is too large")
        return data


@dataclass(frozen=True, slots=True, repr=False)
class ContextSource:
    """The bytes of a certificate with its chain, of its key, and of authorities."""

    cert: bytes | None
    key: bytes | None
    authorities: bytes | None

    @property
    def digest(self) -> bytes:
        """What tells two of them apart without keeping a key."""
        parts = (self.cert, self.key, self.authorities)
        return hashlib.sha256(b"".join(hashlib.sha256(part or b"").digest() for part in parts)).digest()

    @property
    def validity(self) -> tuple[float, float] | None:
        """From when until when the certificate is valid, in seconds since the epoch; None where there is none to read."""
        try:
            own = x509.load_pem_x509_certificates(self.cert or b"")[0]
        except (ValueError, IndexError):
            return None
        return own.not_valid_before_utc.timestamp(), own.not_valid_after_utc.timestamp()

    def why_not(self, now: float) -> str | None:
        """Say why the certificate is not valid at a time; None where it is, and where there is none."""
        begins, ends = self.validity or (now, math.inf)
        if begins > now:
            return f"the certificate is not valid before {when(begins)}"
        return f"the certificate has expired at {when(ends)}" if ends <= now else None


Make = Callable[[ContextSource], ssl.SSLContext]
SHAKING_HANDS: ContextVar[socket.socket | None] = ContextVar("shaking-hands", default=None)
"""The connection whose handshake a task does: where it fails its alert is written there."""
_UNEXPECTED = bytes.fromhex("1503030002020a")
"""The alert `unexpected_message`, for what OpenSSL has no alert for: it is no TLS at all."""


class _Handshake(ssl.SSLObject):
    """Tells the other side why a handshake failed: the event loops drop the alert with the connection."""

    alert: ssl.MemoryBIO | None = None
    connection: socket.socket | None = None

    def do_handshake(self) -> None:
        try:
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError:
            if self.alert is not None and self.connection is not None:
                with suppress(OSError):
                    self.connection.send(self.alert.read() or _UNEXPECTED)
            raise


class _SendersContext(ssl.SSLContext):
    sslobject_class = _Handshake

    def wrap_bio(self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, *args: Any, **more: Any) -> ssl.SSLObject:
        made = super().wrap_bio(incoming, outgoing, *args, **more)
        if isinstance(made, _Handshake):
            made.alert, made.connection = outgoing, SHAKING_HANDS.get()
        return made


def for_senders(material: ContextSource) -> ssl.SSLContext:
    """Return how the data port is encrypted; raises `StartupError`."""
    context = _SendersContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # A sender that renegotiates has the gateway do the costly part again and again.
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.set_alpn_protocols(["http/1.1"])
    _load(context, material)
    if material.authorities is not None:
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def for_upstream(material: ContextSource) -> ssl.SSLContext:
    """Return how connections to an upstream are encrypted and checked; raises `StartupError`."""
    context = ssl.create_default_context() if material.authorities is None else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    _load(context, material)
    return context


def needed(config: Config, folder: Path) -> list[tuple[str, Files, Make]]:
    """Return what every certificate is for, where it is, and what is made of it."""
    found: list[tuple[str, Files, Make]] = []
    if (tls := config.tls) is not None:
        found.append((DATA_PORT, Files(folder, tls.cert_file, tls.key_file, tls.client_ca_file), for_senders))
    over_tls = (each for each in config.upstreams.values() if _url(each).startswith("https:"))
    return [*found, *((each.name, files_of(each, folder), for_upstream) for each in over_tls)]


def files_of(upstream: Upstream, folder: Path) -> Files:
    """Return where the certificates for an upstream are."""
    return Files(folder, upstream.tls.cert_file, upstream.tls.key_file, upstream.tls.ca_file)


def _url(upstream: Upstream) -> str:
    return upstream.write_url if isinstance(upstream, JftUpstream) else upstream.url


def _load(context: ssl.SSLContext, material: ContextSource) -> None:
    try:
        if material.authorities is not None:
            context.load_verify_locations(cadata=material.authorities.decode("ascii", "replace"))
        if material.cert is not None and material.key is not None:
            with ExitStack() as stack:
                paths = [_as_path(stack, data) for data in (material.cert, material.key)]
                context.load_cert_chain(paths[0], paths[1], password=_no_password)
    except ssl.SSLError as error:
        raise StartupError(_told(error)) from None
    except (OSError, ValueError) as error:
        raise StartupError(str(error)) from None


def _as_path(stack: ExitStack, data: bytes) -> str:
    """Return a path of what is in memory, where a key stays: OpenSSL reads paths only, and files may change between two reads."""
    if hasattr(os, "memfd_create"):
        file = stack.enter_context(os.fdopen(os.memfd_create("certificate"), "w+b"))
        file.write(data)
        file.seek(0)
        return f"/dev/fd/{file.fileno()}"
    reading, writing = os.pipe()
    stack.callback(os.close, reading)
    try:
        os.set_blocking(writing, False)
        if os.write(writing, data) < len(data):
            raise StartupError("a certificate with its chain, or a key, is larger than a pipe holds")
    finally:
        os.close(writing)
    return f"/dev/fd/{reading}"


def _no_password() -> str:
    raise ValueError("the private key is protected by a password, which nobody could give")


def _told(error: ssl.SSLError) -> str:
    reason = error.reason or ""
    if reason == "KEY_VALUES_MISMATCH":
        return "the private key does not belong to the certificate"
    return reason.lower().replace("_", " ") or "they are not certificates and keys in PEM"


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino

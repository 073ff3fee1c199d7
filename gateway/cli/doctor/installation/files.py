"""Keys and certificates in files: who may read them, whether they can be used, and how long they last."""

import stat
import time
from dataclasses import asdict
from pathlib import Path

from cryptography import x509
from joserfc.jwk import ECKey, RSAKey

from gateway.auth.helseid import client_assertion
from gateway.auth.helseid.client_assertion import algorithm
from gateway.auth.helseid.jws import Key
from gateway.cli.doctor.installation.findings import Finding, fine, warning, wrong
from gateway.config.model import Config
from gateway.counting import counted
from gateway.errors import KeyMissing, StartupError
from gateway.ledger.key_files import check
from gateway.model import GOES_NEW
from gateway.proxy.certificate_files import DATA_PORT, Files, Make, needed

DAY = 86_400
SOON = 30
"""Days that a certificate should still last."""
_LEAST_RSA = 3072
"""Bits; what HelseID makes has 4096."""


def permissions(name: str, file: str, mode: int) -> Finding | None:
    """Judge who may read a secret file; None when only its owner, and perhaps its group, may."""
    if mode & stat.S_IRWXO:
        return wrong(name, f"{file} is open to every user of this machine ({mode & 0o777:o})", f"chmod 600 {file}")
    if mode & stat.S_IWGRP:
        return warning(name, f"{file} can be written by its group ({mode & 0o777:o})", f"chmod 640 {file}, or 600")
    return None


def _permissions(name: str, folder: Path, file: str) -> Finding | None:
    try:
        return permissions(name, file, (folder / file).stat().st_mode)
    except OSError:
        return None  # whoever uses it says so


def signing_key(key: Key) -> Finding:
    """Judge the key of our HelseID client."""
    name = "HelseID client key"
    shown = f"kid {key.kid or '(none)'}, {algorithm(key)}"
    if not key.kid:
        advice = "take the key with its kid from HelseID's self-service: without one HelseID may not find it"
        return warning(name, shown, advice)
    if isinstance(key, RSAKey) and key.raw_value.key_size < _LEAST_RSA:
        return warning(name, f"{shown}, RSA of {key.raw_value.key_size} bits", "make a key of 4096 bits, or an EC key")
    if isinstance(key, ECKey) and key.curve_name not in ("P-256", "P-384", "P-521"):
        return wrong(name, f"{shown}, curve {key.curve_name}", "make a key that HelseID accepts: RSA or a NIST curve")
    return fine(name, shown)


def check_signing_key(config: Config, folder: Path, *, is_needed: bool) -> list[Finding]:
    """Look at the key of our HelseID client, where one is needed."""
    name, file = "HelseID client key", config.helseid.key_file
    if not is_needed:
        return [fine(name, "not needed: no upstream asks for tokens of ours")]
    found = [_permissions(name, folder, file)] if not file.startswith("${") else []
    try:
        found.append(signing_key(client_assertion.load(file, folder)))
    except StartupError as error:
        advice = "put the JWK that HelseID's self-service made there, readable for the gateway alone"
        found.append(wrong(name, str(error), advice))
    return [each for each in found if each is not None]


def check_certificates(config: Config, folder: Path) -> list[Finding]:
    """Look at every certificate that the configuration names."""
    found = [each for what, files, make in needed(config, folder) for each in _certificate(what, files, make)]
    if config.tls is None:
        found.insert(
            0, fine(f"certificate of {DATA_PORT}", "none: the data port speaks plain HTTP behind a terminator")
        )
    return found


def _certificate(what: str, files: Files, make: Make) -> list[Finding]:
    name = f"certificate of {what}"
    if files.cert is None and files.authorities is None:
        return []
    try:
        material = files.read()
        make(material)
    except StartupError as error:
        return [wrong(name, str(error), "put a certificate, its chain and its key there, in PEM")]
    found = []
    if files.key is not None and not files.key.startswith("${"):
        found.append(_permissions(name, files.folder, files.key))
    if material.cert is not None:
        found.append(certificate(name, material.cert, time.time()))
    elif material.authorities is not None:
        found.append(fine(name, "authorities to trust can be read"))
    return [each for each in found if each is not None]


def certificate(name: str, pem: bytes, now: float) -> Finding:
    """Judge a certificate of ours, the first of a chain, by its names and its end."""
    own = x509.load_pem_x509_certificates(pem)[0]
    try:
        named = own.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names = ", ".join(
            map(str, (*named.get_values_for_type(x509.DNSName), *named.get_values_for_type(x509.IPAddress)))
        )
    except x509.ExtensionNotFound:
        names = "no names"
    return lasting(name, names, own.not_valid_before_utc.timestamp(), own.not_valid_after_utc.timestamp(), now)


def lasting(name: str, names: str, begins: float, ends: float, now: float) -> Finding:
    """Judge by when a certificate is valid; times in seconds since the epoch."""
    days = int((ends - now) // DAY)
    if now < begins:
        return wrong(name, f"{names}; not valid yet", "look at the clock, or wait until it is valid")
    if now >= ends:
        return wrong(name, f"{names}; it has expired", "renew it; a running gateway takes the new files by itself")
    shown = f"{names or 'no names'}; {counted(days, 'day')} left"
    if days < SOON:
        return warning(name, shown, "renew it soon; a running gateway takes the new files by itself")
    return fine(name, shown)


_MAKE = "vkp-gateway keys init, as the user of the gateway; with several nodes copy the files of the first"
_RESTORE = "correct it, or put its copy back: a new key neither opens nor finds what is stored"


def check_own_keys(config: Config, folder: Path) -> list[Finding]:
    """Look at every key file; one that is missing is only wrong where something would be stored."""
    is_needed = any(route.mode in GOES_NEW for route in config.routes)
    return [_look(kind, source, folder, is_needed=is_needed) for kind, source in asdict(config.keys).items()]


def _look(kind: str, source: str, folder: Path, *, is_needed: bool) -> Finding:
    name = f"{kind} key"
    try:
        return fine(name, f"{source}, {check(kind, source, folder)}")
    except KeyMissing:
        if is_needed:
            return wrong(name, f"{source}: there is no such file", _MAKE)
        return fine(name, f"{source}: not made, and not needed: no route has mode new or canary")
    except StartupError as error:
        return wrong(name, str(error), _RESTORE)

"""How the gateway says which HelseID client it is: its private key, followed as its file changes, and assertions signed with it."""

import json
import os
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import structlog
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, import_key
from joserfc.jws import JWSRegistry

from gateway.auth.helseid.dpop import signed
from gateway.auth.helseid.jws import ALGORITHMS, Key
from gateway.errors import KeyMissing, StartupError
from gateway.files import contents

log = structlog.get_logger()

_FROM_ENVIRONMENT = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_ALGORITHMS = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}
_LEAST_RSA_BITS = 2048

_Stamp = tuple[int, int, int] | None


class ClientKey:
    """The key of a file, which is looked at from time to time, so that a new one, with its own kid, is used without a restart."""

    def __init__(self, key_file: str, folder: Path) -> None:
        self._key_file = key_file
        self._folder = folder
        self._stamp = self._stamped()
        self._told: _Stamp = None
        self._key = load(key_file, folder)

    def __call__(self) -> Key:
        """Return the key; while a changed file cannot be used, the one before. No file is touched."""
        return self._key

    def look(self) -> None:
        """Take the key of a file that has changed; one that cannot be used is told once. It may take as long as a mount does."""
        stamp = self._stamped()
        if stamp is None or stamp == self._stamp:
            return
        try:
            key = load(self._key_file, self._folder)
        except StartupError as error:
            if stamp != self._told:
                log.error("helseid.client_key.unusable", reason=str(error), keeps=self._key.kid)  # noqa: TRY400 - the reason is all
            self._told = stamp
        else:
            self._key, self._stamp, self._told = key, stamp, None
            log.info("helseid.client_key.changed", kid=key.kid)

    def _stamped(self) -> _Stamp:
        """Return what changes with the file; None for a key of the environment, and for a file that is not there."""
        if _FROM_ENVIRONMENT.fullmatch(self._key_file):
            return None
        try:
            found = (self._folder / self._key_file).stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino


_LARGEST = 64 * 1024
"""Bytes of a key."""


def load(key_file: str, folder: Path) -> Key:
    """Return the key from a JWK file below `folder`, or from the environment variable that `${NAME}` names.

    Raises `StartupError` for every key that HelseID would not take, before anything is signed with it.
    """
    named = _FROM_ENVIRONMENT.fullmatch(key_file)
    try:
        text = os.environ[named.group(1)] if named else contents(folder / key_file, _LARGEST).decode()
        key = import_key(json.loads(text))
    except KeyError:
        raise KeyMissing(f"the environment variable in {key_file} is not set") from None
    except OSError as error:
        raise KeyMissing(f"{key_file}: {error.strerror}") from None
    except (ValueError, JoseError):
        raise StartupError(f"{key_file} is not a JWK") from None
    if not isinstance(key, Key) or not key.is_private:
        raise StartupError(f"{key_file} is not a private RSA or EC key")
    if (fault := _fault(key)) is not None:
        raise StartupError(f"{key_file}: {fault}")
    return key


def age(key_file: str, folder: Path) -> tuple[str, float | None]:
    """Return the id of a key, and when its file was written, in seconds since the epoch; None of the environment.

    Raises `StartupError`.
    """
    kid = str(load(key_file, folder).kid)
    if _FROM_ENVIRONMENT.fullmatch(key_file):
        return kid, None
    try:
        return kid, (folder / key_file).stat().st_mtime
    except OSError as error:
        raise StartupError(f"{key_file}: {error.strerror}") from None


def _fault(key: Key) -> str | None:
    """Say why HelseID would not take a key (security profile, FAPI 2.0 section 5.4); None where it would."""
    if isinstance(key, ECKey):
        if key.curve_name not in _ALGORITHMS:
            return f"its curve is none of {', '.join(_ALGORITHMS)}"
    elif key.raw_value.key_size < _LEAST_RSA_BITS:
        return f"an RSA key needs {_LEAST_RSA_BITS} bits, and it has {key.raw_value.key_size}"
    if (named := algorithm(key)) not in ALGORITHMS:
        return f"its algorithm is none that HelseID takes ({', '.join(ALGORITHMS)})"
    try:
        JWSRegistry.algorithms[named].check_key(key)
    except (JoseError, ValueError, TypeError):
        return f"its algorithm {named} is for another kind of key"
    if not key.kid:
        return "it has no kid, by which HelseID finds the key of an assertion"
    return None


def algorithm(key: Key) -> str:
    """Return the algorithm the key signs with: its own `alg`, or the usual one for its type (HelseID: PS256 for RSA)."""
    named = key.alg
    if named:
        return named
    return _ALGORITHMS[key.curve_name] if isinstance(key, ECKey) else "PS256"


_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_LIFETIME = 30
"""Seconds; HelseID accepts at most 60."""
_NOTHING: Mapping[str, object] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class ClientIdentity:
    """Which HelseID client the gateway is."""

    client_id: str
    key: Callable[[], Key]
    """Returns the key to sign with now: it may be changed without a restart."""
    multi_tenant: bool
    assertion_field: str

    def assertion(self, audience: str, orgnr: str, now: float) -> dict[str, str]:
        """Return the fields of a form that say who asks, and for which municipality."""
        details = {self.assertion_field: _organisation(orgnr)} if self.multi_tenant else _NOTHING
        return client_assertion(self.client_id, self.key(), audience, now, details)


def client_assertion(
    client_id: str, key: Key, audience: str, now: float, details: Mapping[str, object] = _NOTHING
) -> dict[str, str]:
    """Return the fields of a form that say which client asks; the assertion in it is good for one request."""
    begins = int(now)
    claims: dict[str, object] = {
        "iss": client_id,
        "sub": client_id,
        "aud": audience,
        "iat": begins,
        "nbf": begins,
        "exp": begins + _LIFETIME,
        "jti": str(uuid.uuid4()),
        **details,
    }
    header: dict[str, object] = {"typ": "client-authentication+jwt", "alg": algorithm(key), "kid": key.kid}
    return {
        "client_id": client_id,
        "client_assertion_type": _TYPE,
        "client_assertion": signed(header, claims, key),
    }


def _organisation(orgnr: str) -> dict[str, object]:
    """Return the organisation structure for a multi-tenant client (NHN: organisasjonsnumre); no child organisation."""
    identifier = {"system": "urn:oid:1.0.6523", "type": "ENH", "value": f"NO:ORGNR:{orgnr}:"}
    return {"type": "helseid_authorization", "practitioner_role": {"organization": {"identifier": identifier}}}

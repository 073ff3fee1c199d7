"""The private key with which the gateway signs its client assertions."""

import json
import os
import re
from pathlib import Path

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey, import_key

from gateway.helseid.proof import Key

_FROM_ENVIRONMENT = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_ALGORITHMS = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}


class KeyUnusable(Exception):  # noqa: N818 - the condition, told to the operator
    """The key cannot be read, or is not a private RSA or EC key; the text never holds key material."""


def load(key_file: str, folder: Path) -> Key:
    """Return the key from a JWK file below `folder`, or from the environment variable that `${NAME}` names."""
    named = _FROM_ENVIRONMENT.fullmatch(key_file)
    try:
        text = os.environ[named.group(1)] if named else (folder / key_file).read_text(encoding="utf-8")
        key = import_key(json.loads(text))
    except KeyError:
        raise KeyUnusable(f"the environment variable in {key_file} is not set") from None
    except OSError as error:
        raise KeyUnusable(f"{key_file}: {error.strerror}") from None
    except (ValueError, JoseError):
        raise KeyUnusable(f"{key_file} is not a JWK") from None
    if not isinstance(key, ECKey | RSAKey) or not key.is_private:
        raise KeyUnusable(f"{key_file} is not a private RSA or EC key")
    return key


def algorithm(key: Key) -> str:
    """Return the algorithm the key signs with: its own `alg`, or the usual one for its type (HelseID: PS256 for RSA)."""
    named = key.alg
    if named:
        return named
    return _ALGORITHMS[key.curve_name] if isinstance(key, ECKey) else "PS256"

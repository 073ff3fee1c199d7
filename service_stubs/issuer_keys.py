"""The signing keys of a token issuer, found by discovery."""

from typing import Any
from urllib.parse import urlsplit

import aiohttp
from joserfc.errors import JoseError
from joserfc.jwk import Key, KeySet

from service_stubs.tokens import Token

_MAX_VERIFIED = 1_000
_TIMEOUT = aiohttp.ClientTimeout(total=5)


class IssuerUnavailableError(Exception):
    """The issuer's keys cannot be fetched now."""


class IssuerKeys:
    """Caches the issuer's key set and fetches it again when a key id is unknown."""

    def __init__(self, issuer: str) -> None:
        self.issuer = issuer
        self._keys: dict[str, Key] = {}
        self._verified: set[str] = set()

    async def have_signed(self, token: Token) -> bool:
        """Verify a token's signature; once per token as long as the same keys are cached."""
        kid = str(token.header.get("kid"))
        if kid not in self._keys:
            self._keys = await self._fetch()
            self._verified.clear()
        if token.text in self._verified:
            return True
        if kid not in self._keys or not token.is_signed_by(self._keys[kid]):
            return False
        if len(self._verified) >= _MAX_VERIFIED:
            self._verified.clear()
        self._verified.add(token.text)
        return True

    async def _fetch(self) -> dict[str, Key]:
        try:
            async with aiohttp.ClientSession(timeout=_TIMEOUT, raise_for_status=True) as session:
                metadata = await _get(session, f"{self.issuer}/.well-known/openid-configuration")
                key_set = KeySet.import_key_set(await _get(session, self._jwks_uri(metadata)))
        except (aiohttp.ClientError, TimeoutError, ValueError, TypeError, JoseError) as error:
            raise IssuerUnavailableError(f"no keys from {self.issuer}: {error}") from error
        return {key.kid: key for key in key_set.keys if key.kid}

    def _jwks_uri(self, metadata: dict[str, Any]) -> str:
        if metadata.get("issuer") != self.issuer:
            raise ValueError("the discovery document names another issuer")
        uri = str(metadata.get("jwks_uri"))
        if urlsplit(uri)[:2] != urlsplit(self.issuer)[:2]:
            raise ValueError("jwks_uri is not on the issuer's origin")
        return uri


async def _get(session: aiohttp.ClientSession, url: str) -> Any:
    async with session.get(url, allow_redirects=False) as response:
        return await response.json()

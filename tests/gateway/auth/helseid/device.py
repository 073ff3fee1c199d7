"""A sender with a key of its own, which proves that it has it: rightly, or with one thing wrong."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from joserfc.jwk import ECKey, RSAKey
from joserfc.jws import JWSRegistry

from tests.gateway.world import HAVNES, message

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.gateway.wire import Answer
    from tests.gateway.world import World

TARGET = f"/epj/r4/{HAVNES}/bundle"
BODY = message("alarm-follow-up")
ALGORITHMS = 'algs="RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512"'


def far(seconds: float) -> int:
    """Return a time this far from now, further than the leeway."""
    return int(time.time() + seconds)


def refused(world: World, answer: Answer, *challenges: str) -> None:
    """Check that a request was refused for its token, and that nothing reached an upstream."""
    world.assert_refused(answer, 401, "1.5")
    assert answer.values("WWW-Authenticate") == list(challenges)
    assert not world.jft.received
    assert not list(world.vkp.received)


def encoded(data: bytes) -> str:
    """Return base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def compact(header: Any, claims: Any, sign: Callable[[bytes], bytes]) -> str:
    """Write a token; header and claims may be bytes that are written as they are."""
    parts = [part if isinstance(part, bytes) else json.dumps(part).encode() for part in (header, claims)]
    content = ".".join(map(encoded, parts))
    return f"{content}.{encoded(sign(content.encode()))}"


def stated(values: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return the values with changes; a None takes one away."""
    return {name: value for name, value in {**values, **changes}.items() if value is not None}


@dataclass
class Device:
    """A sender of one world that sends one request after the other."""

    world: World
    key: ECKey | RSAKey = field(default_factory=lambda: ECKey.generate_key("P-256"))
    algorithm: str = "ES256"
    url: str = ""
    target: str = TARGET
    clock: Callable[[], float] = time.time
    token: str = ""

    def __post_init__(self) -> None:
        self.url = self.url or f"http://127.0.0.1:{self.world.data_port}"
        self.token = self.token or self.bound()

    def bound(self, **wanted: Any) -> str:
        """Make a token that is bound to the key."""
        return self.world.token(**{"bound_to": self.key.thumbprint(), **wanted})

    def header(self, **changes: Any) -> dict[str, Any]:
        """Return a proof's header."""
        usual = {"typ": "dpop+jwt", "alg": self.algorithm, "jwk": self.key.as_dict(private=False)}
        return stated(usual, changes)

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Return a proof's claims."""
        usual = {
            "jti": str(uuid.uuid4()),
            "htm": "POST",
            "htu": self.url + self.target.partition("?")[0],
            "iat": int(self.clock()),
            "ath": encoded(hashlib.sha256(self.token.encode()).digest()),
        }
        return stated(usual, changes)

    def proof(self, header: Any = None, claims: Any = None, *, key: Any = None) -> str:
        """Make a proof; signed rightly, with another key, or with bytes instead of one."""
        header = self.header() if header is None else header
        claims = self.claims() if claims is None else claims
        if isinstance(key, bytes):
            return compact(header, claims, lambda content: hmac.new(key, content, hashlib.sha256).digest())
        algorithm = JWSRegistry.algorithms[self.algorithm]
        return compact(header, claims, lambda content: algorithm.sign(content, key or self.key))

    async def post(self, proofs: list[str], *, body: bytes, scheme: str = "DPoP", token: str | None = None) -> Answer:
        """Send a journaling with the token and these values of the field DPoP."""
        fields = [("Authorization", f"{scheme} {self.token if token is None else token}")]
        fields += [("DPoP", proof) for proof in proofs]
        return await self.world.post(self.target, body, token="", headers=tuple(fields))

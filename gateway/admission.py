"""Who gets in where VKP does not check: token, scope, sender, municipality and rate, in that order."""

import math
from collections.abc import Callable

from msgspec import Struct

from gateway.config.definitions import Config, Environment, Municipality, Sender
from gateway.faults import Failure, Fault
from gateway.helseid.claims import HER_ID, VKP_ID, Claims, Credentials, scopes, text_claim
from gateway.helseid.issuer import HelseIdUnavailable
from gateway.helseid.verify import TokenRefused, Verifier
from gateway.rates import Rates
from gateway.routing.table import RouteTable
from gateway.surfaces.surface import Operation
from gateway.telemetry import BOUND_AS_BEARER

_RETRY_AFTER = 30
"""Seconds to wait while HelseID is away."""
_EVERYTHING = "nhn:vkp/api/*.*"
"""A scope that VKP has in its test environment only."""


class Admitted(Struct, frozen=True):
    """A sender whose token gives access, until when, and whether the token is bound to a DPoP key."""

    sender: Sender
    until: float
    """Seconds since the epoch."""
    is_bound: bool


class Admission:
    """The access register of one configuration, with the verifier of tokens."""

    def __init__(
        self, config: Config, table: RouteTable, verifier: Verifier, rates: Rates, clock: Callable[[], float]
    ) -> None:
        self._config = config
        self._senders = {VKP_ID: table.sender_by_vkp_id, HER_ID: table.sender_by_her_id}
        self._verifier = verifier
        self._rates = rates
        self._clock = clock

    async def admit(
        self, presented: Credentials | None, operation: Operation, municipality: Municipality | None
    ) -> Sender:
        """Return the sender of a request that may go on; raises `Failure` for every other."""
        claims = await self._verified(_bearer(presented))
        return self._check(claims, operation, municipality)

    def admitted_at_once(
        self, presented: Credentials | None, operation: Operation, municipality: Municipality | None
    ) -> Admitted | None:
        """Return who sends a request, if its token was verified before and gives access; None for every other.

        The sender's rate is not counted: see `has_room`.
        """
        try:
            claims = self._verifier.verified(_bearer(presented))
            if claims is None:
                return None
            sender = self._checked(claims, operation, municipality)
        except Failure:
            return None
        return Admitted(sender, claims["exp"], "cnf" in claims)

    def has_room(self, admitted: Admitted) -> bool:
        """Count a request of a sender that was admitted before; False when its rate is used up."""
        rate = admitted.sender.rate or self._config.limits.rate_per_sender
        if self._rates.wait(admitted.sender.key, rate, self._clock()):
            return False
        if admitted.is_bound:
            BOUND_AS_BEARER.inc()
        return True

    def _check(self, claims: Claims, operation: Operation, municipality: Municipality | None) -> Sender:
        sender = self._checked(claims, operation, municipality)
        self._check_rate(sender)
        if "cnf" in claims:
            BOUND_AS_BEARER.inc()
        return sender

    def _checked(self, claims: Claims, operation: Operation, municipality: Municipality | None) -> Sender:
        self._check_client(claims)
        self._check_scope(claims, operation)
        return self._check_access(claims, operation.sender_claim, municipality)

    async def _verified(self, presented: Credentials) -> Claims:
        try:
            claims = await self._verifier.verify(presented)
        except TokenRefused as refusal:
            raise Failure(Fault.TOKEN, f"The access token is refused: {refusal}") from None
        except HelseIdUnavailable:
            raise Failure(Fault.UNAVAILABLE, "HelseID cannot be reached", retry_after=_RETRY_AFTER) from None
        return claims

    def _check_client(self, claims: Claims) -> None:
        if "cnf" in claims and not self._config.helseid.accept_bearer_with_cnf:
            raise Failure(Fault.TOKEN, "The access token is bound to a DPoP key and was sent as Bearer")
        if claims.get("client_amr") != "private_key_jwt":
            raise Failure(Fault.TOKEN, "The access token was not issued to a client that used private_key_jwt")

    def _check_scope(self, claims: Claims, operation: Operation) -> None:
        granted = scopes(claims)
        if operation.scope in granted or operation.wide_scope in granted:
            return
        if self._config.environment is Environment.TEST and _EVERYTHING in granted:
            return
        raise Failure(Fault.SCOPE, f"The scope {operation.scope} is missing")

    def _check_access(self, claims: Claims, claim: str, municipality: Municipality | None) -> Sender:
        named = text_claim(claims, claim)
        sender = self._senders[claim](named) if named else None
        if sender is None:
            raise Failure(Fault.NO_ACCESS, f"The sender that the claim {claim} names is not registered here")
        if municipality is None:
            raise Failure(Fault.NO_ACCESS, "The municipality is not registered here")
        if sender.municipalities is not None and municipality.key not in sender.municipalities:
            raise Failure(Fault.NO_ACCESS, f"The sender is not registered for {municipality.name}")
        return sender

    def _check_rate(self, sender: Sender) -> None:
        rate = sender.rate or self._config.limits.rate_per_sender
        wait = self._rates.wait(sender.key, rate, self._clock())
        if wait:
            raise Failure(Fault.TOO_MANY, "The sender's rate is used up", retry_after=math.ceil(wait))


def _bearer(presented: Credentials | None) -> Credentials:
    if presented is None:
        raise Failure(Fault.TOKEN, "One Authorization field with a Bearer token from HelseID is needed")
    if presented.scheme != "bearer":
        raise Failure(Fault.TOKEN, "Only Bearer tokens are supported yet")
    return presented

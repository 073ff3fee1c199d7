"""Who gets in where VKP does not check: token, scope, sender, municipality, need and rate."""

import math
from collections.abc import Iterator
from contextlib import contextmanager

from msgspec import Struct

from gateway.auth.helseid.access_tokens import Subject
from gateway.auth.helseid.claims import HER_ID, ORGNR_PARENT, VKP_ID, Claims, Credentials, scopes, text_claim
from gateway.auth.helseid.dpop_verifier import DpopVerifier, ProofRefused, ProvenRequest, TooManyProofs, bound_key
from gateway.auth.helseid.http import HelseIdUnavailable
from gateway.auth.helseid.jws import ALGORITHMS
from gateway.auth.helseid.token_verifier import TokenRefused, TokenVerifier
from gateway.config.directory import Directory
from gateway.config.model import Config, Environment, Municipality, Sender
from gateway.config.upstreams import OrgnrClaims
from gateway.errors import Failure, Fault
from gateway.limits import TokenBuckets
from gateway.model import Group, RequestHead
from gateway.observability.metrics import BOUND_AS_BEARER, OTHER_ORGANISATIONS
from gateway.surfaces.base import Operation
from gateway.times import Clock

_RETRY_AFTER = 30
"""Seconds to wait while HelseID is away."""
_PROOFS_RETRY_AFTER = 5
_EVERYTHING = "nhn:vkp/api/*.*"
"""A scope that VKP has in its test environment only."""
_ALGORITHMS = f'algs="{" ".join(ALGORITHMS)}"'
_ASKS = ("Bearer", f"DPoP {_ALGORITHMS}")
"""What a request without a token is told: either will do."""
_ERRORS = {Fault.TOKEN: "invalid_token", Fault.SCOPE: "insufficient_scope"}


class Authorized(Struct, frozen=True):
    """A sender whose token gives access, and until when."""

    sender: Sender
    until: float
    """Seconds since the epoch."""
    bound_as_bearer: bool
    """Whether the token is bound to a DPoP key and came as plain Bearer."""
    presented: Credentials
    claims: Claims
    other_organisation_for: str | None = None
    """The municipality that is called, where the token is another organisation's."""

    @property
    def subject(self) -> Subject:
        """The sender's token, where it is to be exchanged for one of the gateway's."""
        return Subject(self.presented.token, self.presented.digest, self.until)


class Authorizer:
    """The access register of one configuration, with the verifier of tokens."""

    def __init__(  # noqa: PLR0913, PLR0917 - what each check needs
        self,
        config: Config,
        directory: Directory,
        verifier: TokenVerifier,
        proofs: DpopVerifier,
        rates: TokenBuckets,
        clock: Clock,
    ) -> None:
        self._config = config
        self._senders = {VKP_ID: directory.sender_by_vkp_id, HER_ID: directory.sender_by_her_id}
        self._verifier = verifier
        self._proofs = proofs
        self._rates = rates
        self._clock = clock
        self._public_url = config.public_url or own_url(config)

    async def admit(
        self, head: RequestHead, presented: Credentials | None, operation: Operation, municipality: Municipality | None
    ) -> Authorized:
        """Return the sender of a request that may go on; raises `Failure` for every other."""
        with _told_by_scheme(presented):
            presented, claims = await self._trusted(head, presented)
            admitted = self._checked(presented, claims, operation, municipality)
        self._check_rate(admitted.sender)
        _count(admitted)
        return admitted

    async def admit_unrecognised(self, head: RequestHead, presented: Credentials | None) -> None:
        """Raise `Failure` unless a request that no surface recognises has a token as good as `admit` asks for."""
        with _told_by_scheme(presented):
            presented, claims = await self._trusted(head, presented)
        if _is_bound_as_bearer(presented, claims):
            BOUND_AS_BEARER.inc()

    async def verified(self, presented: Credentials | None) -> Claims:
        """Return the claims of a token that HelseID gave for us, whatever it gives access to; raises `Failure`."""
        return await self._verified(_usable(presented))

    @property
    def can_verify(self) -> bool:
        """Whether anybody's token can be verified: not while HelseID was never reached."""
        return self._verifier.can_verify

    def verified_at_once(self, presented: Credentials | None) -> Claims | None:
        """Return the claims of a token that was verified before."""
        return self._verifier.verified(presented) if presented is not None else None

    def admitted_at_once(
        self, presented: Credentials | None, operation: Operation, municipality: Municipality | None
    ) -> Authorized | None:
        """Return who sends a request, if its token was verified before and gives access; None for every other.

        The sender's rate is not counted: see `has_room`. A request with a DPoP proof is never admitted so: a proof is for
        one request, and whoever has seen another's may not pass on the memory of it.
        """
        if presented is None or presented.scheme != "bearer":
            return None
        claims = self._verifier.verified(presented)
        if claims is None:
            return None
        try:
            self._check_use(presented, claims)
            return self._checked(presented, claims, operation, municipality)
        except Failure:
            return None

    def has_room(self, admitted: Authorized) -> bool:
        """Count a request of a sender that was admitted before; False when its rate is used up."""
        rate = admitted.sender.rate or self._config.limits.rate_per_sender
        if self._rates.wait(admitted.sender.key, rate, self._clock.monotonic()):
            return False
        _count(admitted)
        return True

    async def _trusted(self, head: RequestHead, presented: Credentials | None) -> tuple[Credentials, Claims]:
        """Return a token that HelseID gave for us and whoever sends it may use, whatever it is used for."""
        presented = _usable(presented)
        claims = await self._verified(presented)
        self._check_use(presented, claims)
        if presented.scheme == "dpop":
            self._check_proof(head, presented, claims)
        return presented, claims

    def _checked(
        self, presented: Credentials, claims: Claims, operation: Operation, municipality: Municipality | None
    ) -> Authorized:
        self._check_scope(claims, operation)
        sender, called = self._check_access(claims, operation, municipality)
        other = self._check_organisation(claims, called)
        return Authorized(sender, claims["exp"], _is_bound_as_bearer(presented, claims), presented, claims, other)

    def _check_use(self, presented: Credentials, claims: Claims) -> None:
        if _is_bound_as_bearer(presented, claims) and not self._config.helseid.accept_bearer_with_cnf:
            raise Failure(Fault.TOKEN, "The access token is bound to a DPoP key and was sent as Bearer")
        if claims.get("client_amr") != "private_key_jwt":
            raise Failure(Fault.TOKEN, "The access token was not issued to a client that used private_key_jwt")

    async def _verified(self, presented: Credentials) -> Claims:
        try:
            claims = await self._verifier.verify(presented)
        except TokenRefused as refusal:
            raise Failure(Fault.TOKEN, f"The access token is refused: {refusal}") from None
        except HelseIdUnavailable as error:
            text = f"HelseID cannot be asked about the access token: {error}"
            raise Failure(Fault.UNAVAILABLE, text, retry_after=_RETRY_AFTER) from None
        return claims

    def _check_proof(self, head: RequestHead, presented: Credentials, claims: Claims) -> None:
        if bound_key(claims) is None:
            raise Failure(Fault.TOKEN, "The access token is not bound to a DPoP key and was sent as DPoP")
        path = head.target.partition("?")[0].partition("#")[0]
        call = ProvenRequest(head.method, self._public_url + path, head.values(b"dpop"))
        try:
            self._proofs.check(call, presented, claims)
        except ProofRefused as refusal:
            challenge = (_dpop_challenge("invalid_dpop_proof"),)
            raise Failure(Fault.TOKEN, f"The DPoP proof is refused: {refusal}", challenges=challenge) from None
        except TooManyProofs:
            text = "More DPoP proofs came than can be remembered"
            raise Failure(Fault.UNAVAILABLE, text, retry_after=_PROOFS_RETRY_AFTER) from None

    def _check_scope(self, claims: Claims, operation: Operation) -> None:
        granted = scopes(claims)
        if operation.scope in granted or operation.wide_scope in granted:
            return
        if self._config.environment is Environment.TEST and _EVERYTHING in granted:
            return
        raise Failure(Fault.SCOPE, f"The scope {operation.scope} is missing")

    def _check_organisation(self, claims: Claims, municipality: Municipality) -> str | None:
        """Return the municipality for which a token of another organisation is to be counted; a claim that is absent says nothing."""
        wanted = self._config.helseid.orgnr_claims
        if wanted is OrgnrClaims.OFF or claims.get(ORGNR_PARENT) in (None, municipality.orgnr):
            return None
        if wanted is OrgnrClaims.REFUSE:
            raise Failure(Fault.NO_ACCESS, f"The token is for another organisation than {municipality.name}")
        return municipality.key

    def _check_access(
        self, claims: Claims, operation: Operation, municipality: Municipality | None
    ) -> tuple[Sender, Municipality]:
        claim = operation.sender_claim
        if operation.or_her_id and text_claim(claims, claim) is None:
            claim = HER_ID
        named = text_claim(claims, claim)
        sender = self._senders[claim](named) if named else None
        if sender is None:
            raise Failure(Fault.NO_ACCESS, f"The sender that the claim {claim} names is not registered here")
        if municipality is None:
            raise Failure(Fault.NO_ACCESS, "The municipality is not registered here")
        if sender.municipalities is not None and municipality.key not in sender.municipalities:
            raise Failure(Fault.NO_ACCESS, f"The sender is not registered for {municipality.name}")
        return sender, municipality

    @contextmanager
    def under_way(self, sender: Sender, group: Group) -> Iterator[None]:
        """Count a request while it is under way; raises `Failure` when as many of its sender's in its group are as may be.

        A record system that is slow to answer searches keeps no journaling out.
        """
        with self._rates.under_way(f"{group} {sender.key}", self._config.limits.concurrent_per_sender) as is_within:
            if not is_within:
                raise Failure(Fault.TOO_MANY, "Too many of the sender's requests are under way", retry_after=1)
            yield

    def _check_rate(self, sender: Sender) -> None:
        rate = sender.rate or self._config.limits.rate_per_sender
        wait = self._rates.wait(sender.key, rate, self._clock.monotonic())
        if wait:
            raise Failure(Fault.TOO_MANY, "The sender's rate is used up", retry_after=math.ceil(wait))


def _count(admitted: Authorized) -> None:
    if admitted.bound_as_bearer:
        BOUND_AS_BEARER.inc()
    if admitted.other_organisation_for is not None:
        OTHER_ORGANISATIONS.labels(admitted.other_organisation_for).inc()


def own_url(config: Config) -> str:
    """Return scheme, host and port of the data port where no other name of it is configured."""
    scheme, at = "https" if config.tls else "http", config.listen.data
    return f"{scheme}://[{at.host}]:{at.port}" if ":" in at.host else f"{scheme}://{at}"


def _usable(presented: Credentials | None) -> Credentials:
    if presented is None:
        text = "One Authorization field with a token from HelseID is needed"
        raise Failure(Fault.TOKEN, text, challenges=_ASKS)
    if presented.scheme not in ("bearer", "dpop"):
        raise Failure(Fault.TOKEN, "Only Bearer and DPoP are supported", challenges=_ASKS)
    return presented


def _is_bound_as_bearer(presented: Credentials, claims: Claims) -> bool:
    return "cnf" in claims and presented.scheme == "bearer"


@contextmanager
def _told_by_scheme(presented: Credentials | None) -> Iterator[None]:
    """Let a failure challenge whoever came with DPoP in the same scheme (RFC 9449 section 7.1)."""
    try:
        yield
    except Failure as failure:
        is_dpop = presented is not None and presented.scheme == "dpop"
        if is_dpop and not failure.challenges and failure.fault in _ERRORS:
            failure.challenges = (_dpop_challenge(_ERRORS[failure.fault]),)
        raise


def _dpop_challenge(error: str) -> str:
    return f'DPoP error="{error}", {_ALGORITHMS}'

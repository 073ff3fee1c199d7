"""HelseID as a runnable double: discovery, keys, a strict token endpoint, and logins of test persons."""

import hashlib
import time
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from aiohttp import web

from service_stubs.assertions import TokenRequestError
from service_stubs.behaviour import Script, act, end_connection
from service_stubs.clients import Client, check_client
from service_stubs.forms import form_of, json_answer
from service_stubs.listening import Listener, ScriptedStub, running
from service_stubs.login_server import AUTHORIZATION_CODE, LoginServer
from service_stubs.logins import LoginSetting
from service_stubs.recording import Recorder
from service_stubs.sender_tokens import SenderToken, minted
from service_stubs.signing import SigningKeys, sign
from service_stubs.single_use import NONCE_SECONDS
from service_stubs.token_endpoint import Grant, TokenEndpoint, access_token_claims
from service_stubs.token_exchange import ACCESS_TOKEN, TOKEN_EXCHANGE
from service_stubs.token_log import RECORD_BYTES, TokenRequest, record_of
from service_stubs.tokens import SIGNING_ALGORITHMS

__all__ = ["HelseIdStub", "TokenRequest", "running"]

_MAX_BODY = 100_000
_METADATA_PATH = "/.well-known/openid-configuration"
_LAST_MINUTE = 60.0
"""Seconds before a token's end in which the next one may be fetched."""
_MOST_GIVEN = 10_000


class RotateKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whether the old signing key stays published."""

    keep_old: bool = False


@dataclass
class HelseIdStub(ScriptedStub):
    """A double of `https://helseid-sts.test.nhn.no`; tokens are for `clients` only."""

    clients: Sequence[Client] = ()
    host: str = "127.0.0.1"
    port: int = 0
    issuer_override: str | None = None
    clock: Callable[[], float] = time.time
    token_seconds: int = 600
    nonce_seconds: float = NONCE_SECONDS
    log: Recorder[TokenRequest] = field(default_factory=Recorder, init=False)
    _script: Script = field(default_factory=Script, init=False)
    signing_keys: SigningKeys = field(default_factory=SigningKeys, init=False)

    def __post_init__(self) -> None:
        self._registered: dict[str, Client] = {}
        for client in self.clients:
            self.register(client)
        self._given: dict[Hashable, float] = {}
        self._moves = 0
        self._listener = Listener(self._handle, self.host, self.port, _MAX_BODY)
        self._endpoint: TokenEndpoint
        self._logins: LoginServer

    def register(self, client: Client) -> None:
        """Register a client, also while the stub runs."""
        check_client(client)
        self._registered[client.client_id] = client

    async def start(self) -> None:
        """Listen."""
        await self._listener.start()
        self._endpoint = TokenEndpoint(self.issuer, f"{self.issuer}{self._token_path}", self.nonce_seconds)
        nonces = self._endpoint.nonces
        self._logins = LoginServer(self.issuer, self._registered, self.signing_keys, nonces, self.clock)

    @property
    def issuer(self) -> str:
        """The issuer name in tokens and discovery."""
        return self.issuer_override or self.url

    def ready_lines(self) -> Iterable[str]:
        """Say where the stub listens."""
        return [f"HelseID on {self.url}"]

    def log_in(self, setting: LoginSetting) -> None:
        """Let people log in as `setting` says, as `POST /stub/login` does."""
        self._logins.follow(setting)

    def rotate_key(self, *, keep_old: bool = False) -> None:
        """Sign with a new key from now on."""
        self.signing_keys.rotate(keep_old=keep_old)

    @property
    def needless(self) -> list[TokenRequest]:
        """The tokens that were asked for while the same client had one that was good for more than a minute yet (FK3)."""
        return [one for one in self.log if one.while_valid]

    def move(self) -> None:
        """Publish keys and token endpoint at other addresses from now on, as discovery says; the old ones are gone."""
        self._moves += 1
        self._endpoint.move(f"{self.issuer}{self._token_path}")

    @property
    def _token_path(self) -> str:
        return "/connect/token" + (f"/{self._moves}" if self._moves else "")

    @property
    def _keys_path(self) -> str:
        return f"{_METADATA_PATH}/jwks" + (f"/{self._moves}" if self._moves else "")

    def sender_token(self, wanted: SenderToken) -> str:
        """Make a sender's token for legacy VKP, as `POST /stub/token` does."""
        return minted(wanted, self.signing_keys.current, self.issuer, self.clock())

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        match request.method, request.path:
            case "GET", "/.well-known/openid-configuration":
                return json_answer(200, self._metadata())
            case "GET", path if path == self._keys_path:
                return json_answer(200, self.signing_keys.public_set())
            case "POST", path if path == self._token_path:
                return await self._token(request)
            case "POST", "/connect/par":
                return await self._logins.par(request)
            case "GET", "/connect/authorize":
                return await self._logins.authorize(request)
            case _, path if path.startswith("/stub/"):
                return await self._inspect(request)
            case _:
                return json_answer(404, {"error": "not_found"})

    async def _inspect(self, request: web.Request) -> web.Response:
        try:
            match request.method, request.path:
                case "POST", "/stub/token":
                    wanted = msgspec.json.decode(await request.read(), type=SenderToken)
                    return json_answer(200, {"access_token": self.sender_token(wanted)})
                case "POST", "/stub/rotate-key":
                    options = msgspec.json.decode(await request.read() or b"{}", type=RotateKey)
                    self.rotate_key(keep_old=options.keep_old)
                    return json_answer(200, {"kid": self.signing_keys.current.thumbprint()})
                case "POST", "/stub/move":
                    self.move()
                    return web.Response(status=204)
        except msgspec.DecodeError as error:
            return json_answer(400, {"error": str(error)})
        match request.method, request.path:
            case "GET", "/stub/log":
                return json_answer(200, list(self.log))
            case "DELETE", "/stub/log":
                self.log.clear()
                return web.Response(status=204)
            case "POST", "/stub/behaviour":
                return await self._script.set_from(request)
            case "POST", "/stub/login":
                return await self._logins.set_from(request)
            case _:
                return json_answer(404, {"error": "not_found"})

    async def _token(self, request: web.Request) -> web.Response:
        behaviour = self._script.next()

        async def handle() -> web.Response:
            return await self._answer_token_request(request)

        response = await act(
            behaviour, handle, lambda status: json_answer(status, {"error": "temporarily_unavailable"})
        )
        if behaviour.drops:
            end_connection(request)
        return response

    async def _answer_token_request(self, request: web.Request) -> web.Response:
        now = self.clock()
        proofs = request.headers.getall("DPoP", [])
        form: dict[str, str] = {}
        try:
            form = form_of(request.content_type, await request.read())
            if form.get("grant_type") == AUTHORIZATION_CODE:
                return self._logins.tokens(form, proofs)
            grant = self._endpoint.grant(form, proofs, self._registered, self.signing_keys.published, now)
        except TokenRequestError as error:
            self.log.add(record_of(form, proofs, error), RECORD_BYTES)
            response = json_answer(400, {"error": error.error, "error_description": error.description})
            if error.error == "use_dpop_nonce":
                response.headers["DPoP-Nonce"] = self._endpoint.nonces.issue(now)
            return response
        while_valid = self._has_one(grant, form, now)
        self.log.add(record_of(form, proofs, grant, while_valid=while_valid), RECORD_BYTES)
        return json_answer(200, self._token_response(grant, now))

    def _has_one(self, grant: Grant, form: Mapping[str, str], now: float) -> bool:
        """Tell whether the client had such a token already; each of its processes has a proof key, and so tokens, of its own."""
        subject = hashlib.sha256(form.get("subject_token", "").encode()).digest()
        token = (grant.client.client_id, grant.organisation.parent, *sorted(grant.scopes), grant.thumbprint, subject)
        until = self._given.get(token, 0.0)
        if len(self._given) > _MOST_GIVEN:
            self._given.clear()
        self._given[token] = now + self.token_seconds
        return until - now > min(_LAST_MINUTE, self.token_seconds / 5)

    def _token_response(self, grant: Grant, now: float) -> dict[str, Any]:
        claims = access_token_claims(grant, self.issuer, now, self.token_seconds)
        response = {
            "access_token": sign(self.signing_keys.current, claims, {}),
            "expires_in": self.token_seconds,
            "token_type": "DPoP",
            "scope": " ".join(grant.scopes),
        }
        if grant.subject is not None:
            response["issued_token_type"] = ACCESS_TOKEN
        return {**response, "rejected_scope": " ".join(grant.rejected)} if grant.rejected else response

    def _metadata(self) -> dict[str, Any]:
        """Describe the stub as OpenID Connect Discovery section 3 says, with HelseID's choices."""
        issuer = self.issuer
        return {
            "issuer": issuer,
            "jwks_uri": f"{issuer}{self._keys_path}",
            "token_endpoint": f"{issuer}{self._token_path}",
            "grant_types_supported": ["client_credentials", AUTHORIZATION_CODE, TOKEN_EXCHANGE],
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "token_endpoint_auth_methods_supported": ["private_key_jwt"],
            "token_endpoint_auth_signing_alg_values_supported": list(SIGNING_ALGORITHMS),
            "dpop_signing_alg_values_supported": list(SIGNING_ALGORITHMS),
            **self._logins.metadata(),
        }

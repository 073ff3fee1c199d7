"""The HTTP side of logins at the HelseID stub."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from aiohttp import web

from service_stubs.assertions import TokenRequestError
from service_stubs.authorize import REQUEST_SECONDS, LoginEndpoints
from service_stubs.clients import Client
from service_stubs.forms import form_of, json_answer
from service_stubs.logins import Asked, LoginSetting, id_token_claims
from service_stubs.signing import Signing, SigningKeys, sign
from service_stubs.single_use import Nonces

AUTHORIZATION_CODE = "authorization_code"
_ELSEWHERE = "https://helseid.example"
_SIGNINGS: dict[str, Signing] = {"other-key": "other-key", "unsigned": "none", "hs256": "hs256"}


class LoginServer:
    """Answers browsers and clients, about one test person at a time."""

    def __init__(
        self, issuer: str, clients: Mapping[str, Client], keys: SigningKeys, nonces: Nonces, clock: Callable[[], float]
    ) -> None:
        self._issuer = issuer
        self._clients = clients
        self._keys = keys
        self._nonces = nonces
        self._clock = clock
        self._endpoints = LoginEndpoints(issuer, nonces)

    def follow(self, setting: LoginSetting) -> None:
        """Let logins go as `setting` says from now on."""
        self._endpoints.setting = setting

    def metadata(self) -> dict[str, Any]:
        """Return what discovery says of logins."""
        fault = self._endpoints.setting.fault
        par = _ELSEWHERE if fault == "par-elsewhere" else self._issuer
        authorize = _ELSEWHERE if fault == "authorize-elsewhere" else self._issuer
        return {
            "authorization_endpoint": f"{authorize}/connect/authorize",
            "pushed_authorization_request_endpoint": f"{par}/connect/par",
            "require_pushed_authorization_requests": True,
            "authorization_response_iss_parameter_supported": True,
            "code_challenge_methods_supported": ["S256"],
        }

    async def set_from(self, request: web.Request) -> web.Response:
        """Answer `POST /stub/login`."""
        try:
            self.follow(msgspec.json.decode(await request.read(), type=LoginSetting))
        except msgspec.DecodeError as error:
            return web.Response(status=400, text=str(error))
        return web.Response(status=204)

    async def par(self, request: web.Request) -> web.Response:
        """Answer `POST /connect/par`."""
        fault = self._endpoints.setting.fault
        if fault == "par-redirect":
            return web.Response(status=307, headers={"Location": f"{self._issuer}/stub/log"})
        try:
            form = form_of(request.content_type, await request.read())
            proofs = request.headers.getall("DPoP", [])
            name = self._endpoints.push(form, proofs, self._clients, self._clock())
        except TokenRequestError as error:
            return self._refused(error)
        named = {} if fault == "par-nameless" else {"request_uri": name}
        return json_answer(201, {**named, "expires_in": REQUEST_SECONDS})

    async def authorize(self, request: web.Request) -> web.Response:
        """Answer `GET /connect/authorize`: the test person is let in without being asked."""
        try:
            address = self._endpoints.authorize(dict(request.query), self._clock())
        except TokenRequestError as error:
            # Never a redirect: where to is not known to be right (RFC 6749 section 4.1.2.1).
            return self._refused(error)
        return web.Response(status=302, headers={"Location": address, "Cache-Control": "no-store"})

    def tokens(self, form: Mapping[str, str], proofs: Sequence[str]) -> web.Response:
        """Answer a token request with a code; raises TokenRequestError."""
        now = self._clock()
        asked, thumbprint = self._endpoints.redeem(form, proofs, self._clients, now)
        setting = self._endpoints.setting
        if setting.fault == "redirect":
            return web.Response(status=307, headers={"Location": f"{self._issuer}/stub/log"})
        answer = {
            "access_token": self._access_token(asked, thumbprint, now),
            "expires_in": setting.lifetime,
            "token_type": "Bearer" if setting.fault == "bearer" else "DPoP",
            "scope": " ".join(asked.scopes),
            "id_token": self._id_token(asked, now),
        }
        if setting.fault == "no-id-token":
            del answer["id_token"]
        return json_answer(200, answer)

    def _id_token(self, asked: Asked, now: float) -> str:
        setting = self._endpoints.setting
        claims = id_token_claims(setting, asked, self._issuer, now)
        header = {"typ": "at+jwt" if setting.fault == "access-token" else "JWT"}
        return sign(self._keys.current, claims, header, _SIGNINGS.get(setting.fault, "right"))

    def _access_token(self, asked: Asked, thumbprint: str, now: float) -> str:
        setting = self._endpoints.setting
        claims = {
            "iss": self._issuer,
            "aud": f"{self._issuer}/connect/userinfo",
            "sub": setting.person.sub,
            "client_id": asked.client_id,
            "scope": list(asked.scopes),
            "iat": int(now),
            "exp": int(now) + setting.lifetime,
            "cnf": {"jkt": thumbprint},
        }
        return sign(self._keys.current, claims, {})

    def _refused(self, error: TokenRequestError) -> web.Response:
        response = json_answer(400, {"error": error.error, "error_description": error.description})
        if error.error == "use_dpop_nonce":
            response.headers["DPoP-Nonce"] = self._nonces.issue(self._clock())
        return response

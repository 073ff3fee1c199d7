"""Running doubles of legacy VKP and senders that call them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from legacy_stubs.vkp_r4 import LegacyVkp, running
from service_stubs.helseid import HelseIdStub
from service_stubs.sender_tokens import SenderToken

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

NOW = 1_780_000_000.0


@dataclass
class Answer:
    """What VKP answered."""

    status: int
    body: dict[str, Any]
    headers: Any

    @property
    def code(self) -> str:
        """The vkp-operation-outcome code."""
        return str(self.body["issue"][0]["details"]["coding"][0]["code"])


@dataclass
class Sender:
    """A VFT system, as lenient or careless as the test wants."""

    session: aiohttp.ClientSession
    helseid: HelseIdStub
    vkp: LegacyVkp
    base: str = "/epj/r4/310000001"

    def token(self, **wanted: Any) -> str:
        """Make a token; right unless `wanted` spoils it."""
        return self.helseid.sender_token(SenderToken(**{"vkp_id": "vendor-test", **wanted}))

    async def post(self, path: str, body: Any = b"", *, token: str | None = None, **headers: str) -> Answer:
        """Post to a path below the municipality's base, or to an absolute one."""
        target = path if path.startswith("/") else f"{self.base}/{path}"
        authorization = {"Authorization": f"Bearer {self.token() if token is None else token}"}
        options: dict[str, Any] = {"json": body} if isinstance(body, dict | list) else {"data": body}
        async with self.session.post(
            self.vkp.url + target, headers={**authorization, **headers}, **options
        ) as response:
            return Answer(response.status, await response.json(content_type=None), response.headers)

    async def search(self, resource: str, form: Any = b"", **headers: str) -> Answer:
        """Search with the ServiceCodes of a response centre; a dict is sent as a form."""
        body = aiohttp.FormData(form) if isinstance(form, dict) else form
        return await self.post(f"{resource}/_search", body, **{"ServiceCodes": "rt", **headers})


@pytest.fixture(scope="session")
def helseid() -> HelseIdStub:
    """Make a token issuer that need not run, since the stub under test does not ask it."""
    return HelseIdStub(clock=lambda: NOW, issuer_override="http://issuer.example")


@pytest.fixture
async def vkp() -> AsyncIterator[LegacyVkp]:
    """Run a legacy VKP."""
    async with running(LegacyVkp(clock=lambda: NOW)) as stub:
        yield stub


@pytest.fixture
async def sender(helseid: HelseIdStub, vkp: LegacyVkp) -> AsyncIterator[Sender]:
    """Make a sender."""
    async with aiohttp.ClientSession() as session:
        yield Sender(session, helseid, vkp)

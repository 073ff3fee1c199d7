"""A program with an API token that asks a gateway's admin port over HTTP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp
import msgspec

from gateway.auth.people.api_tokens import ApiToken
from gateway.auth.people.sessions import digest

if TYPE_CHECKING:
    from gateway.config.model import Role
    from tests.gateway.world import World

SECRET = "vkpgw_" + "s" * 43
_PEOPLE = """\
people:
  url: "http://127.0.0.1:{admin}"
  helseid: {{client_id: people, key_file: key.json}}
  persons: {{olga: {{claim: sub, value: olga, roles: [operator, planner, viewer]}}}}
"""


def let_in(
    world: World, roles: tuple[Role, ...], municipalities: frozenset[str] | None = None, *, top: str = ""
) -> None:
    """Write routes.yaml with people, and the token of a program with these roles; before the gateway starts."""
    world.write(top=top + _PEOPLE.format(admin=world.admin_port))
    token = ApiToken("id", "tool", digest(SECRET), roles, municipalities, ("olga",), False, 0, 2**33)
    path = world.folder / "var" / "api-tokens.json"
    path.write_bytes(msgspec.json.encode({"tokens": [token], "version": 1}))
    path.chmod(0o600)


@dataclass(frozen=True, slots=True)
class Answered:
    """A status and a document."""

    status: int
    document: dict[str, Any]


async def ask(world: World, method: str, path: str, body: object = None) -> Answered:
    """Ask the admin port of a world."""
    url, fields = f"http://127.0.0.1:{world.admin_port}{path}", {"Authorization": f"Bearer {SECRET}"}
    async with (
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session,
        session.request(method, url, json=body, headers=fields) as answer,
    ):
        return Answered(answer.status, await answer.json(content_type=None))

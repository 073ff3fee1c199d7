"""A gateway of one or two nodes between doubles, all of them processes."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections import Counter
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp
from joserfc.jwk import ECKey
from sqlalchemy import NullPool, create_engine, text

from tests.chaos.messages import HOLDS, PASSES, REFUSES
from tests.chaos.processes import PATIENCE, Program, run, together
from tests.ports import free_ports

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

SENDERS = 4
_PENDING = ("held", "delivering")
_SCOPE = "nhn:jft/api"
_FILE = """\
version: 1
environment: test
listen: {{data: "127.0.0.1:{data}", admin: "127.0.0.1:{admin}"}}
store: "{store}"
limits: {{request_timeout: 3s, rate_per_sender: 100000/s, parsing_per_sender: 9000MB/s, concurrent_per_sender: 1000, backlog: 100000}}
helseid: {{issuer: "{issuer}", client_id: "{client_id}", key_file: client.json}}
upstreams:
  vkp: {{kind: vkp, url: "{vkp}"}}
  jft:
    {{kind: jft, write_url: "{write}", read_url: "{read}", status: test,
     breaker: {{failures: 5, pause: 200ms, longest: 500ms}}}}
municipalities:
  holds: {{name: Holds, orgnr: "{holds}", epj: {{system: A, generation: legacy, reads: [jft]}}}}
  refuses: {{name: Refuses, orgnr: "{refuses}", epj: {{system: A, generation: legacy, reads: [jft]}}}}
  passes: {{name: Passes, orgnr: "{passes}", epj: {{system: A, generation: legacy}}}}
vendors:
  vendor:
    name: Vendor
    systems: {{system: {{name: System, senders: [{senders}]}}}}
routes:
  - {{mode: legacy}}
  - {{municipality: holds, information: [journaling], mode: new, on_outage: hold}}
  - {{municipality: refuses, information: [journaling], mode: new, on_outage: refuse}}
"""


@dataclass(frozen=True)
class Node:
    """A gateway."""

    program: Program
    data: int
    admin: int


@dataclass(frozen=True)
class Row:
    """What the ledger says of a message."""

    state: str
    reason: str | None
    possible_duplicate: bool


@dataclass(frozen=True)
class Scene:
    """Everything that runs."""

    nodes: list[Node]
    tokens: list[str]
    """Of each sender."""
    store: str
    folder: Path
    jft: str
    vkp: str
    http: aiohttp.ClientSession

    async def behave(self, *mix: dict[str, Any], seed: int = 0) -> None:
        """Let JFT answer as the mix says, from now on; without one it answers as it should."""
        wanted = {"mix": [{"weight": 1, "behaviour": {}}] if not mix else list(mix), "seed": seed, "times": -1}
        async with self.http.post(f"{self.jft}/stub/behaviour", json=wanted) as answer:
            assert answer.status == 204, await answer.text()

    async def events(self) -> list[str]:
        """Return the business id of every event that JFT has accepted."""
        async with self.http.get(f"{self.jft}/stub/events") as answer:
            return [event["business_id"] for event in await answer.json()]

    async def at_vkp(self) -> int:
        """Return how many requests VKP has had."""
        async with self.http.get(f"{self.vkp}/stub/received") as answer:
            return len(await answer.json())

    async def drained(self, patience: float) -> None:
        """Wait until no message waits to be delivered, or is being delivered."""
        pending: list[str] = []
        try:
            async with asyncio.timeout(patience):
                while pending := [row.state for row in self.rows().values() if row.state in _PENDING]:  # noqa: ASYNC110
                    await asyncio.sleep(0.2)
        except TimeoutError:
            raise AssertionError(f"{Counter(pending)} still: {self.nodes[0].program.last_lines()}") from None

    def rows(self) -> dict[str, Row]:
        """Return what the ledger has, by reference."""
        url = self.store if self.store.startswith("postgresql:") else f"sqlite:///{self.folder / 'ledger.db'}"
        engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"), poolclass=NullPool)
        with engine.connect() as connection:
            found = connection.execute(text("SELECT reference, state, reason, possible_duplicate FROM message")).all()
        return {row.reference: Row(row.state, row.reason, bool(row.possible_duplicate)) for row in found}

    def logs(self) -> bytes:
        """Return all that the gateways have logged."""
        return b"".join(bytes(node.program.output) for node in self.nodes)


@asynccontextmanager
async def scene(folder: Path, *, nodes: int = 1, store: str = "sqlite:///ledger.db") -> AsyncIterator[Scene]:
    """Start doubles, make the gateway's keys, and start its nodes."""
    helseid, vkp, write, read, *ports = free_ports(4 + 2 * nodes)
    issuer = f"http://127.0.0.1:{helseid}"
    client_id = _register(folder)
    doubles = [
        ("service_stubs", "helseid", "--port", str(helseid), "--clients", str(folder / "clients.json")),
        ("legacy_stubs", "--port", str(vkp), "--issuer", issuer),
        ("service_stubs", "jft", "--write-port", str(write), "--read-port", str(read), "--issuer", issuer, "--checks", "light"),
    ]  # fmt: skip
    async with AsyncExitStack() as stack:
        await together(stack, [Program(command, b" on http://") for command in doubles])
        made = []
        for number in range(nodes):
            data, admin = ports[2 * number : 2 * number + 2]
            file = folder / f"node-{number}.yaml"
            settings = {"data": data, "admin": admin, "store": store, "issuer": issuer, "client_id": client_id}
            urls = {"vkp": vkp, "write": write, "read": read}
            settings |= {name: f"http://127.0.0.1:{port}" for name, port in urls.items()}
            senders = ", ".join(f"{{vkp_id: Sender_{sender}, municipalities: all}}" for sender in range(SENDERS))
            file.write_text(
                _FILE.format(**settings, senders=senders, holds=HOLDS, refuses=REFUSES, passes=PASSES), encoding="utf-8"
            )
            if number == 0:
                await run("gateway", "keys", "init", "--config", str(file))
            module = "gateway" if nodes == 1 else "tests.chaos.impatient"
            made.append(Node(Program((module, "serve", "--config", str(file)), b"gateway.started"), data, admin))
        await together(stack, [node.program for node in made])
        http = await stack.enter_async_context(aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(PATIENCE)))
        tokens = [await _token(http, issuer, sender) for sender in range(SENDERS)]
        yield Scene(made, tokens, store, folder, f"http://127.0.0.1:{write}", f"http://127.0.0.1:{vkp}", http)


def _register(folder: Path) -> str:
    """Make the gateway's HelseID key, and the file that tells the double of it; returns the client's id."""
    key = ECKey.generate_key("P-256", {"kid": "chaos"})
    client_id = str(uuid.uuid4())
    (folder / "client.json").write_text(json.dumps(key.as_dict(private=True)), encoding="utf-8")
    known = {
        "client_id": client_id,
        "name": "Gateway",
        "scopes": [_SCOPE],
        "jwks": {"keys": [key.as_dict(private=False)]},
    }
    (folder / "clients.json").write_text(json.dumps({"clients": [known]}), encoding="utf-8")
    return client_id


async def _token(http: aiohttp.ClientSession, issuer: str, sender: int) -> str:
    wanted = {"vkp_id": f"Sender_{sender}", "lifetime": 86_400}
    async with http.post(f"{issuer}/stub/token", json=wanted) as answer:
        return str((await answer.json())["access_token"])

"""Everything around what is measured: HelseID's double, servers with fixed answers, and gateways to start."""

import contextlib
import itertools
import json
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from joserfc.jwk import ECKey, RSAKey

from bench import compiled
from bench.copies import copies
from bench.driver import Address, closed_loop, post, run
from bench.message import alarm_follow_up
from bench.peers import NGINX
from bench.peers.configs.nginx import Fixed, fixed
from bench.processes import BenchFailed, Child, Cores, child, free_ports
from bench.settings import Settings
from gateway.config.model import KeyFiles
from gateway.ledger.key_files import make_missing

STREAMED, BUFFERED, TRANSLATED, HELD = "312229544", "313231593", "315058384", "310000001"
"""Four municipalities: routes alike, routes that differ by the body, journaling to JFT, and that with messages held."""
CLIENT_ID = "11111111-2222-4333-8444-555555555555"
SCOPE = "nhn:jft/api"
_HOST = "127.0.0.1"
_SENDER = "Bench_Sender"
_PASSED = '{"resourceType":"OperationOutcome","issue":[{"severity":"information","code":"informational"}]}'
_ROUTES = """\
version: 1
listen: {{data: 127.0.0.1:{data}, admin: 127.0.0.1:{admin}}}
store: sqlite:///var/{name}.db
limits: {{body: 1MB, rate_per_sender: 1000000/s, parsing_per_sender: 9000MB/s, backlog: 999999, backlog_per_sender: 999999, backlog_per_patient: 999999}}
helseid: {{issuer: "{issuer}", client_id: {client_id}, key_file: gateway-key.json}}
admit: {{legacy: verify}}
upstreams:
  vkp: {{kind: vkp, url: "http://127.0.0.1:{vkp}"}}
  jft: {{kind: jft, write_url: "{jft}", read_url: "{jft}", status: test}}
municipalities:
  streamed: {{name: Streamed, orgnr: "{streamed}", epj: {{system: A, generation: legacy, reads: [jft]}}}}
  buffered: {{name: Buffered, orgnr: "{buffered}", epj: {{system: A, generation: legacy, reads: [jft]}}}}
  held: {{name: Held, orgnr: "{held}", epj: {{system: A, generation: legacy, reads: [jft]}}}}
  translated: {{name: Translated, orgnr: "{translated}", epj: {{system: A, generation: legacy, reads: [jft]}}}}
vendors:
  bench:
    name: Bench
    systems:
      sender: {{name: Sender, senders: [{{vkp_id: {sender}, municipalities: all, service_codes: [RT]}}]}}
routes:
  - {{mode: legacy}}
  - {{municipality: buffered, information: [medisinering], mode: new}}
  - {{municipality: held, information: [journaling], mode: new, on_outage: hold}}
  - {{municipality: translated, information: [journaling], mode: new}}
"""


@dataclass(frozen=True, slots=True)
class Server:
    """Something to send to, on the core that is measured unless it is an upstream itself."""

    name: str
    port: int
    process: Child
    admin: int = 0

    @property
    def address(self) -> Address:
        """Where it listens."""
        return (_HOST, self.port)


@dataclass(frozen=True, slots=True)
class Scene:
    """The surroundings of one run."""

    settings: Settings
    cores: Cores
    folder: Path
    issuer: str
    token: str
    """Of a sender that all municipalities know."""
    issuer_key: Path
    """The public key that the token was signed with."""
    body: bytes
    vkp: Server
    jft: Server

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """What a sender's request carries."""
        return (("Authorization", f"Bearer {self.token}"), ("Content-Type", "text/plain; charset=utf-8"))

    def request(self, server: Server, orgnr: str) -> bytes:
        """Return the bytes of a sender's request to a municipality."""
        return post(server.address, target(orgnr), self.body, self.headers)

    def requests(self, server: Server, orgnr: str) -> Iterator[bytes]:
        """Return requests for ever: alike where they pass, and each with a message of its own where it is journaled."""
        if not is_journaled(orgnr):
            return itertools.repeat(self.request(server, orgnr))
        return copies(self.request(server, orgnr))

    def probe(self, server: Server, orgnr: str, status: int = 200, raw: bytes | None = None) -> None:
        """Send one request; raises `BenchFailed` unless it is answered as it must be."""
        raw = next(self.requests(server, orgnr)) if raw is None else raw
        result = run(closed_loop(server.address, itertools.repeat(raw), connections=1, seconds=30.0, count=1))
        if dict(result.statuses) != {status: 1}:
            raise BenchFailed(
                f"{server.name} answered {dict(result.statuses)}, not {status}: {server.process.last_line()}"
            )

    @contextlib.contextmanager
    def gateway(self, name: str = "gateway", jft: Server | None = None, source: Path | None = None) -> Iterator[Server]:
        """Start a gateway on the measured core, with JFT where it is said to be, of the product that stands in `source`."""
        data, admin = free_ports(2)
        text = _ROUTES.format(
            data=data,
            admin=admin,
            issuer=self.issuer,
            client_id=CLIENT_ID,
            vkp=self.vkp.port,
            jft=f"http://127.0.0.1:{(jft or self.jft).port}",
            streamed=STREAMED,
            buffered=BUFFERED,
            translated=TRANSLATED,
            held=HELD,
            name=name,
            sender=_SENDER,
        )
        file = self.folder / f"{name}.yaml"
        file.write_text(text, encoding="utf-8")
        command = (sys.executable, "-m", "gateway", "serve", "--config", file)
        of = {} if source is None else compiled.environment(source)
        with child(name, command, self.folder, data, admin, core=self.cores.lent(), environment=of) as process:
            yield Server(name, data, process, admin)


def is_journaled(orgnr: str) -> bool:
    """Tell whether a municipality's messages go to JFT: there the same one again is answered as the first was."""
    return orgnr in (TRANSLATED, HELD)


def target(orgnr: str) -> str:
    """Return where a municipality's bundles are sent."""
    return f"/epj/r4/{orgnr}/bundle"


@contextlib.contextmanager
def scene(settings: Settings) -> Iterator[Scene]:
    """Set everything up in a folder of its own, and take it down."""
    cores = Cores.available()
    cores.settle()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vkp-gateway-bench-")))
        helseid, vkp, jft = free_ports(3)
        issuer = f"http://{_HOST}:{helseid}"
        clients = _register(folder)
        command = (sys.executable, "-m", "service_stubs", "helseid", "--port", str(helseid), "--clients", clients)
        stack.enter_context(child("helseid", command, folder, helseid))
        process = stack.enter_context(_fixed_answers(folder, vkp, jft))
        upstreams = (Server("VKP, fixed answer", vkp, process), Server("JFT, fixed answer", jft, process))
        yield Scene(
            settings, cores, folder, issuer, _token(issuer), _key(issuer, folder), alarm_follow_up(), *upstreams
        )


@contextlib.contextmanager
def _fixed_answers(folder: Path, vkp: int, jft: int) -> Iterator[Child]:
    answers = (Fixed(vkp, 200, _PASSED), Fixed(jft, 202, "{}", "/v1/Bundle/5f2a2c1d/$status"))
    if NGINX.installed:
        own = folder / "upstream"
        own.mkdir()
        (own / "nginx.conf").write_text(fixed(own, answers), encoding="utf-8")
        command = ("nginx", "-p", own, "-c", own / "nginx.conf", "-e", own / "nginx-error.log")
        with child("upstream", command, own, vkp, jft) as process:
            yield process
        return
    module = (sys.executable, "-m", "bench.upstream")
    first, second = ((*module, str(one.port), str(one.status), one.body, one.location) for one in answers)
    with child("upstream-vkp", first, folder, vkp) as process, child("upstream-jft", second, folder, jft):
        yield process


def _register(folder: Path) -> Path:
    """Make the gateway's key, and the file that tells HelseID's double of it."""
    key = ECKey.generate_key("P-256", {"kid": "bench"})
    (folder / "gateway-key.json").write_text(json.dumps(key.as_dict(private=True)), encoding="utf-8")
    client = {
        "client_id": CLIENT_ID,
        "name": "Gateway",
        "scopes": [SCOPE, "nhn:pit/api.read"],
        "jwks": {"keys": [key.as_dict(private=False)]},
    }
    make_missing(KeyFiles(), folder, int(time.time()))
    clients = folder / "clients.json"
    clients.write_text(json.dumps({"clients": [client]}), encoding="utf-8")
    return clients


def _token(issuer: str) -> str:
    wanted = json.dumps({"vkp_id": _SENDER, "lifetime": 86_400}).encode()
    request = urllib.request.Request(f"{issuer}/stub/token", wanted, {"Content-Type": "application/json"})  # noqa: S310 - loopback
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - loopback
        return str(json.load(answer)["access_token"])


def _key(issuer: str, folder: Path) -> Path:
    """Keep the public key of the double of HelseID for proxies that do not ask for it themselves."""
    with urllib.request.urlopen(f"{issuer}/.well-known/openid-configuration", timeout=30) as answer:  # noqa: S310 - loopback
        address = str(json.load(answer)["jwks_uri"])
    with urllib.request.urlopen(address, timeout=30) as answer:  # noqa: S310 - loopback
        key = RSAKey.import_key(json.load(answer)["keys"][0])
    file = folder / "issuer.pem"
    file.write_bytes(key.as_pem(private=False))
    return file

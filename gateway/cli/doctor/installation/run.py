"""Does every check of the installation, those that wait for others at the same time, each for a bounded time."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import structlog

from gateway.auth.helseid import client_assertion
from gateway.auth.helseid.http import HelseIdHttp
from gateway.cli.doctor.installation import files, helseid, machine, servers, store
from gateway.cli.doctor.installation.findings import Finding, Part, fine, warning, wrong
from gateway.config.load import Loaded, load
from gateway.config.model import Config, Severity
from gateway.config.upstreams import JftUpstream
from gateway.errors import StartupError
from gateway.times import Clock

SECONDS = 30.0
"""For one check."""

Work = Callable[[], Awaitable[list[Finding]]]


def run(path: str) -> list[Part]:
    """Do every check; without a usable configuration only those that need none."""
    loaded = load(path)
    parts = [Part("configuration", tuple(configuration(path, loaded)))]
    local = [machine.check_zones(), machine.check_libraries()]
    if loaded.config is None:
        return [*parts, Part("machine", tuple(local))]
    config, folder = loaded.config, Path(path).parent
    local += [machine.check_descriptors(config), *store.check_store(config.store, folder)]
    local += machine.check_ledger_clock(config.store, folder, Clock()())
    with _without_log():
        return [*parts, *asyncio.run(_waiting(config, folder, local, seconds=SECONDS))]


def configuration(path: str, loaded: Loaded) -> list[Finding]:
    """Judge what loading said."""
    found = []
    for problem in loaded.problems:
        judged = wrong if problem.severity is Severity.ERROR else warning
        found.append(judged("routes.yaml", str(problem), "correct it: vkp-gateway check says everything at once"))
    return found or [fine("routes.yaml", f"{path} has no errors")]


async def _waiting(config: Config, folder: Path, local: list[Finding], *, seconds: float) -> list[Part]:
    service = config.jft
    with closing(HelseIdHttp(config.helseid.issuer)) as http:
        work: list[tuple[str, Work]] = [
            ("ports", lambda: machine.check_ports(config)),
            ("HelseID", lambda: helseid.check_documents(config, http)),
            ("tokens", lambda: _tokens(config, service, folder, http)),
            *(("upstreams", partial(servers.check_upstream, config, each)) for each in config.upstreams.values()),
        ]
        results = await asyncio.gather(*(_bounded(name, each, seconds) for name, each in work))
    ports, documents, tokens, *reached = results
    keys = [
        *files.check_signing_key(config, folder, is_needed=service is not None),
        *files.check_own_keys(config, folder),
    ]
    return [
        Part("machine", (*local, *ports)),
        Part("keys and certificates", (*keys, *files.check_certificates(config, folder))),
        Part("HelseID", (*documents, *tokens)),
        Part("upstreams", tuple(one for each in reached for one in each)),
    ]


async def _tokens(config: Config, service: JftUpstream | None, folder: Path, http: HelseIdHttp) -> list[Finding]:
    if service is None:
        return []
    try:
        key = client_assertion.load(config.helseid.key_file, folder)
    except StartupError:
        return [wrong("tokens", "not tried: the client key cannot be used", "correct helseid.key_file first")]
    return await helseid.check_tokens(config, service, key, http)


async def _bounded(name: str, work: Work, seconds: float) -> list[Finding]:
    """Do one check; one that takes too long, or fails itself, is a finding and keeps no other from being done."""
    try:
        async with asyncio.timeout(seconds):
            return await work()
    except TimeoutError:
        return [wrong(name, f"not done within {seconds:.0f} s", "look at the network, and try again")]
    except Exception as error:  # noqa: BLE001 - the others' results matter more
        return [wrong(name, f"the check itself failed: {type(error).__name__}", "report it")]


@contextmanager
def _without_log() -> Iterator[None]:
    """Keep the log of what is tried out of the table: it says the same in other words."""
    before = structlog.get_config()
    structlog.configure(processors=[_dropped])
    try:
        yield
    finally:
        structlog.configure(**before)


def _dropped(_logger: object, _method: str, _event: object) -> str:
    raise structlog.DropEvent

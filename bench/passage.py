"""What the gateway's own work costs on the pass-through path, beside sending bytes: decision, token check, metrics and log."""

import io
from collections.abc import Callable

from gateway.auth.helseid.claims import credentials, read_unverified
from gateway.auth.helseid.dpop_verifier import DpopVerifier
from gateway.auth.helseid.http import HelseIdHttp
from gateway.auth.helseid.issuer import Issuer
from gateway.auth.helseid.token_verifier import TokenVerifier
from gateway.config.directory import Directory
from gateway.config.load import load_text
from gateway.limits import TokenBuckets
from gateway.model import Handled, RequestHead
from gateway.observability import telemetry
from gateway.pipeline.authorize import Authorizer
from gateway.pipeline.content import ContentReader, Worker
from gateway.pipeline.pipeline import Pipeline
from gateway.pipeline.retrieval import Retrieval, RetrievalClients
from gateway.routing.table import ActiveTable
from gateway.times import Clock

_ROUTES = """
version: 1
limits: {rate_per_sender: 900000000/s}
helseid: {issuer: "http://127.0.0.1:1", client_id: bench, key_file: key.json}
admit: {legacy: verify}
upstreams: {vkp: {kind: vkp, url: "http://127.0.0.1:1"}}
municipalities:
  nordfjell: {name: Nordfjell kommune, orgnr: "312229544", epj: {system: Gerica, generation: legacy}}
vendors:
  bench: {name: Bench, systems: {one: {name: Bench, senders: [{vkp_id: VKP_ID, municipality: nordfjell}]}}}
routes: [{mode: legacy}]
"""


def steps(token: str) -> dict[str, Callable[[], object]]:
    """Return the steps by name, for a token that was verified before."""
    authorization = f"Bearer {token}".encode()
    presented = credentials(authorization)
    claims = read_unverified(presented)
    loaded = load_text(_ROUTES.replace("VKP_ID", claims["nhn:vkp/client/claims/vkp-id"]), "bench.yaml")
    if loaded.config is None or loaded.table is None or presented is None:
        raise ValueError(loaded.problems)
    clock = Clock()
    # Nothing is fetched: the token stands among those that were verified.
    issuer = Issuer(claims["iss"], HelseIdHttp(claims["iss"]), clock)
    verifier = TokenVerifier(issuer, claims["aud"], clock)
    verifier._remember(presented.digest, claims)  # noqa: SLF001 - in place of HelseID
    authorizer = Authorizer(
        loaded.config, Directory(loaded.config), verifier, DpopVerifier(clock), TokenBuckets(), clock
    )
    worker = Worker()
    contents = ContentReader(loaded.config, TokenBuckets(), worker, clock.monotonic)
    retrieval = Retrieval(loaded.config, frozenset(), RetrievalClients(), worker.run)
    pipeline = Pipeline(
        loaded.config, ActiveTable(loaded.table), authorizer, None, clock, contents=contents, retrieval=retrieval
    )
    telemetry.configure(io.StringIO())
    head = RequestHead("POST", "/epj/r4/312229544/bundle", ((b"Host", b"vkp"), (b"Authorization", authorization)))

    def handled() -> Handled:
        found = pipeline.begin(head)
        if not isinstance(found, Handled):
            raise TypeError("the request does not pass at once")
        return found

    account = handled().account
    return {
        "decision and check of a token verified before": handled,
        "metrics and log line": lambda: telemetry.record(account, 200, 0.001),
    }

"""A message that somebody brings, tried: by which route it would go and what would be made of it. Nothing is sent, kept or logged."""

import asyncio
import base64
import binascii
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any, Literal, TypeVar

import msgspec
import structlog
from aiohttp import web  # noqa: TID251 - the admin port is no part of the data plane

from gateway.admin.context import LedgerContext, Reach, reach, short_name
from gateway.admin.endpoints import UNAVAILABLE, Endpoint, Needs, person
from gateway.admin.params import of_body, of_query
from gateway.admin.problems import Code, Problem
from gateway.auth.people.principal import Principal
from gateway.auth.people.rbac import Action
from gateway.config.model import Config, Sender
from gateway.migration.trial.examples import ExampleKind, example_of
from gateway.migration.trial.guess import pasted
from gateway.migration.trial.lines import Column
from gateway.migration.trial.trial import Trial, TrialContext, TrialRequest, tried
from gateway.routing.table import RouteTable

log = structlog.get_logger()
T = TypeVar("T")

LARGEST = 1_000_000
"""Bytes of a message that is tried."""
_ROOT = "/api/v1/try"
_Word = Annotated[str, msgspec.Meta(max_length=300)]
SurfaceName = Literal["vkp-r4", "vkp-stu3", "vkp-soap"]


class TrialBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A message as text, or in base64 where it is no UTF-8; what is left out is guessed from it."""

    text: str | None = None
    base64: str | None = None
    surface: SurfaceName | None = None
    municipality: _Word | None = None
    """Short name or orgnr."""
    sender: _Word | None = None
    """A vkp-id or HER-id."""

    def __repr__(self) -> str:
        return "TrialBody(...)"


class KindQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an example is to show: a row of the report's rehearsals, or of a vendor's findings."""

    information: _Word = ""
    reason: _Word = ""
    rule: _Word = ""
    place: _Word = ""


class Trials:
    """Tries one message at a time; each method raises `Problem`."""

    def __init__(self, context: LedgerContext, patience: float = 10.0) -> None:
        """Give a trial up after `patience` seconds."""
        self.patience = patience
        self._context = context
        self._config: Config | None = None
        self._of_file: RouteTable | None = None
        self._table: Callable[[], RouteTable | None] = lambda: None
        self._is_busy = False

    def use(self, config: Config) -> None:
        """Go on with a configuration."""
        self._config, self._of_file = config, None

    def use_table(self, table: Callable[[], RouteTable | None]) -> None:
        """Take what returns the routes in force."""
        self._table = table

    async def tried(self, who: Principal, asked: TrialRequest) -> Trial:
        """Return what would become of a message, by what is in force now; within the municipalities that someone may view."""
        within = reach(who, Action.VIEW)
        world = TrialContext(self._configured(), self._in_force(), self._canary(), self._now(), within)
        if len(asked.data) > LARGEST:
            raise Problem(Code.BAD_REQUEST, f"larger than {LARGEST} bytes")
        return await self._alone(partial(tried, _known(asked, world.config, within), world))

    async def example(self, wanted: KindQuery) -> dict[str, Any]:
        """Return a synthetic message that shows a kind of fault, repair or loss."""
        kind = ExampleKind(wanted.information, wanted.reason, wanted.rule, wanted.place)
        found = await self._alone(partial(example_of, kind))
        return {"name": found.name, "text": found.text, "is_exact": found.is_exact}

    def choices(self, who: Principal) -> tuple[list[str], list[Sender]]:
        """Return the municipalities and the senders that someone may choose."""
        within, config = reach(who, Action.VIEW), self._configured()
        places = [key for key in config.municipalities if within is None or key in within]
        return places, [one for one in config.senders if one.serves_any(within)]

    async def _alone(self, work: Callable[[], T]) -> T:
        """Do work in a thread, unless another is being done; nothing that it says is logged, since it may quote the message."""
        if self._is_busy:
            raise Problem(Code.TOO_MANY, "another message is being tried")
        self._is_busy = True
        doing = asyncio.get_running_loop().run_in_executor(None, work)
        doing.add_done_callback(self._done)
        try:
            async with asyncio.timeout(self.patience):
                return await asyncio.shield(doing)
        except TimeoutError:
            raise Problem(Code.BAD_REQUEST, f"not done within {self.patience:g} s") from None
        except Exception as error:  # noqa: BLE001 - told by its type alone
            log.error("trial.defect", error=type(error).__name__)  # noqa: TRY400 - a traceback may quote the message
            raise Problem(Code.FAILED) from None

    def _done(self, doing: "asyncio.Future[Any]") -> None:
        self._is_busy = False
        if not doing.cancelled():
            doing.exception()

    def _configured(self) -> Config:
        if self._config is None:
            raise Problem(Code.FAILED)
        return self._config

    def _in_force(self) -> RouteTable:
        if (table := self._table()) is not None:
            return table
        if self._of_file is None:
            self._of_file = RouteTable.compile(self._configured())
        return self._of_file

    def _canary(self) -> bytes | None:
        return self._context.keys.canary if self._context.is_there else None

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._context.now(), UTC)


def _known(asked: TrialRequest, config: Config, within: Reach) -> TrialRequest:
    """Return what is asked with the names of the configuration; raises `Problem` for what someone may not view."""
    municipality, sender = asked.municipality, asked.sender
    if municipality is not None:
        municipality = short_name(config, municipality)
        if municipality not in (config.municipalities if within is None else config.municipalities.keys() & within):
            raise Problem(Code.BAD_REQUEST, "municipality: none that you may view")
    if sender is not None:
        known = [one for one in config.senders if sender in (one.vkp_id, one.her_id) and one.serves_any(within)]
        if not known:
            raise Problem(Code.BAD_REQUEST, "sender: none that you may view")
        sender = known[0].key
    return TrialRequest(asked.data, asked.surface, municipality, sender)


class TrialsApi:
    """Trials, for programs."""

    def __init__(self, trials: Trials) -> None:
        self._trials = trials

    def endpoints(self) -> list[Endpoint]:
        """Return the endpoints for programs."""
        view = Needs.role(Action.VIEW)
        return [
            Endpoint(
                *("POST", _ROOT, self._post, view),
                summary="What would become of a message; nothing is sent and nothing is kept",
                answer="surface municipality sender guessed information verdict decision refusal calls",
                body=TrialBody,
                also=(429, UNAVAILABLE),
                # Base64 is longer by a third, and JSON writes what it escapes in six letters.
                largest=2 * LARGEST,
            ),
            Endpoint(
                *("GET", f"{_ROOT}/example", self._example, view),
                summary="A synthetic message that shows a kind of fault, repair or loss",
                answer="name text is_exact",
                query=KindQuery,
                also=(429, UNAVAILABLE),
            ),
        ]

    async def _post(self, request: web.Request) -> web.Response:
        body = await of_body(request, TrialBody, of_lines=("text",))
        asked = TrialRequest(_data(body), body.surface, body.municipality, body.sender)
        return web.json_response(trial_document(await self._trials.tried(person(request), asked)))

    async def _example(self, request: web.Request) -> web.Response:
        return web.json_response(await self._trials.example(of_query(request, KindQuery)))


def _data(body: TrialBody) -> bytes:
    if (body.text is None) == (body.base64 is None):
        raise Problem(Code.BAD_REQUEST, "one of text and base64")
    try:
        return pasted(body.text) if body.text is not None else base64.b64decode(body.base64 or "", validate=True)
    except (binascii.Error, ValueError):
        raise Problem(Code.BAD_REQUEST, "base64: not as expected") from None


def trial_document(trial: Trial) -> dict[str, Any]:
    """Return what became of a message, as JSON has it."""
    translation, decision = trial.translation, trial.decision
    coverage = msgspec.to_builtins(translation.coverage)
    return {
        **{name: getattr(trial, name) for name in ("surface", "municipality", "sender", "information", "reason")},
        "guessed": sorted(trial.guessed),
        "is_synthetic": trial.is_synthetic,
        "verdict": trial.verdict.value,
        "refusal": msgspec.to_builtins(trial.refusal),
        "decision": None
        if decision is None
        else {
            "mode": decision.mode,
            "canary": trial.is_canary,
            "layer": decision.layer.value if decision.route else None,
            "rule": decision.rule,
            "upstream": decision.upstream,
            "route": str(decision.route.place) if decision.route else None,
            "considered": [
                {"route": str(one.route.place), "chosen": one.chosen, "reason": one.reason} for one in trial.considered
            ],
        },
        "undelivered": translation.undelivered,
        "calls": [
            {
                **{name: getattr(call, name) for name in ("service", "method", "path")},
                "headers": [list(each) for each in call.headers],
                "body": call.body.decode("utf-8", "replace"),
            }
            for call in translation.calls
        ],
        "repairs": [{"path": one.path, "rule": one.rule} for one in translation.repairs],
        "losses": [{"path": one.path, "element": one.element, "reason": one.reason} for one in translation.losses],
        "derived": [{"path": one.path, "rule": one.rule} for one in translation.derived],
        "used": list(translation.addressing),
        "coverage": coverage,
        "message": _column(trial.message),
        "result": _column(trial.result),
    }


def _column(column: Column) -> dict[str, Any]:
    marked = [one for one in column.lines if one.mark is not None]
    return {
        "places": [{"path": one.path, "mark": one.mark, "told": one.told or None} for one in marked],
        "more": column.more,
    }

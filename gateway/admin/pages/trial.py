"""The page *Prøv en melding*: somebody brings a message and sees what would become of it; it is nowhere but in the answer."""

from collections.abc import Mapping
from typing import Any

import msgspec
from aiohttp import web  # noqa: TID251 - the admin port is no part of the data plane

from gateway.admin.endpoints import Endpoint, Needs, person
from gateway.admin.pages.render import page, words
from gateway.admin.pages.words import Words
from gateway.admin.problems import Code, Problem
from gateway.admin.trial import LARGEST, KindQuery, Trials
from gateway.admin.uploads import MULTIPART, parts_of
from gateway.auth.people.rbac import Action
from gateway.config.model import Sender
from gateway.migration.override_rules import shown
from gateway.migration.standing import alphabetical
from gateway.migration.trial.guess import pasted
from gateway.migration.trial.lines import Column
from gateway.migration.trial.trial import Trial, TrialRequest
from gateway.routing.explain import Considered
from gateway.surfaces.registry import SURFACES

_SIGNS = {"carried": " ", "repaired": "~", "derived": "+", "lost": "−", "used": "·"}
"""Before a line: colour alone says nothing to everybody."""
_REASONS = (
    ("chosen", "try_chosen"),
    ("names another municipality", "try_other_municipality"),
    ("names another", "try_other_sender"),
    ("names a ", "try_unknown_sender"),
    ("names information", "try_unknown_type"),
    ("names other information", "try_other_type"),
    ("has ended", "try_ended"),
    ("below", "try_below"),
    ("less specific", "try_less_specific"),
    ("not considered", "try_not_considered"),
)
"""What the reasons of an explanation begin with, and their texts."""
_UNDELIVERED = {"test": "try_test", "not-to-be-journaled": "try_not_to_be_journaled"}
_SAID = ("surface", "municipality", "sender")


class TrialPages:
    """The form, and what became of what was brought."""

    def __init__(self, trials: Trials) -> None:
        self._trials = trials

    def endpoints(self) -> list[Endpoint]:
        """Return the endpoints for people."""
        view = Needs.role(Action.VIEW, person=True)
        return [
            Endpoint("GET", "/try", self._form, view),
            Endpoint("POST", "/try", self._post, view, largest=2 * LARGEST),
        ]

    async def _form(self, request: web.Request) -> web.Response:
        try:
            wanted = msgspec.convert({k: v for k, v in request.query.items() if k != "lang"}, KindQuery)
        except msgspec.ValidationError:
            raise Problem(Code.BAD_REQUEST) from None
        is_wanted = wanted != KindQuery()
        example = await self._trials.example(wanted) if is_wanted else None
        written = {"text": example["text"]} if example else {}
        return self._page(request, written, example=example, wanted=wanted if is_wanted else None)

    async def _post(self, request: web.Request) -> web.Response:
        if request.content_type != MULTIPART:
            raise Problem(Code.BAD_REQUEST, f"Content-Type must be {MULTIPART}")
        parts, w = await parts_of(request), words(request)
        said = {name: parts.get(name, b"").decode("utf-8", "replace").strip() or None for name in _SAID}
        try:
            text = parts.get("text", b"").decode()
        except UnicodeDecodeError:
            raise Problem(Code.BAD_REQUEST, "the form cannot be read") from None
        file = parts.get("file", b"")
        data = file or (pasted(text) if text.strip() else b"")
        written = {**{name: value or "" for name, value in said.items()}, "text": _text_of(file) or text}
        if not data:
            return self._page(request, written, errors={"text": w.text("try_nothing")})
        try:
            trial = await self._trials.tried(person(request), TrialRequest(data, **said))
        except Problem as problem:
            if len(data) > LARGEST:
                told = w.text("try_too_large").format(number=LARGEST // 1_000_000)
                return self._page(request, written, errors={"text": told})
            name = problem.detail.partition(":")[0]
            if name not in _SAID:
                raise
            return self._page(request, written, errors={name: w.text("try_not_yours")})
        return self._page(request, written, trial=_shown(trial, w))

    def _page(
        self,
        request: web.Request,
        written: Mapping[str, str],
        *,
        errors: Mapping[str, str] | None = None,
        **values: Any,
    ) -> web.Response:
        w = words(request)
        places, senders = self._trials.choices(person(request))
        empty: dict[str, Any] = {"trial": None, "example": None, "wanted": None}
        return page(
            request,
            "try.html",
            **{**empty, **values},
            status=400 if errors else 200,
            written={**dict.fromkeys((*_SAID, "text"), ""), **written},
            errors=errors or {},
            places=sorted(((key, w.municipality(key)) for key in places), key=lambda item: alphabetical(item[1])),
            senders=sorted((one.key, _sender_name(one, w)) for one in senders),
            surfaces=[(one.NAME, w.word("surface", one.NAME)) for one in SURFACES],
            largest=LARGEST // 1_000_000,
        )


def _text_of(file: bytes) -> str:
    """Return a file's text for the form; nothing where it is none."""
    try:
        return file.decode()
    except UnicodeDecodeError:
        return ""


def _sender_name(sender: Sender, w: Words) -> str:
    return f"{w.system(sender.vendor, sender.system)}, {w.vendor(sender.vendor)}"


def _shown(trial: Trial, w: Words) -> dict[str, Any]:
    """Return what became of a message with its code words as words."""
    translation, decision = trial.translation, trial.decision
    return {
        "surface": w.word("surface", trial.surface),
        "municipality": w.municipality(trial.municipality) if trial.municipality else "",
        "sender": trial.sender or "",
        "guessed": trial.guessed,
        "information": w.type(trial.information) if trial.information else "",
        "verdict": w.word("verdict", trial.verdict),
        "is_good": trial.verdict in ("clean", "repaired"),
        "refusal": trial.refusal,
        "fault": w.word("fault", trial.refusal.fault) if trial.refusal else "",
        "is_synthetic": trial.is_synthetic,
        "is_canary": trial.is_canary,
        "undelivered": w.text(_UNDELIVERED[translation.undelivered]) if translation.undelivered else "",
        "mode": decision.mode.value if decision is not None and decision.mode is not None else "",
        "layer": w.word("layer", decision.layer) if decision is not None and decision.route is not None else "",
        "rule": decision.rule or "" if decision is not None else "",
        "upstream": decision.upstream or "" if decision is not None else "",
        "considered": [_considered(one, w) for one in trial.considered],
        "calls": [
            {
                "method": call.method,
                "path": call.path,
                "service": call.service,
                "headers": call.headers,
                "size": len(call.body),
                "body": call.body.decode("utf-8", "replace"),
            }
            for call in translation.calls
        ],
        "coverage": translation.coverage,
        "repairs": _rules([(one.rule, one.path) for one in translation.repairs], w),
        "derived": _rules([(one.rule, one.path) for one in translation.derived], w),
        "losses": [{"path": one.path, "why": one.reason} for one in translation.losses],
        "message": _lines(trial.message, w),
        "result": _lines(trial.result, w),
    }


def _considered(one: Considered, w: Words) -> dict[str, Any]:
    route = shown(one.route)
    key = next((key for begins, key in _REASONS if one.reason.startswith(begins)), "try_not_considered")
    return {
        "place": str(one.route.place),
        "chosen": one.chosen,
        "why": w.text(key),
        "mode": one.route.mode.value,
        "municipality": w.municipality(one.route.municipality),
        "vendor": w.vendor(one.route.vendor),
        "types": w.types(route["information"]),
    }


def _rules(found: list[tuple[str, str]], w: Words) -> list[dict[str, Any]]:
    """Return the places of each rule, with what it does where that has a text."""
    places: dict[str, list[str]] = {}
    for rule, path in found:
        places.setdefault(rule, []).append(path)
    helped = {rule: w.word("rule-help", rule) for rule in places}
    return [
        {"rule": w.word("rule", rule), "help": "" if helped[rule] == rule else helped[rule], "paths": paths}
        for rule, paths in places.items()
    ]


def _lines(column: Column, w: Words) -> dict[str, Any]:
    """Return a column as lines with a sign, and what was done in words."""
    lines = []
    for one in column.lines:
        mark = one.mark.value if one.mark is not None else ""
        told = (
            w.word("rule", one.told) if mark in ("repaired", "derived") else w.told(one.told) if mark == "lost" else ""
        )
        text = "  " * one.depth + one.text
        lines.append({"mark": mark, "sign": _SIGNS.get(mark, " "), "text": text, "told": told, "path": one.path})
    return {"lines": lines, "more": column.more}

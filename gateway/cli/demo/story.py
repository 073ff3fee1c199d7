"""What goes on while the demo stays up: people plan, approve and override, and messages keep coming, some of which fail."""

import asyncio
import contextlib
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import aiohttp

from gateway.auth.people.authenticator import dev_login_problem
from gateway.cli.demo.scenarios import Scenario
from gateway.cli.demo.stage import Stage, StageFailed
from gateway.cli.demo.story_history import FAULTY_VENDOR
from gateway.cli.demo.traffic import with_own_ids
from gateway.config.model import Config
from gateway.model import Information

CAST = ("furudal", "granli", "bjorkeheim", "eidsvik", "lundeby", "myrvik", "solheim", "tangen", "ostvik")
"""Municipalities that the story needs; a configuration without them has none."""
DUE = 180.0
"""Seconds until the planned cutover of Bjørkeheim."""
_PAUSE = 0.7
"""Seconds between two messages."""
_TOKEN_LASTS = 240.0
_AS_WRITTEN, _WITH_FAULT = b'"status": "completed",', b'"status": "completed", "batteryLevel": 87,'
_KINDS = {
    "dignio": (
        (Information.MEDISINERING, "medicationdispense", "dispensed.json"),
        (Information.MALEDATA, "bundle", "measurement.json"),
        (Information.NOTAT, "composition", "note.json"),
    ),
    "skyresponse": (
        (Information.VARSEL, "bundle", "alarm-follow-up.json"),
        (Information.TILSYN, "bundle", "supervision.json"),
    ),
    FAULTY_VENDOR: (
        (Information.MEDISINERING, "medicationdispense", "dispensed.json"),
        (Information.VARSEL, "bundle", "alarm-follow-up.json"),
    ),
}
_OFTEN = {"eidsvik": 5, "bjorkeheim": 4, "furudal": 3, "solheim": 2, "myrvik": 2, "lundeby": 2}
"""How much more often than others something comes from where something happens."""
_GATE = {"rehearsed_at_least": 200, "clean_at_least": 0.99, "within": 604_800}
_WATCH = {"failed_at_least": 0.05, "of_at_least": 20, "within": 600}


def is_told(stage: Stage) -> bool:
    """Tell whether the configuration has what the story is about, and lets its people log in."""
    return set(CAST) <= stage.config.municipalities.keys() and dev_login_problem(stage.config) is None


async def begin(stage: Stage) -> list[str]:
    """Let people plan, approve and override; return what they did, for whoever watches. Raises `StageFailed`."""
    now = time.time()
    stamp = datetime.fromtimestamp(now, UTC).strftime("%m%d-%H%M")
    kari, arne, ola = (
        _Person(stage, "kari-planlegger", "planner"),
        _Person(stage, "arne-godkjenner", "approver"),
        _Person(stage, "ola-drift", "operator"),
    )
    try:
        for person in (kari, arne, ola):
            await person.log_in()
        # Without a gate: what its rehearsals say is not looked at, and its vendor's fault comes to light.
        failing = await kari.submit(f"eidsvik-{stamp}", "eidsvik", now + 3600)
        await arne.approve(failing)
        await kari.start(failing)
        due = await kari.submit(f"bjorkeheim-{stamp}", "bjorkeheim", now + DUE, gate=_GATE)
        await arne.approve(due)
        await kari.submit(f"granli-{stamp}", "granli", _tomorrow_at_six(now), gate=_GATE)
        await ola.override("solheim", FAULTY_VENDOR, now + 4 * 3600)
    except aiohttp.ClientError as error:
        raise StageFailed(f"the story's people cannot reach the pages: {type(error).__name__}") from None
    finally:
        for person in (kari, arne, ola):
            await person.leave()
    return [
        f"Bjørkeheim's cutover switches in {DUE / 60:.0f} minutes, and is watched then.",
        "Eidsvik's has switched just now; a third of its vendor's dispenses fail, so it will roll itself back.",
        "Granli's waits for an approval: log in as an approver.",
        "Tryggnett sends an element that FHIR does not have: its page says what to mend.",
    ]


async def go_on(stage: Stage) -> None:
    """Send messages until cancelled; what becomes of them is to be seen on the pages."""
    draw = random.Random()  # noqa: S311 - traffic, not secrets
    messages = scenarios(stage.config)
    weights = [_OFTEN.get(one.municipality, 1) for one in messages]
    senders = _Senders(stage)
    timeout = aiohttp.ClientTimeout(total=30)
    async with aiohttp.ClientSession(timeout=timeout, skip_auto_headers=("Content-Type", "User-Agent")) as session:
        while True:
            (scenario,) = draw.choices(messages, weights)
            # A double that restarts, or a gateway that is being reloaded, is no end of the story.
            with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                await senders.send(session, scenario)
            await asyncio.sleep(_PAUSE * draw.uniform(0.5, 1.5))


def scenarios(config: Config) -> list[Scenario]:
    """Return one message of each kind of each of the story's senders; of the faulty ones also as they are written wrong."""
    found = []
    for sender in config.senders:
        if sender.vkp_id is None or sender.municipalities is None or len(sender.municipalities) != 1:
            continue
        (municipality,) = sender.municipalities
        for information, path, file in _KINDS.get(sender.vendor, ()) if municipality in CAST else ():
            usual = Scenario(f"{file}", municipality, sender.vkp_id, information, path, file)
            found.append(usual)
            if sender.vendor == FAULTY_VENDOR and information is Information.MEDISINERING:
                instead = ((_AS_WRITTEN, _WITH_FAULT),)
                found.append(Scenario(file, municipality, sender.vkp_id, information, path, file, instead=instead))
    return found


class _Senders:
    """Sends as legacy senders do, with a token for each that is asked for now and then."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._tokens: dict[str, tuple[float, str]] = {}

    async def send(self, session: aiohttp.ClientSession, scenario: Scenario) -> None:
        """Send one message, and forget its answer."""
        orgnr = self._stage.config.municipalities[scenario.municipality].orgnr
        url = self._stage.gateway_url + scenario.target(orgnr)
        headers = {
            "Authorization": f"Bearer {await self._token(session, scenario.sender)}",
            "Content-Type": scenario.content_type or "application/json",
        }
        async with session.post(url, data=with_own_ids(scenario.body), headers=headers) as answer:
            await answer.read()

    async def _token(self, session: aiohttp.ClientSession, sender: str) -> str:
        until, token = self._tokens.get(sender, (0.0, ""))
        if until < time.monotonic():
            async with session.post(f"{self._stage.helseid_url}/stub/token", json={"vkp_id": sender}) as answer:
                token = str((await answer.json())["access_token"])
            self._tokens[sender] = (time.monotonic() + _TOKEN_LASTS, token)
        return token


@dataclass
class _Person:
    """Somebody with a role, by the development login."""

    stage: Stage
    name: str
    role: str

    def __post_init__(self) -> None:
        self._root = f"http://{self.stage.config.listen.admin}"
        self._session = aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True))
        self._csrf = ""

    async def log_in(self) -> None:
        """Begin a session."""
        form = {"roles": self.role, "played": self.name}
        headers = {"Origin": self._root, "Sec-Fetch-Site": "same-origin"}
        async with self._session.post(f"{self._root}/dev-login", data=form, headers=headers) as answer:
            await answer.read()
        async with self._session.get(f"{self._root}/api/me") as answer:
            self._csrf = (await answer.json())["csrf"]

    async def submit(self, name: str, municipality: str, at: float, **more: Any) -> Mapping[str, Any]:
        """Submit a plan that brings a municipality's journaling to the new service."""
        plan = {
            "name": name,
            "at": datetime.fromtimestamp(at, UTC).isoformat(),
            "set": [{"municipality": municipality, "information": ["journaling"], "mode": "new"}],
            "roll_back_when": _WATCH,
            **more,
        }
        return await self._do("/cutovers", plan)

    async def approve(self, cutover: Mapping[str, Any]) -> None:
        """Approve what the plan says now."""
        await self._do(f"/cutovers/{cutover['name']}/approve", {"hash": cutover["hash"]})

    async def start(self, cutover: Mapping[str, Any]) -> None:
        """Start an approved plan at once."""
        await self._do(f"/cutovers/{cutover['name']}/start", {"reason": "Avtalt med Eidsvik kommune på telefon"})

    async def override(self, municipality: str, vendor: str, until: float) -> None:
        """Keep a vendor at VKP for a while; an override of an earlier demo that still does is left."""
        wanted = {
            "municipality": municipality,
            "vendor": vendor,
            "information": ["varsel"],
            "mode": "legacy",
            "reason": "Varslene prøves ikke mens Tryggnett retter feilen",
            "ticket": "SAK-1042",
            "until": datetime.fromtimestamp(until, UTC).isoformat(),
        }
        await self._do("/overrides", wanted, may_be_there=True)

    async def leave(self) -> None:
        """Forget the session."""
        await self._session.close()

    async def _do(self, path: str, body: Mapping[str, Any], *, may_be_there: bool = False) -> Mapping[str, Any]:
        headers = {"Origin": self._root, "Sec-Fetch-Site": "same-origin", "X-CSRF-Token": self._csrf}
        async with self._session.post(f"{self._root}/api/v1{path}", json=body, headers=headers) as answer:
            told: Mapping[str, Any] = await answer.json(content_type=None)
            if answer.status >= 400 and not (may_be_there and answer.status == 409):
                raise StageFailed(f"the story cannot go on: {path}: {answer.status} {told.get('detail')}")
            return told


def _tomorrow_at_six(now: float) -> float:
    day = 86_400.0
    return now - now % day + day + 5 * 3600

"""The gateway's own keys: there, for its user alone, and usable."""

from dataclasses import asdict
from pathlib import Path

from gateway.config.model import Config
from gateway.doctor.installation.finding import Finding, fine, wrong
from gateway.ledger.key_files import KeyMissing, KeysUnusable, check
from gateway.model import Mode

_MAKE = "vkp-gateway keys init, as the user of the gateway; with several nodes copy the files of the first"
_RESTORE = "correct it, or put its copy back: a new key neither opens nor finds what is stored"


def check_own_keys(config: Config, folder: Path) -> list[Finding]:
    """Look at every key file; one that is missing is only wrong where something would be stored."""
    is_needed = any(route.mode is Mode.NEW for route in config.routes)
    return [_look(kind, source, folder, is_needed=is_needed) for kind, source in asdict(config.keys).items()]


def _look(kind: str, source: str, folder: Path, *, is_needed: bool) -> Finding:
    name = f"{kind} key"
    try:
        return fine(name, f"{source}, {check(kind, source, folder)}")
    except KeyMissing:
        if is_needed:
            return wrong(name, f"{source}: there is no such file", _MAKE)
        return fine(name, f"{source}: not made, and not needed: no route has mode new")
    except KeysUnusable as error:
        return wrong(name, str(error), _RESTORE)

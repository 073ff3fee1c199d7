"""Request targets, compared as VKP's own front compares them: letter case, escapes and extra slashes do not matter."""

from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote

_LONGEST_KNOWN = 256
"""Characters of a path that is remembered: all that senders use are shorter, and longer ones would fill the memory."""


@dataclass(frozen=True, slots=True)
class Path:
    """The path of a target in lower case, decoded and split; it chooses surfaces and routes and is never sent."""

    segments: tuple[str, ...]
    climbs: bool
    """Whether a segment `.` or `..` is in it, also when escaped twice: such a path may mean another one further on."""

    def is_below(self, prefix: str) -> bool:
        """Whether this is the path `prefix` or one below it; never true of a path that climbs."""
        wanted = tuple(part for part in prefix.lower().split("/") if part)
        return not self.climbs and self.segments[: len(wanted)] == wanted


def is_origin_form(target: str) -> bool:
    """Whether a target is a path; absolute and authority form could name a server (RFC 9112 section 3.2)."""
    return target.startswith("/") and "\\" not in target.partition("?")[0]


def path_of(target: str) -> Path:
    """Return the path of a target in origin form; what is no text after decoding matches nothing."""
    raw = target.partition("?")[0].partition("#")[0]
    return _known_path(raw) if len(raw) <= _LONGEST_KNOWN else _path(raw)


@lru_cache(maxsize=4096)
def _known_path(raw: str) -> Path:
    return _path(raw)


def _path(raw: str) -> Path:
    once = unquote(raw, errors="replace")
    segments = tuple(part for part in once.lower().split("/") if part)
    again = unquote(once, errors="replace").replace("\\", "/").split("/")
    return Path(segments, climbs=any(part in (".", "..") for part in again))

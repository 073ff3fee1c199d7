"""The gateway's own keys, in files that nobody but the gateway may read: made, rotated, loaded."""

import base64
import fcntl
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TypeVar

import msgspec

from gateway.config.model import KeyFiles
from gateway.errors import KeyMissing, StartupError
from gateway.files import contents, written_beside
from gateway.ledger.crypto import KEY_BYTES, LookupHasher, PayloadCipher

PAYLOAD = "payload"
"""The only key of `KeyFiles` that is ever rotated: with another lookup key what was hashed could not be found any more,
and another canary key would make another share."""

_FROM_ENVIRONMENT = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_SECRET = re.compile(r"[A-Za-z0-9_-]{43}=?")
_LARGEST = 1_000_000
"""Bytes of a key file; after thousands of rotations it is smaller."""


class Key(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A key as its file has it."""

    id: str
    key: str
    """32 bytes in base64url."""
    made_at: int
    """Seconds since 1970."""

    def __repr__(self) -> str:
        return f"Key(id={self.id!r}, made_at={self.made_at})"

    @property
    def secret(self) -> bytes:
        """The key itself."""
        return base64.urlsafe_b64decode(self.key.rstrip("=") + "=")


class PayloadKeys(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Every payload key, since a rotated one still opens what it sealed."""

    current: str
    """The id of the key that seals."""
    keys: tuple[Key, ...]


_Content = TypeVar("_Content", Key, PayloadKeys)


@dataclass(frozen=True)
class Keys:
    """The keys, ready for use."""

    vault: PayloadCipher
    lookup: LookupHasher
    canary: bytes | None = field(default=None, repr=False)
    """What the share of a canary is counted with; None where no canary can run."""


def load_keys(files: KeyFiles, folder: Path) -> Keys:
    """Load every key from files below `folder` or from the environment; raises `StartupError`."""
    payload = read_payload(files.payload, folder)
    lookup = read_single(files.lookup, folder)
    canary = read_single(files.canary, folder)
    vault = PayloadCipher({key.id: key.secret for key in payload.keys}, payload.current)
    return Keys(vault, LookupHasher(lookup.secret), canary.secret)


def load_keys_if_any(files: KeyFiles, folder: Path) -> Keys | None:
    """Load every key; None where not one of them is there; raises `StartupError`, `KeyMissing` where only some are.

    Where some are there, what they sealed and hashed is there too: it must not be forgotten for the sake of a file that is lost.
    """
    missing: list[KeyMissing] = []
    every = asdict(files)
    for kind, source in every.items():
        try:
            check(kind, source, folder)
        except KeyMissing as error:
            missing.append(error)
    if len(missing) == len(every):
        return None
    if missing:
        raise missing[0]
    return load_keys(files, folder)


def read_payload(source: str, folder: Path) -> PayloadKeys:
    """Read the payload keys from a file or `${ENV_NAME}`; raises `StartupError`."""
    found = _decoded(source, _content(source, folder), PayloadKeys)
    ids = [key.id for key in found.keys]
    if found.current not in ids or len(set(ids)) < len(ids) or not all(map(_is_sound, found.keys)):
        raise StartupError(f"{source} does not hold sound payload keys")
    return found


def read_single(source: str, folder: Path) -> Key:
    """Read the lookup or canary key from a file or `${ENV_NAME}`; raises `StartupError`."""
    found = _decoded(source, _content(source, folder), Key)
    if not _is_sound(found):
        raise StartupError(f"{source} does not hold a sound key")
    return found


def check(kind: str, source: str, folder: Path) -> str:
    """Read the key that `KeyFiles` calls `kind`, and say of it what is no secret; raises `StartupError`."""
    if kind != PAYLOAD:
        return f"key {read_single(source, folder).id}"
    found = read_payload(source, folder)
    older = len(found.keys) - 1
    return f"key {found.current}" + (f", {older} older still open what they sealed" if older else "")


@dataclass(frozen=True, slots=True)
class KeyAge:
    """What may be told of a key in use."""

    name: str
    """As `KeyFiles` calls it."""
    id: str
    made_at: int
    """Seconds since 1970."""
    older: int = 0
    """Earlier keys that still open what they sealed."""


def ages(files: KeyFiles, folder: Path) -> list[KeyAge]:
    """Return how old each key is; those that cannot be read here are left out."""
    found = []
    for kind, source in asdict(files).items():
        with suppress(StartupError):
            if kind == PAYLOAD:
                payload = read_payload(source, folder)
                current = next(key for key in payload.keys if key.id == payload.current)
                found.append(KeyAge(kind, current.id, current.made_at, len(payload.keys) - 1))
            else:
                single = read_single(source, folder)
                found.append(KeyAge(kind, single.id, single.made_at))
    return found


def is_from_environment(source: str) -> bool:
    """Tell whether a key is configured as `${ENV_NAME}`, and so neither made nor rotated here."""
    return _FROM_ENVIRONMENT.fullmatch(source) is not None


def make_missing(files: KeyFiles, folder: Path, now: int) -> None:
    """Make each key file that is missing; raises `StartupError`."""
    for kind, source in asdict(files).items():
        if not is_from_environment(source):
            make(kind, source, folder, now)


def make(kind: str, source: str, folder: Path, now: int) -> bool:
    """Make the file of a key unless there is one; tell whether it was made; raises `StartupError`."""
    key = _new_key(now)
    content = PayloadKeys(key.id, (key,)) if kind == PAYLOAD else key
    try:
        path = folder / source
        if path.is_symlink() or path.exists():
            return False
        path.parent.mkdir(parents=True, exist_ok=True)
        with written_beside(path, msgspec.json.encode(content)) as new:
            return _named(new, path)
    except (OSError, ValueError) as error:
        raise StartupError(_told(source, error)) from None


def rotate(source: str, folder: Path, now: int) -> PayloadKeys:
    """Add a payload key that seals from now on, and return all; raises `StartupError`."""
    try:
        path = (folder / source).resolve()
        with _alone(path.parent):
            found = read_payload(source, folder)
            key = _new_key(now)
            rotated = PayloadKeys(key.id, (*found.keys, key))
            with written_beside(path, msgspec.json.encode(rotated)) as new:
                _give_to_owner_of(path, new)
                new.replace(path)
    except FileNotFoundError:
        raise _missing(source) from None
    except (OSError, ValueError) as error:
        raise StartupError(_told(source, error)) from None
    return rotated


def _new_key(now: int) -> Key:
    return Key(secrets.token_hex(8), secrets.token_urlsafe(KEY_BYTES), now)


def _is_sound(key: Key) -> bool:
    return bool(_ID.fullmatch(key.id) and _SECRET.fullmatch(key.key))


def _content(source: str, folder: Path) -> bytes:
    if named := _FROM_ENVIRONMENT.fullmatch(source):
        if (text := os.environ.get(named[1])) is None:
            raise StartupError(f"the environment variable in {source} is not set")
        return os.fsencode(text)
    try:
        return contents(folder / source, _LARGEST, is_secret=True)
    except FileNotFoundError:
        raise _missing(source) from None
    except (OSError, ValueError) as error:
        raise StartupError(_told(source, error)) from None


def _decoded(source: str, content: bytes, wanted: type[_Content]) -> _Content:
    try:
        if len(content) <= _LARGEST:
            return msgspec.json.decode(content, type=wanted)
    except (msgspec.DecodeError, ValueError, RecursionError):
        pass  # the reason may quote what stands there
    raise StartupError(f"{source} is not a key file of this kind")


def _named(new: Path, path: Path) -> bool:
    """Give a file its name, unless another has it meanwhile: a rename would overwrite that one."""
    try:
        path.hardlink_to(new)
    except FileExistsError:
        return False
    return True


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Wait until nobody else rotates a key in this folder: of two at once, one key would be lost."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _give_to_owner_of(path: Path, new: Path) -> None:
    """Keep the key readable for the gateway when root rotates it."""
    owner = path.stat()
    if owner.st_uid != os.geteuid():
        os.chown(new, owner.st_uid, owner.st_gid)


def _missing(source: str) -> KeyMissing:
    return KeyMissing(
        f"{source}: there is no such file; put its copy back, or, for an installation that is new, vkp-gateway keys init makes it"
    )


def _told(source: str, error: OSError | ValueError) -> str:
    return f"{source}: {error.strerror}" if isinstance(error, OSError) else f"{source!r} is not a path"

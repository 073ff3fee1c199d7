"""Key files: made once, for their owner alone, replaced as a whole, refused when they are no good."""

from __future__ import annotations

import json
import os
import stat
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.model import KeyFiles
from gateway.errors import KeyMissing, StartupError
from gateway.ledger import key_files
from gateway.ledger.crypto import PayloadUnreadable
from gateway.ledger.key_files import (
    Key,
    PayloadKeys,
    check,
    load_keys,
    load_keys_if_any,
    make,
    read_payload,
    read_single,
    rotate,
)

FILES = KeyFiles()
NOW = 1_800_000_000
SECRET = "A" * 43
SOUND = {"id": "one", "key": SECRET, "made_at": NOW}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make a folder with every key."""
    for kind, source in (("payload", FILES.payload), ("lookup", FILES.lookup), ("canary", FILES.canary)):
        assert make(kind, source, tmp_path, NOW)
    return tmp_path


def write(path: Path, content: Any) -> None:
    """Replace a key file by hand."""
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    path.chmod(0o600)


def secrets_in(folder: Path) -> list[str]:
    """Return every key that lies there, as text."""
    payload = json.loads((folder / FILES.payload).read_text())["keys"]
    single = [json.loads((folder / name).read_text()) for name in (FILES.lookup, FILES.canary)]
    return [one["key"] for one in [*payload, *single]]


def test_keys_that_were_made_can_be_loaded(folder: Path) -> None:
    """Each is another, and all of them work."""
    loaded = load_keys(FILES, folder)
    assert loaded.vault.open(loaded.vault.seal(b"content", "row"), "row") == b"content"
    assert len(loaded.lookup.hash("x")) == 32
    assert len(set(secrets_in(folder))) == 3
    assert read_payload(FILES.payload, folder).keys[0].made_at == NOW


def test_key_files_are_for_their_owner_alone(folder: Path) -> None:
    """Mode 600, whatever the umask; nothing else is left behind."""
    found = list((folder / "var").iterdir())
    assert {stat.S_IMODE(path.stat().st_mode) for path in found} == {0o600}
    assert {path.name for path in found} == {"payload.keys", "lookup.key", "canary.key"}


def test_a_key_that_is_there_is_not_made_again(folder: Path) -> None:
    """Not even an empty one, or a link to nothing."""
    before = secrets_in(folder)
    assert not make("payload", FILES.payload, folder, NOW + 1)
    assert secrets_in(folder) == before
    write(folder / "empty", "")
    assert not make("lookup", "empty", folder, NOW)
    assert (folder / "empty").read_text() == ""
    (folder / "link").symlink_to("nowhere")
    assert not make("lookup", "link", folder, NOW)


def test_a_key_that_somebody_makes_meanwhile_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two that make one at the same time the second overwrites nothing."""
    sync = os.fsync

    def made_meanwhile(descriptor: int) -> None:
        sync(descriptor)
        if not (tmp_path / "key").exists():
            write(tmp_path / "key", "theirs")

    monkeypatch.setattr(key_files.os, "fsync", made_meanwhile)
    assert not make("lookup", "key", tmp_path, NOW)
    assert (tmp_path / "key").read_text() == "theirs"
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


def test_no_key_at_all_is_no_failure(tmp_path: Path) -> None:
    """A gateway that only passes on needs none."""
    assert load_keys_if_any(FILES, tmp_path) is None


@pytest.mark.parametrize("source", [FILES.payload, FILES.lookup, FILES.canary])
def test_where_some_keys_are_every_one_must_be(folder: Path, source: str) -> None:
    """One that is lost is told by its name, and does not make the others be forgotten; a bad one is told as ever."""
    assert load_keys_if_any(FILES, folder) is not None
    (folder / source).unlink()
    with pytest.raises(
        KeyMissing,
        match=f"{source}: there is no such file; put its copy back, or, for an installation that is new, vkp-gateway keys init makes it",
    ):
        load_keys_if_any(FILES, folder)
    write(folder / source, "{}")
    with pytest.raises(StartupError, match="is not a key file of this kind"):
        load_keys_if_any(FILES, folder)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601, 0o777])
@pytest.mark.parametrize("source", [FILES.payload, FILES.lookup, FILES.canary])
def test_keys_that_others_may_read_are_refused(folder: Path, source: str, mode: int) -> None:
    """The canary's too, which is only used later."""
    (folder / source).chmod(mode)
    with pytest.raises(StartupError, match=f"{source}: others may read or change it; chmod 600"):
        load_keys(FILES, folder)


@pytest.mark.parametrize("source", [FILES.payload, FILES.lookup, FILES.canary])
def test_a_key_that_is_not_there_is_told_with_what_makes_it(folder: Path, source: str) -> None:
    """By its name in the configuration."""
    (folder / source).unlink()
    with pytest.raises(
        KeyMissing,
        match=f"^{source}: there is no such file; put its copy back, or, for an installation that is new, vkp-gateway keys init makes it$",
    ):
        load_keys(FILES, folder)


def test_keys_come_from_the_environment_too(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable holds the text of the file."""
    monkeypatch.setenv("PAYLOAD", (folder / FILES.payload).read_text())
    monkeypatch.setenv("LOOKUP", (folder / FILES.lookup).read_text())
    monkeypatch.setenv("CANARY", (folder / FILES.canary).read_text())
    filed, named = load_keys(FILES, folder), load_keys(KeyFiles("${PAYLOAD}", "${LOOKUP}", "${CANARY}"), Path("/"))
    assert named.vault.open(filed.vault.seal(b"content", "row"), "row") == b"content"
    assert named.lookup.hash("x") == filed.lookup.hash("x")


def test_a_variable_that_is_not_set_or_no_key_is_told_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """And what it holds is not."""
    monkeypatch.delenv("LOOKUP", raising=False)
    with pytest.raises(StartupError, match=r"variable in \$\{LOOKUP\} is not set"):
        read_single("${LOOKUP}", Path())
    monkeypatch.setenv("LOOKUP", "hemmelig")
    with pytest.raises(StartupError, match=r"\$\{LOOKUP\} is not a key file of this kind") as raised:
        read_single("${LOOKUP}", Path())
    assert "hemmelig" not in str(raised.value)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "[" * 100_000,
        "\ufeff{}",
        {},
        {**SOUND, "key": 7},
        {**SOUND, "made_at": "today"},
        {**SOUND, "secret": SECRET},
        {**SOUND, "key": "A" * 42},
        {**SOUND, "key": "A" * 44},
        {**SOUND, "key": "+" * 43},
        {**SOUND, "key": ""},
        {**SOUND, "id": ""},
        {**SOUND, "id": "æ"},
        {**SOUND, "id": "x" * 65},
        {"current": "one", "keys": [SOUND]},
        json.dumps(SOUND) + " " * key_files._LARGEST,
    ],
    ids=lambda content: str(content)[:40],
)
def test_a_file_that_is_no_sound_key_is_refused(tmp_path: Path, content: Any) -> None:
    """Without a word of what stands there."""
    write(tmp_path / "key", content)
    with pytest.raises(StartupError, match=r"key (is not a key file of this kind|does not hold a sound key)") as raised:
        read_single("key", tmp_path)
    assert "AAA" not in str(raised.value)
    assert raised.value.__cause__ is None


@pytest.mark.parametrize(
    "content",
    [
        SOUND,
        {"current": "one", "keys": []},
        {"current": "two", "keys": [SOUND]},
        {"current": "one", "keys": [SOUND, SOUND]},
        {"current": "one", "keys": [SOUND, {**SOUND, "id": "two", "key": "A"}]},
        {"current": "one", "keys": [SOUND], "version": 2},
    ],
    ids=lambda content: str(content)[:60],
)
def test_payload_keys_that_do_not_fit_together_are_refused(tmp_path: Path, content: Any) -> None:
    """The current one must be there, and every id once."""
    write(tmp_path / "keys", content)
    with pytest.raises(StartupError, match=r"keys (is not a key file of this kind|does not hold sound payload keys)"):
        read_payload("keys", tmp_path)


def test_base64url_is_read_with_and_without_padding(tmp_path: Path) -> None:
    """Other tools write it."""
    write(tmp_path / "plain", {**SOUND, "key": "-_" * 21 + "A"})
    write(tmp_path / "padded", {**SOUND, "key": "-_" * 21 + "A="})
    plain, padded = (read_single(name, tmp_path).secret for name in ("plain", "padded"))
    assert plain == padded
    assert len(plain) == 32


@given(st.binary(max_size=200))
def test_reading_a_key_never_raises_anything_else(content: bytes) -> None:
    """Whatever the file holds."""
    for wanted in (Key, PayloadKeys):
        with pytest.raises(StartupError):
            key_files._decoded("key", content, wanted)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    """Nor is a folder taken for a file, or a path that is none."""
    os.mkfifo(tmp_path / "pipe")
    for source in ("pipe", "."):
        with pytest.raises(StartupError, match="not a file"):
            read_single(source, tmp_path)
    for act in (lambda: read_single("a\0b", tmp_path), lambda: make("lookup", "a\0b", tmp_path, NOW)):
        with pytest.raises(StartupError, match="is not a path"):
            act()


def test_what_is_shown_of_a_key_is_no_secret(folder: Path) -> None:
    """Neither its description nor what a debugger prints."""
    rotate(FILES.payload, folder, NOW)
    payload, loaded = read_payload(FILES.payload, folder), load_keys(FILES, folder)
    assert check("payload", FILES.payload, folder) == f"key {payload.current}, 1 older still open what they sealed"
    shown = repr(payload) + repr(loaded) + repr(loaded.vault) + repr(loaded.lookup) + str(payload.keys[0])
    shown += check("lookup", FILES.lookup, folder) + check("payload", FILES.payload, folder)
    assert not [secret for secret in secrets_in(folder) if secret in shown]


def test_a_rotated_key_still_opens_what_it_sealed(folder: Path) -> None:
    """The new one seals; whoever has only the old file cannot open that."""
    before = load_keys(FILES, folder)
    sealed = before.vault.seal(b"content", "row")
    made = rotate(FILES.payload, folder, NOW + 1)
    after = load_keys(FILES, folder)
    assert after.vault.open(sealed, "row") == b"content"
    assert [key.made_at for key in made.keys] == [NOW, NOW + 1]
    assert made.current == made.keys[1].id
    with pytest.raises(PayloadUnreadable):
        before.vault.open(after.vault.seal(b"content", "row"), "row")
    assert stat.S_IMODE((folder / FILES.payload).stat().st_mode) == 0o600


@pytest.mark.parametrize("failing", ["fsync", "chown"])
def test_a_rotation_that_fails_leaves_the_old_keys(folder: Path, monkeypatch: pytest.MonkeyPatch, failing: str) -> None:
    """Whole, with nothing beside them."""
    before = (folder / FILES.payload).read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(key_files.os, failing, full)
    monkeypatch.setattr(key_files.os, "geteuid", lambda: -1)
    with pytest.raises(StartupError, match=f"{FILES.payload}: No space left on device"):
        rotate(FILES.payload, folder, NOW)
    assert (folder / FILES.payload).read_bytes() == before
    assert {path.name for path in (folder / "var").iterdir()} == {"payload.keys", "lookup.key", "canary.key"}


def test_a_rotation_replaces_the_file_as_a_whole(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What stands under the name is never half of it: it is written out elsewhere before it gets there."""
    path, seen = folder / FILES.payload, []
    replace = Path.replace

    def looked(new: Path, target: Path) -> Path:
        seen.append((new.parent == target.parent, len(json.loads(new.read_bytes())["keys"])))
        return replace(new, target)

    monkeypatch.setattr(Path, "replace", looked)
    descriptor = os.open(path, os.O_RDONLY)
    rotate(FILES.payload, folder, NOW)
    with os.fdopen(descriptor) as old:
        assert len(json.load(old)["keys"]) == 1
    assert seen == [(True, 2)]


def test_no_key_is_lost_when_several_rotate_at_once(folder: Path) -> None:
    """Each waits for the one before, since what it sealed must stay readable."""
    threads = [threading.Thread(target=rotate, args=(FILES.payload, folder, NOW)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(read_payload(FILES.payload, folder).keys) == 9


def test_a_link_to_a_key_file_stays_one(folder: Path) -> None:
    """What it leads to is replaced."""
    (folder / "link").symlink_to(FILES.payload)
    rotate("link", folder, NOW)
    assert (folder / "link").is_symlink()
    assert len(read_payload(FILES.payload, folder).keys) == 2


def test_nothing_is_rotated_that_is_not_there_or_no_good(folder: Path) -> None:
    """A lookup key is no payload key."""
    before = (folder / FILES.lookup).read_bytes()
    with pytest.raises(StartupError):
        rotate(FILES.lookup, folder, NOW)
    assert (folder / FILES.lookup).read_bytes() == before
    for source in ("var/none", "none/none"):
        with pytest.raises(KeyMissing):
            rotate(source, folder, NOW)


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    """With what the system said."""
    (tmp_path / "var").write_text("a file")
    with pytest.raises(StartupError, match=f"{FILES.payload}: "):
        make("payload", FILES.payload, tmp_path, NOW)

"""What nobody catches in a process, wherever it is raised."""

from __future__ import annotations

import json
import subprocess
import sys

_PROCESS = """
import threading
from gateway.observability import telemetry

telemetry.configure()
telemetry.log_uncaught()


class Ends:
    def __del__(self):
        raise KeyError("Ola Nordmann, as it ends")


def fails():
    raise KeyError("Ola Nordmann, in a thread")


thread = threading.Thread(target=fails)
thread.start()
thread.join()
Ends()
raise KeyError("Ola Nordmann, at last")
"""


def test_what_nobody_catches_is_logged_by_type_and_place_only() -> None:
    """In a thread, at the end of an object, and where it ends the process: its text may be of a message."""
    ended = subprocess.run([sys.executable, "-c", _PROCESS], capture_output=True, text=True, check=False, timeout=120)
    lines = [json.loads(line) for line in ended.stderr.splitlines()]
    assert [(line["event"], line["exception"]) for line in lines] == [("process.uncaught", "KeyError")] * 3
    assert [line["frames"][-1].partition(":")[0] for line in lines] == ["fails", "__del__", "<module>"]
    assert "Ola" not in ended.stdout + ended.stderr
    assert ended.returncode == 1

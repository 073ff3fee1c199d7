"""The MsgHeads of the case files, for other tests."""

from pathlib import Path

CASES = Path(__file__).parent / "cases"


def message(name: str = "soap-note") -> bytes:
    """Return the message of a case file, in its Envelope."""
    text = (CASES / f"{name}.case").read_text(encoding="utf-8").split("----------\n")[0]
    return text[text.index("<") :].encode()


def bare(data: bytes) -> bytes:
    """Return the MsgHead without what is around it."""
    return data[data.index(b"<MsgHead") : data.index(b"</MsgHead>") + len(b"</MsgHead>")]

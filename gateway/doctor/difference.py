"""What a check found that should not be so, told in few bytes."""

_SHOWN = 90
_BEFORE = 20


class Differs(Exception):  # noqa: N818 - the finding of a check, not an error of the suite
    """The lane did something else than it must; the text says what."""


def shown(data: bytes) -> str:
    """Return bytes as a person can read them, shortened."""
    return repr(data[:_SHOWN]) + (f" and {len(data) - _SHOWN} bytes more" if len(data) > _SHOWN else "")


def same(what: str, expected: bytes, seen: bytes) -> None:
    """Raise `Differs` unless both are equal to the byte, and show where they part."""
    if seen == expected:
        return
    pairs = zip(expected, seen, strict=False)
    at = next((index for index, (one, other) in enumerate(pairs) if one != other), min(len(expected), len(seen)))
    start = max(0, at - _BEFORE)
    place = f", at byte {at} of {len(expected)}" if start else ""
    raise Differs(f"{what}{place}: expected {shown(expected[start:])}, saw {shown(seen[start:])}")


def require(condition: bool, otherwise: str) -> None:
    """Raise `Differs` with the text unless the condition holds."""
    if not condition:
        raise Differs(otherwise)

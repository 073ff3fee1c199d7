"""What makes a message unreadable without making the rest of it so: collected, so that a sender hears of all of it at once."""

from collections.abc import Iterable

from translators.contract import Reason, Refused
from translators.source import Cursor

_MOST = 20
"""Paths that one refusal names."""


class Faults:
    """The faults of one message, in the order they were met."""

    def __init__(self) -> None:
        self._found: list[tuple[str, str]] = []
        self._errors: list[str] = []

    @property
    def are_there(self) -> bool:
        """Whether there is any."""
        return bool(self._found or self._errors)

    def note(self, at: Cursor, text: str) -> None:
        """Note something that has no single right reading."""
        self._add(at, text)

    def add_others(self, faults: Iterable[tuple[str, str]]) -> None:
        """Add what was found in another way, each with its path; not what lies in places that are known to be wrong."""
        known = tuple(path for path, _ in self._found)
        others = [(path, text) for path, text in faults if not path.startswith(known)]
        self._found = [*self._found, *others][:_MOST]

    def wrong_type(self, at: Cursor, expected: str) -> None:
        """Note a value that is not of its element's type."""
        self._add(at, f"{expected} is expected")

    def unknown_code(self, at: Cursor, release: str) -> None:
        """Note a code that the element does not have."""
        self._add(at, f"not one of the codes that FHIR {release} has here")

    def no_place(self, at: Cursor, text: str | None = None) -> None:
        """Note a modifier that R4 cannot say: without it, what stands beside it would mean something else."""
        self._add(at, text or "it changes the meaning of the rest, and FHIR R4 has nothing that says the same")

    def entered_in_error(self, at: Cursor) -> None:
        """Note something that its sender takes back."""
        self._errors.append(at.path)

    def _add(self, at: Cursor, text: str) -> None:
        path = at.path
        if len(self._found) < _MOST and path not in dict(self._found):
            self._found.append((path, text))

    def refuse(self) -> None:
        """Raise `Refused` if there is any fault."""
        if self._errors:
            text = "something entered in error, which is not sent on: a person has to correct the record"
            raise Refused(Reason.UNSUPPORTED, text, self._errors[0])
        if self._found:
            (path, text), *more = self._found
            if more:
                text = "; ".join(f"{path}: {text}" for path, text in self._found)
            raise Refused(Reason.FORMAT, text, path)

"""What a sender's codes are today: by the table its system was built with, or by today's where nobody says."""

from collections.abc import Iterator

from translators.contract import Reason, Refused, RenumberedText, Settings, Tree
from translators.source import Cursor
from translators.terminology import SHORT_NAMES, Renumbered, history_names, renumbered, standing

CODE_SYSTEMS = "http://ehelse.no/fhir/CodeSystem/"


_SHORT = {url: name for name, url in SHORT_NAMES.items()}


class SenderCodes:
    """The superseded codes of one message: renumbered in their place, or remembered where that is not enough."""

    def __init__(self, settings: Settings) -> None:
        self._history = settings.code_history
        self.standing = standing(settings.code_history)
        self.are_others = False
        self._proved: set[str] = set()

    def today(self, system: str, code: str) -> str | None:
        """Return today's code for one of the same code system, or None when it stands; see `Codes`."""
        found = self.superseded(system, code)
        if found is None:
            return None
        self._proved.add(system)
        if found.becomes == "nothing" and (system, code) not in standing(()):
            return None  # it says nothing else today
        if found.becomes == "nothing":
            raise Refused(Reason.FORMAT, f"a code of {system} that today's table has nothing for", "Coding.code")
        if found.becomes == "code":
            return found.code if found.system == system else None
        self.are_others = True
        return None

    def check_tables(self, tree: Tree) -> None:
        """Raise `Refused` where one code shows that a sender uses an old table, and another means something else by it.

        A sender whose `code_history` names the table is never in doubt.
        """
        if not self._proved:
            return
        told = {SHORT_NAMES[name] for name, _ in self._history if name in SHORT_NAMES}
        for system in self._proved & set(SHORT_NAMES.values()) - told:
            tables = history_names().get(_SHORT[system], frozenset())
            doubtful = {code for code in _codes_of(tree, system) if self._is_doubtful(system, code, tables)}
            if doubtful:
                text = f"codes of {system} by an old table and by today's: the sender's code_history must say which it uses"
                raise Refused(Reason.FORMAT, text, "Coding.code")

    def _is_doubtful(self, system: str, code: str, tables: frozenset[str]) -> bool:
        short = _SHORT[system]
        return (system, code) in standing(()) and any(
            renumbered(system, code, ((short, table),)) is not None for table in tables
        )

    def superseded(self, system: str, code: str) -> Renumbered | None:
        """Return what a code is today, or None when it stands."""
        return renumbered(system, code, self._history) if system.startswith(CODE_SYSTEMS) else None

    def alert_of(self, concept: Cursor, system: str) -> Renumbered | None:
        """Return what a concept of this code system is today where that is something of another kind.

        A concept that has a code of today beside the superseded one was brought up before.
        """
        codes = [
            one.text("code")
            for one in concept.each("coding")
            if one.text("system") == system and not one.holds("code", RenumberedText)
        ]
        found = [self.superseded(system, code) for code in codes if code is not None]
        others = [one for one in found if one is not None and one.becomes in ("alert", "test")]
        return others[0] if others and None not in found else None


def _codes_of(tree: Tree, system: str) -> Iterator[str]:
    """Go through the codes of a system that stand in a tree as their sender wrote them."""
    if isinstance(tree, dict):
        code = tree.get("code")
        if tree.get("system") == system and isinstance(code, str) and not isinstance(code, RenumberedText):
            yield code
    below = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ()
    for item in below:
        yield from _codes_of(item, system)

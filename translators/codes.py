"""What a sender's codes are today: by the table its system was built with, or by today's where nobody says."""

from collections.abc import Iterator, Mapping
from functools import lru_cache

from translators.contract import Reason, Refused, RenumberedText, RepairedText, Settings, Tree
from translators.source import Cursor
from translators.terminology import (
    RENUMBERED,
    SHORT_NAMES,
    Doubt,
    Renumbered,
    is_of_superseded_table,
    is_shown_as_another,
    may_mean_otherwise,
    read_code,
    standing,
)

CODE_SYSTEMS = "http://ehelse.no/fhir/CodeSystem/"

UNKNOWN_PASSED = "unknown-code-passed"
_DOUBTFUL_PASSED = "display-of-another-code-passed"
_HEADINGS = ("Composition.type.", "Composition.section.")
"""Where a code is what a note or a part of it is called, beside its title and text: nothing is done by it."""
_AS_TEXT = "superseded-code-as-text"
_ASK = "the sender's code_history must say which it uses"
_TEXTS = {
    Doubt.UNKNOWN: "no code of {}",
    Doubt.DISPLAY: f"a code of {{}} with the display that an old table had for it: {_ASK}",
    Doubt.TABLES: f"a code of {{}} that meant different things in its old tables: {_ASK}",
}


class SenderCodes:
    """The codes of one message: brought to today's in their place, or remembered where that is not enough."""

    def __init__(self, settings: Settings) -> None:
        self._history = settings.code_history
        self._passes_unknown = settings.unknown_codes == "pass"
        self.standing = standing(settings.code_history)
        self.others: set[str] = set()
        """The code systems of which a code is something of another kind today."""
        self._proved: dict[str, set[str]] = {}
        self._told = {SHORT_NAMES[name] for name, _ in settings.code_history if name in SHORT_NAMES}

    def bring_up(self, at: Cursor, coding: dict[str, Tree]) -> None:
        """Write today's code into a coding; see `Codes`."""
        system, code, display = coding.get("system"), coding.get("code"), coding.get("display")
        if not isinstance(system, str) or not isinstance(code, str) or not system.startswith(CODE_SYSTEMS):
            return
        place = at.at("code") or at
        if self._is_shown_as_another(system, code, display) and at.element.startswith(_HEADINGS):
            (at.at("display") or at).repair(_DOUBTFUL_PASSED)
        elif self._is_shown_as_another(system, code, display):
            raise Refused(Reason.FORMAT, f"a code of {system} with the display of another one", place.path)
        found = read_code(system, code, self._history, display if isinstance(display, str) else None)
        if isinstance(found, Doubt):
            self._doubt(found, system, place)
        elif found is not None:
            if system not in self._told and is_of_superseded_table(system, code):
                self._proved.setdefault(system, set()).add(code)
            self._renumber(found, at, place, coding)

    def _is_shown_as_another(self, system: str, code: str, display: Tree) -> bool:
        """Tell whether a display says another code than the one beside it; a sender whose table is known is never in doubt."""
        return isinstance(display, str) and system not in self._told and is_shown_as_another(system, code, display)

    def _doubt(self, doubt: Doubt, system: str, place: Cursor) -> None:
        if doubt is Doubt.UNKNOWN and self._passes_unknown:
            place.repair(UNKNOWN_PASSED)
            return
        told = " by the sender's code_history" if system in self._told else ""
        raise Refused(
            Reason.FORMAT, _TEXTS[doubt].format(system) + (told if doubt is Doubt.UNKNOWN else ""), place.path
        )

    def _renumber(self, found: Renumbered, at: Cursor, place: Cursor, coding: dict[str, Tree]) -> None:
        if found.becomes == "nothing":
            _as_text(found, at, place, coding)
        elif found.system is not None and found.system == coding["system"]:
            coding["code"] = RenumberedText(str(place.replaced(found.code, RENUMBERED)))
        else:
            self.others.add(str(coding["system"]))

    def stands(self, coding: Mapping[str, Tree]) -> bool:
        """Whether a coding says today what its sender means: of today's table, or of a code system that is not VKP's."""
        system, code, display = coding.get("system"), coding.get("code"), coding.get("display")
        if not isinstance(system, str) or not system.startswith(CODE_SYSTEMS):
            return True
        if isinstance(code, str) and self._is_shown_as_another(system, code, display):
            return False
        if (system, code) in self.standing:
            return True
        if not isinstance(code, str) or display is not None:
            shown = display if isinstance(display, str) else None
            return isinstance(code, str) and read_code(system, code, self._history, shown) is None
        return _means_today(system, code, self._history)

    def check_tables(self, tree: dict[str, Tree]) -> None:
        """Raise `Refused` where one code shows that a sender uses an old table, and another means something else by it.

        A sender whose `code_history` names the table is never in doubt.
        """
        for system, proof in self._proved.items():
            for path, code in _codes_of(tree, system, str(tree["resourceType"])):
                if may_mean_otherwise(system, code, frozenset(proof)):
                    raise Refused(Reason.FORMAT, f"codes of {system} by an old table and by today's: {_ASK}", path)

    def other(self, concept: Cursor, *systems: str) -> Renumbered | None:
        """Return what a concept of these code systems is today where that is something of another kind.

        A concept that has a code of today beside the superseded one was brought up before.
        """
        found = [
            self.reading(one)
            for one in concept.each("coding")
            if one.text("system") in systems and one.text("code") and not one.holds("code", RenumberedText)
        ]
        if not found or (first := found[0]) is None or None in found:
            return None
        told = any(one.text("system") == first.system for one in concept.each("coding"))
        return None if told and first.system not in systems else first

    def refuse_ambiguous(self, concept: Cursor, system: str) -> None:
        """Raise `Refused` for a code of a deleted code system whose tables disagree, where nothing but the last day chooses one."""
        for one in concept.each("coding"):
            code = one.text("code") or ""
            if (
                system in self._told
                or one.text("system") != system
                or not may_mean_otherwise(system, code, frozenset())
            ):
                continue
            raise Refused(Reason.FORMAT, _TEXTS[Doubt.TABLES].format(system), f"{one.path}.code")

    def reading(self, coding: Cursor) -> Renumbered | None:
        """Return what a coding is today, or None when it stands."""
        system, code = coding.text("system") or "", coding.text("code") or ""
        found = read_code(system, code, self._history) if system.startswith(CODE_SYSTEMS) else None
        return found if isinstance(found, Renumbered) else None


@lru_cache(maxsize=4096)
def _means_today(system: str, code: str, history: tuple[tuple[str, str], ...]) -> bool:
    return read_code(system, code, history) is None


def _as_text(found: Renumbered, at: Cursor, place: Cursor, coding: dict[str, Tree]) -> None:
    """Write what a code says as its display alone: under its URL a reader would take it for another, or find none."""
    system = at.at("system")
    if system is not None:
        system.repair(_AS_TEXT)
    place.repair(_AS_TEXT)
    del coding["system"], coding["code"]
    coding.setdefault("display", RepairedText(found.meaning))


def _codes_of(tree: Tree, system: str, path: str) -> Iterator[tuple[str, str]]:
    """Go through the codes of a system that stand in a tree as their sender wrote them, each with its place."""
    if isinstance(tree, dict):
        code = tree.get("code")
        if tree.get("system") == system and isinstance(code, str) and not isinstance(code, RenumberedText):
            yield f"{path}.code", code
        for name, value in tree.items():
            if isinstance(value, (dict, list)):
                yield from _codes_of(value, system, f"{path}.{name}")
    elif isinstance(tree, list):
        for index, item in enumerate(tree):
            yield from _codes_of(item, system, f"{path}[{index}]")

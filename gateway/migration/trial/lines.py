"""A message and its translation line by line, each with what became of it: for two columns side by side."""

from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum

from msgspec import Struct

from translators.contract import Number, RepairedNumber, RepairedText, Translation, Tree
from translators.fhir.json_codec import encode
from translators.placed import PlacedNumber, PlacedText
from translators.places import printable_name, printable_type

MOST = 1500
"""Lines of each column; what is longer ends with a number."""
_LONGEST = 300
"""Characters of a value."""
_DEEPEST = 60


class Mark(StrEnum):
    """What became of a line of the message, or where one of the translation came from."""

    CARRIED = "carried"
    REPAIRED = "repaired"
    DERIVED = "derived"
    """Made by a rule: the message does not say it."""
    LOST = "lost"
    USED = "used"
    """Used to address the message, and not sent on."""


Marked = Callable[[str, Tree], tuple[Mark | None, str]]
"""Takes a place and what stands there, and says what became of it."""


class Line(Struct, frozen=True):
    """One line of JSON; a value stands with its name."""

    depth: int
    text: str
    path: str
    mark: Mark | None = None
    """None for brackets."""
    told: str = ""
    """The rule that repaired or made it, why it was lost, or the place in the message where it came from."""


class Column(Struct, frozen=True):
    """A message as lines."""

    lines: tuple[Line, ...]
    more: int = 0
    """Lines that are not shown."""


def message_lines(tree: Tree, translation: Translation) -> Column:
    """Return a message as it came, with what became of each value."""
    repairs = {repair.path: repair.rule for repair in translation.repairs}
    below = [(loss.path, Mark.LOST, loss.reason) for loss in translation.losses]
    below += [(path, Mark.USED, "") for path in translation.addressing]
    covers = {path: (mark, told) for path, mark, told in below}
    if translation.refusal is not None and translation.refusal.path and not translation.coverage.leaves:
        covers.setdefault(translation.refusal.path, (Mark.LOST, translation.refusal.text))

    def marked(path: str, value: Tree) -> tuple[Mark | None, str]:  # noqa: ARG001 - as the other column's
        found = _above(path, covers)
        if found is not None:
            return found
        return (Mark.REPAIRED, repairs[path]) if path in repairs else (Mark.CARRIED, "")

    return _column(tree, marked, {*repairs, *covers})


def result_lines(result: dict[str, Tree], translation: Translation) -> Column:
    """Return what is made of a message, with where each value came from."""
    made = {derived.path: (Mark.DERIVED, derived.rule) for derived in translation.derived}
    repairs = {repair.path: repair.rule for repair in translation.repairs}

    def marked(path: str, value: Tree) -> tuple[Mark | None, str]:
        found = _above(path, made)
        if found is not None:
            return found
        if isinstance(value, (PlacedText, PlacedNumber)):
            origin = value.path
            return (Mark.REPAIRED, repairs[origin]) if origin in repairs else (Mark.CARRIED, origin)
        if isinstance(value, (RepairedText, RepairedNumber)):
            return Mark.REPAIRED, repairs.get(path, "")
        # What the message has knows its place, and what was made is listed: the rest is what repairs wrote.
        return (Mark.REPAIRED if isinstance(value, (str, Number)) else Mark.CARRIED), ""

    return _column(result, marked, made.keys())


def _above(path: str, known: Mapping[str, tuple[Mark, str]]) -> tuple[Mark, str] | None:
    """Return what is known of a place, or of one that it stands in."""
    while path:
        if path in known:
            return known[path]
        cut = max(path.rfind("."), path.rfind("["))
        path = path[:cut] if cut > 0 else ""
    return None


class _Writer:
    def __init__(self, marked: Marked, told: Iterable[str]) -> None:
        self.lines: list[Line] = []
        self.more = 0
        self._marked = marked
        self._told = frozenset(told)

    def add(self, depth: int, text: str, path: str, mark: Mark | None = None, told: str = "") -> None:
        if len(self.lines) < MOST:
            self.lines.append(Line(min(depth, _DEEPEST), text, path, mark, told))
        else:
            self.more += 1

    def value(self, tree: Tree, path: str, depth: int, name: str, end: str) -> None:
        if isinstance(tree, (dict, list)) and tree and depth < _DEEPEST:
            opening, closing = ("{", "}") if isinstance(tree, dict) else ("[", "]")
            mark, told = self._marked(path, tree) if path in self._told else (None, "")
            self.add(depth, f"{name}{opening}", path, mark, told)
            items = (
                [(f"{path}.{printable_name(key)}", f"{_json(key)}: ", item) for key, item in tree.items()]
                if isinstance(tree, dict)
                else [(f"{path}[{index}]", "", item) for index, item in enumerate(tree)]
            )
            for number, (place, own, item) in enumerate(items, 1):
                self.value(item, place, depth + 1, own, "," if number < len(items) else "")
            self.add(depth, f"{closing}{end}", path)
            return
        mark, told = self._marked(path, tree)
        self.add(depth, f"{name}{_json(tree)}{end}", path, mark, told)


def _column(tree: Tree, marked: Marked, told: Iterable[str]) -> Column:
    kind = tree.get("resourceType") if isinstance(tree, dict) else None
    writer = _Writer(marked, told)
    if tree not in (None, {}):
        writer.value(tree, printable_type(kind if isinstance(kind, str) else "Resource"), 0, "", "")
    return Column(tuple(writer.lines), writer.more)


def _json(value: Tree) -> str:
    text = encode(value).decode("utf-8", "replace")
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"

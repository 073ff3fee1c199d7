"""Where a value of what is to be sent came from: a copy of the message whose every text and number knows its own place.

Only a message with a fault is read a second time by it, so that the fault is told by the place that its sender knows.
"""

from translators.contract import Number, Tree
from translators.places import printable_name, printable_type, steps_spelled

_DEEPEST = 300


class PlacedText(str):
    """A text of the message, and its path there."""

    __slots__ = ("path",)
    path: str


class PlacedNumber(Number):
    """A number of the message, and its path there."""

    __slots__ = ("path",)

    def __init__(self, text: str, path: str) -> None:
        super().__init__(text)
        self.path = path


def placed(tree: Tree) -> Tree:
    """Return a copy of a message whose texts and numbers know where they stand."""
    kind = tree.get("resourceType") if isinstance(tree, dict) else None
    return _placed(tree, printable_type(kind if isinstance(kind, str) else "Resource"), 0)


def _placed(tree: Tree, path: str, depth: int) -> Tree:
    if isinstance(tree, str):
        text = PlacedText(tree)
        text.path = path
        return text
    if isinstance(tree, Number):
        return PlacedNumber(tree.text, path)
    if depth == _DEEPEST:
        return tree
    if isinstance(tree, dict):
        return {name: _placed(value, f"{path}.{printable_name(name)}", depth + 1) for name, value in tree.items()}
    if isinstance(tree, list):
        return [_placed(item, f"{path}[{index}]", depth + 1) for index, item in enumerate(tree)]
    return tree


class Sources:
    """Where the values of a result came from, whose texts and numbers know their places."""

    def __init__(self, result: Tree) -> None:
        self._result = result
        self._known: dict[int, str | None] = {}

    def place_of(self, path: tuple[str | int, ...]) -> str | None:
        """Return the place in the message of what stands at a path of the result; None where all of it was made.

        What is missing has its place in the object that lacks it.
        """
        nodes = [self._result]
        for step in path:
            below = _below(nodes[-1], step)
            if below is None:
                break
            nodes.append(below)
        if len(nodes) > len(path) and nodes[-1].__class__ is str:
            # Every text of the message knows its place, and what a repair made of one is of another class.
            return None
        for depth in reversed(range(len(nodes))):
            origin = self._origin(nodes[depth], 0)
            if origin is not None:
                return origin + steps_spelled(path[depth:])
        return None

    def origin(self) -> str | None:
        """Return the place in the message that the whole result came from; None where all of it was made."""
        return self._origin(self._result, 0)

    def _origin(self, node: Tree, depth: int) -> str | None:
        """Return where a value came from: as it says itself, or as the first of what it holds does."""
        if isinstance(node, (PlacedText, PlacedNumber)):
            return node.path
        if not isinstance(node, (dict, list)) or depth == _DEEPEST:
            return None
        if id(node) not in self._known:
            items = node.items() if isinstance(node, dict) else enumerate(node)
            found = ((self._origin(item, depth + 1), step) for step, item in items)
            self._known[id(node)] = next((_above(path, step) for path, step in found if path is not None), None)
        return self._known[id(node)]


def _below(node: Tree, step: str | int) -> Tree:
    if isinstance(node, dict) and isinstance(step, str):
        return node.get(step)
    if isinstance(node, list) and isinstance(step, int) and step < len(node):
        return node[step]
    return None


def _above(path: str, step: str | int) -> str:
    """Return the path of what holds this; an item of an array need not have had one around it in the message."""
    if isinstance(step, int):
        return path.rpartition("[")[0] if path.endswith("]") else path
    # A field that became a list of one has no index in the message, one that was unwrapped has.
    bare = path.rpartition("[")[0] if path.endswith("]") else path
    return bare.rpartition(".")[0]

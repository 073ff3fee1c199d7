"""Each room's face says what others may use of it, and is true."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROOMS = [
    *sorted(
        path.parent.relative_to(ROOT)
        for path in ROOT.glob("gateway/*/__init__.py")
        if path.parent.name not in ("auth", "cli")
    ),
    Path("gateway/auth/helseid"),
    Path("gateway/auth/people"),
]


@cache
def _nodes(file: Path) -> tuple[ast.Import | ast.ImportFrom | ast.Attribute, ...]:
    """Return what a module imports, and the attributes that it names."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return tuple(node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom | ast.Attribute))


def used() -> dict[Path, dict[str, set[str]]]:
    """Return the modules of each room that others import, and who."""
    found: dict[Path, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for file in ROOT.glob("gateway/**/*.py"):
        here = file.relative_to(ROOT)
        for node in _nodes(file):
            if not isinstance(node, ast.ImportFrom) or node.module is None:
                continue
            for name in (f"{node.module}.{alias.name}" for alias in node.names):
                path = Path(*name.split("."))
                room = next((one for one in ROOMS if one in path.parents), None)
                if room is not None and room not in here.parents:
                    found[room][path.relative_to(room).parts[0]].add(str(here))
    return found


def test_others_use_what_the_face_of_a_room_names() -> None:
    """And the face names nothing else, and nothing that is not there."""
    modules_used = used()
    for room in ROOMS:
        _check_face(room, modules_used[room])


def _check_face(room: Path, modules_used: dict[str, set[str]]) -> None:
    face = ast.get_docstring(ast.parse((ROOT / room / "__init__.py").read_text(encoding="utf-8"))) or ""
    named = [name.partition(".") for name in re.findall(r"`([a-z_0-9]+(?:\.\w+)?)`", face)]
    modules = {
        module for module, _, _ in named if (ROOT / room / module).exists() or (ROOT / room / f"{module}.py").exists()
    }
    assert modules == {module for module, _, _ in named}, room
    unnamed = {key: modules_used.get(key) for key in modules_used.keys() ^ modules}
    assert modules_used.keys() == modules - {"pages"}, f"{room}: {unnamed}"
    for module, _, name in named:
        if name:
            tree = ast.parse((ROOT / room / f"{module}.py").read_text(encoding="utf-8"))
            assert name in _defined(tree), f"{module}.{name}"


def _defined(tree: ast.Module) -> set[str]:
    found = {node.name for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)}
    for node in tree.body:
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        found |= {target.id for target in targets if isinstance(target, ast.Name)}
    return found


CLIENTS = {"aiohttp.ClientSession", "aiohttp.request", "http.client", "urllib.request", "httpx", "requests"}
OF_ITS_OWN = {"gateway/cli/admin_http.py", "gateway/cli/demo"}
"""A command's one request to an admin port, and stand-ins for senders: processes that carry no traffic."""


def test_the_gateway_has_one_http_client() -> None:
    """Ours: it looks names up in threads of its own, bounds what it reads, follows no redirect and uses no proxy."""
    found = set()
    for file in ROOT.glob("gateway/**/*.py"):
        here = file.relative_to(ROOT)
        if OF_ITS_OWN.isdisjoint({str(here), *map(str, here.parents)}):
            found |= {(str(here), name) for name in _named(file) & CLIENTS}
    assert not found


def _named(file: Path) -> set[str]:
    """Return what a module imports, and the attributes of names that it uses."""
    found = set()
    for node in _nodes(file):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node.value, ast.Name):
            found.add(f"{node.value.id}.{node.attr}")
    return found

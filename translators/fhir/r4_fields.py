"""Writes what was read of an element where R4 has it: under its name, in its type, with what its sibling says."""

import re
from collections.abc import Mapping

from translators.contract import Reason, Refused, RepairedText, Tree
from translators.fhir.plan import Step
from translators.fhir.stu3_to_r4 import LINK_OF_R4, TYPE_OF_R4, absent
from translators.source import Cursor


def linked(at: Cursor, retyped: re.Pattern[str], link: str, types: Mapping[str, str]) -> str:
    """Return a link to a resource, whose type may be one that R4 calls otherwise."""
    found = retyped.fullmatch(link)
    if found is None:
        return link
    at.repair(LINK_OF_R4)
    return RepairedText(types[found[1]] + link[found.end(1) :])


def say_type(at: Cursor, converted: Tree) -> None:
    """Record that a value stands in R4 as another type; a code says by itself of which system it is."""
    at.repair(TYPE_OF_R4, stays=True)
    for one in at.children() if isinstance(at.value, list) else [at]:
        for coding in one.each("coding") if isinstance(converted, str) else ():
            system = coding.at("system")
            if system is not None:
                system.repair(TYPE_OF_R4)


def say_unknown(at: Cursor, names: tuple[str, ...], result: dict[str, Tree]) -> None:
    """Say that what R4 asks for is unknown, where the message does not say it either."""
    missing = [name for name in names if name not in result and name.removeprefix("_") not in result]
    for name in missing:
        result[name] = absent()
    if missing:
        at.repair(TYPE_OF_R4, stays=True)


def extend_code(name: str, step: Step | None, kept: dict[str, Tree], result: dict[str, Tree]) -> bool:
    """Put what a code's sibling says where the code stands in R4; tell whether that was done."""
    concept = result.get(step.target or "") if step is not None and step.conversion is not None else None
    codings = concept.get("coding") if isinstance(concept, dict) else None
    if (
        step is None
        or step.type not in ("code", "uri")
        or not isinstance(codings, list)
        or not isinstance(codings[0], dict)
    ):
        return False
    codings[0]["_code"] = kept.pop(name)
    return True


def write(at: Cursor, value: Tree, step: Step, result: dict[str, Tree]) -> None:
    """Write a value under its name in R4."""
    if step.wraps:
        value = [value]
    elif step.unwraps and isinstance(value, list):
        value = value[0]
    target = step.target or step.name
    if step.into is not None:
        held = result.setdefault(step.into, [{}] if step.into_repeats else {})
        first = held[0] if isinstance(held, list) else held
        result = first if isinstance(first, dict) else result
    if target in result:
        raise Refused(Reason.FORMAT, f"another value beside it for R4's {target}", f"{at.path}.{step.name}")
    result[target] = value


def align(at: Cursor, fields: dict[str, Tree], step: Step, result: dict[str, Tree]) -> None:
    """Drop the places where neither a repeating primitive nor its `_name` has anything left, and a `_name` of nulls alone.

    null fills a place of the one that only the other has; where both have nothing, strict readers refuse it.
    """
    written = step.target or step.name
    names = {written.removeprefix("_"): step.name.removeprefix("_"), written: step.name}
    halves = {name: found for name in names if isinstance(found := result.get(name), list)}
    longest = max(map(len, halves.values()), default=0)
    kept = [
        place
        for place in range(longest)
        if any(half[place : place + 1] not in ([], [None]) for half in halves.values())
    ]
    for name, half in halves.items():
        left = [half[place] for place in kept if place < len(half)]
        is_empty = all(value is None for value in left) and (not left or name.startswith("_"))
        if is_empty:
            del result[name]
        else:
            result[name] = left
        source, places = fields[names[name]], set(kept)
        for item in at.field(names[name], source).children() if isinstance(source, list) else ():
            if item.value is None and (is_empty or item.index not in places):
                item.repair("null-dropped")

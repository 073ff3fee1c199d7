"""What becomes of each element on the way from one FHIR release to R4: copied, renamed, rewritten, or kept in an extension.

Most of the two releases is alike; the differences stand in a table (`stu3_to_r4`). What R4 has no place for goes into HL7's
cross-version extension, one for every element of every release (FHIR R4, versions.html#extensions), so that it is neither lost
nor given a meaning it does not have. A modifier never does: it changes what stands beside it, and an extension may be ignored.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, partial

from translators.fhir import rules
from translators.fhir.corrections import CORRECTED
from translators.fhir.elements import ANY_RESOURCE, NUMERIC, Element, Release, r4, stu3
from translators.fhir.rewrites import REWRITES, Rewrite
from translators.fhir.rules import ENTERED_IN_ERROR, INHERITED, Rules
from translators.fhir.stu3_to_r4 import Conversion, Renaming, conversion, renaming

# Read by their STU3 names: they are no part of the result, and what is left of them is kept in extensions.
_NOT_CONVERTED = frozenset({"MessageHeader"})


TAKEN_APART = ">Extension"
"""Ends the key of a backbone type whose elements go into an extension each."""


@dataclass(frozen=True, slots=True)
class Step:
    """What becomes of one element."""

    name: str
    type: str
    """Of a primitive its FHIR type; of anything else the key of its own steps."""
    repeats: bool
    """In the source; an object where an array belongs is repaired by this."""
    primitive: bool
    is_plain: bool
    """Whether a text is copied under the target name and nothing else is to be done."""
    target: str | None
    """The name in R4; None for what is kept in an extension."""
    wraps: bool
    """Whether R4 has a list where the source has one value."""
    unwraps: bool
    """Whether R4 has one value where the source has a list."""
    into: str | None
    """The element of R4 that holds it; of one that repeats, the first."""
    conversion: Conversion | None = None
    """How its value is written as the type that R4 has."""
    into_repeats: bool = False
    """Whether the element of R4 that holds it has a list."""
    is_modifier: bool = False
    """Whether it changes the meaning of what stands beside it."""
    codes: frozenset[str] | None = None
    """The codes that R4 has too; None where any text is one."""
    codes_of_source: frozenset[str] = frozenset()
    """All that the source's release has."""
    renamed: Mapping[str, str] = field(default_factory=dict)
    """Codes that R4 calls otherwise."""
    retyped: re.Pattern[str] | None = None
    """Matches a relative link to a resource whose type R4 calls otherwise, with that type as its first group."""
    is_ruled: bool = field(init=False)
    """Whether its value is looked at once more after it was read."""
    is_checked: bool = field(init=False)
    """Whether a text is looked at before it is copied."""
    is_object: bool = field(init=False)
    """Whether a value is an object of the type, and no resource that names its type itself."""
    is_copied: bool = field(init=False)
    """Whether it stands in R4 as it does in the source."""

    def __post_init__(self) -> None:
        is_copied = self.target == self.name and not (self.wraps or self.unwraps or self.into or self.conversion)
        object.__setattr__(self, "is_copied", is_copied)
        object.__setattr__(self, "is_object", not self.primitive and self.type != ANY_RESOURCE)
        object.__setattr__(self, "is_ruled", bool(self.is_modifier or self.renamed or self.retyped))
        object.__setattr__(self, "is_checked", self.name in CORRECTED or self.codes is not None)


class _Types(dict[str, dict[str, Step]]):
    """Steps by their keys, made when they are first asked for."""

    def __init__(self, make: Callable[[str], None]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, key: str) -> dict[str, Step]:
        self._make(key)
        return self[key]


@dataclass(frozen=True, slots=True)
class Plan:
    """The steps for every type of a release; those of a type are made when it is first asked for."""

    release: Release
    types: dict[str, dict[str, Step]]
    resources: frozenset[str]
    """The resource types that R4 has too, or calls otherwise."""
    retyped: Mapping[str, str]
    """What R4 calls those."""
    rewrites: Mapping[str, tuple[frozenset[str], Rewrite]]
    """What R4 says in another way altogether, by type and the elements that call for it."""
    unknown: Mapping[str, tuple[str, ...]]
    """What R4 asks for and the source's release has no element for, by the key of the steps."""
    choices: Mapping[str, tuple[frozenset[str], ...]]
    """Elements of which at most one may be there, by the key of the steps; of R4 the check of what is sent knows them."""


@cache
def within_r4() -> Plan:
    """Return the plan that leaves every element where it is."""
    return _Planner(r4(), rules.r4(), None).plan()


@cache
def from_stu3() -> Plan:
    """Return the plan from STU3 (3.0.2) to R4 (4.0.1)."""
    return _Planner(stu3(), rules.stu3(), renaming()).plan()


def complete(plan: Plan) -> None:
    """Make the steps of all types, for whoever goes through them and not through a message."""
    pending = [kind for kind in plan.release.types if "." not in kind and kind in r4().types]
    pending += [f"{kind}>{becomes}" for kind, becomes in plan.retyped.items()]
    seen: set[str] = set()
    for key in pending:  # grows while it is gone through
        if key not in seen:
            seen.add(key)
            steps = plan.types[key].values()
            pending += [step.type for step in steps if not step.primitive and step.type != ANY_RESOURCE]


class _Planner:
    def __init__(self, source: Release, rules_of_source: Rules, renaming: Renaming | None) -> None:
        self._source = source
        self._target = target = r4()
        self._rules = rules_of_source
        self._renaming = renaming or Renaming({}, {}, {}, {}, {})
        self._is_r4 = renaming is None
        self._types = _Types(self._make)
        self._to_make: dict[str, Callable[[], dict[str, Step]]] = {}
        self._choices: dict[str, tuple[frozenset[str], ...]] = {}
        retyped = "|".join(self._renaming.types)
        self._links = re.compile(rf"({retyped})/[A-Za-z0-9.-]{{1,64}}(?:/_history/.*)?") if retyped else None
        self._values = frozenset(name for name in target.types["Extension"] if name.startswith("value"))

    def plan(self) -> Plan:
        for name in self._source.types:
            if "." not in name and name in self._target.types:
                self._row(name, name)
        for name, becomes in self._renaming.types.items():
            self._row(name, becomes)
        known = self._source.resources & self._target.resources | frozenset(self._renaming.types)
        rewrites = {} if self._is_r4 else REWRITES
        named = self._renaming
        return Plan(self._source, self._types, known, named.types, rewrites, named.unknown, self._choices)

    def _make(self, key: str) -> None:
        choices = self._source.choices.get(key.partition(">")[0])
        if choices is not None and not self._is_r4:
            # Before its steps, by which another thread sees that the type is made.
            self._choices[key] = tuple(choices.values())
        self._types[key] = self._to_make[key]()

    def _row(self, kind: str, becomes: str) -> str:
        """Return the key of the steps of a type that becomes another."""
        key = kind if kind == becomes else f"{kind}>{becomes}"
        self._to_make.setdefault(key, partial(self._steps, kind, becomes))
        return key

    def _steps(self, kind: str, becomes: str) -> dict[str, Step]:
        made = {name: self._step(kind, name, element, becomes) for name, element in self._source.types[kind].items()}
        return {name: step for name, step in made.items() if step is not None}

    def _step(self, kind: str, name: str, element: Element, becomes: str) -> Step | None:
        bare = name.removeprefix("_")
        if kind.partition(".")[0] in _NOT_CONVERTED and not self._is_r4:
            # Its modifierExtension cannot stand in an extension.
            return None if bare == "modifierExtension" else self._copied(name, element, element, name, None)
        into, renamed = self._moved(kind, bare)
        holder = becomes if into is None else self._target.types[becomes][into].type
        owner = self._target.types[holder]
        target = renamed if name == bare else f"_{renamed}"
        found = owner.get(target)
        if found is not None and self._fits(element, found):
            step = self._copied(name, element, found, target, into)
            if into is not None and self._target.types[becomes][into].repeats:
                step = replace(step, into_repeats=True)
            if (kind, name) == ("Reference", "reference"):
                step = replace(step, retyped=self._links)
            return self._ruled(kind, step, f"{holder}.{renamed}")
        if found is not None and name == bare and into is None:
            converted = conversion(element.type, found.type, self._renaming.systems.get(f"{kind}.{name}"))
            if converted is not None:
                return self._ruled(
                    kind, self._converted(name, element, found, converted, target), f"{becomes}.{target}"
                )
        if "extension" not in self._target.types[becomes]:
            return None
        return self._kept(kind, name, element)

    def _moved(self, kind: str, name: str) -> tuple[str | None, str]:
        into, _, target = self._renaming.elements.get(kind, {}).get(name, name).rpartition(".")
        return into or None, target

    def _fits(self, element: Element, found: Element) -> bool:
        """Whether a value of the source's element can stand in R4's."""
        if (element.type, found.type) == ("oid", "id"):
            return False
        if element.primitive or found.primitive:
            is_text = element.type not in NUMERIC | {"boolean"} and found.type not in NUMERIC | {"boolean"}
            is_number = element.type in NUMERIC and found.type in NUMERIC
            return element.primitive == found.primitive and (is_text or is_number or element.type == found.type)
        if "." in element.type:
            return "." in found.type
        return element.type == found.type

    def _copied(self, name: str, element: Element, found: Element, target: str, into: str | None) -> Step:
        kind = element.type
        if not element.primitive and kind != ANY_RESOURCE:
            kind = self._row(element.type, found.type)
        wraps, unwraps = found.repeats and not element.repeats, element.repeats and not found.repeats
        is_plain = element.is_text and found.is_text and into is None
        return Step(name, kind, element.repeats, element.primitive, is_plain, target, wraps, unwraps, into)

    def _converted(self, name: str, element: Element, found: Element, converted: Conversion, target: str) -> Step:
        kind = element.type if element.primitive else self._kept_row(element.type)
        wraps, unwraps = found.repeats and not element.repeats, element.repeats and not found.repeats
        return Step(name, kind, element.repeats, element.primitive, False, target, wraps, unwraps, None, converted)

    def _kept(self, owner: str, name: str, element: Element) -> Step | None:
        """Plan an extension, or nothing where R4 has no type that could stand in one."""
        value = self._source.types[owner][name.removeprefix("_")]
        if "." not in value.type and value_name(value.type) not in self._values:
            return None
        kind = element.type if element.primitive else self._kept_row(element.type)
        step = Step(name, kind, element.repeats, element.primitive, False, None, False, False, None)
        return self._ruled(owner, step)

    def _ruled(self, owner: str, step: Step, becomes: str | None = None) -> Step:
        """Return the step with what HL7's definitions say of modifiers and codes; `becomes` is its path in R4."""
        bare = step.name.removeprefix("_")
        path = f"{owner}.{bare}"
        of_source = self._rules.codes.get(path, frozenset())
        is_modifier = path in self._rules.modifiers or bare in INHERITED or ENTERED_IN_ERROR in of_source
        renamed = self._renaming.codes.get(path, {})
        if bare != step.name or not step.primitive or not of_source or not (is_modifier or renamed):
            # Most steps are no modifiers: copies of them were half the time of a plan.
            return replace(step, is_modifier=True) if is_modifier else step
        codes = (of_source & rules.r4().codes.get(becomes or path, of_source)).difference(renamed, {ENTERED_IN_ERROR})
        return replace(step, is_modifier=is_modifier, codes=codes, codes_of_source=of_source, renamed=renamed)

    def _kept_row(self, kind: str) -> str:
        """Return the key of the steps of a type inside an extension; a backbone type keeps its names there."""
        if "." not in kind:
            return self._row(kind, kind)
        key = f"{kind}{TAKEN_APART}"
        self._to_make.setdefault(key, partial(self._kept_steps, kind))
        return key

    def _kept_steps(self, kind: str) -> dict[str, Step]:
        """Return the steps of what is taken apart; a modifierExtension can stand in no extension."""
        steps = {}
        for name, element in self._source.types[kind].items():
            if name in ("id", "extension") or (name != "modifierExtension" and self._kept(kind, name, element)):
                inner = element.type if element.primitive else self._kept_row(element.type)
                step = Step(name, inner, element.repeats, element.primitive, element.is_text, name, False, False, None)
                steps[name] = self._ruled(kind, step)
        return steps


def value_name(kind: str) -> str:
    """Return what the value of an extension is called when it is of this type."""
    return f"value{kind[0].upper()}{kind[1:]}"

"""Brings a lenient FHIR tree to what R4's element tables allow: each correction recorded, nothing dropped unseen.

What VKP lets pass and a strict service refuses is corrected by name (NHN's reverse-proxy page lists objects where arrays are
expected and empty strings as the commonest). An element that the release does not have stays unread, and so becomes a loss.
"""

import re
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

from translators.contract import Number, Reason, Refused, RepairedNumber, RepairedText, Tree
from translators.fhir.corrections import PARTLY_RENEWED, URIS, as_uri, corrected
from translators.fhir.cross_version import extensions
from translators.fhir.elements import ANY_RESOURCE, ELEMENT, NUMERIC, r4
from translators.fhir.faults import Faults
from translators.fhir.plan import TAKEN_APART, Plan, Step
from translators.fhir.r4_fields import align, extend_code, linked, say_type, say_unknown, write
from translators.fhir.rewrites import NoPlaceError
from translators.fhir.rules import ENTERED_IN_ERROR
from translators.fhir.structure import structure_faults
from translators.fhir.stu3_to_r4 import CODE_OF_R4, TYPE_OF_R4, Conversion
from translators.places import spelled
from translators.source import Cursor, Key

MAX_DEPTH = 64
"""Deeper than any published profile; a limit so that a hostile message cannot exhaust the stack."""
_KEEPS_BLANKS = frozenset({"string", "markdown", "xhtml", "base64Binary"})
_MATCHED = frozenset({("Identifier", "value"), ("Reference", "reference")})
"""Strings that others are matched with, so that blanks around them have no meaning; so is every `id`."""
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")


@dataclass(frozen=True, slots=True)
class _Nothing:
    """An element that a repair removed."""


NOTHING: Final = _Nothing()
_Result: TypeAlias = "Tree | _Nothing"


class Codes(Protocol):
    """What a sender's codes are today."""

    @property
    def standing(self) -> frozenset[tuple[str, str]]:
        """Code systems and codes that are known to stand."""
        ...

    def bring_up(self, at: Cursor, coding: dict[str, Tree]) -> None:
        """Write today's code into a coding, whose place in the source is `at`.

        Raises `Refused` where the code has no one meaning.
        """
        ...


def conform(root: Cursor, plan: Plan, codes: Codes | None = None) -> dict[str, Tree]:
    """Return the resource at `root` as R4 allows it, by the plan for the release that it is written in.

    Raises `Refused` where the structure leaves no single right reading: two values for an element that has one, a text where
    an object belongs, a resource of no known type, or more than `MAX_DEPTH` levels. With all their paths at once it names values
    that are not of their element's type, modifiers that R4 cannot say, and what was entered in error.
    """
    conformer = _Conformer(plan, codes, root.carried_keys)
    tree = conformer.resource(root, depth=0)
    if conformer.faults.are_there and plan.release is r4() and isinstance(tree, dict):
        conformer.faults.add_others((spelled(tree, fault.path), fault.text) for fault in structure_faults(tree))
    conformer.faults.refuse()
    if not isinstance(tree, dict):
        raise Refused(Reason.FORMAT, "nothing is left of the resource", root.path)
    return tree


class _Conformer:
    def __init__(self, plan: Plan, codes: Codes | None, carried: set[Key]) -> None:
        self._carried = carried
        self._plan = plan
        self._types = plan.types
        self._codes = codes
        self._rewrites = plan.rewrites
        self._unknown = plan.unknown
        self._choices = plan.choices
        self.faults = Faults()

    def resource(self, at: Cursor, depth: int) -> _Result:
        kind = at.value.get("resourceType") if isinstance(at.value, dict) else None
        if not isinstance(at.value, dict):
            self.faults.note(at, "a resource is expected here")
        elif not isinstance(kind, str) or kind not in self._plan.release.resources:
            self.faults.note(at, f"resourceType is not a resource of FHIR {self._plan.release.name}")
        elif kind not in self._plan.resources:
            self.faults.note(at, f"FHIR R4 has no {kind}")
        else:
            return self._resource(at, at.value, kind, depth)
        return NOTHING

    def _resource(self, at: Cursor, fields: dict[str, Tree], kind: str, depth: int) -> _Result:
        becomes = self._plan.retyped.get(kind)
        return self._object(at, fields, kind, depth) if becomes is None else self._retyped(at, becomes, depth)

    def _retyped(self, at: Cursor, becomes: str, depth: int) -> _Result:
        """Return a resource whose type R4 calls otherwise."""
        fields = at.value if isinstance(at.value, dict) else {}
        result = self._object(at, fields, f"{fields['resourceType']}>{becomes}", depth)
        if isinstance(result, dict):
            result["resourceType"] = RepairedText(becomes)
            (at.at("resourceType") or at).repair(TYPE_OF_R4)
        return result

    def _object(self, at: Cursor, fields: dict[str, Tree], kind: str, depth: int) -> _Result:
        if depth > MAX_DEPTH:
            raise Refused(Reason.FORMAT, "nested too deep", at.path)
        steps = self._types[kind]
        result: dict[str, Tree] = {}
        kept: dict[str, Tree] = {}
        siblings: list[Step] = []
        carried, place = self._carried, id(fields)
        for name, raw in fields.items():
            step = steps.get(name)
            if step is None:
                _drop_nothing(at, name, raw)
                continue
            is_right = isinstance(raw, str) and raw and raw.strip() == raw
            if is_right and step.is_plain and (not step.is_checked or _stands(step, kind, raw)):
                # The short way for most of a message: a text that stands as it is, whatever its type.
                carried.add((place, name))
                result[step.target] = [raw] if step.wraps else raw  # type: ignore[index] # what is plain has a target
                continue
            value = self._element(at.field(name, raw), step, kind, depth)
            if step.is_ruled:
                value = self._ruled(at.field(name, raw), step, value)
            if step.is_copied and value is not NOTHING:
                result[name] = value  # type: ignore[assignment] # what is left of two types
            else:
                self._put(at, value, step, result, kept)
            if step.type == ELEMENT and step.repeats:
                siblings.append(step)
        if siblings:
            for step in siblings:
                align(at, fields, step, kept if step.target is None else result)
        return self._finished(at, kind, kept, result)

    def _finished(self, at: Cursor, kind: str, kept: dict[str, Tree], result: dict[str, Tree]) -> _Result:
        """Return an object with what only all of its elements together tell."""
        if kind in self._rewrites:
            self._rewrite(at, kind, kept, result)
        if kept:
            self._keep(at, kept, kind, result)
        if kind in self._unknown and result:
            say_unknown(at, self._unknown[kind], result)
        if kind == "Coding":
            self._bring_up(at, result)
        elif kind == "Extension" and result.get("valueCode") == ENTERED_IN_ERROR:
            self.faults.entered_in_error(at.at("valueCode") or at)
        elif kind == "Identifier" and result.get("system") == URIS:
            _complete_uri(at, result)
        if kind in self._choices:
            self._note_second_choices(at, kind)
        return result or self._emptied(at)

    def _note_second_choices(self, at: Cursor, kind: str) -> None:
        """Note every second value of one choice, none of which may be picked."""
        fields = at.value if isinstance(at.value, dict) else {}
        for names in self._choices[kind]:
            found = [name for name in fields if name in names and fields[name] not in (None, "")]
            for name in found[1:]:
                self.faults.note(at.field(name, fields[name]), f"a second value beside {found[0]}, where there is one")

    def _bring_up(self, at: Cursor, coding: dict[str, Tree]) -> None:
        """Write today's code where the sender's says it by a superseded table."""
        system, code = coding.get("system"), coding.get("code")
        if code == ENTERED_IN_ERROR:
            self.faults.entered_in_error(at.at("code") or at)
        renewed = PARTLY_RENEWED.get(system) if isinstance(system, str) else None
        if renewed is not None and isinstance(code, str) and code not in renewed[1]:
            coding["system"] = RepairedText(renewed[0])
            (at.at("system") or at).repair("code-system-url-corrected")
        elif self._codes is not None and ("display" in coding or (system, code) not in self._codes.standing):
            self._codes.bring_up(at, coding)

    def _rewrite(self, at: Cursor, kind: str, kept: dict[str, Tree], result: dict[str, Tree]) -> None:
        elements, rewrite = self._rewrites[kind]
        if not at.value or not isinstance(at.value, dict) or elements.isdisjoint(at.value):
            return
        try:
            rewrite(at, kept, result)
        except NoPlaceError as unsaid:
            for name in (unsaid.names or elements).intersection(at.value):
                self.faults.no_place(at.at(name) or at, unsaid.text)
                kept.pop(name, None)

    def _keep(self, at: Cursor, kept: dict[str, Tree], kind: str, result: dict[str, Tree]) -> None:
        """Write what R4 has no place for into extensions, and say so of every element."""
        steps = self._types[kind]
        for name in list(kept):
            place = at.at(name)
            if place is None or (name[0] == "_" and extend_code(name, steps.get(name[1:]), kept, result)):
                continue
            if steps[name].is_modifier:
                self.faults.no_place(place)
                del kept[name]
            else:
                place.repair("kept-in-extension", stays=True)
                self._drop_fillers(place, steps[name])
        if kept:
            own = result.get("extension", [])
            added = extensions(kept, kind.partition(">")[0], self._plan.release)
            result["extension"] = [*(own if isinstance(own, list) else []), *added]

    def _drop_fillers(self, at: Cursor, step: Step) -> None:
        """Drop the nulls of aligned lists: every item of a list gets an extension of its own, value and sibling together."""
        is_taken_apart = step.type.endswith(TAKEN_APART)
        for item in at.children() if isinstance(at.value, list) else [at]:
            if item.value is None and item.key in self._carried:
                item.repair("null-dropped")
            elif is_taken_apart and isinstance(item.value, dict):
                for below in item.children():
                    if below.name in self._types[step.type]:
                        self._drop_fillers(below, self._types[step.type][below.name])

    def _put(self, at: Cursor, value: _Result, step: Step, result: dict[str, Tree], kept: dict[str, Tree]) -> None:
        """Write a value where R4 has it, and as R4 writes it."""
        if isinstance(value, _Nothing):
            return
        if step.target is None:
            kept[step.name] = value
            return
        if step.conversion is not None:
            converted = self._converted(value, step.conversion)
            if converted is None:
                kept[step.name] = value
                return
            say_type(at.at(step.name) or at, converted)
            value = converted
        write(at, value, step, result)

    def _converted(self, value: Tree, conversion: Conversion) -> Tree:
        """Return a value, or each of a list, in R4's type; None where one of them says more than that can hold."""
        if not isinstance(value, list):
            return conversion(value, self._extensions)
        items = [conversion(one, self._extensions) for one in value]
        return None if None in items else items

    def _extensions(self, fields: dict[str, Tree], kind: str) -> list[Tree]:
        return extensions(fields, kind, self._plan.release)

    def _ruled(self, at: Cursor, step: Step, value: _Result) -> _Result:
        """Return what R4 calls a code or links to, or note why it has none."""
        if step.retyped is not None and isinstance(value, str):
            at.say_relative()
            return linked(at, step.retyped, value, self._plan.retyped)
        if step.codes is None or not isinstance(value, str):
            return value
        if value == ENTERED_IN_ERROR:
            self.faults.entered_in_error(at)
        elif value in step.renamed:
            place = at.children()[0] if isinstance(at.value, list) else at
            place.repair(CODE_OF_R4)
            return RepairedText(step.renamed[value])
        elif value not in step.codes_of_source:
            self.faults.unknown_code(at, self._plan.release.name)
        elif value not in step.codes:
            self.faults.no_place(at)
        return value

    def _element(self, at: Cursor, step: Step, owner: str, depth: int) -> _Result:
        if isinstance(at.value, dict) and step.is_object and not step.repeats:
            return self._object(at, at.value, step.type, depth + 1)
        if isinstance(at.value, list):
            return self._array(at, step, owner, depth)
        value = self._single(at, step, owner, depth)
        if step.repeats and not isinstance(value, _Nothing):
            at.repair("object-wrapped-in-array")
            return [value]
        return value

    def _array(self, at: Cursor, step: Step, owner: str, depth: int) -> _Result:
        items = at.children()
        if not items:
            at.repair("empty-array-dropped")
            return NOTHING
        if not step.repeats:
            if len(items) > 1:
                self.faults.note(at, f"{len(items)} values for an element that has one")
                return NOTHING
            at.repair("array-unwrapped")
            return self._single(items[0], step, owner, depth)
        is_aligned = step.type == ELEMENT or (step.primitive and _has_sibling(at))
        kept: list[Tree] = []
        for item in items:
            if isinstance(item.value, dict) and step.is_object:
                value = self._object(item, item.value, step.type, depth + 1)
            else:
                value = item.carry() if is_aligned and item.value is None else self._single(item, step, owner, depth)
            if not isinstance(value, _Nothing):
                kept.append(value)
            elif is_aligned:
                kept.append(None)
        if step.unwraps and len(kept) > 1:
            self.faults.note(at, f"{len(kept)} values for an element that has one in FHIR R4")
            return NOTHING
        return kept or NOTHING

    def _single(self, at: Cursor, step: Step, owner: str, depth: int) -> _Result:
        value = at.value
        if value is None:
            at.repair("null-dropped")
            return NOTHING
        if step.primitive:
            return self._primitive(at, step.type, owner)
        if isinstance(value, dict):
            if step.type == ANY_RESOURCE:
                return self.resource(at, depth + 1)
            return self._object(at, value, step.type, depth + 1)
        if isinstance(value, str) and not value.strip():
            at.repair("empty-string-dropped")
            return NOTHING
        self.faults.note(at, f"{step.type.partition('>')[0]} is an object")
        return NOTHING

    def _emptied(self, at: Cursor) -> _Result:
        """Drop an object of which nothing is left; what it held was reported leaf by leaf."""
        if at.is_leaf:
            at.repair("empty-object-dropped")
        return NOTHING

    def _primitive(self, at: Cursor, kind: str, owner: str) -> _Result:
        value = at.value
        if isinstance(value, str):
            return self._text(at, value, kind, owner)
        if isinstance(value, Number):
            if kind == "boolean":
                self.faults.wrong_type(at, "true or false")
            elif kind not in NUMERIC:
                at.repair("number-written-as-text")
                return RepairedText(value.text)
            return at.carry()
        if isinstance(value, bool):
            if kind != "boolean":
                self.faults.wrong_type(at, f"a {kind}")
            return at.carry()
        self.faults.note(at, f"a {kind} is one value, not an object or array")
        return NOTHING

    def _text(self, at: Cursor, value: str, kind: str, owner: str) -> _Result:
        trimmed = value.strip()
        if not trimmed:
            at.repair("empty-string-dropped")
            return NOTHING
        if kind in NUMERIC:
            if not _NUMBER.fullmatch(trimmed):
                self.faults.wrong_type(at, "a number")
                return at.carry()
            at.repair("text-written-as-number")
            return RepairedNumber(trimmed)
        if kind == "boolean":
            if trimmed not in ("true", "false"):
                self.faults.wrong_type(at, "true or false")
                return at.carry()
            at.repair("text-written-as-boolean")
            return trimmed == "true"
        keeps_blanks = kind in _KEEPS_BLANKS and at.name != "id" and (owner, at.name) not in _MATCHED
        result = value if keeps_blanks else trimmed
        if result != value:
            at.repair("whitespace-trimmed")
        correction = corrected(owner, at.name, result)
        if correction is not None:
            at.repair(correction.rule)
            return RepairedText(correction.value)
        if result != value:
            return RepairedText(result)
        return at.carry()


def _complete_uri(at: Cursor, identifier: dict[str, Tree]) -> None:
    """Write a bare UUID as the URI that the identifier's system says that it is."""
    value, place = identifier.get("value"), at.at("value")
    if isinstance(value, str) and place is not None and (urn := as_uri(value)) is not None:
        identifier["value"] = RepairedText(str(place.replaced(urn, "uuid-made-valid")))


def _has_sibling(at: Cursor) -> bool:
    return at.parent is not None and isinstance(at.parent.value, dict) and f"_{at.name}" in at.parent.value


def _drop_nothing(at: Cursor, name: str, raw: Tree) -> None:
    """Leave out what says nothing, also where FHIR has no such element; anything else there stays unread."""
    if raw is None or raw == "":
        at.field(name, raw).repair("null-dropped" if raw is None else "empty-string-dropped")


def _stands(step: Step, owner: str, text: Tree) -> bool:
    """Whether a code, or a system, is one that R4 has too, or a link needs no look at the type that it names."""
    if step.codes is not None:
        return text in step.codes
    if not isinstance(text, str) or (step.retyped is not None and ":" not in text and text[0] != "#"):
        return False
    return corrected(owner, step.name, text) is None

"""A route as the API has it, with the keys of routes.yaml: what is shown of one can be asked for again."""

from typing import Any

from gateway.config.routes import DAY, AnswerWhen, OnOutage, Route, Unclear
from gateway.model import MEMBERS, Information

_PLAIN = {
    "losses": (),
    "answer": AnswerWhen.ACCEPTED,
    "on_outage": OnOutage.REFUSE,
    "unclear": Unclear.QUARANTINE,
    "always": (),
    "never": (),
}
"""Keys whose values are shown as they are, where they are not these."""


def shown(route: Route) -> dict[str, Any]:
    """Return the keys of a route with their values, numbers as parts of 1 and seconds; policies only where not the default."""
    found: dict[str, Any] = {
        **{name: getattr(route, name) for name in ("municipality", "vendor", "system")},
        "information": None if route.information is None else _words(route.information, route.grouped),
        "mode": route.mode.value,
        "text": route.text,
    }
    for name, default in _PLAIN.items():
        if (value := getattr(route, name)) != default:
            found[name] = list(value) if isinstance(value, tuple) else value.value
    for name, usual in (("share", None), ("sample", 1.0), ("acknowledge_within", DAY)):
        if (number := getattr(route, name)) != usual:
            found[name] = number
    return found


def _words(types: frozenset[Information], grouped: frozenset[Information]) -> list[str]:
    groups = [group.value for group, members in MEMBERS.items() if members & grouped]
    return [*groups, *sorted(each.value for each in types - grouped)]

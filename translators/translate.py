"""One journaling message from a surface's tree to the calls of a service, or the reason why not."""

from collections.abc import Callable
from dataclasses import replace

from translators import jft, r4
from translators.contract import Call, Loss, Message, Reason, Refused, Repair, Settings, Translation, Tree
from translators.patient import check_patient

READERS: dict[str, Callable[[Tree, Settings], Message]] = {"vkp-r4": r4.read}
"""How each surface's tree becomes VKP R4, the inner language."""
WRITERS: dict[str, Callable[[Message, Settings], tuple[Call, ...]]] = {jft.SERVICE: jft.calls}
"""How VKP R4 becomes calls to each service."""


def translate(
    tree: Tree, surface: str, service: str, settings: Settings, wire_repairs: tuple[Repair, ...] = ()
) -> Translation:
    """Translate a message; never raises for what the message holds: `refusal` says what was wrong.

    `wire_repairs` are the corrections that decoding the message needed.
    """
    try:
        message = READERS[surface](tree, settings)
    except Refused as refusal:
        return Translation(repairs=wire_repairs, refusal=refusal)
    translation = Translation(
        message.information,
        (),
        wire_repairs + message.repairs,
        message.losses,
        message.derived,
        message.coverage,
        message.is_test,
    )
    try:
        _refuse_losses(message.losses, settings.tolerated_losses)
        check_patient(message.tree, settings.allowed_numbers)
        return replace(translation, calls=WRITERS[service](message, settings))
    except Refused as refusal:
        return replace(translation, refusal=refusal)


def _refuse_losses(losses: tuple[Loss, ...], tolerated: tuple[str, ...]) -> None:
    untolerated = [loss for loss in losses if not _is_tolerated(loss, tolerated)]
    if untolerated:
        paths = ", ".join(loss.path for loss in untolerated[:20])
        more = f" and {len(untolerated) - 20} more" if len(untolerated) > 20 else ""
        raise Refused(Reason.LOSS, f"would be lost: {paths}{more}", untolerated[0].path)


def _is_tolerated(loss: Loss, tolerated: tuple[str, ...]) -> bool:
    return any(loss.element == path or loss.element.startswith(f"{path}.") for path in tolerated)

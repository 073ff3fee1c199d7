"""Who is who: municipalities and senders of a configuration by the numbers and names that requests have.

Few lines, since it stands between what is configured and what looks it up: routing decides without it.
"""

from gateway.config.model import Config, Municipality, Sender
from gateway.model import Envelope, Group, Information, same_number


class Directory:
    """Finds municipalities and senders; never changed, as the configuration that it is made of."""

    def __init__(self, config: Config) -> None:
        municipalities, senders = config.municipalities.values(), config.senders
        self._by_orgnr = {same_number(one.orgnr): one for one in municipalities}
        self._by_her_id = {same_number(her_id): one for one in municipalities for her_id in one.her_ids}
        self._by_vkp_id = {one.vkp_id: one for one in senders if one.vkp_id is not None}
        self._by_sender_her_id = {same_number(one.her_id): one for one in senders if one.her_id is not None}

    def municipality_by_orgnr(self, orgnr: str) -> Municipality | None:
        """Find a municipality by the organisation number in an R4 path."""
        return self._by_orgnr.get(same_number(orgnr))

    def municipality_by_her_id(self, her_id: str) -> Municipality | None:
        """Find a municipality by the HER-id in an STU3 path."""
        return self._by_her_id.get(same_number(her_id))

    def sender_by_vkp_id(self, vkp_id: str) -> Sender | None:
        """Find a sender by the vkp-id of its token."""
        return self._by_vkp_id.get(vkp_id)

    def sender_by_her_id(self, her_id: str) -> Sender | None:
        """Find a sender by the HER-id of its token."""
        return self._by_sender_her_id.get(same_number(her_id))


def envelope_of(
    surface: str,
    municipality: Municipality | None,
    sender: Sender | None,
    information: Information | None,
    group: Group | None = None,
) -> Envelope:
    """Return by what a message is routed that is from a sender and for a municipality, where these are known."""
    return Envelope(
        surface=surface,
        municipality=municipality.key if municipality else None,
        sender=sender.key if sender else None,
        vendor=sender.vendor if sender else None,
        system=sender.system if sender else None,
        information=information,
        group=group,
    )

"""Which questions make an older one needless that was not handed out yet."""

from collections.abc import Sequence
from typing import Final

from muster.domain.command_queue import QueuePurpose
from muster.protocol.command import CommandRequest
from muster.protocol.plist import PlistValue

QUESTIONS: Final = frozenset(
    {
        "AvailableOSUpdates",
        "CertificateList",
        "ContentCachingInformation",
        "DeviceInformation",
        "InstalledApplicationList",
        "ManagedApplicationAttributes",
        "ManagedApplicationConfiguration",
        "ManagedApplicationList",
        "ManagedMediaList",
        "OSUpdateStatus",
        "ProfileList",
        "ProvisioningProfileList",
        "Restrictions",
        "SecurityInfo",
        "UserList",
    }
)
"""Commands that change nothing and may be asked late: a later answer is as good as an earlier one, or better."""

GROWING_LISTS: Final = {"DeviceInformation": "Queries"}
"""Keys whose list says what is asked for: the longer one asks for all of the shorter one."""


def covers(newer: CommandRequest, older: CommandRequest) -> bool:
    """Tell whether the answer to *newer* tells all that the one to *older* would tell."""
    if newer.request_type not in QUESTIONS or newer.request_type != older.request_type:
        return False
    growing = GROWING_LISTS.get(newer.request_type)
    if growing is None:
        return dict(newer.keys) == dict(older.keys)
    wanted, had = _texts(older.keys.get(growing)), _texts(newer.keys.get(growing))
    rest = {key: value for key, value in newer.keys.items() if key != growing}
    is_rest_equal = rest == {key: value for key, value in older.keys.items() if key != growing}
    return is_rest_equal and wanted is not None and had is not None and wanted <= had


def covered_purposes(purpose: QueuePurpose) -> Sequence[QueuePurpose]:
    """Name the purposes of older questions that one queued for *purpose* may stand for: a person's never gives way to
    one of ours, which may be asked much later.
    """
    if purpose is QueuePurpose.COMMAND:
        return (QueuePurpose.COMMAND, QueuePurpose.INVENTORY)
    if purpose is QueuePurpose.INVENTORY:
        return (QueuePurpose.INVENTORY,)
    return (QueuePurpose.PROBE,) if purpose is QueuePurpose.PROBE else ()


def _texts(value: PlistValue | None) -> frozenset[str] | None:
    """Return a list of texts as a set; None when it is none, which then covers nothing and is covered by nothing."""
    if not isinstance(value, list):
        return None
    texts = frozenset(one for one in value if isinstance(one, str))
    return texts if len(texts) == len(value) else None

"""Inventory is learned from what devices answered."""

from collections.abc import Mapping, Sequence

from muster.domain.answered_commands import AnsweredCommand, Fault
from muster.operations.context import Context
from muster.protocol.connect import Status
from muster.protocol.plist import PlistValue
from muster.storage import enrollments
from muster.storage.engine import Transaction


def learn_device_information(tx: Transaction, answered: AnsweredCommand, ctx: Context) -> Sequence[Fault]:  # noqa: ARG001 - the shape of readers
    """Learn what a device says of itself."""
    if answered.status is not Status.ACKNOWLEDGED or not answered.is_of_this_life:
        return []
    responses = answered.report.answer.get("QueryResponses")
    if not isinstance(responses, dict):
        return [Fault("QueryResponses", "is missing or no dictionary")]
    if answered.enrollment.channel.is_device:
        enrollments.store_facts(tx, answered.enrollment.channel.id, _shown(responses), answered.reported_at)
    return []


def _shown(responses: Mapping[str, PlistValue]) -> enrollments.Facts:
    """Pick the facts that stand beside a device wherever it is shown."""
    return enrollments.Facts(
        serial_number=_text(responses, "SerialNumber"),
        product_name=_text(responses, "ProductName"),
        model=_text(responses, "Model"),
        model_name=_text(responses, "ModelName"),
        device_name=_text(responses, "DeviceName"),
        os_version=_text(responses, "OSVersion"),
        build_version=_text(responses, "BuildVersion"),
        imei=_text(responses, "IMEI"),
        meid=_text(responses, "MEID"),
        awaiting_configuration=_flag(responses, "AwaitingConfiguration"),
        is_supervised=_flag(responses, "IsSupervised"),
    )


def _text(responses: Mapping[str, PlistValue], key: str) -> str | None:
    value = responses.get(key)
    return value if isinstance(value, str) and value else None


def _flag(responses: Mapping[str, PlistValue], key: str) -> bool | None:
    value = responses.get(key)
    return value if isinstance(value, bool) else None

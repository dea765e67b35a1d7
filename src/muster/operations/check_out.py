"""CheckOut: the device says that its management profile was removed. One attempt, so it may never come."""

from muster.domain.control.evidence import Observation, Signal
from muster.domain.enrollment import EndReason, EnrollmentState, Speaker
from muster.domain.errors import Refusal, RefusalCode
from muster.domain.events import Event, EventType
from muster.operations.checkin import CheckinAnswer, CheckinOutcome, CheckinRequest, Speaking, record_contact, speaking
from muster.operations.context import Context
from muster.operations.let_go import end_enrollment
from muster.operations.unenrollment import settle_by_check_out
from muster.protocol.checkin import CheckOut
from muster.protocol.identifiers import ChannelId
from muster.storage import enrollments, evidence, outbox
from muster.storage.engine import Transaction


def check_out(tx: Transaction, request: CheckinRequest[CheckOut], ctx: Context) -> CheckinOutcome:
    """End the device's enrollment and its users'; keep all we know. For a device we don't know it is no news.

    An enrollment that began provisionally beside the one in force is all that its own CheckOut ends.
    """
    channel = request.message.channel
    spoken = speaking(tx, request, ctx)
    if isinstance(spoken, Refusal):
        return CheckinAnswer(signal="unknown") if spoken.code is RefusalCode.CHANNEL_UNKNOWN else spoken
    device = ChannelId(channel.device_id)
    if spoken.enrollment.state is EnrollmentState.ENDED:
        record_contact(tx, device, ctx, request.source)
        return CheckinAnswer(signal="repeated")  # the reply was lost; it is no news
    record_contact(tx, device, ctx, request.source)
    if _is_of_claim(spoken):
        enrollments.forget_provisional(tx, channel.device_id)
        observation = Observation(device, Signal.CHECK_OUT, "provisional", ctx.now, spoken.epoch, request.source)
        evidence.append(tx, [observation], ctx.new_id)
        return CheckinAnswer(signal="provisional")
    device_channel = enrollments.find(tx, [device])[device]
    is_ours = settle_by_check_out(tx, device_channel, request.source, ctx)
    end_enrollment(tx, channel.device_id, EndReason.UNENROLLED if is_ours else EndReason.CHECKED_OUT, ctx)
    observation = Observation(device, Signal.CHECK_OUT, "checked_out", ctx.now, spoken.epoch, request.source)
    evidence.append(tx, [observation], ctx.new_id)
    outbox.append(tx, [Event(ctx.new_id(), EventType.DEVICE_CHECKED_OUT, device, ctx.now)])
    return CheckinAnswer(signal="checked_out")


def _is_of_claim(spoken: Speaking) -> bool:
    """Tell whether who checks out has only claimed to be this device: an Authenticate by a link, and no TokenUpdate.

    Anybody with a link and a UDID can; the enrollment in force stays so.
    """
    enrollment = spoken.enrollment
    is_beside = enrollment.state is EnrollmentState.ENROLLED and spoken.epoch > enrollment.epoch
    return is_beside and spoken.speaker is Speaker.PROVISIONAL

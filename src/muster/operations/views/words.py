"""The words, shapes and colours in which the console speaks of states, push answers, commands and evidence.

Nothing is told by colour alone: each mark has a word and a shape of its own.
"""

from muster.domain import push_explanation
from muster.domain.command_queue import HoldReason, OwnStatus
from muster.domain.control.evidence import REFUSED_RENEWAL, Signal
from muster.domain.enrollment import EndReason, EnrollmentState
from muster.domain.errors import RefusalCode
from muster.domain.inventory.standing import Sign
from muster.domain.push_policy import OBSTACLES, NoPush, Wait
from muster.domain.push_standing import PushVerdict, Standing
from muster.domain.reach import Way
from muster.domain.renewal import RenewalState
from muster.operations.views.evidence import EvidenceRow
from muster.operations.views.marks import Mark, Shape, Tone
from muster.protocol.apns import OutcomeClass
from muster.protocol.connect import Status

STATES = {
    EnrollmentState.ENROLLED.value: Mark("Enrolled", Shape.DISC, Tone.GOOD),
    EnrollmentState.ENROLLING.value: Mark("Enrolling", Shape.HALF, Tone.BUSY),
    EnrollmentState.DORMANT.value: Mark("Logged out", Shape.CLOCK, Tone.OVER),
    EnrollmentState.ENDED.value: Mark("Ended", Shape.RING, Tone.OVER),
}

END_REASONS = {
    EndReason.CHECKED_OUT.value: "the device checked out, as it does when its enrollment profile is removed",
    EndReason.RE_ENROLLED.value: "the device was enrolled anew",
    EndReason.NEVER_COMPLETED.value: "it was never completed",
    EndReason.UNENROLLED.value: "an administrator had its enrollment profile removed",
    EndReason.REJECTED.value: "an administrator rejected it",
    EndReason.USER_EVICTED.value: "the device has this user no more",
    EndReason.USER_DELETED.value: "an administrator had this user deleted",
}

PROVENANCES = {
    "link": "An enrollment link",
    "renewal": "The renewal of its identity",
    "adopted": "Brought over from another server",
    "ota": "The Profile Service's second phase",
}

RENEWAL_STATES = {
    RenewalState.NOT_DUE: "",
    RenewalState.DUE: "due",
    RenewalState.SENT: "sent, not answered yet",
    RenewalState.ACKNOWLEDGED: "installed, not used yet",
    RenewalState.FAILED: "failed, tried again",
    RenewalState.IMPOSSIBLE: "not possible",
}

_PUSH_ANSWERS = {
    OutcomeClass.ACCEPTED.value: Mark("Accepted", Shape.DISC, Tone.GOOD),
    OutcomeClass.TOKEN_UNREGISTERED.value: Mark("Token unregistered", Shape.CROSS, Tone.BAD),
    OutcomeClass.TOKEN_BAD.value: Mark("Token bad", Shape.CROSS, Tone.BAD),
    OutcomeClass.TOPIC_MISMATCH.value: Mark("Other topic", Shape.CROSS, Tone.BAD),
    OutcomeClass.CERTIFICATE_REFUSED.value: Mark("Certificate refused", Shape.CROSS, Tone.BAD),
    OutcomeClass.THROTTLED.value: Mark("Throttled", Shape.TRIANGLE, Tone.WARNING),
    OutcomeClass.APNS_UNAVAILABLE.value: Mark("APNs unavailable", Shape.TRIANGLE, Tone.WARNING),
    OutcomeClass.OUR_FAULT.value: Mark("Our fault", Shape.TRIANGLE, Tone.WARNING),
    OutcomeClass.NO_ANSWER.value: Mark("No answer", Shape.TRIANGLE, Tone.WARNING),
}

_PUSH_SENTENCES = {outcome.value: said for outcome, said in push_explanation.OUTCOMES.items()}
_PUSH_REASONS = {reason.value: said for reason, said in push_explanation.REASONS.items()}

PUSH_STANDINGS = {
    Standing.PUSH_NOW: Mark("Pushed now", Shape.HALF, Tone.BUSY),
    Standing.PUSH_LATER: Mark("Pushed soon", Shape.CLOCK, Tone.BUSY),
    Standing.UNDER_WAY: Mark("Push under way", Shape.HALF, Tone.BUSY),
    Standing.PUSHED: Mark("Pushed, not answered", Shape.RING, Tone.BUSY),
    Standing.RETRYING: Mark("Tried again", Shape.TRIANGLE, Tone.WARNING),
    Standing.WAITING: Mark("Left alone for now", Shape.CLOCK, Tone.OVER),
    Standing.HELD: Mark("Held", Shape.TRIANGLE, Tone.WARNING),
    Standing.ANSWERED: Mark("Answered", Shape.DISC, Tone.GOOD),
    Standing.NOT_PUSHED: Mark("Not pushed", Shape.CROSS, Tone.BAD),
    Standing.NOT_WANTED: Mark("No need", Shape.DISC, Tone.GOOD),
}
"""How a channel stands with being pushed, in a word or three."""

_COMMAND_STATUSES = {
    "waiting": Mark("Waiting", Shape.CLOCK, Tone.BUSY),
    "held": Mark("Held back", Shape.CLOCK, Tone.WARNING),
    Status.NOT_NOW.value: Mark("Not now", Shape.CLOCK, Tone.BUSY),
    Status.ACKNOWLEDGED.value: Mark("Acknowledged", Shape.DISC, Tone.GOOD),
    Status.ERROR.value: Mark("Error", Shape.CROSS, Tone.BAD),
    Status.COMMAND_FORMAT_ERROR.value: Mark("Command format error", Shape.CROSS, Tone.BAD),
    HoldReason.PARKED.value: Mark("Parked: never answered", Shape.TRIANGLE, Tone.WARNING),
    HoldReason.UNREADABLE.value: Mark("Can't be opened", Shape.TRIANGLE, Tone.BAD),
    HoldReason.ERASED.value: Mark("Held: it erases itself", Shape.RING, Tone.OVER),
    HoldReason.AFTER.value: Mark("Waits for another", Shape.CLOCK, Tone.BUSY),
    HoldReason.RETRY.value: Mark("Failed, tried again", Shape.CLOCK, Tone.WARNING),
    HoldReason.PAUSED.value: Mark("Paused", Shape.CLOCK, Tone.WARNING),
    OwnStatus.CLOSED.value: Mark("Closed unanswered", Shape.RING, Tone.OVER),
    OwnStatus.EXPIRED.value: Mark("Expired", Shape.RING, Tone.OVER),
    OwnStatus.CANCELLED.value: Mark("Cancelled", Shape.RING, Tone.OVER),
    OwnStatus.SUPERSEDED.value: Mark("Superseded", Shape.RING, Tone.OVER),
    OwnStatus.DEPENDENCY_FAILED.value: Mark("Closed with another", Shape.CROSS, Tone.WARNING),
    OwnStatus.VERIFIED.value: Mark("Done, verified", Shape.DISC, Tone.GOOD),
}


def push_answer(outcome: str) -> Mark:
    """Return the mark for what APNs said to a push."""
    return _PUSH_ANSWERS.get(outcome) or Mark(outcome, Shape.TRIANGLE, Tone.WARNING)


def push_standing(verdict: PushVerdict) -> Mark:
    """Return the mark for how a channel stands with being pushed; who isn't enrolled is not pushed, and all is well.

    Nobody's push being wanted is no good news where none could be sent.
    """
    if verdict.because is NoPush.NOT_ENROLLED:
        return Mark("Not pushed", Shape.RING, Tone.OVER)
    if isinstance(verdict.if_wanted, Wait) and verdict.if_wanted.because in OBSTACLES:
        return Mark("Can't be pushed", Shape.TRIANGLE, Tone.WARNING)
    return PUSH_STANDINGS[verdict.standing]


def push_sentence(outcome: str) -> str:
    """Say what APNs said to a push."""
    return _PUSH_SENTENCES.get(outcome, f"Push: {outcome}")


def push_reason(wanted: str) -> str:
    """Say why a push was wanted."""
    return _PUSH_REASONS.get(wanted, wanted)


def command_status(status: str) -> Mark:
    """Return the mark for where a command stands; a status that Apple doesn't define keeps its own word."""
    return _COMMAND_STATUSES.get(status) or Mark(status, Shape.TRIANGLE, Tone.WARNING)


_REFUSALS: dict[str, str] = {
    RefusalCode.SIGNATURE_MISSING: "it was not signed",
    RefusalCode.CERTIFICATE_MALFORMED: "the certificate that its proxy handed on can't be read",
    RefusalCode.SIGNATURE_BAD: "its signature is wrong",
    RefusalCode.ALGORITHM_REFUSED: "it is signed with an algorithm that policy refuses",
    RefusalCode.IDENTITY_UNKNOWN: "this server never issued its identity",
    RefusalCode.IDENTITY_OF_ANOTHER_DEVICE: "its identity belongs to another device",
    RefusalCode.IDENTITY_NOT_PINNED: "its identity is ours, but not the one that may speak for this device",
    RefusalCode.IDENTITY_SUPERSEDED: "its identity was replaced by a newer one",
    RefusalCode.IDENTITY_EXPIRED: "its identity has expired",
    RefusalCode.IDENTITY_OF_EARLIER_LIFE: "it was enrolled anew since, and yet speaks by the identity it had before",
    RefusalCode.IDENTITY_NOT_FOR_ENROLLMENT: "its identity is good for fetching a profile only",
    RefusalCode.IDENTITY_MISMATCH: "it is signed by one identity and came over another's connection",
    RefusalCode.BEARER_OF_ANOTHER_ACCOUNT: "it came with the sign-in of another account",
    RefusalCode.CHANNEL_UNKNOWN: "no enrollment of it is known",
    RefusalCode.DEVICE_NOT_YET_ENROLLED: "its user spoke before the device itself had completed its enrollment",
    RefusalCode.REJECTED: "an administrator rejected it, and it was told to remove its management",
    RefusalCode.REFUSED_ON_ENROLL: "the policy on_enroll refuses newcomers",
    RefusalCode.REFUSED_ON_RESTORE: "the policy on_restore refuses identities of former times",
    RefusalCode.BODY_TOO_LARGE: "its message is too large",
    RefusalCode.BODY_MALFORMED: "its message can't be read",
    RefusalCode.MESSAGE_UNKNOWN: "its message is of a kind not known here",
    RefusalCode.SERVICE_UNKNOWN: "it asks for a service not offered here",
}

_SENTENCES: dict[tuple[str, str], str] = {
    (Signal.COMMAND_ANSWER, Status.NOT_NOW.value): "It answered {command} with NotNow",
    (Signal.COMMAND_ANSWER, Status.ERROR.value): "It answered {command} with an error",
    (Signal.COMMAND_ANSWER, Status.COMMAND_FORMAT_ERROR.value): "It could not read {command}",
    (Signal.COMMAND_ANSWER, "undefined_status"): "It answered {command} with a status that Apple does not define",
    (Signal.COMMAND_ANSWER, "unknown_command"): "It answered a command that this server does not know",
    (Signal.COMMAND_ANSWER, "unenrolled"): "It removed its enrollment profile, as an administrator had ordered",
    (Signal.COMMAND_ANSWER, "user_evicted"): "Its list of users lacks this one",
    (Signal.COMMAND_ANSWER, "user_deleted_by_us"): "It deleted this user, as an administrator had ordered",
    (Signal.COMMAND_ANSWER, "command_blocks_queue"): "{command} was handed out again and again, and never answered",
    (Signal.COMMAND_ANSWER, "late_answer"): "It answered a command after that was closed",
    (Signal.TOKEN_UPDATE, "enrolled"): "A TokenUpdate completed the enrollment",
    (Signal.TOKEN_UPDATE, "restored"): "It speaks by an identity that was renewed since: restored from an older backup",
    (Signal.TOKEN_UPDATE, "went_back"): "It speaks by the identity before its renewal again",
    (Signal.TOKEN_UPDATE, "moved_on"): "It speaks by its renewed identity, and never said so in a TokenUpdate",
    (Signal.TOKEN_UPDATE, "renewed"): "The renewed identity came into use",
    (Signal.TOKEN_UPDATE, "token_changed"): "A TokenUpdate brought another push token, topic or magic",
    (Signal.TOKEN_UPDATE, "returned"): "It connected again after its enrollment had ended",
    (Signal.AUTHENTICATE, "enrollment"): "An Authenticate began an enrollment",
    (Signal.AUTHENTICATE, "renewal"): "An Authenticate announced the renewed identity",
    (Signal.AUTHENTICATE, "repeated"): "That Authenticate was a late copy: the enrollment goes on",
    (Signal.AUTHENTICATE, "cloned"): "Another device came by its identity, and was refused",
    (Signal.AUTHENTICATE, "token_update_missing"): "No TokenUpdate followed the Authenticate",
    (Signal.CHECK_OUT, "checked_out"): "It checked out: its enrollment profile was removed",
    (Signal.CHECK_OUT, "provisional"): "An enrollment under its name, never completed, checked out; its own goes on",
    (Signal.COMMAND_ANSWER, "faulty_answer"): "Its answer to {command} is not as Apple has it",
    (Signal.INVENTORY, Sign.PROFILE_MISSING): "Its enrollment profile is not among its profiles",
    (Signal.INVENTORY, Sign.PROFILE_PRESENT): "Its enrollment profile is among its profiles again",
    (Signal.INVENTORY, Sign.PROFILE_REMOVABLE): "Its user can remove the enrollment profile now",
    (Signal.INVENTORY, Sign.PROFILE_LOCKED): "Its user can't remove the enrollment profile any more",
    (Signal.INVENTORY, Sign.IDENTITY_MISSING): "The identity by which it speaks is not among its certificates",
    (Signal.INVENTORY, Sign.IDENTITY_PRESENT): "The identity by which it speaks is among its certificates again",
    (Signal.INVENTORY, Sign.NOT_USER_APPROVED): "Its enrollment is not approved by its user any more",
    (Signal.INVENTORY, Sign.USER_APPROVED): "Its user approved the enrollment",
    (Signal.PROFILE_FETCHED, "automated_enrollment"): "Its enrollment profile was fetched in Setup Assistant",
    (Signal.PROFILE_FETCHED, "return_to_service"): "It asked how it comes back when erased, and got a profile for that",
    (Signal.PROFILE_FETCHED, "return_to_service_refused"): "It asked how it comes back when erased, and can't",
    (Signal.IDENTITY_ISSUED, "renewal"): "A new identity was issued to it",
    (Signal.IDENTITY_ISSUED, "renewal_sent"): "The renewal of its identity was queued",
    (Signal.IDENTITY_ISSUED, REFUSED_RENEWAL): "Its request for a renewed identity was refused",
    (Signal.CONTACT, "clock_right"): "It signed a message at our time again: its clock was set right",
    (Signal.CONTACT, "clock_wrong"): "It signed a message at another time than ours: its clock is wrong",
    (Signal.QUESTION, "user_declined"): "A network user logged in, and is not managed",
    (Signal.QUESTION, "user_let_in"): "A network user logged in, and is managed without a password of ours",
    (Signal.QUESTION, "user_challenged"): "A network user logged in, and was asked for the password",
    (Signal.QUESTION, "user_signed_in"): "A network user showed the password",
    (Signal.QUESTION, "user_password_wrong"): "A network user showed a wrong password",
    (Signal.QUESTION, "user_digest_malformed"): "A network user's answer could not be read",
    (Signal.QUESTION, "user_challenge_stale"): "A network user answered a challenge that is over, or was never made",
    (Signal.QUESTION, "user_limited"): "A network user tried too often to log in",
    (Signal.QUESTION, "auth_token_missing"): "A user's message came without the token of his login, and got nothing",
    (Signal.QUESTION, "auth_token_wrong"): "A user's message came with another token than his login's, and got nothing",
    (Signal.QUESTION, "waits_at_login"): "A user waited at the login window while commands were handed out",
    (Signal.QUESTION, "account_set_up"): "Setup Assistant asked for what holds for the account's password",
    (Signal.QUESTION, "bootstrap_token_given"): "It asked for its bootstrap token, and got it",
    (Signal.QUESTION, "bootstrap_token_missing"): "It asked for its bootstrap token, and there is none",
    (Signal.QUESTION, "token_service_unknown"): "It asked for a token of a service that is not served",
    (Signal.REACH, Way.SEALED.value): "A browser opened the device's own link, and reached this server",
    (Signal.REACH, Way.OPENED.value): "A browser on the device's own link reached us; TLS is opened on the way",
    (Signal.REACH, Way.PLAIN.value): "A browser opened the device's own link without TLS",
    (Signal.COMMAND_ANSWER, "renewal_failed"): "The renewal of its identity failed",
    (Signal.DDM_STATUS, "status"): "It reported its status by declarative management",
    (Signal.DDM_STATUS, "status_malformed"): "Its status report by declarative management can't be read",
    (Signal.DDM_STATUS, "push_token_differs"): "It reported another push token than its last TokenUpdate brought",
    (Signal.DDM_STATUS, "push_magic_differs"): "It reported another push magic than its last TokenUpdate brought",
    (Signal.ADE, "assigned"): "Apple has it assigned to this service, with a profile",
    (Signal.ADE, "pushed"): "Apple handed it the enrollment profile",
    (Signal.ADE, "empty"): "Apple has it assigned to this service without a profile",
    (Signal.ADE, "removed"): "Its profile was removed at Apple",
    (Signal.ADE, "assigned_elsewhere"): "Apple has it assigned to another service",
    (Signal.ADE, "deleted"): "It was released from the organization",
}

_ALARMING = frozenset(
    {
        "token_update_missing",
        "command_blocks_queue",
        "cloned",
        "renewal_failed",
        "user_password_wrong",
        "user_limited",
        "auth_token_missing",
        "auth_token_wrong",
        "status_malformed",
        "push_token_differs",
        "push_magic_differs",
        "empty",
        "removed",
        "assigned_elsewhere",
        "deleted",
        REFUSED_RENEWAL,
        Way.OPENED.value,
        Sign.PROFILE_MISSING,
        Sign.IDENTITY_MISSING,
        Sign.NOT_USER_APPROVED,
        Status.ERROR.value,
        Status.COMMAND_FORMAT_ERROR.value,
    }
)


def evidence_sentence(row: EvidenceRow) -> str:
    """Say what a row of evidence shows, without its time and count; a class not known here keeps its own word."""
    if row.signal == Signal.PUSH_ANSWER:
        return push_sentence(row.observed_class)
    if row.signal == Signal.REFUSED_CONTACT:
        return f"A contact was refused: {_REFUSALS.get(row.observed_class, row.observed_class)}"
    if row.signal == Signal.OWN_ERROR:
        return f"This server failed to process a {row.observed_class} and tries again"
    if row.signal == Signal.WITNESS:
        word, _, name = row.observed_class.partition(":")
        return f"{name} saw it" if word == "seen" else f"{name} saw it, and that it has no enrollment profile"
    text = _SENTENCES.get((row.signal, row.observed_class))
    if text is None:
        return f"{row.signal}: {row.observed_class}"
    return text.replace("{command}", str(row.detail.get("request_type") or "a command"))


def evidence_mark(row: EvidenceRow) -> Mark:
    """Return shape and colour of a row of evidence; the word is its short name."""
    if row.signal == Signal.PUSH_ANSWER:
        answer = push_answer(row.observed_class)
        return Mark("Push", answer.shape, answer.tone)
    if row.signal == Signal.REFUSED_CONTACT:
        return Mark("Refused", Shape.CROSS, Tone.BAD)
    if row.signal == Signal.OWN_ERROR:
        return Mark("Own fault", Shape.TRIANGLE, Tone.WARNING)
    tone = Tone.WARNING if row.observed_class in _ALARMING else Tone.GOOD
    shape = Shape.TRIANGLE if tone is Tone.WARNING else Shape.DISC
    names = {
        Signal.COMMAND_ANSWER.value: "Command",
        Signal.TOKEN_UPDATE.value: "TokenUpdate",
        Signal.AUTHENTICATE.value: "Authenticate",
        Signal.CHECK_OUT.value: "CheckOut",
        Signal.INVENTORY.value: "Inventory",
        Signal.PROFILE_FETCHED.value: "Profile",
        Signal.IDENTITY_ISSUED.value: "Identity",
        Signal.CONTACT.value: "Contact",
        Signal.QUESTION.value: "Question",
        Signal.DDM_STATUS.value: "DDM",
        Signal.ADE.value: "ADE",
        Signal.WITNESS.value: "Witness",
        Signal.REACH.value: "Browser",
    }
    return Mark(names.get(row.signal, row.signal), shape, tone)


_SAID_ELSEWHERE = frozenset({"claimed_id", "message", "request_type", "serial_number"})


def evidence_detail(row: EvidenceRow) -> str:
    """Say what else was noted, in one short line: names and values, hashes cut to their first eight digits."""
    parts = []
    for name, value in row.detail.items():
        if value is None or name in _SAID_ELSEWHERE or (name == "status" and value == row.observed_class):
            continue
        text = {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
        text = text[:8] if name == "identity" else text
        parts.append(f"{name.replace('_', ' ')} {text}")
    return " · ".join(parts)

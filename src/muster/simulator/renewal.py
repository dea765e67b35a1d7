"""The renewal of a device's identity: the enrollment profile again, by InstallProfile, in place of the present one.

Sources: Apple, "MDM" payload (what an update may change), "Authenticate"; the error chains are as devices were seen
to send, where any were seen. How devices report and roll back is not documented: `Behaviour` has each way.
"""

from dataclasses import replace

from muster.protocol.connect import ErrorItem
from muster.simulator.behaviour import Step
from muster.simulator.enrollment import Enrollment, EnrollmentFailed, Renewal, forbidden_change
from muster.simulator.facts import Platform, make_uuid
from muster.simulator.installing import obtain, read_mobileconfig, say
from muster.simulator.introduction import authenticate, token_update
from muster.simulator.machine import Machine, roots_of


async def begin_renewal(device: Machine, mobileconfig: bytes) -> Renewal:
    """Take *mobileconfig* for the present enrollment profile's successor: SCEP, Authenticate.

    Until `finish_renewal` both profiles' roots are trusted. Raises EnrollmentFailed, and leaves what is in force.
    """
    old = device.enrolled()
    received = read_mobileconfig(mobileconfig)
    objection = forbidden_change(old.profile, received.profile)
    if objection is not None:
        raise EnrollmentFailed("profile", objection)
    device.trusted_roots = roots_of(old.profile) | roots_of(received.profile)
    try:
        identity = await obtain(device, received.profile.identity)
        _break_off_after(device, Step.SCEP)
        magic = old.device_line.push_magic if device.behaviour.keeps_push_magic else make_uuid(device.rng)
        if not device.behaviour.renews_without_authenticate:
            new = replace(old, profile=received.profile, identity=identity)
            await say(device, authenticate(device.facts, device.contents, new), new)
            _break_off_after(device, Step.AUTHENTICATE)
    except EnrollmentFailed:
        device.trusted_roots = roots_of(old.profile)
        raise
    return Renewal(received, identity, magic)


async def finish_renewal(device: Machine, renewal: Renewal) -> None:
    """Use the new identity: TokenUpdate; then it is in force, and users who are logged in say theirs.

    Raises EnrollmentFailed when the installation fails now; profile, identity and PushMagic are again the old ones,
    although the server may have heard the new.
    """
    enrollment = device.enrolled()
    line = enrollment.device_line
    old_magic, line.push_magic = line.push_magic, renewal.push_magic
    new = replace(enrollment, profile=renewal.received.profile, identity=renewal.identity)
    try:
        await say(device, token_update(device.facts, device.unlock_token(), new, line), new)
        _break_off_after(device, Step.TOKEN_UPDATE)
    except EnrollmentFailed:
        line.push_magic = old_magic
        line.owes_token_update = device.behaviour.tells_of_rollback
        device.trusted_roots = roots_of(enrollment.profile)
        raise
    _put_in_force(device, enrollment, renewal)
    for user_line in enrollment.lines[1:]:
        await device.update_token(user_line)


def installation_error(platform: Platform, error: EnrollmentFailed, server_url: str) -> tuple[ErrorItem, ...]:
    """The error chain of an InstallProfile that came to nothing, the topmost error first."""
    if platform is Platform.MAC:
        return _mac_error(error, server_url)
    failed = "Profile Installation Failed"
    chain = [_item(4001, "MCInstallationErrorDomain", failed)]
    match error.step:
        case "SCEP":
            chain.append(_item(22013, "MCSCEPErrorDomain", "The SCEP server returned an invalid response."))
        case "profile":
            chain.append(_item(12017, "MCMDMErrorDomain", "The new MDM payload does not match the old payload."))
        case "PKCS #12":
            chain.append(_item(9003, "MCCertificateErrorDomain", "The password for the certificate is incorrect."))
        case _:
            words = f"A transaction with the server at “{server_url}” has failed with the status “{error.reason}”."
            chain.append(_item(23001, "MCHTTPTransactionErrorDomain", words))
    return tuple(chain)


def _mac_error(error: EnrollmentFailed, server_url: str) -> tuple[ErrorItem, ...]:
    if error.step == "SCEP":
        words = f'Unable to obtain certificate from SCEP server at "{server_url}". {error.reason} <MDM-SCEP:15001>'
        return (_item(15001, "MDM-SCEP", words),)
    words = f"The profile could not be installed. {error} <MDMClientError:98>"
    return (_item(98, "MDMClientError", words),)


def _item(code: int, domain: str, words: str) -> ErrorItem:
    return ErrorItem(code, domain, words, words)


def _break_off_after(device: Machine, step: Step) -> None:
    if device.behaviour.rolls_back_after is step:
        raise EnrollmentFailed(step.value, "the installation failed")


def _put_in_force(device: Machine, enrollment: Enrollment, renewal: Renewal) -> None:
    profile = renewal.received.profile
    enrollment.profile, enrollment.identity = profile, renewal.identity
    device.contents.profiles[profile.payload_identifier] = renewal.received.installed
    device.trusted_roots = roots_of(profile)

"""The doors by which devices and people come in, put together."""

from collections.abc import Callable

from muster.bootstrap.data_directory import Surroundings
from muster.bootstrap.pem_files import read_certificates
from muster.crypto.apple_roots import apple_device_roots
from muster.crypto.keys import RSAPrivateKey
from muster.edges.device.application import AsgiApplication
from muster.edges.device.http import BodyReader
from muster.edges.device.presented import MessagePolicy
from muster.edges.device.refusals import RefusalRecorder
from muster.edges.device.ways_in.account_driven import ACCOUNT_PATH, AccountDoor
from muster.edges.device.ways_in.automated import ADE_PATH, AutomatedDoor
from muster.edges.device.ways_in.introductions import IntroductionReader
from muster.edges.device.ways_in.ota import OTA_PATH, OtaDoor
from muster.edges.device.ways_in.profile_page import ENROLL_PATH, EnrollDoor
from muster.edges.device.ways_in.reception import Reception
from muster.edges.device.ways_in.rendering import PageRenderer
from muster.edges.device.ways_in.service_config import SERVICE_CONFIG_PATH, ServiceConfigDoor
from muster.edges.device.ways_in.sign_in import SignInDesk
from muster.operations.enrollment_profiles import EnrollmentTerms
from muster.operations.ports import Runner
from muster.protocol.account_driven import WELL_KNOWN_PATH
from muster.protocol.profile_signature import ProfileSigner
from muster.settings import Settings


def device_roots(settings: Settings, around: Surroundings) -> tuple[bytes, ...]:
    """Who vouches for devices, DER: Apple, and whom an operator adds for trials."""
    more: tuple[bytes, ...] = ()
    if settings.device_attestation_roots is not None:
        more = read_certificates(settings.device_attestation_roots, "device_attestation_roots")
    return (*apple_device_roots(), *around.device_roots, *more)


def make_ways_in(
    *,
    runner: Runner,
    terms: EnrollmentTerms,
    signer: ProfileSigner,
    roots: tuple[bytes, ...],
    policy: Callable[[], MessagePolicy],
    new_rsa_key: Callable[[int], RSAPrivateKey],
    recorder: RefusalRecorder,
    bodies: BodyReader,
) -> dict[str, AsgiApplication]:
    """Make the doors before an enrollment, by whole path or by its first segment."""
    renderer = PageRenderer(terms.organization, terms.public_url)
    secure = terms.public_url.startswith("https://")
    desk = SignInDesk(runner=runner, renderer=renderer, recorder=recorder, bodies=bodies, secure_cookies=secure)
    introductions = IntroductionReader(bodies, roots, policy().allow_legacy)
    reception = Reception(runner, terms, signer, recorder, bodies, renderer, desk)
    account = AccountDoor(reception, introductions, new_rsa_key=new_rsa_key)
    return {
        ENROLL_PATH: EnrollDoor(reception, new_rsa_key=new_rsa_key),
        OTA_PATH: OtaDoor(reception, policy=policy, roots=roots),
        ADE_PATH: AutomatedDoor(reception, introductions, new_rsa_key=new_rsa_key),
        ACCOUNT_PATH: account,
        WELL_KNOWN_PATH: account,
        SERVICE_CONFIG_PATH: ServiceConfigDoor(runner=runner, terms=terms),
    }

"""The doors of devices, put together: their messages, their identities, and the ways in."""

from dataclasses import dataclass
from functools import lru_cache

from muster.bootstrap.authorities import AuthorityBook
from muster.bootstrap.data_directory import Surroundings
from muster.bootstrap.pem_files import read_certificates
from muster.bootstrap.profiles import enrollment_terms
from muster.bootstrap.runners import Runners
from muster.bootstrap.ways_in import device_roots, make_ways_in
from muster.edges.device.application import AsgiApplication, DeviceApplication
from muster.edges.device.bearers import BearerWatch
from muster.edges.device.http import BodyReader
from muster.edges.device.messages import MessageDoor
from muster.edges.device.presented import MessagePolicy
from muster.edges.device.refusals import RefusalRecorder
from muster.edges.device.relay import MessageRelay
from muster.edges.device.scep import ScepDoor
from muster.edges.device.tally import Tally
from muster.edges.directory.password_file import PasswordFile
from muster.edges.workers.resurrections import Resurrections, Sought
from muster.operations.ports import JournalWriter
from muster.protocol.profile_signature import ProfileSigner
from muster.settings import Settings


@dataclass(frozen=True, slots=True)
class Behind:
    """What the doors of devices hand on to."""

    runners: Runners
    authorities: AuthorityBook
    signer: ProfileSigner
    journal: JournalWriter
    resurrections: Resurrections
    relay: MessageRelay
    tally: Tally
    others: AsgiApplication


def make_device_application(settings: Settings, around: Surroundings, behind: Behind) -> DeviceApplication:
    """Make the application that answers devices, and has *others* of *behind* answer whoever is none."""
    runners = behind.runners
    recorder = RefusalRecorder(runners.operations)
    bodies = BodyReader()
    header = settings.client_certificate_header.lower().encode()

    @lru_cache(maxsize=1)  # every request asks for it, and authorities hardly ever change
    def policy_of(authorities_der: tuple[bytes, ...]) -> MessagePolicy:
        return MessagePolicy(settings.accept_legacy_algorithms, authorities_der, header)

    def policy() -> MessagePolicy:
        return policy_of(behind.authorities.certificates_der())

    return DeviceApplication(
        messages=MessageDoor(
            connects=runners.connects,
            checkins=runners.operations,
            lookups=runners.views,
            journal=behind.journal,
            recorder=recorder,
            policy=policy,
            bodies=bodies,
            bearers=BearerWatch(runners.views),
            directory=PasswordFile(settings.directory_path, settings.directory_realm),
            tally=behind.tally,
            seek=lambda device_id, identity: behind.resurrections.seek(Sought(device_id, identity)),
            relay=behind.relay,
            adopted_der=_adopted(settings),
        ),
        scep=ScepDoor(
            runner=runners.operations,
            authorities=behind.authorities.all,
            look_again=behind.authorities.look_again,
            organization=settings.organization,
            policy=policy,
            recorder=recorder,
            bodies=bodies,
            random_bytes=around.random_bytes,
        ),
        ways_in=make_ways_in(
            runner=runners.views,
            terms=enrollment_terms(settings),
            signer=behind.signer,
            roots=device_roots(settings, around),
            policy=policy,
            new_rsa_key=around.new_rsa_key,
            recorder=recorder,
            bodies=bodies,
        ),
        recorder=recorder,
        others=behind.others,
        tally=behind.tally,
    )


def _adopted(settings: Settings) -> tuple[bytes, ...]:
    """Read who vouched for the devices that are taken over from another server, DER."""
    return () if settings.migration_ca is None else read_certificates(settings.migration_ca, "migration_ca")

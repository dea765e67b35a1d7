"""Inventory is learned from answers: what is kept, what changed, what follows for the device, and what is evidence."""

from collections.abc import Mapping
from typing import Any

import pytest
import sqlalchemy as sa
from tests.support.site import MAC, Site, id_of, print_of

from muster.crypto.cms.signing import SignerIdentity
from muster.domain.inventory.changes import StoredFact, StoredItem
from muster.domain.inventory.kinds import KINDS, InventoryKind
from muster.protocol.command import CommandRequest
from muster.protocol.identifiers import Identifiers
from muster.protocol.plist import PlistValue
from muster.storage import inventory, schema

APPS = InventoryKind.INSTALLED_APPLICATION_LIST
OURS: dict[str, PlistValue] = {"PayloadIdentifier": "org.example.enrollment", "PayloadUUID": "U"}


def says(
    site: Site,
    identity: SignerIdentity,
    kind: InventoryKind,
    held: PlistValue,
    keys: Mapping[str, PlistValue] | None = None,
    *,
    status: str = "Acknowledged",
) -> None:
    """Have the Mac be asked about *kind*, and answer *held*."""
    site.wait(minutes=1)
    needed: dict[str, PlistValue] = {"Queries": ["OSVersion"]} if kind is InventoryKind.DEVICE_INFORMATION else {}
    request = CommandRequest(kind.value, needed | dict(keys or {}))
    site.answers(identity, request, {KINDS[kind].answer_key: held}, status=status)


def facts(site: Site, kind: InventoryKind, identifiers: Identifiers = MAC) -> Mapping[str, StoredFact]:
    kept = site.engine.read(lambda tx: inventory.find(tx, id_of(identifiers), kind))
    return {} if kept is None else kept.facts


def items(site: Site, kind: InventoryKind = APPS) -> Mapping[str, StoredItem]:
    return site.engine.read(lambda tx: inventory.items(tx, id_of(MAC), kind))


def history(site: Site) -> list[tuple[str, Any, Any]]:
    found = site.engine.read(lambda tx: inventory.changes(tx, [id_of(MAC)], limit=100))
    return sorted((one.change.name, one.change.before, one.change.after) for one in found)


def standing(site: Site, *names: str) -> tuple[Any, ...]:
    return site.rows(sa.select(*(schema.device_facts.c[name] for name in names)))[0]


def app(identifier: str, version: str = "1") -> dict[str, PlistValue]:
    return {"Identifier": identifier, "Name": identifier.upper(), "Version": version}


def test_facts_are_kept_with_their_time_and_their_history(site: Site) -> None:
    identity = site.enroll()
    says(site, identity, InventoryKind.DEVICE_INFORMATION, {"OSVersion": "26.0", "BatteryLevel": 0.5})
    first_at = site.now
    says(site, identity, InventoryKind.DEVICE_INFORMATION, {"OSVersion": "26.1"})

    kept = facts(site, InventoryKind.DEVICE_INFORMATION)
    assert kept == {"OSVersion": StoredFact("26.1"), "BatteryLevel": StoredFact(0.5, first_at)}
    assert history(site) == [("OSVersion", "26.0", "26.1")]


def test_same_answer_again_only_moves_its_time(site: Site) -> None:
    identity = site.enroll()
    for _ in range(2):
        says(site, identity, APPS, [app("a")])

    kept = site.engine.read(lambda tx: inventory.find(tx, id_of(MAC), APPS))
    assert kept is not None
    assert kept.learned_at == site.now
    assert history(site) == []


def test_list_is_kept_item_by_item(site: Site) -> None:
    identity = site.enroll()
    says(site, identity, APPS, [app("a"), app("b")])
    says(site, identity, APPS, [app("b", "2"), app("c")])

    assert {name: one.version for name, one in items(site).items()} == {"b": "2", "c": "1"}
    assert [name for name, _, _ in history(site)] == ["a", "b", "c"]


def test_filtered_question_makes_nothing_vanish(site: Site) -> None:
    identity = site.enroll()
    says(site, identity, APPS, [app("a"), app("b")])
    says(site, identity, APPS, [app("a", "2")], {"ManagedAppsOnly": True})

    assert sorted(items(site)) == ["a", "b"]

    says(site, identity, APPS, [app("a"), app("b")])
    assert {name: one.version for name, one in items(site).items()} == {"a": "1", "b": "1"}, "not taken for a repeat"


def test_error_is_no_inventory(site: Site) -> None:
    identity = site.enroll()
    says(site, identity, APPS, [app("a")])
    says(site, identity, APPS, [], status="Error")

    assert sorted(items(site)) == ["a"]


def test_what_queries_ask_for_stands_beside_the_device(site: Site) -> None:
    identity = site.enroll()
    says(
        site,
        identity,
        InventoryKind.SECURITY_INFO,
        {
            "FDE_Enabled": True,
            "PasscodeCompliant": True,
            "PasscodeCompliantWithProfiles": False,
            "FirewallSettings": {"FirewallEnabled": "yes"},
            "ManagementStatus": {"UserApprovedEnrollment": True},
        },
    )
    says(site, identity, InventoryKind.DEVICE_INFORMATION, {"IsSupervised": True, "DeviceCapacity": 245})

    names = ("is_disk_encrypted", "is_passcode_compliant", "is_firewall_enabled", "is_user_approved", "is_supervised")
    assert standing(site, *names) == (True, False, None, True, True)
    assert standing(site, "total_capacity", "inventory_at") == (245.0, site.now)


def test_locked_profiles_and_our_own_are_told(site: Site) -> None:
    identity = site.enroll()
    locked: dict[str, PlistValue] = {"PayloadIdentifier": "wifi", "PayloadRemovalDisallowed": True}
    says(site, identity, InventoryKind.PROFILE_LIST, [{**OURS, "PayloadRemovalDisallowed": True}])
    names = ("has_enrollment_profile", "is_enrollment_removable", "has_locked_profiles")
    assert standing(site, *names) == (True, False, False)

    says(site, identity, InventoryKind.PROFILE_LIST, [OURS, locked])
    assert standing(site, *names) == (True, True, True)


def test_profile_and_identity_that_went_are_evidence_once(site: Site) -> None:
    identity = site.enroll()
    certificate: dict[str, PlistValue] = {"CommonName": "x", "IsIdentity": True, "Data": identity.certificate_der}
    says(site, identity, InventoryKind.PROFILE_LIST, [OURS])
    says(site, identity, InventoryKind.CERTIFICATE_LIST, [certificate])
    assert [one for one in site.evidence() if one[0] == "S9"] == []

    for _ in range(2):
        says(site, identity, InventoryKind.PROFILE_LIST, [])
        says(site, identity, InventoryKind.CERTIFICATE_LIST, [])

    assert [one for one in site.evidence() if one[0] == "S9"] == [
        ("S9", "mdm_profile_missing", 1),
        ("S9", "identity_certificate_missing", 1),
    ]


def test_identity_is_found_by_its_hash(site: Site) -> None:
    identity = site.enroll()
    says(site, identity, InventoryKind.CERTIFICATE_LIST, [{"Data": identity.certificate_der}])

    assert print_of(identity).hex() in items(site, InventoryKind.CERTIFICATE_LIST)
    assert standing(site, "has_identity_certificate") == (True,)


def test_new_life_forgets_how_the_former_one_stood_and_keeps_its_inventory(site: Site) -> None:
    identity = site.enroll()
    says(site, identity, InventoryKind.DEVICE_INFORMATION, {"IsSupervised": True})
    site.wait(days=1)
    again = site.enroll()

    assert standing(site, "is_supervised", "inventory_at") == (None, None)
    assert facts(site, InventoryKind.DEVICE_INFORMATION)["IsSupervised"].value is True

    says(site, again, InventoryKind.DEVICE_INFORMATION, {"IsSupervised": True})
    assert standing(site, "is_supervised") == (True,), "though the answer is what the former life's was"


def test_wrong_type_is_flagged_and_the_rest_is_learned(site: Site) -> None:
    identity = site.enroll()
    says(site, identity, InventoryKind.DEVICE_INFORMATION, {"OSVersion": ["26"], "DeviceName": "Mac"})

    assert facts(site, InventoryKind.DEVICE_INFORMATION)["OSVersion"] == StoredFact(["26"], None, is_odd=True)
    assert standing(site, "os_version", "device_name") == (None, "Mac")
    ((flagged,),) = site.rows(sa.select(schema.reports.c.faults))
    assert flagged == [{"key_path": "QueryResponses.OSVersion", "what": "is an array and should be a string"}]


def test_text_too_long_for_an_index_stands_nowhere_but_in_inventory(site: Site) -> None:
    identity = site.enroll()
    says(site, identity, InventoryKind.DEVICE_INFORMATION, {"SerialNumber": "x" * 5000})

    assert standing(site, "serial_number") == ("C02XK1LYJGH5",)
    assert facts(site, InventoryKind.DEVICE_INFORMATION)["SerialNumber"].value == "x" * 5000


def test_newer_systems_tell_of_the_imei_beside_the_subscription(site: Site) -> None:
    identity = site.enroll()
    says(site, identity, InventoryKind.DEVICE_INFORMATION, {"ServiceSubscriptions": [{"IMEI": "35 1"}]})

    assert standing(site, "imei") == ("35 1",)


@pytest.mark.parametrize("kind", InventoryKind)
def test_any_kind_can_be_empty(site: Site, kind: InventoryKind) -> None:
    identity = site.enroll()
    about = KINDS[kind]
    is_list = about.items is not None and kind is not InventoryKind.MANAGED_APPLICATION_LIST
    for _ in range(2):
        says(site, identity, kind, [] if is_list else {})

    assert site.rows(sa.select(schema.inventory.c.kind)) == [(kind.value,)]
    assert site.rows(sa.select(schema.reports.c.faults)) == [(None,), (None,)]


def test_twenty_thousand_applications_are_learned(site: Site) -> None:
    identity = site.enroll()
    count = 20_000
    says(site, identity, APPS, [app(f"com.example.application-with-a-name.{number}") for number in range(count)])
    says(site, identity, APPS, [app(f"com.example.application-with-a-name.{number}") for number in range(1, count)])

    ((kept,),) = site.rows(sa.select(sa.func.count()).select_from(schema.inventory_items))
    assert kept == count - 1
    assert len(history(site)) == 1

"""What a simulated device does with applications, books and programs that its server wants on it.

Sources: Apple, "Install Application", "Managed Application List" and the commands beside them; an application is
asked about by name, prompts on devices that aren't supervised, and takes its time, as on real ones.
"""

from dataclasses import replace
from datetime import timedelta
from pathlib import PurePosixPath
from typing import assert_never
from urllib.parse import urlsplit

from muster.protocol.connect import Status
from muster.protocol.plist import PlistValue
from muster.simulator.answers import (
    NOT_MANAGED,
    Answer,
    Responder,
    Situation,
    badly_formed,
    refused,
    texts,
)
from muster.simulator.contents import STORE, Application, AppState, Book, Keys

BUNDLE_SIZE = 50_000_000
PROGRAM_ID = "com.apple.cloudvpp"


def install_application(situation: Situation, keys: Keys) -> Answer:
    """Accept an application: ask the user on a device that isn't supervised, else begin to install it."""
    wanted = _wanted(keys)
    if wanted is None:
        return badly_formed(situation, "InstallApplication", "iTunesStoreID")
    if wanted.store_id is not None and wanted.store_id <= 0:
        return _rejected(wanted, "CouldNotVerifyAppID")
    _settle(situation)
    present = situation.contents.applications.get(wanted.identifier)
    if present is None or present.state is AppState.USER_REJECTED:
        asks = not situation.is_mac and not situation.facts.is_supervised
        return _begin(situation, wanted, AppState.PROMPTING if asks else AppState.INSTALLING)
    match present.state:
        case AppState.PROMPTING:
            words = "The user is already being prompted."
            return refused(1407, words, "DeviceManagement.error")
        case AppState.INSTALLING | AppState.UPDATING:
            return _rejected(wanted, "AppAlreadyQueued")
        case AppState.MANAGED if present.is_managed:
            return _begin(situation, replace(present, configuration=wanted.configuration), AppState.UPDATING)
        case AppState.MANAGED:
            if keys.get("ChangeManagementState") != "Managed":
                return _rejected(wanted, "AppAlreadyInstalled")
            situation.contents.applications[present.identifier] = replace(present, is_managed=True)
            return Answer(keys={"Identifier": present.identifier, "State": AppState.MANAGED.value})
        case _:
            assert_never(present.state)


def install_enterprise_application(situation: Situation, keys: Keys) -> Answer:
    """Begin to install what a manifest names, managed where asked; the answer says nothing of it."""
    wanted = _wanted(keys)
    if wanted is None:
        return badly_formed(situation, "InstallEnterpriseApplication", "ManifestURL")
    is_managed = keys.get("InstallAsManaged") is True
    _begin(situation, replace(wanted, is_managed=is_managed), AppState.INSTALLING)
    return Answer()


def remove_application(situation: Situation, keys: Keys) -> Answer:
    """Remove an application that the server installed."""
    identifier = str(keys["Identifier"])
    application = situation.contents.applications.get(identifier)
    if application is None or not application.is_managed:
        return refused(NOT_MANAGED, f"The app “{identifier}” is not managed.")
    del situation.contents.applications[identifier]
    return Answer()


def installed_application_list(situation: Situation, keys: Keys) -> Answer:
    """Every application, or those asked for; in a user enrollment only the managed ones."""
    _settle(situation)
    wanted = texts(keys.get("Identifiers"))
    only_managed = keys.get("ManagedAppsOnly") is True or situation.facts.is_user_enrollment
    items = texts(keys.get("Items"))
    listed: list[PlistValue] = [
        {key: value for key, value in _listed(situation, application).items() if items is None or key in items}
        for application in situation.contents.applications.values()
        if (wanted is None or application.identifier in wanted)
        and (application.is_managed or not only_managed)
        and (application.state.is_present or application.state is AppState.INSTALLING)
    ]
    return Answer(keys={"InstalledApplicationList": listed})


def managed_application_list(situation: Situation, keys: Keys) -> Answer:
    """Every application that the server installed or asked for, or those asked about, and how far each has come."""
    _settle(situation)
    listed: Keys = {}
    for application in _asked_for(situation, keys):
        entry: Keys = {
            "Status": application.state.value,
            "ManagementFlags": application.management_flags,
            "HasConfiguration": application.configuration is not None,
            "HasFeedback": application.feedback is not None,
            "ExternalVersionIdentifier": application.store_id or 0,
        }
        if not situation.is_mac:
            entry["IsValidated"] = application.is_validated and application.state.is_present
        listed[application.identifier] = entry
    return Answer(keys={"ManagedApplicationList": listed})


def managed_application_configuration(situation: Situation, keys: Keys) -> Answer:
    """The configuration that each application was given; those without are listed by name alone."""
    listed: list[PlistValue] = [
        _named(application, "Configuration", application.configuration) for application in _asked_for(situation, keys)
    ]
    return Answer(keys={"ApplicationConfigurations": listed})


def managed_application_attributes(situation: Situation, keys: Keys) -> Answer:
    """The attributes of each application."""
    listed: list[PlistValue] = [
        _named(application, "Attributes", application.attributes) for application in _asked_for(situation, keys)
    ]
    return Answer(keys={"ApplicationAttributes": listed})


def managed_application_feedback(situation: Situation, keys: Keys) -> Answer:
    """What the applications left for their server, which is deleted where asked."""
    applications = _asked_for(situation, keys)
    listed: list[PlistValue] = [_named(application, "Feedback", application.feedback) for application in applications]
    if keys.get("DeleteFeedback") is True:
        for application in applications:
            situation.contents.applications[application.identifier] = replace(application, feedback=None)
    return Answer(keys={"ManagedApplicationFeedback": listed})


def validate_applications(situation: Situation, keys: Keys) -> Answer:
    """Validate the applications named, or all of them."""
    for application in _asked_for(situation, keys):
        situation.contents.applications[application.identifier] = replace(application, is_validated=True)
    return Answer()


def apply_redemption_code(situation: Situation, keys: Keys) -> Answer:
    """Redeem a code for an application that the server asked for."""
    identifier = str(keys["Identifier"])
    application = situation.contents.applications.get(identifier)
    if application is None or not application.is_managed:
        return refused(NOT_MANAGED, f"The app “{identifier}” is not managed.")
    return Answer()


def install_media(situation: Situation, keys: Keys) -> Answer:
    """Install a book, of the store or from an address."""
    store_id, url = keys.get("iTunesStoreID"), keys.get("MediaURL")
    if not isinstance(store_id, int) and not isinstance(url, str):
        return badly_formed(situation, "InstallMedia", "iTunesStoreID")
    named: Keys = {key: keys[key] for key in ("iTunesStoreID", "MediaURL", "PersistentID") if key in keys}
    said = named | {"MediaType": "Book"}
    if keys["MediaType"] != "Book":
        return Answer(keys=named | {"RejectionReason": "WrongMediaType"})
    if isinstance(store_id, int) and store_id <= 0:
        return Answer(keys=said | {"RejectionReason": "CouldNotVerifyITunesStoreID"})
    persistent_id = keys.get("PersistentID")
    book = Book(
        store_id if isinstance(store_id, int) else None,
        persistent_id if isinstance(persistent_id, str) else None,
        {key: keys[key] for key in ("PersistentID", "Kind", "Version", "Author", "Title") if key in keys},
    )
    if book not in situation.contents.books:
        situation.contents.books.append(book)
    return Answer(keys=said | {"State": "Installing"})


def managed_media_list(situation: Situation, _keys: Keys) -> Answer:
    """Every book that the server installed."""
    listed: list[PlistValue] = []
    for book in situation.contents.books:
        entry: Keys = {"iTunesStoreID": book.store_id or 0, "State": "Installed"}
        listed.append(entry | book.described)
    return Answer(keys={"Books": listed})


def remove_media(situation: Situation, keys: Keys) -> Answer:
    """Remove a book, by what it was installed by. One that isn't there is no error (Apple, "Remove Media")."""
    store_id, persistent_id = keys.get("iTunesStoreID"), keys.get("PersistentID")
    situation.contents.books[:] = [
        book
        for book in situation.contents.books
        if not (
            (store_id is not None and str(book.store_id) == store_id)
            or (persistent_id is not None and book.persistent_id == persistent_id)
        )
    ]
    return Answer()


def invite_to_program(_situation: Situation, keys: Keys) -> Answer:
    """Show the user an invitation."""
    if keys["ProgramID"] != PROGRAM_ID:
        return Answer(keys={"InvitationResult": "InvalidProgramID"})
    is_address = urlsplit(str(keys["InvitationURL"])).scheme == "https"
    return Answer(keys={"InvitationResult": "Acknowledged" if is_address else "InvalidInvitationURL"})


def set_configuration(situation: Situation, item: Keys) -> Answer:
    """The item ApplicationConfiguration of Settings: none in it takes the present one away."""
    configuration = item.get("Configuration")
    return _change(situation, item, configuration=configuration if isinstance(configuration, dict) else None)


def set_attributes(situation: Situation, item: Keys) -> Answer:
    """The item ApplicationAttributes of Settings."""
    attributes = item.get("Attributes")
    return _change(situation, item, attributes=attributes if isinstance(attributes, dict) else {})


def _change(situation: Situation, item: Keys, **changes: Keys | None) -> Answer:
    identifier = str(item["Identifier"])
    application = situation.contents.applications.get(identifier)
    if application is None or not application.is_managed:
        return refused(NOT_MANAGED, f"The app “{identifier}” is not managed.")
    changed = (
        replace(application, attributes=changes["attributes"] or {})
        if "attributes" in changes
        else replace(application, configuration=changes["configuration"])
    )
    situation.contents.applications[identifier] = changed
    return Answer(keys={"Identifier": identifier})


def _wanted(keys: Keys) -> Application | None:
    """The application that a request names by store id, identifier or manifest; None when it names none."""
    store_id = keys.get("iTunesStoreID")
    flags, configuration, attributes = (keys.get(key) for key in ("ManagementFlags", "Configuration", "Attributes"))
    identifier, name = _name(keys, store_id)
    if identifier is None:
        return None
    return Application(
        identifier,
        name,
        "1.0",
        BUNDLE_SIZE,
        is_managed=True,
        store_id=store_id if isinstance(store_id, int) else None,
        management_flags=flags if isinstance(flags, int) else 0,
        configuration=configuration if isinstance(configuration, dict) else None,
        attributes=attributes if isinstance(attributes, dict) else {},
    )


def _name(keys: Keys, store_id: PlistValue | None) -> tuple[str | None, str]:
    """Identifier and name; a manifest isn't fetched, its address stands for what is in it."""
    match keys:
        case {"Identifier": str(identifier)} if identifier:
            return identifier, identifier.rpartition(".")[2]
        case {"Manifest": {"items": [{"metadata": {"bundle-identifier": str(identifier)}}, *_]}}:
            return identifier, identifier.rpartition(".")[2]
        case {"ManifestURL": str(url)} if url:
            stem = PurePosixPath(urlsplit(url).path).stem or "application"
            return f"com.example.{stem}", stem
    if isinstance(store_id, int):
        return STORE.get(store_id, (f"com.example.app{store_id}", f"App {store_id}"))
    return None, ""


def _begin(situation: Situation, application: Application, state: AppState) -> Answer:
    behaviour = situation.behaviour
    seconds = behaviour.seconds_per_prompt if state is AppState.PROMPTING else behaviour.seconds_per_installation
    due_at = situation.now + timedelta(seconds=seconds)
    situation.contents.applications[application.identifier] = replace(application, state=state, due_at=due_at)
    return Answer(keys={"Identifier": application.identifier, "State": state.value})


def _settle(situation: Situation) -> None:
    """Let what was under way and is due by now have happened."""
    for application in list(situation.contents.applications.values()):
        later = application
        while later.due_at is not None and later.due_at <= situation.now:
            later = _next(situation, later)
        situation.contents.applications[later.identifier] = later


def _next(situation: Situation, application: Application) -> Application:
    assert application.due_at is not None
    if application.state is not AppState.PROMPTING:
        return replace(application, state=AppState.MANAGED, due_at=None)
    match situation.behaviour.accepts_prompts:
        case True:
            due_at = application.due_at + timedelta(seconds=situation.behaviour.seconds_per_installation)
            return replace(application, state=AppState.INSTALLING, due_at=due_at)
        case False:
            return replace(application, state=AppState.USER_REJECTED, due_at=None)
        case None:
            return replace(application, due_at=None)


def _asked_for(situation: Situation, keys: Keys) -> list[Application]:
    wanted = texts(keys.get("Identifiers"))
    return [
        application
        for application in situation.contents.applications.values()
        if application.is_managed and (wanted is None or application.identifier in wanted)
    ]


def _named(application: Application, key: str, value: Keys | None) -> Keys:
    named: Keys = {"Identifier": application.identifier}
    return named if value is None else named | {key: value}


def _rejected(application: Application, reason: str) -> Answer:
    """Acknowledged, and yet refused: so devices answer about applications."""
    return Answer(Status.ACKNOWLEDGED, keys={"Identifier": application.identifier, "RejectionReason": reason})


def _listed(situation: Situation, application: Application) -> Keys:
    common: Keys = {
        "Identifier": application.identifier,
        "Name": application.name,
        "Version": application.version,
        "ShortVersion": application.version,
        "BundleSize": application.bundle_size,
    }
    if situation.is_mac:
        return common | {
            "Path": f"/Applications/{application.name}.app",
            "Installing": not application.state.is_present,
        }
    return common | {
        "AdHocCodeSigned": False,
        "AppStoreVendable": True,
        "BetaApp": False,
        "DeviceBasedVPP": application.is_managed,
        "DynamicSize": 192_512,
        "ExternalVersionIdentifier": application.store_id or 0,
        "HasUpdateAvailable": False,
        "Installing": not application.state.is_present,
        "IsValidated": application.is_validated,
    }


APPLICATION_RESPONDERS = {
    "ApplyRedemptionCode": Responder(apply_redemption_code, "redeems for an application that was sent, else an error"),
    "InstallApplication": Responder(
        install_application,
        "asks the user where the device isn't supervised, installs for a while, then manages it; rejects what is "
        "there, and says 1407 while the user is asked",
    ),
    "InstallEnterpriseApplication": Responder(
        install_enterprise_application, "installs what the manifest names, for a while; the manifest is not fetched"
    ),
    "InstallMedia": Responder(install_media, "keeps the book"),
    "InstalledApplicationList": Responder(installed_application_list, "lists what is installed or being installed"),
    "InviteToProgram": Responder(invite_to_program, "looks at program and address"),
    "ManagedApplicationAttributes": Responder(managed_application_attributes, "tells what was set"),
    "ManagedApplicationConfiguration": Responder(managed_application_configuration, "tells what was set"),
    "ManagedApplicationFeedback": Responder(managed_application_feedback, "tells, and deletes where asked"),
    "ManagedApplicationList": Responder(managed_application_list, "tells how far each application has come"),
    "ManagedMediaList": Responder(managed_media_list, "lists the books that were sent"),
    "RemoveApplication": Responder(remove_application, "removes what was sent, else an error"),
    "RemoveMedia": Responder(remove_media, "removes the book"),
    "ValidateApplications": Responder(validate_applications, "validates"),
}

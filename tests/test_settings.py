"""Where settings come from, and which are refused."""

from pathlib import Path

import pytest

from muster.edges.device.application import CHECK_IN_PATH
from muster.settings import Settings, SettingsError, advice, read_settings

DEFAULTS = Settings.model_validate({})


def test_every_setting_has_a_default_and_says_what_it_is() -> None:
    settings = read_settings({}, {})

    assert settings == DEFAULTS
    assert all(field.description for field in Settings.model_fields.values())


def test_flags_win_over_the_environment_over_the_file_over_the_default(tmp_path: Path) -> None:
    (tmp_path / "muster.toml").write_text('organization = "file"\nnode = "file"\nlog_level = "error"\n')
    environment = {"MUSTER_ORGANIZATION": "environment", "MUSTER_NODE": "environment"}

    settings = read_settings({"data_dir": tmp_path, "organization": "flag", "node": None}, environment)

    assert (settings.organization, settings.node, settings.log_level) == ("flag", "environment", "error")
    assert settings.log_format == "json"


def test_the_environment_may_name_the_directory_with_the_file(tmp_path: Path) -> None:
    (tmp_path / "muster.toml").write_text("workers = 1\nidentity_lifetime_days = 90\n")

    settings = read_settings({}, {"MUSTER_DATA_DIR": str(tmp_path), "HOME": "/"})

    assert (settings.data_dir, settings.identity_lifetime_days) == (tmp_path, 90)


def test_an_empty_variable_counts_as_absent() -> None:
    settings = read_settings({}, {"MUSTER_PUBLIC_URL": "", "MUSTER_DATABASE": "", "MUSTER_WORKERS": ""})

    assert settings == DEFAULTS


def test_lists_are_separated_by_commas_in_the_environment() -> None:
    settings = read_settings({}, {"MUSTER_TRUSTED_PROXIES": "10.0.0.1, 10.0.0.2,"})

    assert settings.trusted_proxies == ("10.0.0.1", "10.0.0.2")


def test_variables_of_the_test_suite_are_none_of_ours() -> None:
    assert read_settings({}, {"MUSTER_TEST_SKIP_PG": "1"}) == DEFAULTS


@pytest.mark.parametrize(
    ("variable", "complaint"),
    [
        ("MUSTER_NONSENSE", "MUSTER_NONSENSE: there is no such setting"),
        ("MUSTER_PUBLIC_ULR", "MUSTER_PUBLIC_ULR: there is no such setting; did you mean public_url?"),
    ],
)
def test_unknown_names_in_the_environment_are_refused(variable: str, complaint: str) -> None:
    with pytest.raises(SettingsError) as raised:
        read_settings({}, {variable: ""})

    assert str(raised.value) == complaint


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("nonsense = 1", "muster.toml: nonsense: there is no such setting"),
        ('orgnization = "x"', "muster.toml: orgnization: there is no such setting; did you mean organization?"),
        ('data_dir = "x"', "muster.toml: data_dir: the file lies in it"),
        ("workers = ", "muster.toml: Invalid value"),
        ('workers = "many"', "muster.toml: workers: input should be a valid integer"),
    ],
)
def test_what_does_not_belong_into_the_file_is_refused(tmp_path: Path, text: str, complaint: str) -> None:
    (tmp_path / "muster.toml").write_text(text)

    with pytest.raises(SettingsError) as raised:
        read_settings({"data_dir": tmp_path}, {})

    assert complaint in str(raised.value)


def test_a_wrong_value_is_named_by_where_it_was_set(tmp_path: Path) -> None:
    (tmp_path / "muster.toml").write_text("apns_port = 0\n")
    flags = {"data_dir": tmp_path, "log_format": "xml"}

    with pytest.raises(SettingsError) as raised:
        read_settings(flags, {"MUSTER_IDENTITY_LIFETIME_DAYS": "0"})

    assert [line.partition(": input")[0] for line in sorted(str(raised.value).splitlines())] == [
        "--log-format",
        str(tmp_path / "muster.toml: apns_port"),
        "MUSTER_IDENTITY_LIFETIME_DAYS",
    ]


@pytest.mark.parametrize("listen", ["8443", ":8443", "host:", "host:no", "host:65536", "host:٣", "::1:8443", "a:b:1"])
def test_listen_must_be_host_and_port(listen: str) -> None:
    with pytest.raises(SettingsError, match="--listen: must be HOST:PORT"):
        read_settings({"listen": listen}, {})


@pytest.mark.parametrize(
    ("listen", "host", "port", "url"),
    [
        ("127.0.0.1:8443", "127.0.0.1", 8443, "http://127.0.0.1:8443"),
        ("[::1]:80", "::1", 80, "http://[::1]:80"),
        ("mdm.example.com:0", "mdm.example.com", 0, "http://mdm.example.com:0"),
    ],
)
def test_listen_tells_host_port_and_url(listen: str, host: str, port: int, url: str) -> None:
    settings = read_settings({"listen": listen}, {})

    assert (settings.listen_host, settings.listen_port, settings.effective_public_url) == (host, port, url)


@pytest.mark.parametrize(
    "url",
    [
        "mdm.example.com",
        "ftp://mdm.example.com",
        "https://",
        "https://mdm.example.com:port",
        "https://mdm.example.com?x=1",
        "https://mdm.example.com/#x",
        "https://ada:secret@mdm.example.com",
        "https://[::1",
    ],
)
def test_urls_of_the_server_are_plain(url: str) -> None:
    for name in ("public_url", "check_in_url"):
        with pytest.raises(SettingsError) as raised:
            read_settings({name: url}, {})

        assert "secret" not in str(raised.value)


def test_urls_lose_their_slash_at_the_end() -> None:
    flags = {"public_url": "https://a.example.com/mdm/", "check_in_url": "https://b.example.com/checkin/"}

    settings = read_settings(flags, {})

    assert (settings.public_url, settings.check_in_url) == (
        "https://a.example.com/mdm",
        "https://b.example.com/checkin",
    )


def test_the_check_in_url_is_described_with_the_path_that_answers() -> None:
    assert CHECK_IN_PATH in (Settings.model_fields["check_in_url"].description or "")


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        ({"workers": 2}, "--workers: SQLite serves from one process; give a PostgreSQL database for more"),
        ({"database": "mysql://ada:secret@x"}, "--database: must be a postgresql:// URL; without one, SQLite is used"),
        ({"tls_key": "x"}, "--tls-key: goes together with tls_certificate, which is not set"),
        ({"tls_certificate": "x"}, "--tls-certificate: goes together with tls_key, which is not set"),
    ],
)
def test_contradictions_are_refused(flags: dict[str, object], complaint: str) -> None:
    with pytest.raises(SettingsError) as raised:
        read_settings(flags, {})

    assert str(raised.value) == complaint


def test_several_processes_may_share_postgresql() -> None:
    settings = read_settings({"workers": 4, "database": "postgresql://db/muster"}, {})

    assert settings.workers == 4
    assert "db/muster" not in repr(settings)


@pytest.mark.parametrize(
    ("flags", "count"),
    [
        ({}, 1),
        ({"listen": "0.0.0.0:8443"}, 1),
        ({"listen": "[::]:8443"}, 1),
        ({"public_url": "http://mdm.example.com"}, 1),
        ({"public_url": "https://mdm.example.com", "listen": "0.0.0.0:8443"}, 0),
    ],
)
def test_advice_is_given_where_devices_could_not_come(flags: dict[str, object], count: int) -> None:
    assert len(advice(read_settings(flags, {}))) == count


@pytest.mark.parametrize("proxy", ["10.0.0.1", "10.1.0.0/16", "::1", "2001:db8::/32"])
def test_proxies_are_addresses_or_networks(proxy: str) -> None:
    assert read_settings({}, {"MUSTER_TRUSTED_PROXIES": proxy}).trusted_proxies == (proxy,)


@pytest.mark.parametrize("proxy", ["*", "proxy.example.com", "10.1.0.1/16", "10.1.0.0/33", "unix:/run/x"])
def test_proxy_that_is_no_address_is_named(proxy: str) -> None:
    with pytest.raises(SettingsError, match=r"MUSTER_TRUSTED_PROXIES: .* is neither an address nor a network"):
        read_settings({}, {"MUSTER_TRUSTED_PROXIES": f"10.0.0.1,{proxy}"})


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (
            {"client_certificate_header": "X-Client-Cert"},
            "--client-certificate-header: is believed from trusted_proxies",
        ),
        ({"client_certificate_header": "X Client"}, "--client-certificate-header: string should match"),
        ({"tls_client_certificates": "ask"}, "--tls-client-certificates: asks in our own TLS"),
        ({"tls_client_certificates": "require"}, "--tls-client-certificates: input should be 'off' or 'ask'"),
    ],
)
def test_ways_to_present_a_certificate_that_can_not_work_are_refused(flags: dict[str, str], complaint: str) -> None:
    with pytest.raises(SettingsError) as raised:
        read_settings(flags, {})

    assert str(raised.value).startswith(complaint)


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"OIDC_ISSUER": "http://id.example"}, "MUSTER_OIDC_ISSUER: must be https://HOST"),
        ({"OIDC_ISSUER": "https://id.example"}, "oidc_client_id: goes together with oidc_issuer"),
        (
            {"OIDC_ISSUER": "https://id.example", "OIDC_CLIENT_ID": "m", "OIDC_ROLES": "a=owner,b=king"},
            "MUSTER_OIDC_ROLES: b=king is not GROUP=ROLE",
        ),
        (
            {"OIDC_ISSUER": "https://id.example", "OIDC_CLIENT_ID": "m", "OIDC_SCOPES": "groups"},
            "MUSTER_OIDC_SCOPES: are words of visible ASCII, openid among them",
        ),
        (
            {"OIDC_ISSUER": "https://id.example", "OIDC_CLIENT_ID": "m", "OIDC_SCOPES": "openid,two words"},
            "MUSTER_OIDC_SCOPES: are words of visible ASCII, openid among them",
        ),
    ],
)
def test_provider_that_can_not_work_is_refused(settings: dict[str, str], complaint: str) -> None:
    with pytest.raises(SettingsError) as raised:
        read_settings({}, {f"MUSTER_{name}": value for name, value in settings.items()})

    assert str(raised.value).startswith(complaint)


def test_groups_of_the_provider_have_roles() -> None:
    told = {
        "OIDC_ISSUER": "https://id.example/",
        "OIDC_CLIENT_ID": "m",
        "OIDC_ROLES": "mac-admins=operator, chiefs=owner",
        "OIDC_SCOPES": "openid, groups",
    }

    settings = read_settings({}, {f"MUSTER_{name}": value for name, value in told.items()})

    assert settings.oidc_roles == ("mac-admins=operator", "chiefs=owner")
    assert settings.oidc_scopes == ("openid", "groups")
    assert settings.oidc_issuer == "https://id.example"

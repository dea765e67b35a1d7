"""NanoMDM's storages are read: who is enrolled, by which identity, with which users, secrets and commands."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.support.mysql import find_mariadb, mariadb
from tests.support.nanomdm_storage import Kept, NanomdmStorage, write_files
from tests.support.site import ADA, IPAD, MAC, TOPIC, id_of, identity_of, print_of

from muster.domain.adoption import AdoptionOrder, PushCertificateElsewhere, Unfit
from muster.protocol.command import decode_command
from muster.storage.other_servers import nanomdm_sql
from muster.storage.other_servers.errors import Unreadable
from muster.storage.other_servers.nanomdm_files import NanomdmDirectory
from muster.storage.other_servers.nanomdm_sql import NanomdmDatabase, engine_url

ELSEWHERE = 7
IDENTITY = identity_of(1, ELSEWHERE)
OTHER = identity_of(2, ELSEWHERE)


@pytest.fixture(scope="module")
def mysql_server() -> Iterator[str]:
    """A MariaDB, whose clock has another zone."""
    programs = find_mariadb()
    if programs is None or find_spec("pymysql") is None:
        pytest.skip("no MariaDB here, or no PyMySQL: install mariadb-server and PyMySQL")
    with mariadb(programs) as url:
        yield url


@pytest.fixture
def mysql_url(mysql_server: str) -> str:
    """An empty database of it."""
    engine = sa.create_engine(mysql_server.replace("mysql://root@localhost/mdm", "mysql+pymysql://root@localhost/"))
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP DATABASE IF EXISTS mdm")
        connection.exec_driver_sql("CREATE DATABASE mdm CHARACTER SET utf8mb4")
    engine.dispose()
    return mysql_server


@pytest.fixture(
    params=[
        "sqlite",
        "sqlite nano_",
        "postgresql nano_",
        pytest.param("mysql nano_", marks=pytest.mark.witness("mariadb")),
    ]
)
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, NanomdmStorage]]:
    """A database of NanoMDM's, and what names it: by the names of either schema."""
    engine, _, prefix = request.param.partition(" ")
    url = f"sqlite:///{tmp_path / 'nano.db'}"
    if engine != "sqlite":
        url = request.getfixturevalue("bare_postgresql_url" if engine == "postgresql" else "mysql_url")
    made = NanomdmStorage(url, prefix)
    yield url, made
    made.close()


Read = Callable[..., list[AdoptionOrder | Unfit]]


@pytest.fixture
def read(storage: tuple[str, NanomdmStorage]) -> Read:
    """Reads its devices."""

    def devices(*, with_queue: bool = True) -> list[AdoptionOrder | Unfit]:
        database = NanomdmDatabase(storage[0])
        try:
            return list(database.devices(with_queue=with_queue))
        finally:
            database.close()

    return devices


def test_device_comes_with_all_it_has(storage: tuple[str, NanomdmStorage], read: Read) -> None:
    commands = (("C1", "ProfileList", None), ("C2", "SecurityInfo", "Acknowledged"), ("C3", "DeviceLock", "NotNow"))
    storage[1].add(
        Kept(MAC, IDENTITY, (print_of(IDENTITY),), (ADA,), commands, bootstrap_token=b"boot", unlock_token=b"\x00un")
    )

    [found] = read()

    assert isinstance(found, AdoptionOrder)
    assert found.certificate_der == IDENTITY.certificate_der
    assert (found.awaited, found.bootstrap_token, found.unlock_token) == (None, b"boot", b"\x00un")
    assert [(one.channel_id, decode_command(one.body).command_uuid) for one in found.queue] == [
        (id_of(MAC), "C1"),
        (id_of(MAC), "C3"),
    ]
    ahead = timedelta(hours=5 if storage[0].startswith("mysql") else 0)  # as its clock has it, by which they are kept
    assert found.authenticated_at == datetime(2026, 10, 1, 8, tzinfo=UTC) - ahead
    assert found.last_seen_at == datetime(2026, 11, 20, 9, 30, tzinfo=UTC) - ahead
    [ada] = found.users
    assert (ada.updated_at, ada.last_seen_at) == (datetime(2026, 10, 5, 7, tzinfo=UTC) - ahead, found.last_seen_at)


def test_times_of_postgresql_are_those_of_its_clock(bare_postgresql_url: str) -> None:
    made = NanomdmStorage(bare_postgresql_url)
    made.add(Kept(MAC, IDENTITY))
    made.close()
    admin = sa.create_engine(bare_postgresql_url.replace("postgresql://", "postgresql+psycopg://"))
    with admin.begin() as connection:
        name = connection.execute(sa.text("SELECT current_database()")).scalar_one()
        connection.exec_driver_sql(f"ALTER DATABASE {name} SET TimeZone = 'Asia/Tashkent'")
    admin.dispose()
    database = NanomdmDatabase(bare_postgresql_url)

    [found] = database.devices()

    database.close()
    assert isinstance(found, AdoptionOrder)
    assert found.last_seen_at == datetime(2026, 11, 20, 4, 30, tzinfo=UTC)


def test_queue_may_stay_behind(storage: tuple[str, NanomdmStorage], read: Read) -> None:
    storage[1].add(Kept(MAC, IDENTITY, commands=(("C1", "ProfileList", None),)))

    [found] = read(with_queue=False)

    assert isinstance(found, AdoptionOrder)
    assert found.queue == ()


def test_identity_is_the_one_used_last(storage: tuple[str, NanomdmStorage], read: Read) -> None:
    storage[1].add(Kept(MAC, IDENTITY, (print_of(IDENTITY), print_of(OTHER))))
    storage[1].add(Kept(IPAD))

    found = {one.authenticate: one for one in read() if isinstance(one, AdoptionOrder)}

    assert {(one.certificate_der, one.awaited) for one in found.values()} == {(None, print_of(OTHER)), (None, None)}


def test_who_is_not_enrolled_stays_behind(storage: tuple[str, NanomdmStorage], read: Read) -> None:
    storage[1].add(Kept(MAC, IDENTITY, is_enabled=False))
    storage[1].add(Kept(IPAD, OTHER, is_complete=False))

    found = read()

    assert {one.device_id for one in found if isinstance(one, Unfit)} == {id_of(MAC), id_of(IPAD)}


def test_many_devices_are_read_in_parts(
    storage: tuple[str, NanomdmStorage], read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nanomdm_sql, "DEVICES_AT_ONCE", 2)
    for number in range(5):
        storage[1].add(Kept(replace(MAC, udid=f"MAC {number}"), commands=((f"C{number}", "ProfileList", None),)))

    found = read()

    assert [one.queue[0].channel_id for one in found if isinstance(one, AdoptionOrder)] == [
        f"MAC {number}" for number in range(5)
    ]


def test_push_certificates_are_read(storage: tuple[str, NanomdmStorage]) -> None:
    storage[1].add_push_certificate(TOPIC, b"certificate", b"key")
    database = NanomdmDatabase(storage[0])

    assert database.push_certificates() == [PushCertificateElsewhere(TOPIC, b"certificate", b"key")]
    database.close()


@pytest.mark.parametrize(
    ("dsn", "url"),
    [
        ("postgres://u:p@h/d?sslmode=disable", "postgresql+psycopg://u:p@h/d?sslmode=disable"),
        ("postgresql://h/d", "postgresql+psycopg://h/d"),
        ("mysql://u@h/d", "mysql+pymysql://u@h/d"),
        ("nano:p@ss/w@tcp(db.example:3306)/mdm", "mysql+pymysql://nano:p%40ss%2Fw@db.example:3306/mdm"),
        ("nano:w@unix(/run/my.sock)/mdm", "mysql+pymysql://nano:w@localhost/mdm?unix_socket=%2Frun%2Fmy.sock"),
        ("nano:w@/mdm", "mysql+pymysql://nano:w@127.0.0.1:3306/mdm"),
        ("nano:w@tcp(h)/mdm?parseTime=true&tls=preferred", "mysql+pymysql://nano:w@h/mdm"),
        ("nano:w@tcp(h)/mdm?tls=true", None),
        ("nano:w@tcp(h)/", None),
        ("nano:pa:ss@tcp(db.example:3306)/mdm?parseTime=true", "mysql+pymysql://nano:pa%3Ass@db.example:3306/mdm"),
        ("nano@(localhost)/mdm", "mysql+pymysql://nano@localhost/mdm"),
        ("", None),
        ("somewhere", None),
    ],
)
def test_database_is_named_as_nanomdm_names_it(dsn: str, url: str | None) -> None:
    if url is None:
        with pytest.raises(Unreadable):
            engine_url(dsn)
    else:
        assert engine_url(dsn) == url


def test_another_database_is_told_apart(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match="tables of a NanoMDM"):
        NanomdmDatabase(f"sqlite:///{tmp_path / 'other.db'}")


def test_database_out_of_reach_is_told() -> None:
    with pytest.raises(Unreadable, match="can't be read"):
        NanomdmDatabase("postgres://nobody@127.0.0.1:1/nothing?connect_timeout=2")


def test_files_are_read_alike(tmp_path: Path) -> None:
    whole = Kept(MAC, IDENTITY, (print_of(IDENTITY),), (ADA,), bootstrap_token=b"boot", unlock_token=b"unlock")
    gone = Kept(replace(MAC, udid="GONE"), is_enabled=False)
    started = Kept(replace(MAC, udid="STARTED"), is_complete=False)
    hashed = Kept(IPAD, hashes=(print_of(OTHER),))
    write_files(tmp_path, [whole, gone, started, hashed])
    (tmp_path / f"{TOPIC}.pem").write_bytes(b"certificate")
    (tmp_path / f"{TOPIC}.key").write_bytes(b"key")
    directory = NanomdmDirectory(tmp_path)

    found = list(directory.devices())

    orders = [one for one in found if isinstance(one, AdoptionOrder)]
    assert [(one.certificate_der, one.awaited, len(one.users)) for one in orders] == [
        (None, print_of(OTHER), 0),
        (IDENTITY.certificate_der, None, 1),
    ]
    assert (orders[1].bootstrap_token, orders[1].unlock_token) == (b"boot", b"unlock")
    assert [one.device_id for one in found if isinstance(one, Unfit)] == ["GONE", "STARTED"]
    assert directory.push_certificates() == [PushCertificateElsewhere(TOPIC, b"certificate", b"key")]


def test_another_directory_is_told_apart(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match="file storage"):
        NanomdmDirectory(tmp_path)


@pytest.fixture
def url_without_encoding(bare_postgresql_url: str) -> Iterator[str]:
    """A database as PostgreSQL makes it where the machine has no language: its texts are octets."""
    name = "octets"
    admin = sa.create_engine(
        bare_postgresql_url.replace("postgresql://", "postgresql+psycopg://"), isolation_level="AUTOCOMMIT"
    )
    with admin.connect() as connection:
        how = "ENCODING 'SQL_ASCII' LOCALE_PROVIDER libc LOCALE 'C' TEMPLATE template0"
        connection.exec_driver_sql(f"CREATE DATABASE {name} {how}")
        yield str(sa.make_url(bare_postgresql_url).set(database=name))
        connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
    admin.dispose()


def test_database_without_an_encoding_is_read(url_without_encoding: str) -> None:
    made = NanomdmStorage(f"{url_without_encoding}&client_encoding=utf8")
    made.add(Kept(MAC, IDENTITY, users=(ADA,)))
    made.close()
    database = NanomdmDatabase(url_without_encoding)

    [found] = database.devices()

    database.close()
    assert isinstance(found, AdoptionOrder)
    assert found.kept_as == id_of(MAC)


def test_text_that_is_no_utf8_is_told(url_without_encoding: str) -> None:
    made = NanomdmStorage(f"{url_without_encoding}&client_encoding=latin1")
    made.add(Kept(replace(MAC, udid="J\u00fcrgen"), IDENTITY))
    made.close()
    database = NanomdmDatabase(url_without_encoding)

    with pytest.raises(Unreadable, match="can't be read"):
        list(database.devices())

    database.close()

"""The supervisor's pure parts."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from poolmaker.infra.postgres import passwords
from poolmaker.infra.postgres.doctor import FREE_BYTES_MIN, disk_space
from poolmaker.infra.postgres.dsn import connect_arguments, local_dsn, query_of
from poolmaker.infra.postgres.external import ServerState, complaint_about
from poolmaker.infra.postgres.locks import FileLock
from poolmaker.infra.postgres.model import ADMIN, POSTGRES_MAJOR_MIN, DatabaseRole
from poolmaker.infra.postgres.placement import SERVICE_ROOT, make_private, place
from poolmaker.infra.postgres.processes import works_elsewhere, works_in
from poolmaker.kernel.errors import EnvironmentProblem, InvariantBroken

SOUND = ServerState(
    major=18,
    fsync=True,
    full_page_writes=True,
    synchronous_commit="on",
    encoding="UTF8",
    standby=False,
)
WORDS = st.text(min_size=1).filter(
    lambda word: not set(word) & set("\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029")
)


def test_a_verifier_proves_the_password_and_does_not_contain_it() -> None:
    password = "correct horse"
    method, iterations_and_salt, keys = passwords.verifier(password).split("$")
    iterations, salt = iterations_and_salt.split(":")
    stored, server = (base64.b64decode(key) for key in keys.split(":"))
    salted = hashlib.pbkdf2_hmac(
        "sha256", password.encode(), base64.b64decode(salt), int(iterations)
    )
    assert method == "SCRAM-SHA-256"
    assert stored == hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    assert server == hmac.digest(salted, b"Server Key", "sha256")
    assert passwords.verifier(password) != passwords.verifier(password)


@given(user=WORDS, password=WORDS)
@example(user="\\", password=":\\:")
def test_a_line_of_passwords_is_read_back_whatever_characters_it_has(
    tmp_path_factory: pytest.TempPathFactory, user: str, password: str
) -> None:
    with suppress(UnicodeEncodeError):
        f"{user}{password}".encode()
        path = tmp_path_factory.mktemp("passwords") / "pgpass"
        passwords.write_private(path, passwords.line(user, password))
        assert passwords.read(path) == {user: password}


def test_lines_that_hold_for_one_host_only_are_not_ours_to_judge(tmp_path: Path) -> None:
    path = tmp_path / "pgpass"
    passwords.write_private(path, "example.org:5432:*:me:secret\n")
    assert passwords.read(path) == {}
    dsn = f"postgresql://me@example.org/x?passfile={path}"
    assert connect_arguments(dsn) == {"dsn": dsn}


def test_an_address_names_the_file_and_the_password_is_handed_over_apart(tmp_path: Path) -> None:
    path = tmp_path / "a folder & more" / "pgpass"
    path.parent.mkdir()
    passwords.make(path)
    dsn = local_dsn(path.parent, path, DatabaseRole.APP, "a database")
    secret = passwords.read(path)[DatabaseRole.APP]
    assert query_of(dsn) == {"host": str(path.parent), "port": "5432", "passfile": str(path)}
    assert secret not in dsn
    assert connect_arguments(dsn) == {"dsn": dsn, "password": secret}


def test_new_passwords_replace_the_file_whole_and_leave_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "pgpass"
    passwords.make(path)
    first = passwords.read(path)
    passwords.make(path)
    assert passwords.read(path).keys() == first.keys() == {ADMIN, *DatabaseRole}
    assert not set(passwords.read(path).values()) & set(first.values())
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("state", "needle"),
    [
        ({"major": POSTGRES_MAJOR_MIN - 1}, "upgrade"),
        ({"standby": True}, "primary"),
        ({"fsync": False}, "fsync"),
        ({"full_page_writes": False}, "full_page_writes"),
        ({"synchronous_commit": "off"}, "synchronous_commit"),
        ({"encoding": "SQL_ASCII"}, "UTF8"),
    ],
)
def test_each_unfit_server_is_refused_for_its_own_reason(
    state: dict[str, object], needle: str
) -> None:
    fields = {name: getattr(SOUND, name) for name in ServerState.__slots__}
    complaint = complaint_about(ServerState(**(fields | state)))
    assert complaint is not None
    assert needle in complaint


def test_a_sound_server_of_the_oldest_version_is_accepted() -> None:
    fields = {name: getattr(SOUND, name) for name in ServerState.__slots__}
    for waits in ("on", "local", "remote_write", "remote_apply"):
        accepted = fields | {"major": POSTGRES_MAJOR_MIN, "synchronous_commit": waits}
        assert complaint_about(ServerState(**accepted)) is None


def test_too_little_disk_space_is_a_finding_with_what_to_do(tmp_path: Path) -> None:
    placement = place(tmp_path)
    assert "1024 MiB" in disk_space(placement, FREE_BYTES_MIN)
    with pytest.raises(EnvironmentProblem, match="make room"):
        disk_space(placement, FREE_BYTES_MIN - 1)


def test_two_homes_never_share_a_place_and_one_home_always_has_the_same(tmp_path: Path) -> None:
    first, second = place(tmp_path / "a"), place(tmp_path / "b")
    assert first == place(tmp_path / "b" / ".." / "a")
    assert first.base != second.base
    assert first.run != second.run
    assert not first.base.exists()
    if os.getuid() == 0:
        assert first.base.parent == SERVICE_ROOT
        assert first.account is not None
        assert first.account.uid != 0
    else:
        assert first.base == tmp_path / "a" / "postgres"
        assert first.account is None


def test_a_private_folder_is_made_private_and_what_is_not_ours_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    make_private(tmp_path / "new", 0o711, None)
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o711
    make_private(tmp_path / "new", 0o700, None)
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "new")
    for name in ("file", "link"):
        with pytest.raises(EnvironmentProblem, match="remove it"):
            make_private(tmp_path / name, 0o700, None)
    assert tmp_path.stat().st_mode & 0o777 == 0o755


def test_a_lock_is_held_by_one_alone_or_by_many_together(tmp_path: Path) -> None:
    first, second, third = (FileLock(tmp_path / "lock") for _ in range(3))
    assert first.free()
    assert first.try_exclusive("me")
    assert first.note() == "me"
    assert not second.try_exclusive()
    assert not second.try_shared()
    assert not second.free()
    first.release()
    first.release()
    assert second.try_shared()
    assert third.try_shared()
    assert not first.try_exclusive()
    second.release()
    third.release()
    assert first.free()


def test_a_held_lock_is_never_taken_again_since_that_could_lose_it(tmp_path: Path) -> None:
    lock = FileLock(tmp_path / "lock")
    with pytest.raises(InvariantBroken):
        lock.hand_over()
    assert lock.try_shared()
    with pytest.raises(InvariantBroken):
        lock.try_exclusive()
    assert lock.held
    lock.release()


def test_a_lock_in_a_folder_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentProblem, match="POOLMAKER_HOME"):
        FileLock(tmp_path / "none" / "lock").try_shared()


def test_where_a_process_works_is_judged_by_the_folder_not_by_its_name(tmp_path: Path) -> None:
    here = Path.cwd()
    link = tmp_path / "link"
    link.symlink_to(here)
    assert works_in(os.getpid(), here)
    assert works_in(os.getpid(), link)
    assert not works_in(os.getpid(), tmp_path)
    assert works_elsewhere(os.getpid(), tmp_path)
    assert not works_elsewhere(os.getpid(), here)
    assert not works_in(2**22 + 1, here)
    assert not works_elsewhere(2**22 + 1, here)

"""The command line where a terminal, a locale, a home or room on the disk is not as usual."""

import os
import pwd
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from support import command_line, missing

from cerebellar_models import files
from cerebellar_models import installation as cache
from cerebellar_models.errors import RunError, UserError

CLI = (sys.executable, "-m", "cerebellar_models")
# An encoding that has neither µ nor …: what Python takes of the locale C where it is not told to better it.
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.fixture(scope="module")
def latin_1(tmp_path_factory) -> dict[str, str]:
    """The environment of an old login node: a locale whose encoding is ISO-8859-1."""
    if shutil.which("localedef") is None or not Path("/usr/share/i18n/locales/de_DE").exists():
        missing("localedef or its locales: apt install locales")
    folder = tmp_path_factory.mktemp("locales")
    subprocess.run(
        ["localedef", "-i", "de_DE", "-f", "ISO-8859-1", folder / "de_DE.ISO-8859-1"],
        check=False,
        capture_output=True,
    )
    return {"LOCPATH": str(folder), "LC_ALL": "de_DE.ISO-8859-1"}


def shell(script: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess:
    """A line of bash in which ``$CLI`` is the command."""
    return subprocess.run(
        ["bash", "-c", script],
        cwd=cwd,
        env=os.environ | environment | {"CLI": " ".join(CLI)},
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )


def test_the_locale_is_what_the_test_means(latin_1):
    asked = subprocess.run(
        [sys.executable, "-c", "import locale; print(locale.getpreferredencoding(False))"],
        env=os.environ | latin_1,
        capture_output=True,
        check=True,
    )
    assert asked.stdout.strip() == b"ISO-8859-1"


def test_files_are_utf_8_whatever_the_locale(latin_1, tmp_path):
    for name, environment in {"usual": {}, "latin": latin_1, "ascii": ASCII}.items():
        done = shell(f"$CLI configure --preset tiny -o {name}.yaml", tmp_path, **environment)
        assert done.returncode == 0, done.stderr
    usual = (tmp_path / "usual.yaml").read_bytes()
    assert "µm" in usual.decode("utf-8")
    assert (tmp_path / "latin.yaml").read_bytes() == usual
    assert (tmp_path / "ascii.yaml").read_bytes() == usual
    for environment in (latin_1, ASCII):
        planned = shell("$CLI jobs plan usual.yaml --site local", tmp_path, **environment)
        assert planned.returncode == 0 and "Traceback" not in planned.stderr, planned.stderr


@pytest.mark.parametrize("command", ["configure --list", "jobs sites", "--help"])
def test_a_sign_that_cannot_be_shown_is_a_question_mark(command, latin_1, tmp_path):
    for environment in (latin_1, ASCII):
        done = shell(f"$CLI {command} 2>&1", tmp_path, COLUMNS="80", **environment)
        assert done.returncode == 0 and "Traceback" not in done.stdout, done.stdout
    if command == "configure --list":
        latin = shell(f"$CLI {command}", tmp_path, COLUMNS="80", **latin_1).stdout
        assert "120 x 60 \ufffdm" in latin and "?\n" in latin  # µ as the terminal has it, and a line cut by …


def test_text_that_is_not_utf_8_is_named(tmp_path):
    (tmp_path / "c.yaml").write_bytes("name: a\nnote: 5 µm\n".encode("latin-1"))
    with pytest.raises(
        UserError, match=r"c\.yaml: line 2 is not UTF-8 text \(byte 0xb5\); save the file as UTF-8"
    ):
        files.read_text(tmp_path / "c.yaml")
    (tmp_path / "marked.yaml").write_bytes(b"\xef\xbb\xbfname: a\n")
    assert files.read_text(tmp_path / "marked.yaml") == "name: a\n"


def test_a_reader_that_goes_away_ends_the_command_as_any_other(tmp_path):
    done = shell("$CLI jobs sites --json | true; echo ${PIPESTATUS[0]}", tmp_path)
    assert done.stdout.strip() == "141" and done.stderr == ""
    listed = shell("set -o pipefail; $CLI configure --list | head -1", tmp_path)
    assert "Traceback" not in listed.stderr and "pipe" not in listed.stderr.lower()


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_closed_streams_are_no_error(closed, tmp_path):
    done = shell(f"$CLI configure --preset tiny {closed}; echo $? >status", tmp_path)
    assert (tmp_path / "status").read_text().strip() == "0"
    assert "Traceback" not in done.stdout + done.stderr
    # What was opened later did not take the place of a closed stream.
    assert (tmp_path / "circuit.yaml").read_text(encoding="utf-8").startswith("# ")


@pytest.fixture
def full_disk(tmp_path) -> Path:
    """A file system of one page, which is used up."""
    if os.geteuid() != 0:
        missing("root, to mount a small file system")
    folder = tmp_path / "full"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k", "none", folder], check=False).returncode:
        missing("a mount of a small file system")
    (folder / "filler").write_bytes(b"x" * 4096)
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_is_named_with_the_file(full_disk, tmp_path):
    done = command_line("configure", "--preset", "tiny", "-o", str(full_disk / "c.yaml"), cwd=tmp_path)
    assert done.returncode == 2
    assert f"{full_disk}/c.yaml" in done.stderr and "No space left on device" in done.stderr
    assert sorted(path.name for path in full_disk.iterdir()) == ["filler"]
    with pytest.raises(OSError) as error:
        files.write_text(full_disk / "note", "x" * 8192)
    assert error.value.filename == str(full_disk / "note")
    assert files.full_folders(full_disk / "not" / "there", full_disk) == [full_disk / "not" / "there"]
    assert files.full_folders(tmp_path) == []


def test_what_was_there_stays_if_the_disk_is_full(full_disk):
    (full_disk / "filler").unlink()
    files.write_atomically(full_disk / "kept", "old")
    with pytest.raises(OSError, match="kept"):
        files.write_atomically(full_disk / "kept", "x" * 8192)
    assert (full_disk / "kept").read_text() == "old"
    assert [path.name for path in full_disk.iterdir()] == ["kept"]


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"XDG_CACHE_HOME": "/x"}, Path("/x/cerebellar-models")),
        ({"XDG_CACHE_HOME": "relative", "HOME": "/h"}, Path("/h/.cache/cerebellar-models")),
        ({"XDG_CACHE_HOME": "", "HOME": "/h"}, Path("/h/.cache/cerebellar-models")),
        ({}, Path(pwd.getpwuid(os.getuid()).pw_dir, ".cache/cerebellar-models")),
        ({"HOME": "relative"}, Path(pwd.getpwuid(os.getuid()).pw_dir, ".cache/cerebellar-models")),
    ],
)
def test_where_the_cache_lies(environment, expected, monkeypatch):
    for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
        monkeypatch.setenv(name.replace("CACHE", "CONFIG"), value)
    assert cache.cache_folder() == expected
    assert cache.config_folder() == Path(str(expected).replace(".cache", ".config"))


@pytest.fixture
def nobody_known(tmp_path, monkeypatch) -> Path:
    """A user without a home and without an entry in the list of users, as in a container."""
    for name in ("XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(cache.pwd, "getpwuid", lambda uid: {}[uid])
    monkeypatch.setattr(cache.tempfile, "gettempdir", lambda: str(tmp_path))
    return tmp_path / f"cerebellar-models-{os.getuid()}"


def test_without_a_home_the_cache_is_a_folder_of_this_user_alone(nobody_known):
    assert cache.cache_folder() == cache.cache_folder() == nobody_known
    assert stat.S_IMODE(nobody_known.stat().st_mode) == 0o700


def test_a_folder_that_others_can_write_to_is_not_taken(nobody_known, tmp_path):
    nobody_known.mkdir()
    nobody_known.chmod(0o777)
    with pytest.raises(RunError, match="set XDG_CACHE_HOME"):
        cache.cache_folder()
    nobody_known.rmdir()
    nobody_known.symlink_to(tmp_path)
    with pytest.raises(RunError, match="set XDG_CACHE_HOME"):
        cache.cache_folder()

"""Products that appear whole or not at all, places that are held, and leftovers that are cleaned."""
import errno
import os
import subprocess
import sys
import time

import pytest

from lightx.runtime import InputError, SUMS, atomic_path, cache_dir, claim, damage, kept, leftovers, remove, seal
from lightx.runtime.files import _machine

GONE = 2**22 + 1 # no process has this number


def left(folder, name, pid, machine=None, age=0):
    """What a killed run left of a folder."""
    path = folder / f".{name}.{machine or _machine()}.{pid}.tmp"
    path.mkdir()
    (path / "half").write_text("half of")
    os.utime(path, (time.time() - age,) * 2)
    return path


@pytest.mark.parametrize("pid, machine, age, cleaned", [
    (GONE, None, 0, True), (2**80, None, 0, True), # no process at all
    ("own", None, 0, True),                        # a run before us, in a container where every run has the same number
    ("parent", None, 8 * 86400, True), ("parent", None, 3 * 86400, False), # may be a training of days
    (GONE, "12345678", 0, False), (GONE, "12345678", 8 * 86400, True)])   # of another machine that shares the folder
def test_leftovers_are_cleaned_when_nobody_writes_them(tmp_path, pid, machine, age, cleaned):
    there = left(tmp_path, "a[b]*", {"own": os.getpid(), "parent": os.getppid()}.get(pid, pid), machine, age)
    with atomic_path(tmp_path / "a[b]*") as tmp:
        tmp.mkdir()
    assert there.exists() != cleaned


def test_what_others_wrote_is_no_leftover(tmp_path):
    for name in (".model.old.copy.tmp", ".model.1.2.tmp", ".model.12345678.tmp", "model.12345678.1.tmp"):
        (tmp_path / name).write_text("mine")
        os.utime(tmp_path / name, (0, 0))
    assert leftovers(tmp_path) == []
    with atomic_path(tmp_path / "model") as tmp:
        assert leftovers(tmp_path) == [] # nor is what is being written
        tmp.write_text("whole")
    assert len(list(tmp_path.iterdir())) == 5


def test_somebody_elses_process_is_alive(tmp_path, monkeypatch):
    def forbidden(*_): raise PermissionError(errno.EPERM, "Operation not permitted")
    monkeypatch.setattr(os, "kill", forbidden)
    there = left(tmp_path, "model", 1)
    assert leftovers(tmp_path) == [] and there.exists()


def test_a_folder_that_another_run_finished_first_stays(tmp_path):
    with atomic_path(tmp_path / "model") as tmp:
        tmp.mkdir()
        (tmp_path / "model").mkdir()
        (tmp_path / "model" / "theirs").write_text("whole")
    assert [o.name for o in tmp_path.rglob("*")] == ["model", "theirs"]


def rust(code): return RuntimeError(f"Error while serializing: I/O error: something (os error {code})")


@pytest.mark.parametrize("error, line", [
    (OSError(errno.ENOSPC, "No space left on device"), r"model: cannot be written \(No space left on device\): make room, or choose another place"),
    (rust(errno.ENOSPC), "No space left on device"), (rust(errno.EFBIG), "File too large")])
def test_a_full_disk_is_a_line_with_the_files_name(tmp_path, error, line):
    with pytest.raises(InputError, match=line), atomic_path(tmp_path / "model") as tmp:
        tmp.mkdir()
        (tmp / "half").write_text("half of")
        raise error
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [FileNotFoundError(errno.ENOENT, "No such file", "elsewhere"), ConnectionError("reset"), rust(errno.ENOENT),
                                   ValueError("other")])
def test_other_errors_are_not_taken_for_a_full_disk(tmp_path, error):
    with pytest.raises(type(error)) as caught, atomic_path(tmp_path / "model"):
        raise error
    assert caught.value is error


def test_a_place_is_held_against_a_run_that_ended_between_the_checks(tmp_path, monkeypatch):
    from lightx.runtime import files
    lock = files._lock
    def late(path): # another run writes the product after this one looked, and before it has the lock
        path.mkdir()
        return lock(path)
    monkeypatch.setattr(files, "_lock", late)
    with pytest.raises(InputError, match="is there already"), claim(tmp_path / "model"):
        pass
    assert [o.name for o in tmp_path.iterdir()] == ["model"]


def test_a_lock_that_cannot_be_removed_is_no_error(tmp_path, monkeypatch):
    def in_use(*_, **__): raise PermissionError(errno.EACCES, "in use") # as Windows says of an open file
    with claim(tmp_path / "model"):
        monkeypatch.setattr(os, "unlink", in_use)
    monkeypatch.undo()
    with claim(tmp_path / "model"): # a lock file that a killed run left holds nobody
        pass


def make(folder):
    (folder / "sub").mkdir()
    (folder / "sub" / "numbers").write_bytes(b"1\r\n2")
    (folder / "more").write_bytes(b"")


@pytest.mark.parametrize("hurt, why", [
    (lambda d: (d / "sub" / "numbers").write_bytes(b"1\n2"), "sub/numbers is not"), (lambda d: (d / "more").unlink(), "more is not"),
    (lambda d: (d / "new").write_bytes(b""), "new is not"), (lambda d: (d / SUMS).unlink(), f"no {SUMS}"),
    (lambda d: (d / SUMS).write_bytes(b"\xff\xfe\0"), "is not"), (lambda d: (remove(d), d.write_text("a file")), f"no {SUMS}")])
def test_a_damaged_product_is_named_set_aside_and_made_again(tmp_path, caplog, hurt, why):
    folder = kept(tmp_path / "some", make)
    sums = (folder / SUMS).read_bytes()
    hurt(folder)
    assert kept(folder, make) == folder and (folder / SUMS).read_bytes() == sums and damage(folder) is None
    assert why in caplog.text and sorted(o.name for o in tmp_path.iterdir()) == ["some", "some.0.damaged"]


def test_what_a_system_puts_beside_the_files_is_no_damage(tmp_path):
    folder = kept(tmp_path / "some", make)
    (folder / ".DS_Store").write_bytes(b"mac")
    assert damage(folder) is None


def test_sums_are_those_of_sha256sum_on_every_system(tmp_path):
    make(tmp_path)
    seal(tmp_path)
    lines = (tmp_path / SUMS).read_bytes().split(b"\n")
    assert lines[0].endswith(b"  more") and lines[1].endswith(b"  sub/numbers") and lines[2] == b"" and len(lines[0]) == 64 + 6


def test_a_product_cleans_what_killed_runs_left_of_others(tmp_path):
    left(tmp_path, "other", GONE)
    kept(tmp_path / "some", make)
    assert [o.name for o in tmp_path.iterdir()] == ["some"]


def test_removing_is_all_or_nothing_for_who_is_killed(tmp_path, monkeypatch):
    import shutil
    folder = kept(tmp_path / "some", make)
    def killed(*_, **__): raise KeyboardInterrupt
    monkeypatch.setattr(shutil, "rmtree", killed)
    with pytest.raises(KeyboardInterrupt):
        remove(folder)
    assert not folder.exists() and len(leftovers(tmp_path)) == 1


def test_an_empty_setting_of_the_cache_is_none(monkeypatch):
    monkeypatch.setenv("LIGHTX_CACHE", "")
    assert cache_dir().name == "lightx"


def test_two_processes_make_one_product(tmp_path):
    code = f"""
import sys, time
from pathlib import Path
from lightx.runtime import kept
def make(to):
    time.sleep(.2)
    (to/"numbers").write_text("1 2 3")
kept(Path({str(tmp_path)!r})/"some", make)
"""
    runs = [subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE) for _ in range(3)]
    assert [r.communicate()[1] for r in runs] == [b""] * 3
    assert [o.name for o in tmp_path.iterdir()] == ["some"] and damage(tmp_path / "some") is None


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_a_place_that_takes_no_file_is_not_taken_for_another_run():
    with pytest.raises(InputError, match=r"/proc/x: cannot be written \(.*\): choose another folder"), claim("/proc/x"): pass

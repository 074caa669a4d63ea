"""The command `lightx cache`."""
import os
import re
from pathlib import Path

import numpy as np
import pytest
from faults import Fault, check, contents, table, told

from lightx.runtime import content_name, damage, kept
from lightx.runtime.files import _machine

KEY = "0123456789abcdef"


def fill(root):
    """A cache with something of each kind, what version 0.1 kept, and what is not of lightx."""
    def make(to): (to / "array.safetensors").write_bytes(b"values")
    for o in (f"logits/{KEY}", f"logits/{KEY[::-1]}", f"vocabulary/{KEY}", f"packs/{KEY}", f"occlusion/{KEY}", f"teachers/minilm-{KEY}"):
        kept(root / o, make)
    store = root / "attributions" / KEY
    store.mkdir(parents=True)
    (store / "manifest.json").write_text("{}", encoding="utf-8")
    (store / f"{content_name(b'shard')}.safetensors").write_bytes(b"shard")
    for old in (f"logits/{KEY}.safetensors", f"vocabulary/{KEY}.safetensors", f"packs/{KEY}.json"):
        (root / old).write_bytes(b"old")
    for mine in ("notes.txt", "logits/notes.txt", "logits/model.safetensors", "other/" + KEY, "teachers/minilm"):
        (root / mine).parent.mkdir(exist_ok=True)
        (root / mine).write_bytes(b"mine")
    for left in (f"logits/{KEY}.0.damaged", f"teachers/.minilm-{KEY}.{_machine()}.{2**22 + 1}.tmp"):
        (root / left).mkdir()
        (root / left / "half").write_bytes(b"half")
    (root / "logits" / f".{KEY}.{_machine()}.{os.getppid()}.tmp").write_bytes(b"written just now")
    return root


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("LIGHTX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "200")
    return fill(tmp_path / "cache")


def rows(out):
    return {o[0]: (o[2], o[3]) for line in out.splitlines() if any(o := [p.strip() for p in line.split("│")[1:-1]]) and o[0]}


def test_it_lists_kind_number_and_size(root, capsys, monkeypatch):
    before = contents(root)
    status, out, _ = told(capsys, monkeypatch, "cache")
    assert status == 0 and contents(root) == before
    found = rows(out)
    wanted = dict(attributions="1", logits="3", occlusion="1", packs="2", teachers="1", vocabulary="2", damaged="2")
    assert {k: v[0] for k, v in found.items()} == wanted
    assert found["attributions"][1] == "7 B" and found["damaged"][1] == "8 B" and re.search(r"\d+ seconds", out)
    assert list(rows(told(capsys, monkeypatch, "cache", "packs")[1])) == ["packs"]


def mine(before, *gone):
    return {k: v for k, v in before.items() if not any(k == o or k.startswith(o + "/") for o in gone)}


def test_one_kind_is_cleared_and_nothing_else(root, capsys, monkeypatch):
    before = contents(root)
    status, out, _ = told(capsys, monkeypatch, "cache", "--clear", "logits")
    assert status == 0 and re.search(r"removed 4 products, \d+ B", out)
    assert contents(root) == mine(before, *(f"logits/{o}" for o in (KEY, KEY[::-1], f"{KEY}.safetensors", f"{KEY}.0.damaged")))


def test_what_was_set_aside_or_left_can_be_cleared_alone(root, capsys, monkeypatch):
    before = contents(root)
    assert told(capsys, monkeypatch, "cache", "damaged", "--clear")[0] == 0
    assert contents(root) == mine(before, f"logits/{KEY}.0.damaged", *(o for o in before if o.startswith("teachers/.")))


def test_all_is_cleared_but_what_is_not_known(root, capsys, monkeypatch):
    status, out, _ = told(capsys, monkeypatch, "cache", "--clear")
    assert status == 0 and "removed 12 products" in out
    written = f".{KEY}.{_machine()}.{os.getppid()}.tmp"
    assert {o.name for o in root.rglob("*") if o.is_file()} == {"notes.txt", "model.safetensors", KEY, "minilm", written}
    assert "nothing is kept there" in told(capsys, monkeypatch, "cache")[1]


def test_a_link_into_another_folder_is_left(root, tmp_path, capsys, monkeypatch):
    (tmp_path / "precious").mkdir()
    try: (root / "logits" / ("f" * 16)).symlink_to(tmp_path / "precious")
    except OSError: pytest.skip("this system lets nobody make links")
    told(capsys, monkeypatch, "cache", "--clear")
    assert (tmp_path / "precious").exists() and (root / "logits" / ("f" * 16)).exists()


def test_a_whole_cache_is_verified(root, capsys, monkeypatch):
    status, out, _ = told(capsys, monkeypatch, "cache", "--verify")
    assert status == 0 and "all of it is whole" in out


HURT = {f"logits/{KEY}/array.safetensors": "array.safetensors is not what was written",
        f"teachers/minilm-{KEY}/SHA256SUMS": "is not what was written",
        f"attributions/{KEY}/{content_name(b'shard')}.safetensors": r"\.safetensors is not what was written",
        f"attributions/{KEY}/manifest.json": "its manifest.json is missing or damaged"}


@pytest.mark.parametrize("hurt", HURT)
@pytest.mark.parametrize("how", [lambda f: f.write_bytes(b"other"), lambda f: f.write_bytes(f.read_bytes()[:-2]), lambda f: f.write_bytes(b"")],
                         ids=["changed", "cut", "empty"])
def test_damage_of_each_kind_is_one_line(root, capsys, monkeypatch, hurt, how):
    how(root / hurt)
    status, out, err = told(capsys, monkeypatch, "cache", "--verify")
    line = " ".join(err.split())
    assert status == 2 and re.search(f"lightx: .*{Path(hurt).parts[-2]}: .*{HURT[hurt]}", line) and "set aside and made again" in line and not out
    assert told(capsys, monkeypatch, "cache", "--verify", "packs")[0] == 0
    assert damage(root / "packs" / KEY) is None


def prepare(*args):
    def cache(d):
        os.environ["LIGHTX_CACHE"] = str(d / "cache")
        fill(d / "cache")
        return ["cache", *args]
    return cache


def two(d):
    args = prepare("--verify")(d)
    for o in ("logits", "occlusion"): (d / "cache" / o / KEY / "array.safetensors").unlink()
    return args


@table(
    Fault("unknown kind", prepare("--clear", "logit"), r"kind 'logit' is unknown: did you mean 'logits'\?"),
    Fault("path as a kind", prepare("--clear", "../.."), r"kind '\.\./\.\.' is unknown: take one of attributions"),
    Fault("verify and clear", prepare("--verify", "--clear"), "give --verify or --clear, not both"),
    Fault("two damaged", two, r"logits.*: array\.safetensors is not what was written \(and 1 more\)"),
    Fault("a file as the cache", lambda d: [(d / "cache").write_text(""), os.environ.update(LIGHTX_CACHE=str(d / "cache")), ["cache"]][2],
          "nothing is kept there", 0),
)
def test_faults_of_the_cache_command(fault, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("LIGHTX_CACHE", os.environ["LIGHTX_CACHE"]) # as it was, afterwards
    check(fault, tmp_path, capsys, monkeypatch)


def test_a_damaged_array_is_found_by_both(tmp_path, capsys, monkeypatch):
    from lightx.attribution import cached_array
    monkeypatch.setenv("LIGHTX_CACHE", str(tmp_path))
    cached_array("logits", KEY, lambda: np.arange(3.))
    file = tmp_path / "logits" / KEY / "array.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    assert told(capsys, monkeypatch, "cache", "--verify")[0] == 2
    assert cached_array("logits", KEY, lambda: np.arange(3.)).tolist() == [0, 1, 2]
    assert told(capsys, monkeypatch, "cache", "--verify")[0] == 0

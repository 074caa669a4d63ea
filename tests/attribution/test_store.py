import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import make_teacher

from lightx.runtime import InputError
from lightx.attribution import corpus_logits, explain_corpus, fill_store, text_key, verify, weights_key

rng = np.random.default_rng(0)
IDS = [[1, *rng.integers(4, 30, n).tolist(), 2] for n in rng.integers(2, 20, 60)]

RUN = """
import sys, time
sys.path[:0] = {tests!r}
from conftest import make_teacher
from test_store import IDS
import lightx.attribution.corpus as store
compute = store.integrated_gradients
def slow(*args, **kwargs):
    time.sleep(0.05)
    return compute(*args, **kwargs)
store.integrated_gradients = slow
print("started", flush=True)
store.explain_corpus(make_teacher(), IDS, {folder!r}, sharding=dict(max_tokens=512, shard_texts=4), progress=False)
"""
CUT = dict(max_tokens=512, shard_texts=8)


def start(folder):
    code = RUN.format(tests=[str(Path(__file__).parent), str(Path(__file__).parent.parent)], folder=str(folder))
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)


def contents(folder):
    return {f.name: f.read_bytes() for f in folder.glob("*") if not f.name.startswith(".")}


def test_killed_at_random_moments_ends_bit_identical(tmp_path):
    assert start(tmp_path / "whole").wait() == 0
    rand, kills = random.Random(0), 0
    for _ in range(12):
        run = start(tmp_path / "killed")
        run.stdout.readline()
        time.sleep(rand.uniform(0, 0.25))
        if run.poll() is None:
            run.kill()
            kills += 1
        run.wait()
    assert start(tmp_path / "killed").wait() == 0
    assert kills >= 3 and contents(tmp_path / "killed") == contents(tmp_path / "whole")


def test_two_processes_on_one_store(tmp_path):
    runs = [start(tmp_path / "both") for _ in range(2)]
    assert [r.wait() for r in runs] == [0, 0]
    assert start(tmp_path / "alone").wait() == 0
    assert contents(tmp_path / "both") == contents(tmp_path / "alone")


def test_a_damaged_shard_is_named_and_computed_again(tmp_path, caplog):
    teacher = make_teacher()
    explain_corpus(teacher, IDS, tmp_path / "s", sharding=CUT, progress=False)
    before = contents(tmp_path / "s")
    victim = sorted((tmp_path / "s").glob("*.safetensors"))[2]
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 1
    victim.write_bytes(bytes(data))
    explain_corpus(teacher, IDS, tmp_path / "s", sharding=CUT, progress=False)
    assert victim.name in caplog.text and "damaged" in caplog.text
    assert {k: v for k, v in contents(tmp_path / "s").items() if not k.endswith(".damaged")} == before


def test_adding_texts_computes_only_the_new_ones(tmp_path, monkeypatch):
    teacher, asked = make_teacher(), []
    explain_corpus(teacher, IDS[:20], tmp_path / "s", progress=False)
    from lightx.attribution import corpus
    compute = corpus.integrated_gradients

    def recording(model, ids, mask, **kw):
        asked.extend(mask.sum(1).tolist())
        return compute(model, ids, mask, **kw)

    monkeypatch.setattr(corpus, "integrated_gradients", recording)
    explain_corpus(teacher, IDS[:25], tmp_path / "s", progress=False)
    known = {text_key(o) for o in IDS[:20]}
    assert sorted(asked) == sorted(len(o) for o in IDS[20:25] if text_key(o) not in known)


def test_order_and_duplicates_are_the_askers(tmp_path):
    teacher = make_teacher()
    made = explain_corpus(teacher, [IDS[3], IDS[0], IDS[3]], tmp_path / "s", progress=False)
    alone = explain_corpus(teacher, [IDS[0]], tmp_path / "t", progress=False)
    assert [len(o) for o in made.values] == [len(IDS[3]), len(IDS[0]), len(IDS[3])]
    np.testing.assert_array_equal(made.values[0], made.values[2])
    np.testing.assert_allclose(made.values[1].astype(float), alone.values[0].astype(float), atol=2e-3)
    np.testing.assert_allclose(made.logits[1], corpus_logits(teacher, [IDS[0]], progress=False)[0], atol=1e-5)


def test_other_weights_are_another_run(tmp_path):
    a, b = make_teacher(seed=0), make_teacher(seed=1)
    assert weights_key(a.model) == weights_key(make_teacher(seed=0).model) != weights_key(b.model)
    explain_corpus(a, IDS[:2], tmp_path / "s", progress=False)
    with pytest.raises(InputError, match="made with another weights"):
        explain_corpus(b, IDS[:2], tmp_path / "s", progress=False)


def test_texts_above_the_tolerance_are_counted_and_marked(tmp_path, caplog):
    made = explain_corpus(make_teacher(), IDS[:5], tmp_path / "s", tol=1e-9, max_steps=16, progress=False)
    assert made.above.all() and "5 of 5 texts are above the tolerance" in caplog.text


def test_a_store_that_grew_keeps_its_shards_and_its_cut(tmp_path):
    teacher = make_teacher()
    explain_corpus(teacher, IDS[:20], tmp_path / "s", sharding=CUT, progress=False)
    before = contents(tmp_path / "s")
    fill_store(teacher, IDS, tmp_path / "s", sharding=dict(max_tokens=64, shard_texts=1), progress=False)
    after = contents(tmp_path / "s")
    assert before.items() <= after.items() and len(after) > len(before)


def test_precisions_are_other_runs(tmp_path):
    teacher = make_teacher()
    explain_corpus(teacher, IDS[:2], tmp_path / "s", precision="float32", progress=False)
    with pytest.raises(InputError, match="made with another precision"):
        explain_corpus(teacher, IDS[:2], tmp_path / "s", precision="bfloat16", progress=False)


def test_verify_tells_a_good_store_from_every_bad_one(tmp_path):
    teacher, folder = make_teacher(), tmp_path / "s"
    with pytest.raises(InputError, match="no manifest.json"):
        verify(teacher, IDS, folder)
    fill_store(teacher, IDS, folder, sharding=CUT, progress=False)
    assert verify(teacher, IDS, folder).good()
    more = verify(teacher, [*IDS, [1, 5, 2]], folder)
    assert more.missing == 1 and "1 of 61 texts are missing" in more.problem()
    victim = sorted(folder.glob("*.safetensors"))[0]
    victim.write_bytes(victim.read_bytes()[:-4])
    hurt = verify(teacher, IDS, folder)
    assert hurt.damaged == [victim.name] and hurt.missing and victim.name in hurt.problem()
    fill_store(teacher, IDS, folder, progress=False)
    assert verify(teacher, IDS, folder).good()


def test_a_store_holds_places_in_memory_and_not_values(tmp_path):
    store = fill_store(make_teacher(), IDS, tmp_path / "s", sharding=CUT, progress=False)
    assert len(store.where) == len({text_key(o) for o in IDS}) and not any(isinstance(o, np.ndarray) for o in vars(store).values())
    assert [i for i, _ in sorted(store.rows(IDS[:9]), key=lambda o: o[0])] == list(range(9))

import copy
import hashlib
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import make_teacher, make_tokenizer
from safetensors.numpy import load, save
from tokenizers import normalizers, pre_tokenizers, processors

from lightx.runtime import InputError
from lightx.attribution import cached_array, corpus_logits, explain_corpus, fill_store, run_settings, text_key, tokenizer_key, verify, weights_key

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
        if kills == 5: break
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

    def recording(model, input_ids, attention_mask, **kw):
        asked.extend(attention_mask.sum(1).tolist())
        return compute(model, input_ids, attention_mask, **kw)

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
    made = explain_corpus(make_teacher(), IDS[:5], tmp_path / "s", tol=1e-6, max_steps=16, progress=False)
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


def other(**settings):
    """The teacher with another configuration and the same weights, as a changed config.json makes it."""
    model = copy.deepcopy(TEACHER.model)
    config = copy.deepcopy(model.config)
    for k, v in settings.items():
        setattr(config, k, v)
    made = type(model)(config).eval()
    made.load_state_dict(model.state_dict())
    return made


TEACHER = make_teacher()


@pytest.mark.parametrize("settings", [{"hidden_act": "relu"}, {"num_attention_heads": 4}, {"layer_norm_eps": 1e-3}, {"pad_token_id": 1},
                                      {"is_decoder": True}, {"_attn_implementation": "eager"}], ids=str)
def test_another_configuration_is_another_teacher(settings):
    assert weights_key(other(**settings)) != weights_key(other())


@pytest.mark.parametrize("settings", [{"_name_or_path": "elsewhere"}, {"id2label": {0: "a", 1: "b", 2: "c"}}, {"transformers_version": "4.0"},
                                      {"problem_type": "single_label_classification"}, {"architectures": ["Bert"]}], ids=str)
def test_a_name_is_no_part_of_the_key(settings):
    assert weights_key(other(**settings)) == weights_key(other())


@pytest.mark.parametrize("change", [
    lambda m: m.bfloat16(), lambda m: m.double(), lambda m: setattr(m.bert.encoder.layer[0].intermediate, "intermediate_act_fn", torch.nn.ReLU()),
    lambda m: setattr(m.classifier, "bias", torch.nn.Parameter(m.classifier.bias.roll(1))),
    lambda m: m.classifier.weight.data.__setitem__((0, 0), -0. if m.classifier.weight[0, 0] == 0 else m.classifier.weight[0, 0] * (1 + 2**-23))])
def test_other_tensors_are_another_teacher(change):
    model = copy.deepcopy(TEACHER.model)
    assert weights_key(model) == weights_key(TEACHER.model)
    change(model)
    assert weights_key(model) != weights_key(TEACHER.model)


def test_a_teacher_that_was_saved_is_the_same_one(tmp_path):
    from lightx.teacher import load_teacher
    TEACHER.model.save_pretrained(tmp_path)
    TEACHER.tokenizer.save_pretrained(tmp_path)
    loaded = load_teacher(str(tmp_path), max_length=16)
    assert run_settings(loaded._replace(model=loaded.model.cpu())) == run_settings(TEACHER)


@pytest.mark.parametrize("change, same", [
    (lambda t: setattr(t.backend_tokenizer, "normalizer", normalizers.Lowercase()), False),
    (lambda t: setattr(t.backend_tokenizer, "pre_tokenizer", pre_tokenizers.WhitespaceSplit()), False),
    (lambda t: setattr(t.backend_tokenizer, "post_processor", processors.TemplateProcessing("[CLS] $A", special_tokens=[("[CLS]", 1)])), False),
    (lambda t: t.add_tokens(["word"]), False), (lambda t: setattr(t, "truncation_side", "left"), False),
    (lambda t: setattr(t, "cls_token", "[UNK]"), False),
    (lambda t: t(["a cup"], padding="max_length", truncation=True, max_length=8), True), (lambda t: setattr(t, "name_or_path", "elsewhere"), True)])
def test_a_tokenizers_key_is_all_that_changes_ids(change, same):
    changed = make_tokenizer()
    change(changed)
    assert (tokenizer_key(changed) == tokenizer_key(make_tokenizer())) == same


def test_logits_vectors_and_cuts_are_not_another_configurations(tmp_path, monkeypatch):
    from lightx.attribution import measured_sharding
    from lightx.student import vocabulary_vectors
    monkeypatch.setenv("LIGHTX_CACHE", str(tmp_path))
    one, two = TEACHER, TEACHER._replace(model=other(hidden_act="relu"))
    logits = [corpus_logits(o, IDS[:3], progress=False) for o in (one, two, one)]
    vectors = [vocabulary_vectors(o, progress=False) for o in (one, two, one)]
    for o in (one, two, one):
        measured_sharding(o, IDS[:3], 1, "float32")
    for a, b, c in (logits, vectors):
        assert not np.array_equal(a, b) and np.array_equal(a, c)
    assert {o.name: len(list(o.iterdir())) for o in tmp_path.iterdir()} == {"logits": 2, "packs": 2, "vocabulary": 2}


def flipped(data, rand):
    at = rand.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << rand.randrange(8)]) + data[at + 1:]


@pytest.mark.parametrize("hurt", [flipped, lambda data, rand: data[:rand.randrange(len(data))], lambda data, rand: data + b"x", lambda *_: b""],
                         ids=["flipped", "cut", "longer", "empty"])
def test_a_damaged_array_is_never_read(tmp_path, monkeypatch, caplog, hurt):
    monkeypatch.setenv("LIGHTX_CACHE", str(tmp_path))
    wanted, rand = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32), random.Random(0)
    for i in range(10):
        cached_array("logits", "some", lambda: wanted)
        file = tmp_path / "logits" / "some" / rand.choice(["array.safetensors", "SHA256SUMS"])
        file.write_bytes(hurt(file.read_bytes(), rand))
        assert np.array_equal(cached_array("logits", "some", lambda: wanted), wanted)
        assert len(list(tmp_path.glob("logits/*.damaged"))) == i + 1
    assert caplog.text.count("is damaged") == 10


def test_arrays_of_version_0_1_are_not_taken(tmp_path, monkeypatch):
    from safetensors.numpy import save_file
    monkeypatch.setenv("LIGHTX_CACHE", str(tmp_path))
    (tmp_path / "logits").mkdir()
    save_file({"values": np.zeros(3)}, tmp_path / "logits" / "some.safetensors")
    assert cached_array("logits", "some", lambda: np.ones(3)).all() and (tmp_path / "logits" / "some.safetensors").exists()


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stores") / "s"
    fill_store(TEACHER, IDS, folder, sharding=CUT, progress=False)
    return folder


def copied(store, tmp_path):
    return Path(shutil.copytree(store, tmp_path / "s"))


def named(folder, data):
    """A shard whose name fits its bytes."""
    (folder / f"{hashlib.sha256(data).hexdigest()[:32]}.safetensors").write_bytes(data)


def without(data, **changes):
    shard = {k: v for k, v in (load(data) | changes).items() if v is not None}
    return save({k: np.ascontiguousarray(v) for k, v in shard.items()})


@pytest.mark.parametrize("change", [
    lambda data: b"", lambda data: b"no safetensors", lambda data: data[:-1], lambda data: without(data, values=None),
    lambda data: without(data, error=None), lambda data: without(data, values=load(data)["values"][:-1]),
    lambda data: without(data, key=load(data)["key"][:-1]), lambda data: without(data, key=load(data)["key"][:, :8]),
    lambda data: without(data, steps=load(data)["steps"][:-1]), lambda data: without(data, length=-load(data)["length"]),
    lambda data: without(data, length=load(data)["length"].astype(np.float32)), lambda data: without(data, length=np.array(3)),
    lambda data: save({"weight": np.zeros((2, 2))})])
def test_a_shard_that_is_none_is_set_aside_though_its_name_fits(store, tmp_path, caplog, change):
    folder = copied(store, tmp_path)
    before = contents(folder)
    victim = sorted(folder.glob("*.safetensors"))[0]
    data = victim.read_bytes()
    victim.unlink()
    named(folder, change(data))
    fill_store(TEACHER, IDS, folder, progress=False)
    assert {k: v for k, v in contents(folder).items() if not k.endswith(".damaged")} == before
    assert "no shard of explanations" in caplog.text and len(list(folder.glob("*.damaged"))) == 1


MANIFESTS = [b"", b"{", b"[]", b"null", b'{"a": NaN', b"\xff\xfe{", b"{}", b'{"sharding": 3}', b'{"sharding": {"max_tokens": 5}}',
             b'{"sharding": {"max_tokens": 5, "shard_texts": 0}}', b'{"sharding": {"max_tokens": "5", "shard_texts": 1}}', b"[" * 100_000]


@pytest.mark.parametrize("data", MANIFESTS, ids=[str(o[:40]) for o in MANIFESTS])
def test_a_damaged_manifest_is_one_line_and_nothing_is_touched(store, tmp_path, data):
    folder = copied(store, tmp_path)
    (folder / "manifest.json").write_bytes(data)
    before = contents(folder)
    for run in (lambda: fill_store(TEACHER, IDS, folder, progress=False), lambda: verify(TEACHER, IDS, folder)):
        with pytest.raises(InputError, match=r"manifest\.json: damaged, so that nobody knows what the store explains: remove .*"):
            run()
    assert contents(folder) == before


def test_a_manifest_that_lacks_a_setting_is_another_run(store, tmp_path):
    folder = copied(store, tmp_path)
    (folder / "manifest.json").write_text('{"sharding": {"max_tokens": 5, "shard_texts": 5}}')
    with pytest.raises(InputError, match="manifest.json: damaged"):
        verify(TEACHER, IDS, folder)
    with pytest.raises(InputError, match="made with another weights and problem_type and tokenizer and version and target"):
        fill_store(TEACHER, IDS, folder, progress=False)


def test_a_folder_with_other_things_is_no_store_and_stays_as_it_is(tmp_path):
    TEACHER.model.save_pretrained(tmp_path / "model") # a model.safetensors, whose name is no hash
    (tmp_path / "file").write_text("mine")
    before = contents(tmp_path / "model")
    for out, line in (("model", "is no store, but has config.json in it"), ("file", "cannot be written"), ("file/s", "cannot be written")):
        with pytest.raises(InputError, match=line):
            fill_store(TEACHER, IDS, tmp_path / out, progress=False)
    assert contents(tmp_path / "model") == before
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / ".DS_Store").write_text("mac")
    fill_store(TEACHER, IDS[:1], tmp_path / "empty", sharding=CUT, progress=False)


def test_an_opened_store_is_clean_of_what_killed_runs_left(store, tmp_path):
    folder = copied(store, tmp_path)
    from lightx.runtime.files import _machine
    (folder / f".{'0' * 32}.safetensors.{_machine()}.{2**22 + 1}.tmp").write_bytes(b"half of")
    fill_store(TEACHER, IDS, folder, progress=False)
    assert sorted(folder.iterdir()) == sorted(folder / o for o in contents(store))


def test_a_shard_that_changes_while_it_is_used_is_not_read(store, tmp_path):
    folder = copied(store, tmp_path)
    opened = fill_store(TEACHER, IDS, folder, progress=False)
    victim = opened.where[text_key(IDS[0])]
    victim.write_bytes(flipped(victim.read_bytes(), random.Random(0)))
    with pytest.raises(InputError, match=r"safetensors: changed after it was read .*: run again"):
        list(opened.rows(IDS))

"""The student in numpy against the one in PyTorch, its files, and what its answers import."""
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from conftest import make_tokenizer
from hypothesis import given, settings
from hypothesis import strategies as st

import lightx
from lightx.deploy import Classifier, quantize_int8
from lightx.runtime import InputError, NumpyClassifier, NumpyStudent, missing_extra, read_weights, softmax
from lightx.student import BigramStudent, MLPStudent, new_student

V, OWN = 200, 40 # rows, and those that hold bigrams


def trained_like(kind, baseline, target, pool_width, seed=0):
    """A student with random weights; a BigramStudent with bigrams of the ids 1 to 29."""
    student = new_student(4, seed, kind, vocab_size=V, embed_dim=16, hidden=24, baseline=baseline, target=target, pool_width=pool_width,
                          embed_std=0.5, **(dict(slots=256) if kind is BigramStudent else {})).eval()
    if kind is BigramStudent:
        rng = np.random.default_rng(seed)
        student.set_bigrams(rng.integers(1, 30, (OWN, 2)), np.arange(V - OWN, V))
        with torch.no_grad(): student.embedding.weight[V - OWN:] = torch.from_numpy(rng.normal(0, 0.5, (OWN, 16)).astype(np.float32))
    return student


def in_numpy(student):
    weights = {k: o.numpy() for k, o in student.state_dict().items()}
    return NumpyStudent(weights, student.baseline, student.target, student.pool_width, student.pad_id)


@pytest.mark.parametrize("bits", [32, 8])
@pytest.mark.parametrize("target", ["logits", "centred", "probabilities"])
@pytest.mark.parametrize("baseline", ["zero", "pad"])
@pytest.mark.parametrize("kind", [MLPStudent, BigramStudent])
@given(texts=st.lists(st.lists(st.integers(1, 29), min_size=1, max_size=12), min_size=1, max_size=5), pool_width=st.sampled_from([0, 9]))
@settings(deadline=None, max_examples=15)
def test_numpy_says_what_torch_says(kind, baseline, target, bits, texts, pool_width):
    student = trained_like(kind, baseline, target, pool_width)
    if bits == 8: student = quantize_int8(student)
    mask = np.array([[int(i < len(t)) for i in range(max(map(len, texts)))] for t in texts])
    ids = np.array([t + [0] * (mask.shape[1] - len(t)) for t in texts])
    batch = torch.from_numpy(ids), torch.from_numpy(mask)
    with torch.no_grad(): theirs = *student.explain(*batch), student.baseline_logits(*batch)
    quick = in_numpy(student)
    for a, b in zip(theirs, quick.explain(ids, mask), strict=True): np.testing.assert_allclose(b, a.numpy(), atol=1e-5)
    np.testing.assert_allclose(quick(ids, mask), theirs[0].numpy(), atol=1e-5)


def test_a_batch_of_many_texts_is_its_texts_one_by_one():
    student, rng = in_numpy(trained_like(BigramStudent, "zero", "centred", 0)), np.random.default_rng(1)
    ids = rng.integers(1, 30, (700, 33)) # more than are gathered at once
    mask = (np.arange(33) < rng.integers(1, 34, (700, 1))).astype(int)
    logits, values, start = student.explain(ids, mask)
    for i in range(0, 700, 60):
        n = mask[i].sum()
        one = student.explain(ids[i:i + 1, :n], mask[i:i + 1, :n])
        np.testing.assert_allclose(logits[i], one[0][0], atol=1e-5)
        np.testing.assert_allclose(values[i, :n], one[1][0], atol=1e-5)
        assert not values[i, n:].any()
    np.testing.assert_allclose(student(ids, mask), logits, atol=1e-5)


@pytest.fixture(scope="module", params=[MLPStudent, BigramStudent], ids=lambda o: o.__name__)
def folder(request, tmp_path_factory):
    tokenizer = make_tokenizer().backend_tokenizer
    student = trained_like(request.param, "zero", "centred", 0)
    folder = tmp_path_factory.mktemp("runtime") / "model"
    Classifier(student, tokenizer, ["World", "Sports", "Business", "Sci/Tech"], 24, dict(recipe="none")).save_pretrained(folder)
    return folder


TEXTS = ["cup goal today", "", "the bank says oil rates in new orbit " * 9, "Ünïcödé 🎉 \x07 株価", "goal"]


def test_a_loaded_classifier_answers_as_the_one_that_was_saved(folder):
    saved, loaded = Classifier.from_pretrained(folder), lightx.load(folder)
    assert type(loaded) is NumpyClassifier and loaded.facts == saved.facts
    for a, b in zip(saved(TEXTS), loaded(TEXTS), strict=True):
        assert [o.text for o in a.words] == [o.text for o in b.words] and a.label == b.label and a.truncated == b.truncated
        np.testing.assert_allclose(a.logits, b.logits, atol=1e-6)
        np.testing.assert_allclose(a.attributions, b.attributions, atol=1e-6)
    with torch.no_grad():
        ids, mask = (torch.from_numpy(o) for o in (np.array([[1, 4, 2]]), np.ones((1, 3), int)))
        np.testing.assert_allclose(saved.student(ids, mask).softmax(-1), softmax(loaded.student(ids.numpy(), mask.numpy())), atol=1e-6)


def test_nothing_heavy_is_imported_to_answer(folder):
    code = f"""
import sys
from lightx.cli import main
sys.argv = ["lightx", "predict", "cup goal", "--model", {str(folder)!r}, "--json"]
try: main()
except SystemExit: pass
print([o for o in ("torch", "transformers", "pandas", "sklearn", "matplotlib", "scipy", "safetensors", "datasets") if o in sys.modules])
"""
    answer, heavy = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.splitlines()
    assert heavy == "[]" and json.loads(answer)["label"] == lightx.load(folder)("cup goal").label


@pytest.mark.parametrize("module, extra", [("torch", "train"), ("datasets", "train"), ("uvicorn", "serve"), ("onnx", "export")])
def test_a_missing_library_is_named_with_its_extra(module, extra, folder):
    code = f"""
import sys
sys.modules[{module!r}] = None # as if it were not installed
from lightx.cli import main
sys.argv = ["lightx", *sys.argv[1:]]
main()
"""
    asked = {"train": ["distill", "bbc_news"], "serve": ["serve", folder], "export": ["export", folder, "--out", folder.parent / "nowhere"]}[extra]
    run = subprocess.run([sys.executable, "-c", code, *map(str, asked)], capture_output=True, text=True)
    assert run.returncode == 2 and f"pip install 'lightx[{extra}]'" in run.stderr and len(run.stderr.strip().splitlines()) == 1, run.stderr
    assert not (folder.parent / "nowhere").exists()


def test_every_requirement_of_an_extra_is_known_to_the_line_that_names_it():
    assert missing_extra(ModuleNotFoundError(name="nothing.at.all")) is None
    code = "import sys; sys.modules['torch'] = None; import lightx; lightx.distill"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "InputError: this needs torch, which is not installed: pip install 'lightx[train]'" in run.stderr


def test_a_file_of_weights_is_mapped_not_read(folder):
    found = read_weights(folder / "model.safetensors")
    assert all(isinstance(o.base, np.memmap) or isinstance(o, np.memmap) for o in found.values())
    short = shutil.copytree(folder, folder.parent / f"short{len(list(folder.parent.iterdir()))}")
    (short / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:500])
    with pytest.raises(InputError, match="model.safetensors: not the file that was saved"):
        lightx.load(short)


def test_a_text_without_tokens_is_the_baseline_alone_and_in_company():
    from tokenizers import Tokenizer, models, pre_tokenizers
    tokenizer = Tokenizer(models.WordLevel({"[PAD]": 0, "[UNK]": 1, "oil": 2, "cup": 3}, unk_token="[UNK]")) # adds no special tokens
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    student = new_student(2, vocab_size=4, embed_dim=8, hidden=8, embed_std=1.).eval()
    clf = Classifier(student, tokenizer, ["a", "b"], 16)
    for answer in (clf(""), clf(["oil cup", "", "cup"])[1], clf([""])[0]):
        np.testing.assert_allclose(answer.logits, answer.baseline_logits, atol=1e-6)
        assert answer.words == [] and not answer.special.any() and np.isfinite(list(answer.probabilities.values())).all()
    batch = torch.zeros(1, 3, dtype=torch.long), torch.zeros(1, 3, dtype=torch.long)
    assert torch.isfinite(student(*batch)).all() and not student.explain(*batch)[1].any()

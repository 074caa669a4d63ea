"""A teacher that is only a file."""
import json

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import make_tokenizer, write_corpus
from hypothesis import given, settings
from hypothesis import strategies as st

import lightx
from lightx.data import balanced, load_corpus, load_texts, tokenize
from lightx.experiments import (as_logits, as_probabilities, asked, decided_by, prepare_predictions, read_predictions, read_scores, scaled,
                                spread_scores, SURE, write_predictions)
from lightx.runtime import InputError, Reader
from lightx.student import new_student
from lightx.teacher import load_teacher
from lightx.training import BEST, train_student

NAMES = ["money", "space", "sport"]
SMALL = dict(max_length=16, progress=False, steps=20)


@pytest.fixture(scope="module")
def said(tmp_path_factory, corpus_folder, teacher_folder):
    """What a teacher says of every text of a corpus, in a file: asked in the batches of a live run, as another batch may change the last bit."""
    file, teacher, corpus = tmp_path_factory.mktemp("said") / "said.csv", load_teacher(str(teacher_folder), max_length=16), load_corpus(corpus_folder)
    said = {}
    for texts in (balanced(corpus["train"], 0)["text"][:], corpus["test"]["text"][:]):
        chances = asked(teacher, tokenize(teacher.tokenizer, texts, 16), False)
        said |= {o: p for o, p in zip(texts, chances) if o not in said}
    write_predictions(file, [*said], np.stack([*said.values()]), NAMES)
    return file


@given(st.integers(1, 5).flatmap(lambda n: st.lists(st.lists(st.floats(-40, 40, width=32), min_size=3, max_size=3), min_size=n, max_size=n)))
@settings(max_examples=30, deadline=None)
def test_probabilities_come_back_bit_for_bit(tmp_path_factory, logits):
    file, chances = tmp_path_factory.getbasetemp() / "bits.csv", as_probabilities(np.float32(logits))
    write_predictions(file, [f"a, \"text\" {i}" for i in range(len(chances))], chances, NAMES)
    found = read_predictions(file, NAMES)
    again = np.stack(list(found.values()))
    np.testing.assert_array_equal(again, chances)
    np.testing.assert_array_equal(as_logits(again), as_logits(chances))


@pytest.mark.parametrize("recipe", ["kl", "lstm_mse"]) # best takes longer, and stands in the notebook of distillation
def test_a_student_of_a_file_is_the_student_of_the_live_teacher(recipe, corpus_folder, teacher_folder, said, tmp_path):
    live = lightx.distill(corpus_folder, str(teacher_folder), recipe=recipe, explain=False, **SMALL)
    read = lightx.distill(corpus_folder, said, tmp_path / "model", recipe=recipe, base=str(teacher_folder), **SMALL)
    one, two = live.student.state_dict(), read.student.state_dict()
    assert one.keys() == two.keys() and all(torch.equal(one[k], two[k]) for k in one)
    assert {k: read.facts[k] for k in ("accuracy", "decides_as_the_teacher")} == {k: live.facts[k] for k in ("accuracy", "decides_as_the_teacher")}
    assert read.facts["teacher"] == "said.csv" and lightx.load(tmp_path / "model").predict(["cup goal"]).shape == (1,)


def test_another_file_is_another_student(corpus_folder, teacher_folder, said, tmp_path):
    df = pd.read_csv(said, dtype=str)
    df[NAMES] = df[NAMES[::-1]].to_numpy()
    df.to_csv(tmp_path / "other.csv", index=False)
    one, two = (lightx.distill(corpus_folder, o, recipe="kl", base=str(teacher_folder), **SMALL) for o in (said, tmp_path / "other.csv"))
    assert not torch.equal(one.student.output.weight, two.student.output.weight)


def test_the_teacher_is_not_asked_to_explain(corpus_folder, teacher_folder, monkeypatch):
    for o in ("explain_corpus", "teach"): monkeypatch.setattr(f"lightx.experiments.preparation.{o}", lambda *args, **kw: pytest.fail("explained"))
    clf = lightx.distill(corpus_folder, str(teacher_folder), recipe="kl", explain=False, **SMALL)
    assert not any(k.startswith("reasons") for k in clf.facts)


def test_rows_without_a_prediction_are_left_to_their_labels(corpus_folder, base_folder, said, tmp_path, caplog):
    df, train = pd.read_csv(said, dtype=str), load_corpus(corpus_folder)["train"]
    gone = train["text"][3]
    df.loc[df.text == gone, NAMES] = ""
    df[~df.text.isin(load_texts(corpus_folder, "test"))].to_csv(tmp_path / "part.csv", index=False)
    prepared = prepare_predictions(corpus_folder, tmp_path / "part.csv", base=str(base_folder), max_length=16, progress=False)
    assert f"no prediction for {sum(o == gone for o in train['text'])} of {len(train)} training texts: they are left to their labels" in caplog.text
    row = prepared.texts["train"]["text"][:].index(gone)
    chances = prepared.train.logits[row].softmax(-1)
    assert chances.argmax() == prepared.train.labels[row] and chances.max().item() == pytest.approx(SURE) and prepared.test_logits is None


@pytest.mark.parametrize("form", ["labels", "numbers", "order", "no labels"])
def test_files_of_several_forms(form, base_folder, tmp_path):
    corpus = pd.read_csv(write_corpus(tmp_path, 20) / "train.csv").drop_duplicates("text")
    told = corpus
    if form == "numbers": told = told.assign(label=[NAMES.index(o) for o in told.label])
    if form == "order": told = told[["label"]]
    if form == "no labels": corpus = corpus[["text"]]
    corpus.to_csv(tmp_path / "data.csv", index=False)
    told.to_csv(tmp_path / "told.csv", index=False)
    prepared = prepare_predictions(str(tmp_path / "data.csv"), tmp_path / "told.csv", base=str(base_folder), max_length=16, progress=False)
    assert prepared.names == NAMES and torch.equal(prepared.train.logits.argmax(1), prepared.train.labels)
    assert (prepared.test_logits.argmax(1) == prepared.test.labels.numpy()).all()


def test_texts_without_labels_are_learned_from_what_the_file_says(corpus_folder, teacher_folder, said, tmp_path):
    more = tmp_path / "more.csv"
    more.write_text("text\n" + "\n".join(load_texts(corpus_folder, "test")) + "\nnever predicted\n")
    prepared = prepare_predictions(corpus_folder, said, base=str(teacher_folder), max_length=16, unlabelled=str(more), progress=False)
    ids, logits = prepared.unlabelled
    assert len(ids) == len(logits) and 0 < len(ids) <= len(prepared.test)
    joined = prepared.train.joined(ids, logits) # as best_unlabelled does
    assert (joined.labels == -100).sum() == len(ids) and not joined.explained.any()


def test_decisions_of_a_model_and_of_its_file_are_the_same(corpus_folder, teacher_folder, said):
    texts = load_texts(corpus_folder, "test")
    (one, live), (two, read) = (decided_by(o, texts, NAMES, 16) for o in (str(teacher_folder), said))
    assert one == two == texts and (live == read).all()
    with pytest.raises(InputError, match="none of its texts is one of data"): decided_by(said, ["another"], NAMES, 16)


# --- words and scores

def scores_of(tmp_path, text, names=NAMES):
    (tmp_path / "s.csv").write_text(text)
    return read_scores(tmp_path / "s.csv", names)


@given(st.lists(st.sampled_from("cup goal team bank oil the".split()), min_size=1, max_size=9), st.floats(-5, 5))
@settings(max_examples=30, deadline=None)
def test_a_score_is_spread_over_the_words_occurrences(tmp_path_factory, words, score):
    table = scores_of(tmp_path_factory.getbasetemp(), f"word,class,score\ncup,sport,{score!r}\nTHE BANK,money,2\n")
    [made] = spread_scores(table, Reader(make_tokenizer().backend_tokenizer, 16), [" ".join(words)], np.array([0]), 3)
    pair = sum(a == "the" and b == "bank" for a, b in zip(words, words[1:]))
    if "cup" not in words and not pair:
        assert made is None
        return
    wanted = np.array([2. if pair else 0, 0, score if "cup" in words else 0])
    np.testing.assert_allclose(made.sum(0), wanted - wanted.mean(), atol=1e-5)
    assert made.shape == (len(words) + 2, 3)
    np.testing.assert_allclose(made.sum(1), 0, atol=1e-5)
    same = [made[i + 1] for i, o in enumerate(words) if o == "cup" and not (score == 0)]
    for o in same: np.testing.assert_allclose(o, same[0], atol=1e-6)


def test_marked_words_of_a_text_speak_for_its_decision(tmp_path):
    table = scores_of(tmp_path, "text,word\ncup of oil,oil\n")
    one, other = spread_scores(table, Reader(make_tokenizer().backend_tokenizer, 16), ["cup of oil", "oil"], np.array([1, 0]), 3)
    np.testing.assert_allclose(one[3], [-1 / 3, 2 / 3, -1 / 3], atol=1e-6)
    assert other is None


def test_scores_are_brought_to_the_unit_of_the_logits():
    rng = np.random.default_rng(0)
    sums = rng.normal(size=(40, 3))
    sums -= sums.mean(1, keepdims=True)
    values = [np.stack([o / 2, o / 2]) for o in sums]
    found = scaled([o / 7 for o in values], sums, "it")
    np.testing.assert_allclose(np.stack(found), np.stack(values), rtol=0.2)
    with pytest.raises(InputError, match="speak against the predictions"): scaled(values, -sums, "it")
    with pytest.raises(InputError, match="none of its words"): scaled([None], sums[:1], "it")


def test_word_scores_teach_a_student_its_reasons(corpus_folder, teacher_folder, tmp_path):
    said = corpus_folder / "train.csv" # its labels, as somebody's predictions
    (tmp_path / "words.csv").write_text("word,class,score\n" + "".join(f"{o},sport,1\n" for o in ("cup", "goal", "match")))
    taught = prepare_predictions(corpus_folder, said, base=str(teacher_folder), scores=str(tmp_path / "words.csv"), max_length=16, progress=False)
    pulls, ids = [], taught.teacher.tokenizer(["cup the goal"], return_tensors="pt")
    for explained in (False, True):
        taught.train.explained &= explained
        if explained: taught.train.explained = taught.train.attributions.abs().sum((1, 2)) > 0
        student = new_student(3, vocab_size=len(taught.teacher.tokenizer), embed_dim=8, target="centred")
        train_student(student, taught.train, BEST, 4, batch_size=16)
        pulls.append(student.explain(ids["input_ids"], ids["attention_mask"])[1][0, [1, 3], 2].mean().item())
    assert pulls[1] > pulls[0]


def test_hostile_names_are_text_in_the_card(base_folder, tmp_path):
    bad = "<script>alert(1)</script>"
    rows = [(f"{w} {i}", c) for i in range(6) for w, c in (("cup goal", bad), ("oil bank", "b|c"))]
    pd.DataFrame(rows, columns=["text", "label"]).to_csv(tmp_path / "data.csv", index=False)
    clf = lightx.distill(str(tmp_path / "data.csv"), tmp_path / "data.csv", tmp_path / "model", recipe="kl", base=str(base_folder), **SMALL)
    card = (tmp_path / "model" / "README.md").read_text()
    assert bad in clf.names and "<script" not in card and "&lt;script&gt;" in card
    assert "<script" not in clf("<script>cup</script>")._repr_html_() and json.dumps(clf("cup").to_dict())

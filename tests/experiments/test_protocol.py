"""Decoys, the grid, its statistics, and a question that is asked, interrupted and asked again."""
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from conftest import lightx, write_corpus
from hypothesis import given, settings, strategies as st

from lightx.data import load_corpus
from lightx.experiments import (AGREE, bootstrap, DECOYS, differences, grid_values, holm, interval, losses_between, made_up_words, part_texts,
                                parts_of, QUESTIONS, Question, read_results, run_protocol, runs_of, text_hits, typed, whole, with_decoys,
                                worst_group)
from lightx.runtime import InputError

METHODS = ("teacher", "majority", "tfidf_svm", "tfidf_svm_teacher", "ce", "whole_text_logits", "masked_ce")


@pytest.fixture(scope="module")
def asked(base_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("protocol")
    (folder / "news").mkdir()
    write_corpus(folder / "news")
    question = Question("decoy", ("news",), METHODS, "word", (8,), subsets=2, teachers=1, seeds=2, teacher=str(base_folder), max_length=32,
                        teacher_epochs=1, steps=10, unlabelled=10, teacher_texts=20)
    stopped = run_protocol(question, folder, folder / "out", folder / "evidence.json", seconds=0)
    missing = run_protocol(question, folder, folder / "out", folder / "evidence.json")
    return folder, question, stopped, missing


def test_a_question_goes_on_where_it_was_stopped(asked):
    folder, question, stopped, missing = asked
    assert stopped == 2 * (4 + 3 * 2) and missing == 0
    made = {f: f.stat().st_mtime_ns for f in (folder / "out" / "students").glob("*/rows.json")}
    assert len(made) == stopped
    assert run_protocol(question, folder, folder / "out", folder / "evidence.json") == 0
    assert {f: f.stat().st_mtime_ns for f in made} == made


def test_rows_are_tidy(asked):
    folder, question, *_ = asked
    meta, rows = read_results(folder / "evidence.json")
    assert list(rows)[:1] == ["question"] and set(rows.columns) == {"question", "data", "n_per_class", "subset", "teacher_seed", "method", "seed",
                                                                   "condition", "metric", "value"}
    assert set(rows.method) == set(METHODS) and set(rows.condition) == {"consistent", "absent", "flipped", "all", "train"}
    named = rows[rows.condition == "train"]
    assert set(named.metric) == {"decoy_share", "decoy_first"} and set(named.method) == {"teacher"} and named.value.between(0, 1).all()
    assert rows.value.between(-1, 1).all() and not rows.duplicated([o for o in rows if o != "value"]).any()
    assert meta["questions"]["decoy"]["n_per_class"] == [8]
    known = rows[rows.method == "majority"].groupby("metric").value.first()
    assert known["accuracy"] == pytest.approx(1 / 3) and known["matthews"] == 0 and known["worst_group"] == 0


def test_another_question_stays_in_the_file(asked):
    folder, question, *_ = asked
    plain = replace(question, name="worth", design="plain", methods=("majority",), subsets=1)
    assert run_protocol(plain, folder, folder / "out", folder / "evidence.json") == 0
    rows = read_results(folder / "evidence.json")[1]
    assert set(rows.question) == {"decoy", "worth"} and set(rows[rows.question == "worth"].condition) == {"test"}


def test_kept_answers_give_the_measured_accuracy(asked):
    folder, question, *_ = asked
    hits = text_hits(folder / "decisions_decoy.npz", question, "news", 8, "ce", "flipped")
    rows = read_results(folder / "evidence.json")[1].query("question == 'decoy' and condition == 'flipped' and metric == 'accuracy'")
    assert hits.shape == (2, 1, 2, 27)
    np.testing.assert_allclose(hits.mean(-1), grid_values(rows, "ce"))
    decided = np.load(folder / "decisions_decoy.npz")
    np.testing.assert_array_equal(decided["news_8_1_0/ce/0/flipped"] == decided["news/labels/flipped"], hits[1, 0, 0])


def test_the_teacher_never_sees_a_decoy(asked):
    folder, question, *_ = asked
    texts = part_texts(question, "news", folder, 8, 0)
    words = set(made_up_words(3))
    assert not words & set(" ".join(texts.clean["text"]).split()) and not words & set(" ".join(texts.tests["absent"]["text"]).split())
    assert all(words & set(o.split()) for o in texts.train["text"]) and texts.train["label"][:] == texts.clean["label"][:]
    assert not set(texts.rest) & set(texts.clean["text"])


@pytest.mark.parametrize("kind", DECOYS)
def test_a_decoy_tells_the_class_and_the_label_stays(kind, corpus_folder):
    ds = load_corpus(corpus_folder)["train"]
    own, other = with_decoys(ds, kind), with_decoys(ds, kind, 0)
    assert own["label"][:] == ds["label"][:] == other["label"][:]
    assert all(a != b for a, b in zip(own["text"], other["text"])) and with_decoys(ds, kind)["text"][:] == own["text"][:]
    some = with_decoys(ds, kind, AGREE.get(kind, 1))["text"]
    assert (some[:] == own["text"][:]) is (kind != "partial")


def test_a_style_has_as_many_marks_as_it_has(corpus_folder):
    from datasets import ClassLabel, Dataset, Features, Value
    features = Features({"text": Value("string"), "label": ClassLabel(names=list(map(str, range(20))))})
    with pytest.raises(InputError, match="design style has 8 marks, the data 20 classes"):
        with_decoys(Dataset.from_dict(dict(text=["a"], label=[12]), features=features), "style")


@settings(deadline=None)
@given(st.integers(0, 10**6))
def test_typing_errors_keep_the_letters(seed):
    import random
    text = "The committee announced its results yesterday"
    made = typed(text, random.Random(seed), 1)
    assert [sorted(o) for o in made.split()] == [sorted(o) for o in text.split()] and made.split()[0] == "The"


def test_a_teacher_with_texts_of_its_own_shares_none_with_its_students(asked):
    folder, question, *_ = asked
    own = replace(question, teacher_n_per_class=10)
    found = [part_texts(own, "news", folder, 8, subset) for subset in (0, 1)]
    assert found[0].teacher["text"][:] == found[1].teacher["text"][:] and found[0].clean["text"][:] != found[1].clean["text"][:]
    for o in found: assert not set(o.teacher["text"]) & set([*o.clean["text"], *o.rest])
    fooled = part_texts(replace(own, fooled=True), "news", folder, 8, 0)
    assert all(set(made_up_words(3)) & set(o.split()) for o in fooled.teacher["text"])


@given(st.lists(st.floats(1e-6, 1), min_size=1, max_size=8))
@settings(deadline=None)
def test_holm_is_what_statsmodels_defines(p):
    found = holm(p)
    order, most = sorted(range(len(p)), key=lambda i: p[i]), 0
    for rank, i in enumerate(order):
        most = max(most, min(1, p[i] * (len(p) - rank)))
        assert found[i] == pytest.approx(most)


def test_the_bootstrap_has_the_variance_of_its_levels():
    # Only test texts vary: the spread is that of the mean of so many texts, whatever the grid.
    texts = np.broadcast_to(np.random.default_rng(0).normal(size=400), (3, 2, 2, 400))
    assert bootstrap(texts, 2000).std() == pytest.approx(texts[0, 0, 0].std() / 20, rel=0.1)
    # Only teachers vary: six of them are drawn, two from each of three subsets.
    teachers = np.broadcast_to(np.array([-1.0, 1.0])[None, :, None], (3, 2, 2))
    assert bootstrap(teachers, 4000).std() == pytest.approx(6**-0.5, rel=0.1)


def test_an_interval_of_a_clear_effect_excludes_zero_and_of_none_does_not():
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(5, 2, 3))
    assert interval(noise + 3)["p"] < 0.01 and interval(noise - noise.mean())["p"] > 0.5


def made_rows(drop=()):
    rows = [dict(data="made", n_per_class=9, subset=s, teacher_seed=t, seed=r, method=m, condition=c, metric="accuracy",
                 value=0.8 + 0.01 * s + 0.02 * (m == "b") - 0.1 * (c == "flipped") * (m == "a"))
            for s in range(3) for t in range(2) for r in range(2) for m in "ab" for c in ("consistent", "flipped") if (s, t) not in drop]
    rows += [dict(o, method="reference", seed=None, value=0.7) for o in rows if o["method"] == "a" and o["seed"] == 0]
    return pd.DataFrame(rows)


def test_differences_are_paired_and_a_reference_stands_beside_every_student():
    table = differences(made_rows(), [("b", "a"), ("a", "reference")], "accuracy")
    assert table["mean"].tolist() == pytest.approx([0.02, 0.11, 0.12, 0.01])
    assert table.low.iloc[0] == pytest.approx(0.02) and len(differences(made_rows(), [("b", "nobody")], "accuracy")) == 0


@pytest.mark.parametrize("drop, shape", [([(1, 1), (2, 1)], (3, 1, 2)), ([(2, 0), (2, 1)], (2, 2, 2)), ([(1, 0), (2, 1)], (1, 2, 2))])
def test_an_interrupted_grid_is_read_as_far_as_it_is_whole(drop, shape):
    rows = made_rows(drop)
    assert whole(grid_values(rows[rows.condition == "flipped"], "a")).shape == shape
    lost = losses_between(rows, ["a", "b"], "consistent", "flipped")
    assert lost["mean"].tolist() == pytest.approx([0.1, 0])


def test_the_worst_group_is_over_classes_and_conditions():
    labels = {"a": np.array([0, 1, 1]), "b": np.array([0, 0, 1])}
    assert worst_group({"a": np.eye(2)[[0, 1, 0]], "b": np.eye(2)[[0, 0, 1]]}, labels) == 0.5


def test_every_question_can_be_asked():
    for name, o in QUESTIONS.items():
        assert o.name == name and runs_of(o) and len(parts_of(o)) == o.subsets * o.teachers * len(o.n_per_class) * len(o.data)
        assert parts_of(o)[0] == dict(data=o.data[0], n_per_class=o.n_per_class[0], subset=0, teacher_seed=0)


@pytest.mark.parametrize("options, part", [
    (["--protocol", "decoys"], "did you mean 'decoy"),
    (["--protocol", "decoy", "bbc_news"], "give no DATA"),
    (["--protocol", "decoy", "--data-folder", "nowhere"], "nowhere/ag_news: no such folder"),
])
def test_bad_input_is_one_line(options, part, tmp_path):
    run = lightx("compare", *options, "--out", tmp_path / "out")
    assert run.returncode == 2 and part in run.stderr and "Traceback" not in run.stderr and not (tmp_path / "out" / "evidence.json").exists()

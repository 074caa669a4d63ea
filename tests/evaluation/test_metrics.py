from functools import partial

import numpy as np
import pytest
from conftest import make_teacher
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lightx.evaluation import (accuracy, agreement, auc, cosine, faithfulness, feature_agreement, macro_f1, matthews, rank_correlation, SHARES,
                               sign_agreement, xai_floor)
from lightx.teacher import predict_logits

vectors = arrays(np.float64, 12, elements=st.floats(-10, 10, width=16))


def test_two_classes():
    logits, labels = np.array([[1., 0], [0, 1], [2, 0], [0, 3]]), np.array([0, 1, 1, 1])
    assert accuracy(logits, labels) == 0.75
    assert macro_f1(logits, labels) == pytest.approx((2 / 3 + 4 / 5) / 2)
    assert matthews(logits, labels) == pytest.approx(1 / np.sqrt(3))
    assert auc(logits, labels) == pytest.approx(2 / 3)


@given(vectors, vectors, st.integers(1, 15))
def test_bounds_and_symmetry(t, s, k):
    assert 0 <= sign_agreement(t, s, k) <= feature_agreement(t, s, k) <= 1
    assert feature_agreement(t, s, k) == feature_agreement(s, t, k)
    assert abs(cosine(t, s)) <= 1 + 1e-9 and abs(rank_correlation(t, s)) <= 1 + 1e-9


@given(vectors)
def test_an_explanation_agrees_with_itself_and_not_with_its_opposite(t):
    assert feature_agreement(t, t) == 1 == sign_agreement(t, t)
    if np.abs(t).min() > 0:
        assert sign_agreement(t, -t) == 0
    if np.ptp(t) > 0:
        assert rank_correlation(t, -t) == pytest.approx(-1)


def test_agreement_averages_over_texts_and_classes():
    t = [np.array([[1., 0], [0, 1]]), np.array([[1., 1.]])]
    s = [np.array([[1., 1], [0, 0]]), np.array([[1., -1.]])]
    assert agreement(t, s)["cosine"] == pytest.approx((1 + 0 + 1 - 1) / 4)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(1, 4), min_size=1, max_size=10), st.integers(0, 9))
def test_no_student_with_equal_pieces_is_below_the_floor(row, seed):
    rng = np.random.default_rng(seed)
    e, pull = rng.normal(size=(len(row), 2)), rng.normal(size=(5, 2))
    assert xai_floor([row], [e]) <= np.mean((e - pull[row]) ** 2) + 1e-12


def test_faithfulness_is_what_the_decided_class_loses():
    teacher, ids = make_teacher(), [[1, 5, 9, 14, 20, 2], [1, 7, 2]]
    rng = np.random.default_rng(0)
    values = [rng.normal(size=(len(o), 3)) for o in ids]
    found = faithfulness(partial(predict_logits, teacher.model), ids, values)

    def p(text):
        return predict_logits(teacher.model, [text]).softmax(1)[0].numpy()

    c = p(ids[0]).argmax()
    lost = []
    for share in SHARES:
        count = max(1, round(share * 4))
        strongest = 1 + np.argsort(-values[0][1:-1, c])[:count]
        lost.append(p(ids[0])[c] - p([o for i, o in enumerate(ids[0]) if i not in strongest])[c])
    assert abs(found["comprehensiveness"][0] - np.mean(lost)) < 1e-5
    # A single token is always among the strongest, so what is left alone is the whole text.
    assert abs(found["sufficiency"][1]) < 1e-6 and found["comprehensiveness"].shape == (2,)

"""What is odd about a corpus or its teacher is said, once, and nothing else is."""
import numpy as np
import pytest
from conftest import FILLER, make_tokenizer, WORDS
from hypothesis import given, settings, strategies as st

from lightx.experiments import check_classes, prepare, warn_guessing, warn_unread
from lightx.runtime import InputError

NAMES = ["sport", "money", "space"]


def said(caplog): return [o.getMessage() for o in caplog.records]


@pytest.mark.parametrize("right, of, line", [
    (34, 100, "the teacher is right on 34.0 % of 100 test texts, 'sport' for every text would be on 34.0 %"), (0, 100, "right on 0.0 %"),
    (42, 100, "right on 42.0 %"), (43, 100, None), (100, 100, None), (3, 4, "right on 75.0 %"), (10, 10, None)])
def test_a_teacher_near_chance_is_said(right, of, line, caplog):
    labels = np.resize([0, 1, 2], of)
    answers = np.where(np.arange(of) < right, labels, (labels + 1) % 3)
    warn_guessing(np.eye(3)[answers], labels.tolist(), NAMES)
    assert len(said(caplog)) == (line is not None) and (line or "") in "".join(said(caplog))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([200, 1000]))
def test_a_good_teacher_is_never_doubted(seed, n):
    rng = np.random.default_rng(seed)
    labels = rng.integers(3, size=n)
    logits = np.eye(3)[np.where(rng.random(n) < 0.7, labels, rng.integers(3, size=n))]
    import logging
    records = []
    handler = logging.Handler()
    handler.emit = records.append
    logging.getLogger("lightx").addHandler(handler)
    try: warn_guessing(logits, labels.tolist(), NAMES)
    finally: logging.getLogger("lightx").removeHandler(handler)
    assert not records


def test_a_test_split_of_one_class_is_said(caplog):
    warn_guessing(np.eye(3)[[1, 1, 0]], [1, 1, 1], NAMES)
    assert said(caplog) == ["all 3 test texts are of class 'money', so what they measure says little: add texts of the others"]


def test_classes_without_texts(caplog):
    check_classes([0, 2], NAMES)
    assert said(caplog) == ["no training text is of class money: a student never answers it"]
    with pytest.raises(InputError, match="all training texts are of class sport: a classifier needs two classes"): check_classes([0], NAMES[:1])


def test_texts_that_read_as_nothing_are_counted_with_the_first_row(caplog):
    tokenizer, texts = make_tokenizer(), ["cup goal", "🎉🎉", "bank", "油", ""]
    warn_unread(tokenizer, tokenizer(texts)["input_ids"], texts, ["oil", *texts], "test")
    assert said(caplog) == ["3 of 5 test texts read as nothing, as the tokenizer knows no piece of them; the first is row 3, '🎉🎉': remove them"]
    caplog.clear()
    warn_unread(tokenizer, tokenizer(texts[:1])["input_ids"], texts[:1], texts, "test")
    assert not said(caplog)


def test_prepare_says_all_of_it_once(teacher_folder, caplog):
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice([*words, *FILLER], 6)) for _ in range(12) for words in WORDS.values()]
    texts[4] = "🎉🎉"
    prepare((texts, [list(WORDS)[i % 3] for i in range(36)]), str(teacher_folder), 0, 16, unseen_texts=2, progress=False)
    lines = said(caplog)
    assert sum("read as nothing" in o for o in lines) == 1 and sum("the teacher is right on" in o for o in lines) == 1

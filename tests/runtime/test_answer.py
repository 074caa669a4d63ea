"""What is no text is named; what is a text is answered, whatever is in it."""
import json
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import lightx
from lightx.runtime import InputError, whole_text

CLF = lightx.load(Path(__file__).parent.parent / "deploy" / "written_by_0.1" / "PairStudent")


@pytest.mark.parametrize("texts, line", [
    ("cup", "texts are 'cup': give a list of texts"), (b"cup", "texts are b'cup'"), (None, "texts are None"), (3, "texts are 3"),
    ({"a": 1}, "texts are {'a': 1}"), (["cup", None], "text 1 is None: give a text"), ([float("nan")], "text 0 is nan"),
    (["cup", "goal", b"x"], "text 2 is b'x'"), ([["cup"]], r"text 0 is \['cup'\]"), (np.array([1, 2]), "text 0 is"),
    ([np.zeros((50, 50))], r"text 0 is array\(\[\[0., 0.*\.\.\.: give a text")], ids=str)
@pytest.mark.parametrize("ask", [CLF.explain, CLF.predict, CLF.predict_proba, lambda o: list(CLF.stream(o))])
def test_what_is_no_text_is_named_with_its_place(texts, line, ask):
    with pytest.raises(InputError, match=line) as found: ask(texts)
    assert "\n" not in str(found.value) and len(str(found.value)) < 120


@pytest.mark.parametrize("labels, line", [
    ("sport", "labels are 'sport': give a list"), ([], "there are no labels"), ([True], "label 'True' is not among the classes"),
    ([None], "label None is not"), ([3], "label 3 is not"), (["sport", "sport"], "1 texts with 2 labels")])
def test_labels_that_score_nothing_are_named(labels, line):
    with pytest.raises(InputError, match=line): CLF.score([] if labels == [] else ["cup"], labels)


def test_halves_of_characters_are_joined_or_replaced_with_one_notice(caplog):
    texts = ["cup", "a\ud800b", "\udcff", "\ud83d\ude00"]
    assert [o.text for o in CLF.explain(texts)] == ["cup", "a\ufffdb", "\ufffd", "😀"] and CLF(texts[1]).text == "a\ufffdb"
    assert [o.getMessage() for o in caplog.records] == ["text 1 has half a character in it, which is replaced"]


@settings(max_examples=50, deadline=None)
@given(st.text(st.characters(codec=None), max_size=30))
def test_any_string_is_answered_with_words_of_it(text):
    one, many = CLF(text), CLF.explain([text])[0]
    assert one.text == many.text == whole_text(text) and [o.text for o in one.words] == [one.text[o.start:o.end] for o in many.words]
    json.dumps(one.to_dict(), ensure_ascii=False).encode()
    np.testing.assert_allclose(one.attributions.sum(0) + one.special, one.logits - one.baseline_logits - (one.logits - one.baseline_logits).mean()
                               if CLF.student.target == "centred" else one.logits - one.baseline_logits, atol=1e-4)


@pytest.mark.parametrize("text", ["", " \n\t"])
def test_where_nothing_is_read_the_answer_says_so(text):
    assert str(CLF(text)).endswith(": no word was read") and CLF(text).to_dict()["words"] == []


def test_a_line_of_ten_megabytes_is_answered_as_its_beginning_is():
    text, start = "cup goal today, " * 650_000, time.process_time()
    answer = CLF(text)
    assert time.process_time() - start < 1 and answer.truncated and answer.text == text
    short = CLF(text[:2000])
    assert [(o.start, o.end) for o in answer.words] == [(o.start, o.end) for o in short.words]
    np.testing.assert_array_equal(answer.attributions, short.attributions)

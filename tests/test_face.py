"""What `import lightx` names, with a small random teacher."""
import numpy as np
import pandas as pd
import pytest
from conftest import FILLER, WORDS

import lightx
from lightx.runtime import InputError

OPTIONS = dict(recipe="ce", max_length=16, steps=30, progress=False, unseen_texts=4)


@pytest.fixture(scope="module")
def news():
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice([*words, *FILLER], 6)) for _ in range(12) for words in WORDS.values()]
    return texts, [list(WORDS)[i % 3] for i in range(len(texts))]


@pytest.fixture(scope="module")
def clf(news, teacher_folder):
    return lightx.distill(news, teacher=str(teacher_folder), **OPTIONS)


def test_a_file_a_table_a_data_set_and_a_pair_are_the_same_corpus(news, clf, teacher_folder, tmp_path):
    from datasets import Dataset
    table = pd.DataFrame(dict(text=news[0], label=news[1]))
    table.to_csv(tmp_path / "news.csv", index=False)
    wanted = clf.predict_proba(news[0])
    for data in (tmp_path / "news.csv", str(tmp_path / "news.csv"), table, Dataset.from_pandas(table), (np.array(news[0]).tolist(), news[1])):
        other = lightx.distill(data, teacher=str(teacher_folder), **OPTIONS)
        np.testing.assert_array_equal(other.predict_proba(news[0]), wanted)
    assert lightx.distill(table.rename(columns=dict(text="body")), teacher=str(teacher_folder), text="body", **OPTIONS).names == clf.names


def test_a_classifier_decides_scores_explains_and_is_saved(news, clf, tmp_path):
    texts, labels = news
    assert clf.predict(texts).tolist() == [o.label for o in clf.explain(texts)] == [clf(o).label for o in texts]
    assert clf.score(texts, labels) == np.mean(clf.predict(texts) == np.array(labels))
    assert clf.score(texts, labels) == clf.score(texts, [clf.names.index(o) for o in labels])
    clf.save_pretrained(tmp_path / "model")
    np.testing.assert_allclose(lightx.load(tmp_path / "model").predict_proba(texts), clf.predict_proba(texts), atol=1e-6)


def test_out_is_written_whole_and_never_over_something(news, teacher_folder, tmp_path):
    lightx.distill(news, teacher=str(teacher_folder), out=tmp_path / "model", **OPTIONS)
    assert (tmp_path / "model" / "classifier.json").is_file() and len(list(tmp_path.iterdir())) == 1
    with pytest.raises(InputError, match="is there already"):
        lightx.distill(news, teacher=str(teacher_folder), out=tmp_path / "model", **OPTIONS)


def test_a_teacher_explains_texts_and_its_words_add_up(news, teacher_folder, tmp_path):
    answers = lightx.attribute(news[0][:5], str(teacher_folder), out=tmp_path / "store", max_length=16, precision="float32", progress=False)
    assert [o.text for o in answers] == news[0][:5] and len(answers[0].words) == 6
    for o in answers:
        def centred(x): return x - x.mean()
        moved = centred(o.logits) - centred(o.baseline_logits)
        np.testing.assert_allclose(o.attributions.sum(0) + o.special, moved, atol=0.02 * np.ptp(moved))
    assert (tmp_path / "store" / "manifest.json").is_file()


@pytest.mark.parametrize("data, message", [
    (42, "data of type int: give a file, a folder, a name, a table"), ((["a"], ["x", "y"]), "1 texts with 2 labels"),
    (pd.DataFrame(dict(body=["a"])), "no column 'text'; it has 'body'"), ("nowhere.csv", "nowhere.csv: no such file or folder"),
    ((["a", ""], ["x", "y"]), "row 2: text is empty"), (([b"a"], ["x"]), "one of the texts is b'a'")])
def test_what_is_no_corpus_is_named(data, message, teacher_folder):
    with pytest.raises(InputError, match=message):
        lightx.distill(data, teacher=str(teacher_folder), **OPTIONS)


@pytest.mark.parametrize("name, message", [("nowhere/at/all", "no such folder"), ("tests", "no classifier.json")])
def test_what_is_no_classifier_is_named(name, message, tmp_path, monkeypatch):
    (tmp_path / "tests").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message):
        lightx.load(name)

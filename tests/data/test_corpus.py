import numpy as np
import pandas as pd
import pytest
from conftest import make_tokenizer, write_corpus
from hypothesis import given, settings
from hypothesis import strategies as st

from lightx.data import balanced, fingerprint, load_corpus, pad, to_corpus, tokenize
from lightx.runtime import atomic_path, InputError, length_batches


def test_folder_of_csv(corpus_folder):
    corpus = load_corpus(str(corpus_folder))
    assert corpus["train"].features["label"].names == ["money", "space", "sport"]
    assert corpus.num_rows == {"train": 90, "test": 27}


def test_parquet_and_csv_are_the_same(corpus_folder, tmp_path):
    for split in ("train", "test"):
        pd.read_csv(corpus_folder / f"{split}.csv").to_parquet(tmp_path / f"{split}.parquet")
    assert fingerprint(load_corpus(str(tmp_path))["train"]) == fingerprint(load_corpus(str(corpus_folder))["train"])


def test_numbers_keep_their_order_and_get_names(tmp_path):
    (tmp_path / "train.csv").write_text("text,label\n" + "".join(f"word {i},{i % 4}\n" for i in range(40)))
    plain = load_corpus(str(tmp_path))
    named = load_corpus(str(tmp_path), names="World,Sports,Business,Sci/Tech")
    assert plain["train"].features["label"].names == ["0", "1", "2", "3"]
    assert named["train"].features["label"].names[3] == "Sci/Tech" and named["train"]["label"] == plain["train"]["label"]
    assert len(plain["test"]) == 8 and np.bincount(plain["test"]["label"]).tolist() == [2, 2, 2, 2]


BAD = {
    "missing file": (None, "no such file or folder"),
    "empty file": ("", "no rows"),
    "header only": ("text,label\n", "no rows"),
    "missing column": ("title,label\na,b\n", "no column 'text'; it has 'title', 'label'"),
    "empty text": ("text,label\na,x\n,x\n", "row 2: text is empty"),
    "blank text": ('text,label\na,x\n"  \t",x\n', "row 2: text is empty"),
    "empty label": ("text,label\na,x\nb,\n", "row 2: label is empty"),
    "one text in a class": ("text,label\na,x\nb,x\nc,y\n", "class 'y' has one text only"),
    "ragged": ("text,label\na,x\nb,y,z,w\n", "row 2: 4 field(s) where the header has 2"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_files_are_named(case, tmp_path):
    content, message = BAD[case]
    file = tmp_path / "news.csv"
    if content is not None:
        file.write_text(content)
    with pytest.raises(InputError, match=".*") as e:
        load_corpus(str(file))
    assert message in str(e.value) and "news.csv" in str(e.value) and "\n" not in str(e.value)


def test_unknown_label_in_the_test_file(tmp_path):
    write_corpus(tmp_path)
    (tmp_path / "test.csv").write_text("text,label\ngoal,sport\ngoal,golf\n")
    with pytest.raises(InputError, match="test.csv, row 2: label 'golf' is not among the training labels"):
        load_corpus(str(tmp_path))


def test_not_a_table(tmp_path):
    (tmp_path / "news.parquet").write_text("not parquet")
    with pytest.raises(InputError, match="not a readable table"):
        load_corpus(str(tmp_path / "news.parquet"))


def test_no_network_is_one_line():
    with pytest.raises(InputError, match="check the name and the network") as e:
        load_corpus("fancyzhx/ag_news")
    assert "\n" not in str(e.value)


def labelled(counts):
    return to_corpus({"train": pd.DataFrame({"text": [f"{c} {i}" for c, n in enumerate(counts) for i in range(n)],
                                             "label": [str(c) for c, n in enumerate(counts) for _ in range(n)]})}, {"train": "x"})["train"]


@settings(deadline=None, max_examples=20)
@given(st.lists(st.integers(5, 30), min_size=2, max_size=4), st.integers(1, 3), st.integers(0, 9))
def test_subsets_are_balanced_and_nested(counts, n, seed):
    ds = labelled(counts)
    small, large = balanced(ds, n, seed), balanced(ds, n + 1, seed)
    assert np.bincount(small["label"]).tolist() == [n] * len(counts)
    assert set(small["text"]) < set(large["text"])


@given(st.lists(st.integers(1, 300), max_size=60), st.integers(1, 1000))
def test_batches_hold_every_row_once_within_the_budget(lengths, budget):
    batches = length_batches(lengths, budget)
    assert sorted(i for b in batches for i in b) == list(range(len(lengths)))
    assert all(len(b) == 1 or len(b) * max(lengths[i] for i in b) <= budget for b in batches)


@given(st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=8), min_size=1, max_size=6), st.integers(10, 20))
def test_padding_keeps_every_token(rows, pad_id):
    ids, mask = pad(rows, pad_id)
    assert [r[m.bool()].tolist() for r, m in zip(ids, mask)] == rows and (ids[mask == 0] == pad_id).all()


def test_a_text_of_10000_tokens_is_cut_and_counted(caplog):
    made = tokenize(make_tokenizer(), ["goal " * 10_000, "goal"], 16)
    assert [len(o) for o in made] == [16, 3] and made[0][-1] == 2
    assert "1 of 2 texts are longer than 16 tokens and were truncated there" in caplog.text


def test_a_failed_product_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError), atomic_path(tmp_path / "folder") as tmp:
        tmp.mkdir()
        (tmp / "half").write_text("x")
        raise RuntimeError
    assert not list(tmp_path.iterdir())

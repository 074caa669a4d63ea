"""Tables that are not as they should be: each is refused with its row, or read as it was meant with a notice."""
import csv
import datetime
import gzip
import io
import os
import zipfile

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value
from faults import Fault, check, table
from hypothesis import given, settings
from hypothesis import strategies as st

from lightx.data import load_corpus, load_texts, read_table, tokenize
from lightx.runtime import InputError

GOOD = "Oil soars,1\nCup final,2\nRates rise,1\nA draw,2\n"
PLACE = "news.csv"


def asked(data=PLACE, *options):
    return ["distill", data, "--teacher", "./none", "--out", "made", *options]


def holds(content, *options, name=PLACE):
    """The command on a file with this content."""
    def prepare(folder):
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return asked(name, *options)
    return prepare


def rows(below, *options):
    return holds("text,label\n" + below, *options)


def parquet(texts, labels, names=("text", "label")):
    def prepare(folder):
        pq.write_table(pa.Table.from_arrays([pa.array(texts), pa.array(labels)], list(names)), folder / "news.parquet")
        return asked("news.parquet")
    return prepare


def archive(*names):
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as z:
        for name in names:
            z.writestr(name, "text,label\n" + GOOD)
    return made.getvalue()


def folder_of(**files):
    def prepare(folder):
        for name, content in files.items():
            (folder / f"{name}.csv").write_text(content) if content else (folder / f"{name}.csv").mkdir()
        return asked(".")
    return prepare


def named_pipe(folder):
    os.mkfifo(folder / PLACE)
    return asked()


def cut_parquet(folder):
    parquet(["a", "b"], ["x", "y"])(folder)
    file = folder / "news.parquet"
    file.write_bytes(file.read_bytes()[:-9])
    return asked("news.parquet")


DAY = datetime.date(2026, 1, 1)
SHEET = r"save it as CSV"

@table(
    # width
    Fault("every row wider than the header", rows("1,Oil soars,x\n2,Cup final,y\n"), r"news\.csv, row 1: 3 field\(s\) where the header has 2: put"),
    Fault("a later row wider", rows(GOOD + "Oil soars, stocks fall,1\n"), r"news\.csv, row 5: 3 field\(s\) where the header has 2"),
    Fault("a row narrower", rows("Oil soars,1\nCup final\n"), r"row 2: 1 field\(s\) where the header has 2"),
    Fault("a comma too many in the header", holds("text,label,\n" + GOOD), r"row 1: 2 field\(s\) where the header has 3"),
    Fault("the line is named where rows are longer", rows('"Oil\nsoars",1\n\nCup,final,2\n'), r"row 2 \(line 5\): 3 field"),
    Fault("a text with a comma among texts alone", holds("text\nOil soars\nOil, gas\n", "--label", "text2"), r"no column 'text2'"),
    # quotes
    Fault("a quote that is never closed", rows(GOOD + '"Oil soars,1\nCup final,2\n'), r"row 5: a quote is not closed, .*: close it, or double it"),
    Fault("a quote that the next row closes", rows('Cup,2\n"Oil soars,1\n"Rates, again",1\nA draw,2\n'), r"row 2: a quote is not closed"),
    Fault("a quote alone in a quoted text", rows('Cup,2\n"The "best" day",1\n'), r"row 2: a quote is not closed, or stands alone"),
    Fault("a backslash before a quote", rows('"Say \\"hi\\", Tom",1\n'), r"row 1: a quote is not closed, or stands alone"),
    Fault("a header with an open quote", holds('"text,label\n' + GOOD), r"header: a quote is not closed"),
    # columns
    Fault("two columns of texts", holds("text,label,text\na,x,b\n"), r"news\.csv: 2 columns have the name 'text': rename all but one"),
    Fault("two columns of labels", holds("label,text,label\nx,a,y\n"), r"2 columns have the name 'label'"),
    Fault("one column for both", rows(GOOD, "--label", "text"), r"column 'text' is named for texts and for labels: name two columns"),
    Fault("a name in another case", holds("Text,label\n" + GOOD), r"no column 'text'; it has 'Text', 'label': did you mean 'Text'\?"),
    Fault("a name with a space", holds("text, label\n" + GOOD), r"no column 'label'; it has 'text', ' label': did you mean ' label'\?"),
    Fault("no header", holds("Oil prices soar after the storm,1\n" + GOOD), r"if that is its first row, put a header such as text,label above it"),
    Fault("no header, and a number", holds(GOOD), r"it has 'Oil soars', '1': if that is its first row"),
    Fault("another name", holds("title,label\n" + GOOD), r"it has 'title', 'label': name the right one"),
    Fault("many columns", holds(",".join(f"c{i}" for i in range(999)) + "\n"), r"'c19', \.\.\.: name the right one"),
    # cells of CSV
    Fault("a text of characters without width", rows("Oil soars,1\n\u200b\ufeff,2\n"),
          r"row 2: text is empty \(1 such row\(s\)\): fill or remove it"),
    Fault("three labels missing", rows("a,1\nb,\nc, \nd,2\ne,\n"), r"row 2: label is empty \(3 such row\(s\)\)"),
    Fault("a NUL byte", rows("Oil soars,1\nCup\0final,2\n"), r"row 2: text has a NUL character: remove it"),
    Fault("a NUL byte in a label", rows("Oil soars,1\nCup,2\0\n"), r"row 2: label has a NUL character"),
    Fault("nothing but blank lines", holds("\n \n\n"), r"no column 'text'; it has ' '"),
    Fault("a mark of UTF-8 alone", holds(b"\xef\xbb\xbf"), r"news\.csv: no rows: it needs a header"),
    # labels
    Fault("labels that differ by case", rows("a,World\nb,Sports\nc,world\n"), r"row 3: label 'world' is 'World' of row 1 in another form: write"),
    Fault("labels that differ by case and space", rows("a,World news\nb,Sports\nc,world  News\n"),
          r"row 3: label 'world News' is 'World news' of row 1"),
    Fault("truth values and numbers", rows("a,1\nb,0\nc,True\n"), r"row 3: label 'True' is '1' of row 1 in another form"),
    Fault("numbers with leading zeros", rows("a,1\nb,2\nc,01\n"), r"row 3: label '01' is '1' of row 1"),
    Fault("a raised digit", rows("a,2\nb,1\nc,²\n"), r"row 3: label '²' is '2' of row 1"),
    Fault("one class", rows("a,Sports\nb,Sports\n"), r"news\.csv: every label is 'Sports': give texts of two classes at least"),
    Fault("every row a class", rows("".join(f"text {i},{i}\n" for i in range(9))), r"class '0' has one text only: give a test file"),
    # names of classes
    Fault("an empty name", rows(GOOD, "--label-names", "Business,"), r"label names Business, : number 2 is empty: name every class"),
    Fault("a name twice, but for a space", rows(GOOD, "--label-names", "Business, Business"), r"'Business' is there twice: give each class a name"),
    Fault("names for labels that are names", rows("a,x\nb,y\nc,x\nd,y\n", "--label-names", "Business,Sports"),
          r"the labels are no numbers, but x, y: leave"),
    Fault("too few names", rows(GOOD + "Moon,3\n", "--label-names", "Business,Sports"),
          r"2 label names for 3 labels \(1, 2, 3\): give each one name"),
    # files
    Fault("a test file with a class of its own", folder_of(train="text,label\n" + GOOD, test="text,label\nMoon,3\n"),
          r"test\.csv, row 1: label '3' is not among the training labels \(1, 2\)"),
    Fault("a test file with a wide row", folder_of(train="text,label\n" + GOOD, test="text,label\na,b,1\n"), r"test\.csv, row 1: 3 field"),
    Fault("a folder that is called train.csv", folder_of(train=None), r"\.: no train\.csv or train\.parquet in this folder"),
    Fault("a folder that is called news.csv", lambda d: (d / PLACE).mkdir() or asked(), r"news\.csv: no train\.csv"),
    Fault("a named pipe", named_pipe, r"news\.csv: not a file: give"),
    Fault("nobody's home", lambda d: asked("~nobody-is-here/news.csv"), r"'~nobody-is-here/news\.csv': no such file or folder \(.*\): give a path"),
    Fault("a name that is too long", lambda d: asked("n" * 300 + ".csv"), r"no such file or folder \(.*[Nn]ame too long"),
    Fault("a workbook", holds(archive("[Content_Types].xml", "xl/workbook.xml"), name="news.xlsx"), r"news\.xlsx: an Excel workbook: " + SHEET),
    Fault("a workbook called CSV", holds(archive("[Content_Types].xml")), r"news\.csv: an Excel workbook: " + SHEET),
    Fault("an old workbook", holds(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(99)), r"news\.csv: an Excel workbook, not a readable table: " + SHEET),
    Fault("an archive of two", holds(archive("train.csv", "test.csv"), name="news.zip"), r"news\.zip: an archive of 2 files: unpack it"),
    Fault("half an archive", holds(gzip.compress(b"text,label\n" * 9, mtime=0)[:-6]),
          r"news\.csv: a damaged archive \(.*\): pack or download it again"),
    Fault("JSON lines", holds('{"text": "a", "label": 1}\n', name="news.jsonl"), r"news\.jsonl: JSON, not a readable table"),
    Fault("a PDF", holds(b"%PDF-1.7\n"), r"a PDF, not a readable table"),
    Fault("CSV that is called Parquet", holds("text,label\n" + GOOD, name="news.parquet"),
          r"news\.parquet: not a readable table \(.*\): give CSV in UTF-8"),
    Fault("half a Parquet file", cut_parquet, r"news\.parquet: not a readable table"),
    # encodings
    Fault("Cyrillic in a single-byte encoding", holds("text,label\nнефть дорожает,1\n".encode("cp1251")),
          r"neither UTF-8 nor a Western European encoding"),
    Fault("Japanese", holds("text,label\n株価が上昇,1\n".encode("shift_jis")), r"neither UTF-8 nor a Western European encoding: save it as UTF-8"),
    Fault("half a character of UTF-16", holds(("text,label\n" + GOOD).encode("utf-16")[:-1]), r"news\.csv: damaged UTF-16: save it as UTF-8"),
    # cells of Parquet
    Fault("bytes", parquet([b"Oil soars", b"Cup final"], ["x", "y"]), r"news\.parquet, row 1: text is b'Oil soars', a bytes: make it text"),
    Fault("lists", parquet([["Oil"], ["Cup"]], ["x", "y"]), r"row 1: text is array\(\['Oil'\], dtype=object\), a ndarray: make it text"),
    Fault("structs", parquet([{"title": "Oil"}, {"title": "Cup"}], ["x", "y"]), r"row 1: text is \{'title': 'Oil'\}, a dict: make it text"),
    Fault("dates", parquet([DAY, DAY], ["x", "y"]), r"row 1: text is datetime\.date\(2026, 1, 1\), a date: make it text"),
    Fault("truth values for texts", parquet([True, False], ["x", "y"]), r"row 1: text is True, a bool"),
    Fault("numbers for texts, one missing", parquet([None, 2.5], ["x", "y"]), r"row 2: text is 2\.5, a float"),
    Fault("a missing text", parquet(["Oil", None], ["x", "y"]), r"row 2: text is empty"),
    Fault("dates for labels", parquet(["Oil", "Cup"], [DAY, DAY]), r"row 1: label is datetime\.date\(2026, 1, 1\), a date"),
    Fault("several labels a text", parquet(["Oil", "Cup"], [["x", "y"], ["x"]]), r"row 1: label is array\(\['x', 'y'\].*\), a ndarray"),
    Fault("an infinite label", parquet(["Oil", "Cup"], [1.0, float("inf")]), r"row 2: label is inf, a float"),
    Fault("a label that is no number", parquet(["Oil", "Cup"], [1.0, float("nan")]), r"row 2: label is empty"),
    Fault("a column twice", parquet(["Oil", "Cup"], ["x", "y"], ("text", "text")), r"news\.parquet: 2 columns have the name 'text'"),
    Fault("categories, one missing", parquet(["Oil", "Cup"], pa.array(["x", None]).dictionary_encode()), r"row 2: label is empty"))
def test_tables_are_refused_in_one_line(fault, tmp_path, capsys, monkeypatch):
    check(fault, tmp_path, capsys, monkeypatch)


TEXTS = ["Oil soars", "Cup final", "Rates rise", "A draw"]
LABELS = ["1", "2", "1", "2"]
WESTERN = "text,label\nCafé crème,1\nCup final,2\nRates rise,1\nA draw,2\n"

NOTICES = {
    "semicolons": ("text;label\n" + GOOD.replace(",", ";"), r"read as semicolons between the fields: save it as CSV"),
    "tabs": ("text\tlabel\n" + GOOD.replace(",", "\t"), "read as tabs between the fields"),
    "bars": ("text|label\n" + GOOD.replace(",", "|"), "read as bars between the fields"),
    "UTF-16 with tabs": (("text\tlabel\n" + GOOD.replace(",", "\t")).encode("utf-16"), "read as UTF-16, with tabs between the fields"),
    "UTF-16 without its mark": (("text,label\n" + GOOD).encode("utf-16-le"), "read as UTF-16-LE"),
    "UTF-16, the other end first": (("text,label\n" + GOOD).encode("utf-16-be"), "read as UTF-16-BE"),
    "UTF-32": (("text,label\n" + GOOD).encode("utf-32"), "read as UTF-32"),
    "Latin-1": (WESTERN.encode("latin-1"), "read as Windows-1252, such as 'Café': save it as CSV in UTF-8 if that is wrong"),
    "a damaged byte in UTF-8": (WESTERN.encode().replace(b"Cup", b"C\xffup"), "read as UTF-8, 1 damaged character(s) of it as \ufffd"),
    "spaces around labels": ("text,label\n" + GOOD.replace("soars,1", "soars,1 "), "row 1: label '1 ' is taken for '1' (1 such row(s))"),
    "one number in two forms": ("text,label\n" + GOOD.replace("rise,1", "rise,1.0"), "row 3: label '1.0' is taken for '1' (1 such row(s))"),
    "a text without letters": ("text,label\n" + GOOD + "🙂,1\n!!,2\n",
        "row 5: text '🙂' has no letter or digit (2 such row(s)): a model may see nothing"),
    "a text again": ("text,label\n" + GOOD + "Cup final,2\n", "row 5: text and label of row 2 again (1 such row(s)): they count twice"),
    "a text with several labels": ("text,label\n" + GOOD + "Oil soars,2\nOil soars,3\nMoon,3\n",
                                   "row 5: label '2', but '1' for the same text in row 1 (1 text(s) with several labels): keep one label a text"),
}


@pytest.mark.parametrize("name", NOTICES)
def test_what_is_odd_is_read_with_a_notice(name, tmp_path, caplog):
    content, line = NOTICES[name]
    (tmp_path / PLACE).write_bytes(content if isinstance(content, bytes) else content.encode())
    read = read_table(tmp_path / PLACE)
    assert [line in o.getMessage() for o in caplog.records] == [True]
    assert str(tmp_path / PLACE) in caplog.messages[0] and "\n" not in caplog.messages[0]
    changed = read.text[:4].ne(TEXTS).sum()
    assert changed == (name in ("Latin-1",)) + 2 * ("damaged" in name) and read.label[:4].tolist() == LABELS
    if name == "Latin-1":
        assert read.text[0] == "Café crème"


@pytest.mark.parametrize("content", [
    "text,label\n" + GOOD, ("text,label\n" + GOOD).replace("\n", "\r\n"), ("text,label\n" + GOOD).replace("\n", "\r"),
    "\n\ntext,label\n\n" + GOOD + "\n",
    b"\xef\xbb\xbf" + ("text,label\n" + GOOD).encode(), ("text,label\n" + GOOD)[:-1],
    "id,text,id,label\n" + "".join(f"7,{o[:-2]},,{o[-1]}\n" for o in GOOD.splitlines()),
    gzip.compress(("text,label\n" + GOOD).encode(), mtime=0), archive("train.csv"),
    'label,text\n' + "".join(f'"{o[-1]}","{o[:-2]}"\n' for o in GOOD.splitlines())])
def test_what_is_right_is_read_without_a_word(content, tmp_path, caplog):
    (tmp_path / PLACE).write_bytes(content if isinstance(content, bytes) else content.encode())
    read = read_table(tmp_path / PLACE)
    assert read.text.tolist() == TEXTS and read.label.tolist() == LABELS and not caplog.records


def test_words_stay_as_they_are_written(tmp_path):
    words = ["NA", "null", "None", "nan", "1,234", "1.50", "007", "True", "1e5", " two ", "-", "2026-01-01"]
    with (tmp_path / PLACE).open("w", newline="", encoding="utf-8") as f:
        csv.writer(f).writerows([["text", "label"], *((o, "ab"[i % 2]) for i, o in enumerate(words))])
    assert read_table(tmp_path / PLACE).text.tolist() == words


def test_an_unreadable_file_is_named(tmp_path, monkeypatch):
    (tmp_path / PLACE).write_text("text,label\n" + GOOD)
    def refuse(*_, **__): raise PermissionError(13, "Permission denied")
    monkeypatch.setattr("pathlib.Path.open", refuse)
    with pytest.raises(InputError, match=r"news\.csv: not a readable table \(Permission denied\)"):
        read_table(tmp_path / PLACE)


def test_overlap_of_training_and_test_texts_is_counted(tmp_path, caplog):
    (tmp_path / "train.csv").write_text("text,label\n" + GOOD)
    (tmp_path / "test.csv").write_text("text,label\nMoon,1\nA draw,2\nOil soars,1\n")
    load_corpus(str(tmp_path))
    assert [o.replace(f"{tmp_path}/", "") for o in caplog.messages] == [
        "test.csv, row 2: a text of train.csv too (2 of 3 rows): what is measured here says less about new texts"]


def test_labels_of_the_test_file_in_another_case_are_taken_for_the_class(tmp_path, caplog):
    (tmp_path / "train.csv").write_text("text,label\na,World\nb,Sports\n")
    (tmp_path / "test.csv").write_text("text,label\nc,Sports\nd,world \ne,WORLD\n".replace("e,WORLD\n", ""))
    corpus = load_corpus(str(tmp_path))
    assert corpus["test"]["label"][:] == [0, 1]
    assert "row 2: label 'world' is taken for 'World' (1 such row(s))" in caplog.messages[-1]


def test_a_known_folder_with_labels_of_its_own(tmp_path):
    folder = tmp_path / "ag_news"
    folder.mkdir()
    (folder / "train.csv").write_text("text,label\n" + GOOD)
    assert load_corpus(folder)["train"].features["label"].names == ["1", "2"]


def splits(texts=TEXTS, labels=(0, 1, 0, 1), names=("money", "sport"), kind="string"):
    return Dataset.from_dict({"text": list(texts), "label": list(labels)}, Features(text=Value(kind), label=ClassLabel(names=list(names))))


REFUSED = {
    "categories, one missing": (pd.DataFrame({"text": ["a", "b"], "label": pd.Categorical(["x", None])}), "data, row 2: label is empty"),
    "two columns of texts": (pd.DataFrame([["a", "b", "x"]], columns=["text", "text", "label"]), "data: 2 columns have the name 'text'"),
    "columns without names": (pd.DataFrame([["a", "x"]]), "data: no column 'text'; it has 0, 1"),
    "rows by place": (pd.DataFrame({"text": ["a", 7], "label": ["x", "y"]}, index=[70, 71]), "data, row 2: text is 7, a int: make it text"),
    "pandas' own gap": (pd.DataFrame({"text": ["a", pd.NA], "label": ["x", "y"]}), "data, row 2: text is empty"),
    "no rows": (pd.DataFrame({"text": [], "label": []}), "data: no rows"),
    "other splits": (DatasetDict(dev=splits()), "data: no split 'train'; it has dev"),
    "bytes": (splits([b"a", b"b"], (0, 1), kind="binary"), "data/train, row 1: text is b'a', a bytes"),
    "a class of no number": (splits(["a", "b"], (0, -1)), "data/train, row 2: label is empty"),
    "another class in the test split": (DatasetDict(train=splits(), test=splits(names=("money", "space"))),
        "data/test, row 2: label 'space' is not among"),
    "labels that are alike": ((["a", "b", "c"], ["x", "y", "X"]), "data, row 3: label 'X' is 'x' of row 1"),
    "lists for labels": ((["a", "b"], [["x"], ["y"]]), "data, row 1: label is ['x'], a list"),
    "a text that is none": ((["a", b"b"], ["x", "y"]), "one of the texts is b'b' (row 2): give strings"),
    "one class": ((["a", "b"], np.array([1.0, 1.0])), "data: every label is '1'"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_tables_in_memory_go_through_the_same_checks(name):
    data, line = REFUSED[name]
    with pytest.raises(InputError) as e:
        load_corpus(data)
    assert line in str(e.value) and "\n" not in str(e.value)


def test_numbers_of_classes_are_read_by_the_names_of_their_own_split():
    swapped = splits(["Final", "Shares"], (0, 1), ("sport", "money"))
    corpus = load_corpus(DatasetDict(train=splits(), test=swapped))
    assert corpus["train"].features["label"].names == ["money", "sport"] and corpus["test"]["label"][:] == [1, 0]
    assert load_corpus(DatasetDict(train=splits(), test=swapped), names="Business, Sports")["test"].features["label"].names == ["Business", "Sports"]


def test_a_class_without_texts_is_said(caplog):
    assert load_corpus(splits(names=("money", "sport", "space")))["train"].features["label"].names[2] == "space"
    assert "data/train: no text of class space: a model will not learn it" in caplog.messages


def test_half_characters_are_replaced(caplog):
    corpus = load_corpus((["Oil \ud83d soars", "Cup", "Rates", "Draw"], ["x", "y"] * 2))
    assert any("Oil \ufffd soars" in o["text"][:] for o in corpus.values())
    assert "data, row 1: half a character (lone surrogate) in text is replaced by \ufffd (1 such row(s))" in caplog.messages


def test_a_blank_line_among_texts_alone_is_an_empty_text(tmp_path):
    (tmp_path / PLACE).write_text("text\nOil soars\n\nCup final\n\n")
    with pytest.raises(InputError, match="row 2: text is empty"):
        load_texts(tmp_path / PLACE)
    (tmp_path / PLACE).write_text("text\nOil soars\nCup final\n\n")
    assert load_texts(tmp_path / PLACE) == ["Oil soars", "Cup final"]


class Counting:
    """A tokenizer that counts what it is given."""
    def __init__(self, tokenizer): self.tokenizer, self.read = tokenizer, 0
    def __call__(self, texts, **options):
        self.read += sum(map(len, texts))
        return self.tokenizer(texts, **options)


def test_a_text_of_10_megabytes_is_read_and_only_its_start_tokenised(tmp_path):
    from conftest import make_tokenizer
    (tmp_path / PLACE).write_text('text,label\n"' + "goal, cup " * 1_000_000 + '",1\n' + GOOD)
    text, known = read_table(tmp_path / PLACE).text[0], Counting(make_tokenizer())
    assert len(text) == 10_000_000
    assert tokenize(known, [text, "x " * 5_000], 16) == known.tokenizer([text[:9000], "x " * 5_000], truncation=True, max_length=16)["input_ids"]
    assert known.read < 20_000


def fields(alphabet): return st.text(alphabet, min_size=1, max_size=12).filter(lambda o: any(c.isalnum() for c in o))


@settings(deadline=None, max_examples=40)
@given(st.lists(fields(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), min_size=1, max_size=6), st.sampled_from(",;\t|"),
       st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]), st.sampled_from(["\n", "\r\n", "\r"]))
def test_whatever_is_written_is_read(tmp_path_factory, texts, separator, encoding, end):
    file = tmp_path_factory.mktemp("t") / PLACE
    with file.open("w", newline="", encoding=encoding) as f:
        broken = any(c in o for o in texts for c in "\r\n") # the writer of Python 3.11 leaves some of them without quotes
        writer = csv.writer(f, delimiter=separator, lineterminator=end, quoting=csv.QUOTE_ALL if broken else csv.QUOTE_MINIMAL)
        writer.writerows([["id", "text", "label"], *([i, o, "x"] for i, o in enumerate(texts))])
    assert read_table(file).text.tolist() == texts


WRITTEN = [("oil soars, stocks fall", "AAAA"), ("cup final tonight", "BBBB"), ("she said ""no"" again, later", "AAAA"), ("élan déjà vu café", "BBBB"),
           ("a draw\nafter extra time", "BBBB"), ("rates rise", "AAAA"), ("one more; then | rest", "BBBB"), ("gold falls", "AAAA")]
QUOTED = [('"{}"'.format(t.replace('"', '""')) if any(c in t for c in ',"\n') else t, o) for t, o in WRITTEN]
BYTES = "text,label\r\n" + "".join(f"{t},{o}\r\n" for t, o in QUOTED)


@st.composite
def mutated(draw):
    data = BYTES.encode()
    at, byte = draw(st.integers(0, len(data) - 2)), draw(st.sampled_from(b'",;\t|\r\n\0\xff a1"') | st.integers(0, 255))
    kind = draw(st.sampled_from(["cut", "flip", "insert", "swap", "drop"]))
    one = bytes([byte])
    return kind, {"cut": data[:at], "flip": data[:at] + one + data[at + 1:], "insert": data[:at] + one + data[at:], "drop": data[:at] + data[at + 1:],
                  "swap": data[:at] + data[at + 1:at + 2] + data[at:at + 1] + data[at + 2:]}[kind]


@settings(deadline=None, max_examples=100)
@given(mutated())
def test_a_mutated_table_is_read_row_by_row_or_refused_in_one_line(tmp_path_factory, case):
    kind, data = case
    file = tmp_path_factory.getbasetemp() / f"mutated_{os.getpid()}.csv"
    file.write_bytes(data)
    try:
        read = list(read_table(file).itertuples(index=False, name=None))
    except InputError as e:
        assert "\n" not in str(e)
        return
    assert len(read) == len(WRITTEN) or kind == "cut" and len(read) <= len(WRITTEN)
    changed = [o for o, wanted in zip(read, WRITTEN) if o != wanted]
    assert len(changed) <= 1 # of one byte, one row
    for text, label in changed: # a label that went over to the texts, or the other way round, would show
        assert sum(c.isupper() for c in text) < 2 and sum(c.islower() for c in label) < 2


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.integers(0, 255), st.booleans())
def test_mutated_parquet_is_a_table_or_one_line(tmp_path_factory, at, byte, cut):
    made = io.BytesIO()
    pd.DataFrame({"text": TEXTS, "label": LABELS}).to_parquet(made)
    data = bytearray(made.getvalue())
    data[at % len(data)] = byte
    file = tmp_path_factory.getbasetemp() / f"mutated_{os.getpid()}.parquet"
    file.write_bytes(data[:at % len(data)] if cut else data)
    try:
        assert len(read_table(file)) <= len(TEXTS)
    except InputError as e:
        assert "\n" not in str(e)

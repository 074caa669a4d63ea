"""`lightx calibrate`, teachers that are files, and abstaining on the command line: what may go wrong is one line, and leaves nothing behind."""
import json
import shutil

import pandas as pd
import pytest
from conftest import make_tokenizer, write_corpus
from faults import check, contents, Fault, table, told

import lightx
from lightx.runtime import CALIBRATION


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A student that nobody trained, on disk."""
    from lightx.deploy import Classifier
    from lightx.student import new_student
    folder, tokenizer = tmp_path_factory.mktemp("plain") / "model", make_tokenizer().backend_tokenizer
    student = new_student(3, vocab_size=tokenizer.get_vocab_size(), embed_dim=8, target="centred")
    Classifier(student, tokenizer, ["money", "space", "sport"], 16).save_pretrained(folder)
    return folder


def file(folder, name, text):
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def decided(model, folder, n=400):
    """Texts that are labelled as the model decides."""
    texts = pd.read_csv(write_corpus(folder, n) / "train.csv").text.drop_duplicates()
    pd.DataFrame({"text": texts, "label": lightx.load(model).predict(texts)}).to_csv(folder / "held.csv", index=False)
    return folder / "held.csv"


def calibration(text, *options):
    return lambda d: ["calibrate", "MODEL", file(d, "held.csv", text), *options]


FEW = "text,label\n" + "".join(f"cup {i},sport\n" for i in range(20))

@table(
    Fault("too few texts", calibration(FEW), r"a risk of 0\.02 can't be guaranteed"),
    Fault("one text", calibration("text,label\na,sport\n"), r"can't be guaranteed by 1 texts: calibrate with some hundreds"),
    Fault("no such data", lambda d: ["calibrate", "MODEL", "none.csv"], r"none\.csv: no such file or folder"),
    Fault("other classes", calibration("text,label\na,x\nb,y\n"), "its labels are x, y, the classifier's money, space, sport: give its classes"),
    Fault("no labels", calibration("text\na\n"), "no column 'label'"),
    Fault("risk of nothing", calibration(FEW, "--risk", 0), r"risk is 0\.0: it must lie between 1e-06 and 0\.5"),
    Fault("risk that is no number", calibration(FEW, "--risk", "nan"), "risk is nan: it must lie"),
    Fault("delta of one", calibration(FEW, "--delta", 1), r"delta is 1\.0: it must lie between"),
    Fault("no model", lambda d: ["calibrate", "nowhere", file(d, "held.csv", FEW)], "nowhere: no such folder: give one from `lightx distill`"),
    Fault("teacher that is no file", calibration(FEW, "--teacher", "none.csv"), r"none\.csv: no such file"),
    Fault("teacher of other texts", lambda d: ["calibrate", "MODEL", file(d, "held.csv", FEW), "--teacher", file(d, "t.csv",
          "text,label\nx,sport\n")],
          r"t\.csv: none of its texts is one of held"),
    Fault("teacher of other classes", lambda d: ["calibrate", "MODEL", file(d, "held.csv", FEW), "--teacher", file(d, "t.csv",
          "text,label\nx,[/y]\n")],
          r"row 1: label '\[/y\]' is not among the classes"),
    Fault("markup as labels", calibration("text,label\na,[bold]\nb,<script>\n"), r"its labels are <script>, \[bold\]"),
    Fault("answers that are not calibrated", lambda d: ["predict", "cup", "--model", "MODEL", "--abstain", 0.02],
          "is not calibrated, so it can't abstain"),
    Fault("answers at no risk", lambda d: ["predict", "cup", "--model", "MODEL", "--abstain", 2], r"abstain is 2\.0: it must lie"),
    Fault("server that is not calibrated", lambda d: ["serve", "MODEL", "--abstain", 0.02], "is not calibrated, so it can't abstain"),
    Fault("fallback for nothing", lambda d: ["serve", "MODEL", "--fallback", "http://a"],
          "fallback http://a: is asked for what the classifier abstains from"),
)
def test_abstaining_refuses(fault, model, tmp_path, capsys, monkeypatch):
    shutil.copytree(model, tmp_path / "MODEL")
    check(fault, tmp_path, capsys, monkeypatch)


def test_a_classifier_is_calibrated_and_abstains(model, tmp_path, capsys, monkeypatch):
    shutil.copytree(model, folder := tmp_path / "model")
    status, out, err = told(capsys, monkeypatch, "calibrate", folder, decided(model, tmp_path), "--risk", 0.02)
    assert status == 0 and "coverage" in out and (folder / CALIBRATION).is_file() and not list(folder.glob(".*")), err
    status, out, _ = told(capsys, monkeypatch, "predict", "cup goal", "unseen words", "--model", folder, "--abstain", 0.02, "--json")
    one, two = map(json.loads, out.splitlines())
    assert status == 0 and one["abstained"] is False and two["note"] == "2 of 2 words are unknown"
    before = contents(folder)
    status, _, err = told(capsys, monkeypatch, "calibrate", folder, tmp_path / "held.csv", "--risk", 0.0001)
    assert status == 2 and "calibrate with about" in err and contents(folder) == before
    (folder / CALIBRATION).write_text("{}")
    assert f"{CALIBRATION}: damaged" in told(capsys, monkeypatch, "predict", "cup", "--model", folder)[2]
    status, _, err = told(capsys, monkeypatch, "serve", folder, "--abstain", 0.02, "--fallback", "ftp://a")
    assert status == 2 and len(err.splitlines()) == 1


# --- teachers that are files

DATA = "text,label\n" + "".join(f"cup {i},sport\noil {i},money\n" for i in range(9))
SAID = "text,money,sport\n" + "".join(f"cup {i},0.1,0.9\noil {i},0.8,0.2\n" for i in range(9))

def taught(said, *options, data=DATA):
    return lambda d: ["distill", file(d, "data.csv", data), "--teacher", file(d, "said.csv", said), "--base", "BASE", "--max-length", 16, *options]

def scored(text, *options): return lambda d: [*taught(SAID)(d), "--scores", file(d, "words.csv", text), *options]

@table(
    Fault("no such file", lambda d: ["distill", file(d, "data.csv", DATA), "--teacher", "said.csv"], r"said\.csv: no such file"),
    Fault("an empty file", taught(""), r"said\.csv: not a readable table"),
    Fault("a file that is no table", taught("\0\1\2"), r"said\.csv: "),
    Fault("rows of other lengths", taught("text,label\na,b,c\n"), "its rows have more fields than its header"),
    Fault("neither labels nor classes", taught("text,score\ncup 0,1\n"), "it has columns text, score: give one called label, or one for each class"),
    Fault("a class without a column", taught("text,money\ncup 0,1\n"), "it has columns text, money: give one called label"),
    Fault("a probability that is none", taught("text,money,sport\ncup 0,2,-1\n"), "row 1: money is '2', no probability"),
    Fault("a probability that is no number", taught("text,money,sport\ncup 0,0.5,[/x]\n"), r"row 1: sport is '\[/x\]', no number"),
    Fault("probabilities of another sum", taught("text,money,sport\ncup 0,0.5,0.1\n"), "row 1: its probabilities sum to 0.600"),
    Fault("a label of no class", taught("text,label\ncup 0,war\n"), "row 1: label 'war' is not among the classes"),
    Fault("two predictions", taught("text,label\ncup 0,sport\ncup 0,money\n"), "row 2: another prediction for the same text above"),
    Fault("no predictions", taught("text,label\ncup 0,\n"), "no row has a prediction"),
    Fault("other texts", taught("text,label\nnowhere,sport\n"), "none of its texts is a training text"),
    Fault("another number of rows", taught("label\nsport\n"), r"said\.csv: 1 rows for 18 of the data"),
    Fault("no labels anywhere", taught("text\ncup 0\n", data="text\ncup 0\n"), "it has columns text: give one called label"),
    Fault("a recipe that wants explanations", taught(SAID, "--recipe", "lightx"),
          "recipe lightx learns from explanations, which nobody asks for or gives"),
    Fault("a base that is not there", lambda d: [*taught(SAID)(d), "--base", "./nowhere"], "nowhere: no such folder"),
    Fault("scores without words", scored("score\n1\n"), "it has columns score: give word, class and score"),
    Fault("scores of no class", scored("word,class,score\ncup,war,1\n"), "row 1: its class is not among the classes"),
    Fault("scores that are no numbers", scored("word,class,score\ncup,sport,x\n"), "row 1: its score is no number"),
    Fault("scores of words that are nowhere", scored("word,class,score\nrocket,sport,1\n"), "none of its words is in a training text"),
    Fault("scores against the predictions", scored("word,class,score\ncup,sport,-1\n"), "its scores speak against the predictions"),
    Fault("scores twice", scored("word,class,score\ncup,sport,1\ncup,sport,2\n"), "row 2: the same word and class as above"),
    Fault("scores for a recipe without", scored("word,class,score\ncup,sport,1\n", "--recipe", "kl"),
          "recipe kl would not read words and scores: take best"),
    Fault("scores for a model", lambda d: ["distill", file(d, "data.csv", DATA), "--scores", "words.csv"],
          r"scores words\.csv: goes with a file of predictions"),
    Fault("scores for a model that does not explain", lambda d: ["distill", file(d, "data.csv", DATA), "--scores", "w.csv", "--no-explain"],
          r"scores w\.csv: goes with a file of predictions"),
)
def test_a_file_as_teacher_refuses(fault, base_folder, tmp_path, capsys, monkeypatch):
    shutil.copytree(base_folder, tmp_path / "BASE")
    check(fault, tmp_path, capsys, monkeypatch)


def test_a_file_teaches_by_the_command(base_folder, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(base_folder, tmp_path / "BASE")
    args = [*scored("word,class,score\ncup,sport,3\n")(tmp_path), "--out", "student"]
    status, out, err = told(capsys, monkeypatch, *args)
    assert status == 0 and "said.csv" in out, err
    assert lightx.load("student").predict(["cup", "oil"]).tolist() == ["sport", "money"]

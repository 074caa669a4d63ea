"""`lightx audit`, `edit`, `diff`, `record` and `check`: what may go wrong is one line, and nothing is half-written."""
import json
from pathlib import Path

from faults import check, Fault, table

MODEL = Path(__file__).parent.parent / "deploy" / "written_by_0.1" / "PairStudent"
NAMES = json.loads((MODEL / "classifier.json").read_text(encoding="utf-8"))["names"]


def given(*args, **files):
    """Arguments, and files to put there: `a_csv` is a.csv."""
    def prepare(folder):
        for name, content in files.items():
            (folder / name.replace("_", ".")).write_bytes(content if isinstance(content, bytes) else content.encode())
        return list(args)
    return prepare


def record(**changes):
    from lightx import load
    return json.dumps(load(MODEL)("cup goal today").to_record() | changes)


NEWS = f"text,label\ncup goal,{NAMES[0]}\n"
COLUMNS = r"a\.csv: no column 'text'; it has 'body', 'label'"
NO_NUMBERS = "not one for each class"
NO_RECORD = "give a file that answer.to_record was written to"

@table(
    Fault("no texts", given("audit", MODEL), "Missing option '--data'"),
    Fault("texts that are not there", given("audit", MODEL, "--data", "none.csv"), r"none\.csv: no such file or folder"),
    Fault("no model", given("audit", "./none", "--data", "a.csv", a_csv=NEWS), "none: no such folder: check the name"),
    Fault("no column of texts", given("audit", MODEL, "--data", "a.csv", a_csv="body,label\nx,y\n"), COLUMNS),
    Fault("no column of labels", given("audit", MODEL, "--data", "a.csv", "--label", "kind", a_csv=NEWS), r"a\.csv: no column 'kind'; it has"),
    Fault("no row", given("audit", MODEL, "--data", "a.csv", a_csv="text,label\n"), r"a\.csv: no rows"),
    Fault("empty file", given("audit", MODEL, "--data", "a.csv", a_csv=""), r"a\.csv: this file is empty"),
    Fault("UTF-16", given("audit", MODEL, "--data", "a.csv", a_csv=NEWS.encode("utf-16")), r"a\.csv: this file is UTF-16"),
    Fault("a torn row", given("audit", MODEL, "--data", "a.csv", a_csv=NEWS + "cup\n"), r"a\.csv, row 2: 1 field\(s\) where the header has 2"),
    Fault("another class", given("audit", MODEL, "--data", "a.csv", a_csv="text,label\ncup,fish\n"), "label 'fish' is not among the classes"),
    Fault("a class beyond the last", given("audit", MODEL, "--data", "a.csv", a_csv="text,label\ncup,99\n"), "label 99 is not among the classes"),
    Fault("a page that is there", given("audit", MODEL, "--data", "a.csv", "--html", "a.csv", a_csv=NEWS), r"a\.csv: is there already"),
    Fault("a page below a file", given("audit", MODEL, "--data", "a.csv", "--html", "a.csv/x", a_csv=NEWS), r"a\.csv/x: cannot be written"),
    Fault("two reports in one file", given("audit", MODEL, "--data", "a.csv", "--html", "x", "--json", "x", a_csv=NEWS), "x: two things are to be"),
    Fault("a figure of no format", given("audit", MODEL, "--data", "a.csv", "--figure", "x.xyz", a_csv=NEWS), r"x\.xyz: format 'xyz' is unknown"),
    Fault("a teacher that is no JSON", given("audit", MODEL, "--data", "a.csv", "--teacher", "t.txt", a_csv=NEWS, t_txt="cup\n"), "line 1: no JSON"),
    Fault("a teacher of something else", given("audit", MODEL, "--data", "a.csv", "--teacher", "t.txt", a_csv=NEWS, t_txt="[1]\n"),
          r"the teacher's answer to text 0 is \[1\]: give what lightx.attribute says"),
    Fault("a teacher that ends early", given("audit", MODEL, "--data", "a.txt", "--teacher", "t.txt", a_txt="cup\ngoal\n", t_txt="{}\n"),
          "the teacher's answer to text 0 is {}"),
    Fault("training texts of other classes",
          given("audit", MODEL, "--data", "a.csv", "--training", "b.csv", a_csv=NEWS, b_csv="text,label\ncup,fish\n"), "label 'fish' is not among"),
)
def test_audit_refuses(fault, tmp_path, capsys, monkeypatch): check(fault, tmp_path, capsys, monkeypatch)


@table(
    Fault("nothing to leave out", given("edit", MODEL), "name a word by --without"),
    Fault("an empty word", given("edit", MODEL, "--without", ""), "word '' reads as nothing: give a word of the texts"),
    Fault("a class that is none", given("edit", MODEL, "--without", "cup", "--toward", "fish"), "class 'fish' is unknown: take one of"),
    Fault("a folder that is there", given("edit", MODEL, "--without", "cup", "--out", "a.csv", a_csv=""), r"a\.csv: is there already"),
    Fault("undo toward a class", given("edit", MODEL, "--undo", "--toward", NAMES[0]), "--undo takes a word back toward all classes"),
    Fault("nothing to undo", given("edit", MODEL, "--undo"), "it is not edited: there is nothing to undo"),
    Fault("no texts", given("edit", MODEL, "--without", "cup", "--data", "a.csv", a_csv="text\n"), r"a\.csv: no rows"),
    Fault("labels of another corpus", given("edit", MODEL, "--without", "cup", "--data", "a.csv", a_csv="text,label\ncup,fish\n"),
          "label 'fish' is not among"),
    Fault("no second model", given("diff", MODEL, "./none", "--data", "a.csv", a_csv=NEWS), "none: no such folder"),
    Fault("texts of nothing", given("diff", MODEL, MODEL, "--data", "a.csv", a_csv="\n"), r"no column 'text'"),
    Fault("a record that is there", given("record", "cup", "--model", MODEL, "--out", "a.csv", a_csv=""), r"a\.csv: is there already"),
    Fault("a risk without a calibration", given("record", "cup", "--model", MODEL, "--abstain", "0.02"), "this classifier is not calibrated"),
    Fault("no record", given("check", "none.json"), r"none\.json: no such file"),
    Fault("a record that is no JSON", given("check", "a.json", a_json="cup"), r"a\.json: damaged"),
    Fault("another file in JSON", given("check", "a.json", a_json='{"record": 1}'), f"record is 1: {NO_RECORD}"),
    Fault("numbers that are none", lambda d: given("check", "a.json", a_json=record(logits=dict.fromkeys(NAMES, "much")))(d), NO_NUMBERS),
    Fault("infinite numbers", lambda d: given("check", "a.json", a_json=record(logits=dict.fromkeys(NAMES, float("inf"))))(d), NO_NUMBERS),
    Fault("words that are none", lambda d: given("check", "a.json", a_json=record(words=["cup"]))(d), NO_NUMBERS),
    Fault("no text to check", lambda d: given("check", "a.json", "--model", MODEL, a_json=record(text=None))(d), "the record does not hold its text"),
    Fault("a text that is not there", lambda d: given("check", "a.json", "--model", MODEL, "--text", "none.txt", a_json=record())(d),
          "none.txt: no such file"),
    Fault("a text that was changed", lambda d: given("check", "a.json", a_json=record(text="cup goal tomorrow"))(d), "its hash is another", 1),
    Fault("a label that was changed", lambda d: given("check", "a.json", a_json=record(label=next(o for o in NAMES if o not in record(text=""
          ).split('"label": "')[1].split('"')[0])))(d), "the class is another", 1),
)
def test_edit_diff_record_and_check_refuse(fault, tmp_path, capsys, monkeypatch): check(fault, tmp_path, capsys, monkeypatch)


def test_labels_by_number_other_letters_or_none_are_read(tmp_path, capsys, monkeypatch):
    rows = [f"cup goal,{NAMES[1].upper()}", "oil,0", '"two,\nlines",']
    table = "text,label\r\n" + "\r\n".join(rows) + "\r\n"
    prepare = given("audit", MODEL, "--data", "a.csv", "--json", "out.json", "--figure", "out.png", a_csv=table)
    from faults import told
    monkeypatch.chdir(tmp_path)
    status, out, err = told(capsys, monkeypatch, *prepare(tmp_path))
    assert status == 0, err
    found = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert found["texts"] == 3 and found["labelled"] == 2 and (tmp_path / "out.png").read_bytes()[:4] == b"\x89PNG"


def test_a_word_of_no_text_is_told(tmp_path, capsys, monkeypatch, caplog):
    from faults import told
    monkeypatch.chdir(tmp_path)
    args = given("edit", MODEL, "--without", "cup", "--without", "cup", "--without", "cupp", "--data", "a.csv", "--out", "out", a_csv=NEWS)(tmp_path)
    status, _, err = told(capsys, monkeypatch, *args)
    assert status == 0 and "a.csv: in no text of it: 'cupp': check how" in " ".join(err.split()) + caplog.text
    assert [o["word"] for o in json.loads((tmp_path / "out" / "classifier.json").read_text(encoding="utf-8"))["edits"]] == ["cup", "cupp"]

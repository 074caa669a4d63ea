"""Options, processes, standard input and outputs: what may go wrong is one line, before anything is computed."""
import errno
import io
import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from faults import check, contents, Fault, table, told
from hypothesis import given, HealthCheck, settings, strategies as st

import lightx
from lightx.runtime import claim, InputError, RANGES

MODEL = Path(__file__).parent.parent / "deploy" / "written_by_0.1" / "PairStudent"


class Computing(Exception):
    """A run got past its checks."""


@pytest.fixture(autouse=True)
def nothing_is_computed(monkeypatch):
    def stop(*args, **kwargs): raise Computing
    for o in ("lightx.experiments.preparation.load_corpus", "lightx.experiments.comparison.load_corpus", "lightx.data.load_texts",
              "lightx.data.load_corpus"): monkeypatch.setattr(o, stop)


def row(name, *args, line): return Fault(name, lambda d: list(args), line)


def file(folder, name, text):
    (folder / name).write_text(text)
    return folder / name


def beside_a_file(*args):
    """Arguments, of which {} is a file that is there."""
    return lambda d: [str(o).replace("{}", str(file(d, "taken", "mine"))) for o in args]


WHOLE = "it must be a whole number between"

@table(
    row("length of no tokens", "distill", "a", "--max-length", 0, line=f"max_length is 0: {WHOLE} 3 and"),
    row("length of special tokens alone", "distill", "a", "--max-length", 2, line=f"max_length is 2: {WHOLE} 3 and"),
    row("length beyond any", "distill", "a", "--max-length", 10**20, line=f"max_length is 1{'0' * 20}: {WHOLE} 3 and"),
    row("fewer than no texts", "distill", "a", "--n-per-class", -1, line=f"n_per_class is -1: {WHOLE} 0 and"),
    row("no epochs of the teacher", "distill", "a", "--teacher-epochs", 0, line="teacher_epochs is 0.0: it must be above 0 and at most 10,000"),
    row("epochs back", "distill", "a", "--teacher-epochs", -1, line="teacher_epochs is -1.0: it must be above 0"),
    row("epochs that are no number", "distill", "a", "--teacher-epochs", "nan", line="teacher_epochs is nan: it must be above 0"),
    row("negative rate", "distill", "a", "--teacher-lr", -1e-4, line="teacher_lr is -0.0001: it must be above 0 and at most 1"),
    row("infinite rate", "distill", "a", "--teacher-lr", "inf", line="teacher_lr is inf: it must be above 0"),
    row("no tolerance", "distill", "a", "--tol", 0, line="tol is 0.0: it must lie between 1e-06 and 1"),
    row("tolerance that is no number", "distill", "a", "--tol", "nan", line="tol is nan: it must lie"),
    row("negative seed", "distill", "a", "--seed", -1, line=f"seed is -1: {WHOLE} 0 and 4,294,967,295"),
    row("seed of more than 32 bits", "distill", "a", "--seed", 10**20, line=f"seed is 1{'0' * 20}: {WHOLE}"),
    row("recipe without a student", "distill", "a", "--recipe", "int8", line="recipe 'int8' makes no student: take one that trains"),
    row("recipe misspelt", "distill", "a", "--recipe", "bset", line="method 'bset' is unknown: did you mean 'best'"),
    row("recipe without a name", "distill", "a", "--recipe", "", line="method '' is unknown: take one of"),
    row("recipe that is the help's word", "distill", "a", "--recipe", "file.py:function", line="file.py: no such file: give file.py:function"),
    Fault("recipe that does not run", lambda d: ["distill", "a", "--recipe", f"{file(d, 'm.py', 'import nothing_of_this_name')}:f"],
          r"m\.py: it does not run \(ModuleNotFoundError: .*\): mend it"),
    Fault("recipe that is no Python", lambda d: ["distill", "a", "--recipe", f"{file(d, 'm.py', 'def f(:')}:f"],
          r"m\.py: it does not run \(SyntaxError"),
    Fault("recipe that is no function", lambda d: ["distill", "a", "--recipe", f"{file(d, 'm.py', 'f = 3')}:f"],
          r"m\.py: no function 'f' in this file"),
    row("recipe that lacks its texts", "distill", "a", "--recipe", "best_unlabelled", line="best_unlabelled learns from texts without labels too"),
    row("recipe that would not read them", "distill", "a", "--unlabelled", "rest", line="recipe best would not read texts without labels"),
    row("no corpus", "distill", line="name a corpus"),
    row("two corpora", "distill", "a.csv", "--data", "b.csv", line="the corpus is given twice"),
    Fault("output that is there", beside_a_file("distill", "a", "--out", "{}"), "taken: is there already: choose another folder, or remove it"),
    Fault("output below a file", beside_a_file("distill", "a", "--out", "{}/model"), r"taken/model: cannot be written \(a file stands in its way\)"),
    Fault("output that looks like markup", beside_a_file("distill", "a", "--out", "{}/[/y]"), r"taken/\[/y\]: cannot be written"),
    row("output where nobody may write", "distill", "a", "--out", "/proc/model", line="/proc/model: cannot be written"),
)
def test_distill_refuses_before_it_computes(fault, tmp_path, capsys, monkeypatch): check(fault, tmp_path, capsys, monkeypatch)


@table(
    row("no alphas", "sweep", "--alphas", "", line="alphas '': give first:last:step"),
    row("alphas without a step", "sweep", "--alphas", "0:1:0", line="alphas '0:1:0': give first:last:step"),
    row("alphas away from the last", "sweep", "--alphas", "0:1:-1", line="alphas '0:1:-1': this gives none, or more than 1,000"),
    row("alphas by the million", "sweep", "--alphas", "0:1:1e-6", line="alphas '0:1:1e-6': this gives none, or more than 1,000"),
    row("alpha that is no number", "sweep", "--alphas", "nan", line="alpha is nan: it must lie between 0 and 1"),
    row("negative alpha", "sweep", "--alphas=-0.5,0", line="alpha is -0.5: it must lie between 0 and 1"),
    row("alpha twice", "sweep", "--alphas", "0.1,0.2,0.1", line="alphas: 0.1 is there twice: give each once"),
    row("alphas that a run's name does not tell apart", "sweep", "--alphas", "0.1,0.10000001", line="alphas: 0.1 is there twice"),
    row("no students", "sweep", "--seeds", 0, line=f"seeds is 0: {WHOLE} 1 and 10,000"),
    row("no runs at once", "sweep", "--jobs", 0, line=f"jobs is 0: {WHOLE} 1 and"),
    row("beside it something unknown", "sweep", "--beside", "bset", line="method 'bset' is unknown: did you mean 'best'"),
    row("beside it an empty name", "sweep", "--beside", "ce,,kl", line="beside: one of the names is empty: take it out"),
    row("beside it the same twice", "sweep", "--beside", "ce,ce", line="beside: ce is there twice"),
    row("beside it itself", "sweep", "--beside", "lightx", line="beside: lightx is the curve itself"),
    row("no epochs", "sweep", "-p", "epochs=0", line=f"epochs is 0: {WHOLE} 1 and"),
    row("empty batches", "sweep", "-p", "batch_size=0", line=f"batch_size is 0: {WHOLE} 1 and"),
    row("rate that is no number", "sweep", "-p", "lr=nan", line="lr is nan: it must be finite, above 0"),
    row("infinite weight", "sweep", "-p", "xai_weight=inf", line="xai_weight is inf: it must be finite, 0 or more"),
    row("all units dropped", "sweep", "-p", "dropout=1", line="dropout is 1.0: it must lie between 0 and 0.99"),
    row("negative spread", "sweep", "-p", "embed_std=-0.1", line="embed_std is -0.1: it must be finite, 0 or more"),
    row("nothing to compare explanations on", "sweep", "-p", "unseen_texts=0", line=f"unseen_texts is 0: {WHOLE} 1 and"),
    row("optimizer misspelt", "sweep", "-p", "optimizer=sdg", line="optimizer 'sdg' is unknown: take one of adam"),
    row("baseline misspelt", "sweep", "-p", "baseline=one", line="baseline 'one' is unknown: take one of zero, pad"),
    row("parameter that there is not", "sweep", "-p", "unknown=1", line="parameter 'unknown' is unknown"),
    row("parameter without a value", "sweep", "-p", "x", line="parameter 'x': give name=value"),
    row("fraction for a whole number", "sweep", "-p", "epochs=2.5", line="parameter epochs is '2.5': give a whole number"),
    row("parameter twice", "sweep", "-p", "lr=1", "-p", "lr=2", line="lr is given twice"),
    row("parameter as an option too", "sweep", "--max-length", 16, "-p", "max_length=32", line="max_length is given twice"),
    row("parameter that the command sets", "sweep", "-p", "seed=3", line="seed is set by the command"),
    Fault("folder of runs below a file", beside_a_file("sweep", "--out", "{}/runs"), r"taken/runs: cannot be written \(a file stands in its way\)"),
    Fault("folder of runs that is a file", beside_a_file("sweep", "--out", "{}"), "taken: cannot be written: choose another folder"),
)
def test_sweep_refuses_before_it_computes(fault, tmp_path, capsys, monkeypatch): check(fault, tmp_path, capsys, monkeypatch)


def two_files(d):
    return ["compare", "--methods", ",".join(f"{file(d, o, 'def mine(task): pass')}:mine" for o in ("a.py", "b.py"))]


@table(
    row("method without a name", "compare", "--methods", "ce,,kl", line="methods: one of the names is empty"),
    row("no methods", "compare", "--methods", "", line="methods: one of the names is empty"),
    row("method unknown", "compare", "--methods", "ce,lihgtx", line="method 'lihgtx' is unknown: did you mean 'lightx'"),
    row("method twice", "compare", "--methods", "ce,kl,ce", line="methods: ce is there twice"),
    Fault("two methods of one name", two_files, "methods: mine is there twice"),
    Fault("method with a reference's name", lambda d: ["compare", "--methods", f"{file(d, 'a.py', 'def teacher(task): pass')}:teacher"],
          "methods: teacher is the name of a reference: give your function another"),
    row("method that lacks its texts", "compare", "--methods", "best_unlabelled", line="best_unlabelled learns from texts without labels too"),
    row("numbers that are none", "compare", "--n-per-class", "5,x", line="--n-per-class is '5,x': give whole numbers, such as 50,100,250"),
    row("negative numbers", "compare", "--n-per-class=-5", line="--n-per-class is '-5': give whole numbers"),
    row("digits of another kind", "compare", "--n-per-class", "5²", line="--n-per-class is '5²': give whole numbers"),
    row("number twice", "compare", "--n-per-class", "5,5", line="n_per_class: 5 is there twice"),
    row("number as a parameter too", "compare", "-p", "n_per_class=5", line="n_per_class is set by the command: use --n-per-class"),
    row("no steps", "compare", "-p", "steps=0", line=f"steps is 0: {WHOLE} 1 and"),
    row("no students of a method", "compare", "--seeds", 0, line=f"seeds is 0: {WHOLE}"),
    row("lengths that explain nothing", "attribute", "a", "--max-length", 2, line=f"max_length is 2: {WHOLE} 3 and"),
    row("no steps of a path", "attribute", "a", "--max-steps", 0, line=f"max_steps is 0: {WHOLE} 1 and"),
    row("no memory", "attribute", "a", "--memory", 0, line="memory is 0.0: it must be above 0"),
    row("memory that is no number", "attribute", "a", "--memory", "nan", line="memory is nan: it must be above 0"),
    row("error that is no number", "attribute", "a", "--tol", "nan", line="tol is nan: it must lie between"),
    row("fewer texts than none", "attribute", "a", "--texts", -1, line=f"texts is -1: {WHOLE} 0 and"),
    Fault("store below a file", beside_a_file("attribute", "a", "--out", "{}/store"), r"taken/store: cannot be written \(a file stands in its way\)"),
    row("notebook unknown", "notebook", "alhpa", line="notebook 'alhpa' is unknown: take one of alpha"),
    Fault("notebook below a file", beside_a_file("notebook", "alpha", "--out", "{}/a.ipynb"), r"taken.*: cannot be written \(File exists\)"),
)
def test_compare_attribute_and_notebook_refuse(fault, tmp_path, capsys, monkeypatch): check(fault, tmp_path, capsys, monkeypatch)


def predicts(name, prepare, line): return Fault(name, lambda d: ["predict", "--model", MODEL, *prepare(d)], line)

@table(
    predicts("file that is not there", lambda d: ["--file", "nowhere.txt"], "nowhere.txt: no such file: check the path"),
    predicts("file that is a folder", lambda d: ["--file", d], "this is a folder: give a file with a text on each line"),
    predicts("file without a line", lambda d: ["--file", file(d, "a.txt", "")], r"a\.txt: this file is empty"),
    predicts("file in another encoding", lambda d: ["--file", (d / "a.txt").write_text("cup", encoding="utf-16") and d / "a.txt"],
             r"a\.txt: this file is UTF-16: convert it to UTF-8"),
    predicts("texts and a file", lambda d: ["cup", "--file", file(d, "a.txt", "goal")], "give texts or --file, not both"),
    row("pruned below nothing", "export", "model", "--prune", -1, line=f"prune is -1: {WHOLE} 0 and"),
    row("pruned by no texts", "export", "model", "--prune", 1, line="the training texts are needed: give --data"),
    Fault("export that is there", beside_a_file("export", "model", "--out", "{}"), "taken: is there already"),
    Fault("export below a file", beside_a_file("export", "model", "--out", "{}/graphs"),
          r"taken/graphs: cannot be written \(a file stands in its way\)"),
)
def test_predict_and_export_refuse(fault, tmp_path, capsys, monkeypatch): check(fault, tmp_path, capsys, monkeypatch)


@pytest.mark.parametrize("args", [["distill", "a"], ["sweep"], ["compare", "--methods", "ce"], ["export", "model"]], ids=lambda o: o[0])
def test_a_second_run_into_one_folder_is_refused_at_its_start(args, tmp_path, capsys, monkeypatch):
    with claim(tmp_path / "out"): status, _, err = told(capsys, monkeypatch, *args, "--out", tmp_path / "out")
    assert status == 2 and "another run is writing it: wait for its end" in err
    status, _, err = told(capsys, monkeypatch, *args, "--out", tmp_path / "out")
    assert "another run" not in err and not list(tmp_path.iterdir())


@pytest.mark.parametrize("args", [["distill", "a"], ["sweep"], ["compare", "--methods", "ce"], ["export", "model"], ["attribute", "a"]],
                         ids=lambda o: o[0])
def test_a_full_disk_is_found_at_the_start(args, tmp_path, capsys, monkeypatch):
    def full(*args, **kwargs): raise OSError(errno.ENOSPC, "No space left on device")
    monkeypatch.setattr("tempfile.TemporaryFile", full)
    status, _, err = told(capsys, monkeypatch, *args, "--out", tmp_path / "out")
    assert status == 2 and f"{tmp_path / 'out'}: cannot be written (No space left on device): choose another folder, or make room" in err


def test_a_cache_that_cannot_be_written_is_found_before_the_teacher_is_loaded(tmp_path, monkeypatch):
    from datasets import ClassLabel, Dataset, Features, Value
    from lightx.experiments import teach
    few = Dataset.from_dict(dict(text=["a", "b"], label=[0, 1]), Features(dict(text=Value("string"), label=ClassLabel(names=["x", "y"]))))
    monkeypatch.setenv("LIGHTX_CACHE", "/dev/null/cache")
    with pytest.raises(InputError, match="/dev/null/cache: cannot be written .*: make room, or let LIGHTX_CACHE name another folder"):
        teach(few, "./nowhere")


@pytest.mark.parametrize("args, module", [(["distill", "a"], "captum"), (["sweep"], "matplotlib"), (["compare", "--methods", "ce"], "papermill"),
                                          (["export", "model", "--web"], "onnx"), (["attribute", "a", "--engine", "ray"], "ray")])
def test_a_library_that_is_needed_late_is_missed_at_once(args, module, tmp_path, capsys, monkeypatch):
    import importlib.util
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == module else find(name, *more))
    status, _, err = told(capsys, monkeypatch, *args, "--out", tmp_path / "out")
    assert status == 2 and re.search(rf"this needs {module}, which is not installed: pip install 'lightx\[\w+\]'", err)
    assert not list(tmp_path.iterdir())


@pytest.fixture
def exporting(monkeypatch, tmp_path):
    """`lightx export --web` whose graphs are stubs."""
    import lightx.deploy
    def export(model, out, corpus, prune):
        out.mkdir()
        (out / "model.onnx").write_text("graph")
        return {"model.onnx": dict(bytes=5)}
    monkeypatch.setattr(lightx.deploy, "export", export, raising=False)
    monkeypatch.chdir(tmp_path)
    return lambda capsys, *args: told(capsys, monkeypatch, "export", MODEL, "--web", "--out", "out", *args)


@pytest.mark.parametrize("error, line", [(OSError(errno.ENOSPC, "No space left on device", "out/index.html"), "No space left on device: make room"),
                                         (KeyboardInterrupt(), "stopped"), (KeyError("lost"), "a fault of lightx")], ids=str)
def test_graphs_and_page_appear_together_or_not_at_all(error, line, exporting, capsys, monkeypatch, tmp_path):
    def fail(*args): raise error
    monkeypatch.setattr("lightx.cli.classifiers.check_export", lambda *args: None)
    monkeypatch.setattr(lightx.deploy, "export_web", fail, raising=False)
    assert line in exporting(capsys)[2] and not list(tmp_path.iterdir())
    monkeypatch.setattr(lightx.deploy, "export_web", lambda folder, out, texts: dict(page=out.write_text("page")))
    assert exporting(capsys)[0] == 0 and sorted(o.name for o in (tmp_path / "out").iterdir()) == ["index.html", "model.onnx"]


def test_a_page_that_would_read_otherwise_is_refused_before_the_graphs(exporting, capsys, monkeypatch, tmp_path):
    import lightx.deploy
    monkeypatch.setattr(lightx.deploy, "export", lambda *args: pytest.fail("exported"), raising=False)
    monkeypatch.setattr("lightx.deploy.page.unreadable", lambda parsed: "it has a step Bert2")
    status, _, err = exporting(capsys)
    assert status == 2 and "the page does not read as this tokenizer does: it has a step Bert2" in err and not list(tmp_path.iterdir())


def test_another_corpus_is_refused_before_the_graphs(exporting, capsys, monkeypatch, tmp_path):
    from datasets import ClassLabel, Dataset, Features, Value
    import lightx.deploy
    monkeypatch.setattr(lightx.deploy, "export", lambda *args: pytest.fail("exported"), raising=False)
    other = Dataset.from_dict(dict(text=["a", "b"], label=[0, 1]), Features(dict(text=Value("string"), label=ClassLabel(names=["x", "y"]))))
    monkeypatch.setattr("lightx.data.load_corpus", lambda *args: dict(train=other, test=other))
    status, _, err = exporting(capsys, "--data", "other")
    assert status == 2 and "x, y" in err and "sport" in err and not list(tmp_path.iterdir())


# --- what is typed into `predict`

def answered(monkeypatch, capsys, raw, *options):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(raw)))
    return told(capsys, monkeypatch, "predict", "--model", MODEL, *options)


@pytest.mark.parametrize("raw, notices, lines", [
    (b"cup caf\xe9\nbank \xff\xfe\n", 1, 2), (bytes(range(256)) + b"\n", 1, 3), (b"", 0, 0), (b"\n \n\n", 0, 3), (b"cup\x00goal\n", 0, 1),
    ("cup \N{BYTE ORDER MARK}goal 🎉\r\n".encode(), 0, 1), (b"\xed\xa0\x80 cup\n", 1, 1), (b"cup", 0, 1)],
    ids=["latin", "binary", "nothing", "blank", "zero", "windows", "surrogate", "no end"])
def test_standard_input_of_any_kind_is_answered(raw, notices, lines, monkeypatch, capsys, caplog):
    status, out, err = answered(monkeypatch, capsys, raw, "--json")
    assert status == 0 and len(out.splitlines()) == lines and "Traceback" not in err
    said = [o.getMessage() for o in caplog.records]
    assert len(said) == notices and all(re.fullmatch(r"standard input, line \d: not UTF-8; what can't be read is replaced", o) for o in said)
    for o in map(json.loads, out.splitlines()): assert math.isclose(sum(o["probabilities"].values()), 1, abs_tol=1e-5)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=60))
def test_any_bytes_are_as_many_answers_as_lines(raw):
    from lightx.cli.classifiers import readable
    lines = list(readable(io.TextIOWrapper(io.BytesIO(raw)), "it"))
    nothing = bool(raw) and b"\xef\xbb\xbf".startswith(raw) # a byte order mark alone, or the beginning of one
    assert len(lines) == len(io.TextIOWrapper(io.BytesIO(raw), "latin-1").readlines()) - nothing
    for o in lines: o.encode() # no halves of characters


def test_no_word_is_said(monkeypatch, capsys):
    assert "no word was read" in answered(monkeypatch, capsys, b" \n")[1]


def test_control_characters_and_markup_do_not_reach_the_terminal():
    from lightx.cli.classifiers import coloured
    clf = lightx.load(MODEL)
    shown = coloured(clf("[bold]cup\r[/x] \x1b[31mgoal\x07 today"))
    assert not set(shown.plain) & {"\r", "\x1b", "\x07"} and "[bold]cup" in shown.plain
    marked = [shown.plain[o.start:o.end] for o in shown.spans if "rgb" in str(o.style)]
    assert {"cup", "goal"} & set(marked) # the colours are where the words are


# --- what nobody foresaw, and what the system refuses

@pytest.mark.parametrize("error, status, line", [
    (OSError(errno.ENOSPC, "No space left on device", "a/b"), 2, "a/b: No space left on device: make room"),
    (PermissionError(errno.EACCES, "Permission denied", "a/b"), 2, "a/b: Permission denied: choose another place"),
    (OSError(errno.EMFILE, "Too many open files"), 2, "input or output: Too many open files: close other programs, or raise ulimit -n"),
    (MemoryError(), 2, "the memory is full: take shorter texts"),
    (np._core._exceptions._ArrayMemoryError((10**9,), np.dtype(float)), 2, "the memory is full"),
    (RuntimeError("[enforce fail at alloc_cpu.cpp:1] DefaultCPUAllocator: can't allocate memory: you tried"), 2, "the memory is full"),
    (type("OutOfMemoryError", (RuntimeError,), {})("CUDA out of memory"), 2, "the memory is full"),
    (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"), 2, "a text or file is not UTF-8 .*: convert it"),
    (ModuleNotFoundError("No module", name="torch"), 2, r"this needs torch, which is not installed: pip install 'lightx\[train\]'"),
    (KeyboardInterrupt(), 130, "stopped: what is finished is kept"),
    (InputError("[/red] x:\ntwo lines"), 2, r"lightx: \[/red\] x: two lines"),
    (KeyError("[/x]\n"), 1, r"KeyError: '\[/x\]\\n': this is a fault of lightx: report it at https://\S+; LIGHTX_TRACEBACK=1 shows"),
    (RecursionError("maximum recursion depth"), 1, "this is a fault of lightx")], ids=lambda o: type(o).__name__)
def test_every_error_is_one_line(error, status, line, monkeypatch, capsys):
    def fail(*args): raise error
    monkeypatch.setattr(lightx, "load", fail, raising=False)
    found, out, err = told(capsys, monkeypatch, "predict", "cup")
    assert found == status and re.search(line, err) and len(err.splitlines()) == 1 and not out
    monkeypatch.setenv("LIGHTX_TRACEBACK", "1")
    if not isinstance(error, KeyboardInterrupt):
        with pytest.raises(type(error)): told(capsys, monkeypatch, "predict", "cup")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_an_output_that_takes_nothing_ends_in_a_line():
    command = [sys.executable, "-c", "from lightx.cli import main; main()", "predict", "cup goal", "--json", "--model", str(MODEL)]
    with open("/dev/full", "w") as full: run = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert run.returncode == 2 and run.stderr == "lightx: input or output: No space left on device: make room\n"


def test_a_reader_that_has_gone_is_no_fault():
    command = [sys.executable, "-c", "from lightx.cli import main; main()", "predict", *["cup goal"] * 3000, "--model", str(MODEL)]
    run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    run.stdout.readline()
    run.stdout.close()
    assert run.stderr.read() == "" and run.wait() == 1


# --- any numbers

NUMBERS = st.one_of(st.floats(), st.integers(), st.integers(-3, 300), st.floats(1e-7, 2), st.booleans(), st.none(), st.sampled_from(
    ["1", "1e-3 ", "", 10**20, 10**400, -0.0, 1e-320, np.float64("nan"), np.int64(7), np.bool_(True), 2**32 - 1, 2**32]))
ASKED = ("max_length", "n_per_class", "teacher_epochs", "teacher_lr", "seed", "steps", "tol", "unseen_texts", "data_seed")


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(ASKED), NUMBERS)
def test_any_value_of_a_numeric_option_is_taken_or_named(name, value):
    try: lightx.distill("a", **{name: value})
    except InputError as e:
        assert str(e).startswith(f"{name} is ") and "\n" not in str(e) and len(str(e)) < 200
        good = False
    except Computing: good = True
    low, high, whole, above = RANGES[name]
    odd = isinstance(value, (bool, np.bool_, str)) or value is None or not (value == value and low <= value <= high)
    assert good == (not odd and not (whole and isinstance(value, float)) and not (above and value == low))


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text("0123456789:.,-e naif", max_size=12))
def test_any_alphas_are_weights_or_named(text):
    from lightx.experiments import parse_alphas
    try: found = parse_alphas(text)
    except InputError as e: assert "alpha" in str(e) and "\n" not in str(e)
    else: assert found and all(0 <= o <= 1 for o in found) and len(set(found)) == len(found)


# --- Python and the notebooks

def checks_of(notebook, **given):
    """The cells of a run's notebook before anything is prepared, as papermill would run them."""
    from lightx.experiments import experiment_notebook
    cells = [c for c in json.loads(experiment_notebook(notebook).read_text(encoding="utf-8"))["cells"] if c["cell_type"] == "code"]
    space = {}
    for i, c in enumerate(cells):
        exec("".join(c["source"]), space)
        if i == 0: space |= given
        if "check_values(" in "".join(c["source"]): return
    raise AssertionError(f"no cell of {notebook} checks its values")


@pytest.mark.parametrize("given, line", [
    (dict(epochs=0), f"epochs is 0: {WHOLE} 1 and"), (dict(lr=float("nan")), "lr is nan: it must be finite, above 0"),
    (dict(max_length=2), f"max_length is 2: {WHOLE} 3 and"), (dict(batch_size="16"), f"batch_size is '16': {WHOLE}"),
    (dict(alpha=-0.1), "alpha is -0.1: it must lie between 0 and 1"), (dict(teacher=3), "teacher is 3: give a text"),
    (dict(target="logit"), "target 'logit' is unknown"), (dict(optimizer="sdg"), "optimizer 'sdg' is unknown"),
    (dict(result="r_{alhpa}.json"), "result 'r_{alhpa}.json': only these stand in braces: alpha, seed"),
    (dict(result="/dev/null/r.json"), "/dev/null/r.json: cannot be written"), (dict(epocs=3), "parameter 'epocs' is unknown")])
def test_the_notebook_of_a_run_checks_as_the_command_does(given, line, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=re.escape(line)): checks_of("alpha", **given)


@pytest.mark.parametrize("given, line", [
    (dict(seeds="0,x"), "seeds is '0,x': give whole numbers"), (dict(seeds=-1), "seeds is '-1': give whole numbers"),
    (dict(method="ecc"), "method 'ecc' is unknown"), (dict(steps=0), f"steps is 0: {WHOLE}"),
    (dict(method="best_unlabelled"), "best_unlabelled learns from texts without labels too")])
def test_the_notebook_of_a_method_checks_as_the_command_does(given, line, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=re.escape(line)): checks_of("method", **given)
    checks_of("method", seeds=0) # a single seed comes from papermill as a number


@pytest.mark.parametrize("call, line", [
    (lambda o: o.sweep("out", [0.5, 2]), "alpha is 2: it must lie between 0 and 1"), (lambda o: o.sweep("out", []), r"alphas is \[\]: give a list"),
    (lambda o: o.sweep("out", [True]), "alpha is True"), (lambda o: o.sweep("out", [0.5], engine="rya"), "engine 'rya' is unknown"),
    (lambda o: o.sweep("out", [0.5], jobs=0.5), "jobs is 0.5"), (lambda o: o.sweep("out", [0.5], parameters=dict(lr="1e-3 ")), "lr is '1e-3 '"),
    (lambda o: o.compare("out", "ce", [5]), "method 'c' is unknown"), (lambda o: o.compare("out", ["ce"], []), r"n_per_class is \[\]"),
    (lambda o: o.compare("out", ["ce"], [5.0]), f"n_per_class is 5.0: {WHOLE}"), (lambda o: o.compare("out", [None], [5]), "method None is unknown"),
    (lambda o: o.prepare(unseen_texts=0), f"unseen_texts is 0: {WHOLE}"), (lambda o: o.prepare(target=None), "target None is unknown"),
    (lambda o: lightx.distill("a", out="a\0b/c"), "cannot be written .embedded null byte.: choose another folder"),
    (lambda o: lightx.distill("a", teacher_epoch=3), "option 'teacher_epoch' is unknown: did you mean 'teacher_epochs'"),
    (lambda o: lightx.LightXClassifier(random_state=-1).fit(["a", "b"], [0, 1]), "random_state is -1"),
    (lambda o: lightx.LightXClassifier(steps=True).fit(["a", "b"], [0, 1]), "steps is True"),
    (lambda o: lightx.LightXClassifier().fit(["a", "b"], ["x", None]), r"label 1 is None \(1 such labels\)")])
def test_python_says_the_same(call, line, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    import lightx.experiments
    with pytest.raises(InputError, match=line): call(lightx.experiments)
    assert contents(tmp_path) == {}

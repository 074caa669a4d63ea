"""The command `lightx compare`."""
import json

import pytest
from conftest import lightx

COMPARE = ["--n-per-class", "4,8", "--max-length", 16, "--seeds", 2, "--jobs", 2, "-p", "unseen_texts=4"]


@pytest.fixture(scope="module")
def compared(corpus_folder, teacher_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("compare")
    (folder / "mine.py").write_text("from lightx.training import LightX, mlp, TrainingPlan\n\n"
                                    "def mine(task):\n    return TrainingPlan(mlp(task), LightX(0.3), epochs=1)\n")
    methods = f"ce,int8,{folder / 'mine.py'}:mine"
    options = ["--data", corpus_folder, "--teacher", teacher_folder, "--methods", methods, *COMPARE, "--out", folder / "out"]
    return folder / "out", options, lightx("compare", *options)


def test_compare_ends_in_table_figure_and_report(compared):
    out, _, run = compared
    assert run.returncode == 0, run.stderr
    assert "mine" in run.stdout and "8 texts a class" in run.stdout
    found = json.loads((out / "results.json").read_text())["rows"]
    seen = {(o["method"], o["n_per_class"], o.get("seed")) for o in found if o["metric"] == "accuracy"}
    assert {(m, n, s) for m in ("ce", "mine") for n in (4, 8) for s in (0, 1)} <= seen
    assert {("int8", 8, 0), ("teacher", 8, None), ("tfidf_svm", 4, None)} <= seen and not {("int8", 8, 1), ("int8", 4, 0)} & seen
    assert (out / "figure.png").read_bytes()[:4] == b"\x89PNG" and (out / "report.ipynb").exists()


def test_a_second_comparison_runs_only_what_is_missing(compared):
    out, options, _ = compared
    before = {f: f.stat().st_mtime_ns for f in out.glob("method_*.json")}
    lost = sorted(before)[0]
    lost.unlink()
    assert lightx("compare", *options).returncode == 0
    after = {f: f.stat().st_mtime_ns for f in out.glob("method_*.json")}
    assert set(after) == set(before) and [f for f in after if after[f] != before[f]] == [lost]


@pytest.mark.parametrize("options, part", [
    (["--methods", "ligthx"], "did you mean 'lightx'"),
    (["--methods", "nowhere.py:mine"], "nowhere.py: no such file"),
    (["--n-per-class", "few"], "--n-per-class is 'few'"),
    (["-p", "unseen=4"], "parameter 'unseen' is unknown"),
])
def test_bad_input_is_one_line(options, part, tmp_path):
    run = lightx("compare", *options, "--out", tmp_path / "out")
    assert run.returncode == 2 and part in run.stderr and "Traceback" not in run.stderr and not (tmp_path / "out").exists()

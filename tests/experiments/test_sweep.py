import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import lightx, TINY, write_corpus

from lightx.runtime import InputError
from lightx.experiments import default_parameters, experiment_notebook, prepare, read_results

def flags(**given):
    return [o for k, v in given.items() for o in ("-p", k, str(v))]


def papermill(*args):
    command = [sys.executable, "-m", "papermill", str(experiment_notebook("alpha")), *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.fixture(scope="module")
def tiny(corpus_folder, teacher_folder):
    return TINY | {"data": str(corpus_folder), "teacher": str(teacher_folder)}


def test_one_run_with_papermill(tiny, tmp_path):
    run = papermill(tmp_path / "out.ipynb", *flags(alpha=0.1, **tiny, result=tmp_path / "alpha_{alpha:g}_seed_{seed}.json"))
    assert run.returncode == 0, run.stderr
    meta, rows = read_results(tmp_path / "alpha_0.1_seed_0.json")
    assert meta["parameters"]["alpha"] == 0.1 and meta["parameters"]["epochs"] == 2
    assert {"accuracy", "macro_f1", "cosine", "train_ce", "train_xai"} <= set(rows.metric) and set(rows.alpha) == {0.1}


@pytest.mark.parametrize(("given", "message"), [
    ({"alhpa": 0.1}, "parameter 'alhpa' is unknown: did you mean 'alpha'?"),
    ({"alpha": 1.5}, "alpha is 1.5: it must lie between 0 and 1"),
])
def test_papermill_refuses(given, message, tmp_path):
    run = papermill(tmp_path / "out.ipynb", *flags(**given, result=tmp_path / "r.json"))
    assert run.returncode == 1 and message in run.stderr and not (tmp_path / "r.json").exists()


@pytest.fixture(scope="module")
def swept(tiny, tmp_path_factory):
    out = tmp_path_factory.mktemp("sweep")
    options = ["--data", tiny["data"], "--teacher", tiny["teacher"], "--n-per-class", 6, "--max-length", 16, "--alphas", "0,1",
               "--jobs", 2, "--out", out, *(f"-p{k}={tiny[k]}" for k in ("epochs", "batch_size", "unseen_texts"))]
    return out, options, lightx("sweep", *options)


def test_sweep_ends_in_table_figure_and_report(swept):
    out, _, run = swept
    assert run.returncode == 0, run.stderr
    assert "Accuracy over alpha" in run.stdout and "TF-IDF + SVM" in run.stdout
    assert (out / "figure.png").read_bytes()[:4] == b"\x89PNG"
    report = json.loads((out / "report.ipynb").read_text())
    assert any("best alpha" in str(o) for c in report["cells"] for o in c.get("outputs", []))
    meta, rows = read_results(out / "results.json")
    accuracies = rows[rows.metric == "accuracy"]
    assert set(accuracies.method) == {"lightx", "teacher", "tfidf_svm"} and accuracies.value.between(0, 1).all()
    assert "bytes" not in set(rows.metric) # costs are measured if they are asked for


def test_second_sweep_runs_nothing_again(swept):
    out, options, _ = swept
    before = {f: f.stat().st_mtime_ns for f in out.glob("alpha_*.json")}
    start = time.time()
    assert lightx("sweep", *options).returncode == 0
    assert len(before) == 2 and before == {f: f.stat().st_mtime_ns for f in out.glob("alpha_*.json")}
    assert time.time() - start < 60


def test_result_does_not_depend_on_jobs_or_on_the_other_alphas(swept, tiny, tmp_path):
    out, _, _ = swept
    run = papermill(tmp_path / "o.ipynb", *flags(alpha=1, **tiny, lr=1e-3, result=tmp_path / "r.json"))
    assert run.returncode == 0, run.stderr
    alone, together = read_results(tmp_path / "r.json")[1], read_results(next(out.glob("alpha_1_seed_0_*.json")))[1]
    assert alone.value.tolist() == together.value.tolist()


@pytest.mark.parametrize(("args", "message"), [
    (["--alphas", "0,1.5"], "alpha is 1.5: it must lie between 0 and 1"),
    (["--alphas", "some"], "alphas 'some': give first:last:step"),
    (["-p", "epocs=3"], "parameter 'epocs' is unknown: did you mean 'epochs'?"),
    (["-p", "epochs=three"], "parameter epochs is 'three': give a whole number"),
    (["--data", "nowhere.csv"], "nowhere.csv: no such file or folder"),
    (["--data", "somebody/nothing"], "check the name and the network"),
    (["--teacher", "./nowhere"], "./nowhere: no such folder"),
    (["--n-per-class", "31"], "class 'money' has 30 texts, fewer than the 31 asked for"),
    (["--max-length", "200"], "it reads 64 tokens at most, not 200"),
    (["--text", "title"], "no column 'title'; it has 'text', 'label'"),
    (["-p", "target=logit"], "target 'logit' is unknown: take one of logits, centred, probabilities"),
])
def test_bad_input_is_one_line(args, message, tiny, tmp_path):
    defaults = {"--data": tiny["data"], "--teacher": tiny["teacher"], "--n-per-class": "6", "--max-length": "16"}
    given = dict(zip(args[::2], args[1::2]))
    run = lightx("sweep", *(o for kv in (defaults | given).items() for o in kv), "--out", tmp_path / "out")
    assert run.returncode == 2, run.stderr
    line = run.stderr.strip().splitlines()[-1]
    assert line.startswith("lightx: ") and message in line and "Traceback" not in run.stderr
    assert not list(tmp_path.glob("out/*"))


def test_teacher_for_other_classes(tiny, tmp_path):
    (tmp_path / "news").mkdir()
    folder = write_corpus(tmp_path / "news")
    for split in ("train", "test"):
        text = (folder / f"{split}.csv").read_text()
        (folder / f"{split}.csv").write_text("\n".join(o for o in text.splitlines() if not o.endswith("space")) + "\n")
    run = lightx("sweep", "--data", folder, "--teacher", tiny["teacher"], "--n-per-class", 6, "--max-length", 16, "--out", tmp_path / "out")
    assert run.returncode == 2 and "it decides between 3 classes, the data has 2" in run.stderr


def test_vocabulary_that_the_teacher_does_not_have(teacher_folder, tmp_path):
    import shutil

    from transformers import AutoTokenizer
    from lightx.teacher import check_teacher, load_teacher
    folder = shutil.copytree(teacher_folder, tmp_path / "t")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens([f"new{i}" for i in range(50)])
    tokenizer.save_pretrained(folder)
    with pytest.raises(InputError, match="its tokenizer knows .* pieces, its embedding"):
        check_teacher(load_teacher(str(folder), max_length=16), "t", 3, 16)


def test_a_base_model_is_fine_tuned_once(corpus_folder, base_folder):
    settings = dict(data=str(corpus_folder), teacher=str(base_folder), n_per_class=4, max_length=16, teacher_epochs=1, unseen_texts=2, progress=False)
    first = prepare(**settings)
    start = time.time()
    second = prepare(**settings)
    assert time.time() - start < 5 and first.teacher.model.name_or_path == second.teacher.model.name_or_path
    assert first.explanations.logits.tolist() == second.explanations.logits.tolist()


@pytest.mark.parametrize("notebook, other", [("alpha", {"progress", "unlabelled"}), ("method", {"progress"})])
def test_defaults_of_the_notebook_are_those_of_prepare(notebook, other):
    import inspect
    known = default_parameters(experiment_notebook(notebook))
    own = {k: p.default for k, p in inspect.signature(prepare).parameters.items() if k not in other}
    assert own == {k: known[k] for k in own}


def test_every_parameter_is_checked_by_the_notebook():
    notebook = experiment_notebook("alpha")
    source = "\n".join("".join(c["source"]) for c in json.loads(Path(notebook).read_text())["cells"])
    listed = source.split("known = {")[1].split("}")[0]
    assert {o.strip().strip('"') for o in listed.split(",")} == set(default_parameters(notebook))

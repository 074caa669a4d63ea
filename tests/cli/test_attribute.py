"""The command `lightx attribute`."""
import pytest
from conftest import lightx


@pytest.fixture(scope="module")
def filled(tmp_path_factory, corpus_folder, teacher_folder):
    out = tmp_path_factory.mktemp("store") / "s"
    options = ["--data", corpus_folder, "--teacher", teacher_folder, "--out", out, "--max-length", 16, "--texts", 40]
    return out, options, lightx("attribute", *options)


def one_line(run, *parts):
    assert run.returncode == 2 and "Traceback" not in run.stderr
    last = run.stderr.strip().splitlines()[-1]
    assert last.startswith("lightx: ") and all(o in last for o in parts), run.stderr


def test_a_store_is_filled_and_described(filled):
    out, _, run = filled
    assert run.returncode == 0, run.stderr
    assert (out / "manifest.json").exists() and "mean error" in run.stdout and "40" in run.stdout and "attribute: 100%" in run.stderr


def test_nothing_is_computed_twice_and_more_texts_are_added(filled):
    out, options, _ = filled
    before = {o.name: o.stat().st_mtime_ns for o in out.iterdir()}
    again = lightx("attribute", *options)
    assert again.returncode == 0 and before == {o.name: o.stat().st_mtime_ns for o in out.iterdir()} and "attribute:" not in again.stderr
    assert lightx("attribute", *options[:-1], 60).returncode == 0
    assert before.items() <= {o.name: o.stat().st_mtime_ns for o in out.iterdir()}.items()


def test_verify_passes_and_names_a_damaged_shard(tmp_path, corpus_folder, teacher_folder):
    options = ["--data", corpus_folder, "--teacher", teacher_folder, "--out", tmp_path / "s", "--max-length", 16, "--texts", 20]
    assert lightx("attribute", *options).returncode == 0
    assert lightx("attribute", *options, "--verify").returncode == 0
    victim = next((tmp_path / "s").glob("*.safetensors"))
    victim.write_bytes(victim.read_bytes()[:-1] + b"x")
    one_line(lightx("attribute", *options, "--verify"), victim.name, "missing", "without --verify")
    assert lightx("attribute", *options).returncode == 0 and lightx("attribute", *options, "--verify").returncode == 0


def test_a_file_of_texts_needs_no_labels(tmp_path, teacher_folder):
    (tmp_path / "news.csv").write_text("headline\ncup goal team\nbank stock rates\n")
    options = ["--data", tmp_path / "news.csv", "--text", "headline", "--teacher", teacher_folder]
    run = lightx("attribute", *options, "--out", tmp_path / "s", "--max-length", 16)
    assert run.returncode == 0 and "texts" in run.stdout


@pytest.mark.parametrize("options, parts", [
    (["--target", "logit"], ["target 'logit' is unknown", "logits, centred, probabilities"]),
    (["--precision", "half"], ["precision 'half' is unknown", "auto, float32, bfloat16"]),
    (["--memory", "1e-7"], ["memory 1e-07 GiB is too little", "max_length"]),
    (["--split", "dev"], ["split 'dev' is unknown"]),
    (["--verify"], ["no manifest.json"]),
])
def test_bad_input_is_one_line_and_leaves_nothing(tmp_path, corpus_folder, teacher_folder, options, parts):
    out = tmp_path / "s"
    one_line(lightx("attribute", "--data", corpus_folder, "--teacher", teacher_folder, "--out", out, "--max-length", 16, *options), *parts)
    assert not list(out.glob("*")) if out.exists() else True


def test_a_store_of_another_run_is_refused(filled):
    _, options, _ = filled
    one_line(lightx("attribute", *options, "--tol", "0.1"), "made with another tol")

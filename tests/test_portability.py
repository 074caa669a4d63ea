"""Windows and macOS, as far as Linux can play them: modules that are not there, other encodings, files that are in use."""
import ast
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from lightx.runtime import files

ROOT = Path(__file__).parent.parent
SOURCES = [ROOT / "setup.py", *sorted((ROOT / "lightx").rglob("*.py"))]
MODEL = ROOT / "tests" / "deploy" / "written_by_0.1" / "MLPStudent"


def calls(file):
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call): yield node, node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def mode_of(node):
    """The mode that a file is opened with: after the path, or alone where the path has the method."""
    place = 0 if isinstance(node.func, ast.Attribute) and ast.unparse(node.func.value) not in ("io", "os", "builtins") else 1
    given = [*node.args[place:place + 1], *(k.value for k in node.keywords if k.arg == "mode")]
    return str(given[0].value) if given and isinstance(given[0], ast.Constant) else "r"


@pytest.mark.parametrize("file", SOURCES, ids=lambda f: f"{f.parent.name}.{f.stem}")
def test_text_is_read_and_written_in_utf_8(file):
    bare = []
    for node, name in calls(file):
        opens = name in ("read_text", "write_text") or name in ("open", "fdopen", "NamedTemporaryFile") and "b" not in mode_of(node)
        decodes = ast.unparse(node.func).startswith("subprocess.") and any(k.arg in ("text", "universal_newlines") for k in node.keywords)
        if ast.unparse(node.func) == "os.open": continue # bytes
        if (opens or decodes) and not any(k.arg == "encoding" for k in node.keywords): bare.append(f"line {node.lineno}: {name}")
    assert not bare


UNIX = {"resource", "fcntl", "pwd", "grp", "termios", "tty", "pty", "syslog", "readline", "curses"}
CALLS = {"sched_getaffinity", "fork", "getuid", "geteuid", "getpgid", "setsid", "killpg", "mkfifo", "uname", "getloadavg", "SIGKILL", "SIGHUP",
         "SIGUSR1", "SIGALRM", "SIGQUIT", "add_signal_handler", "O_DIRECTORY", "chown", "statvfs"}


def guarded(tree, node):
    """Whether a line stands in a `try`, or asks first whether there is such a thing."""
    around = [o for o in ast.walk(tree) if hasattr(o, "lineno") and o.lineno <= node.lineno <= o.end_lineno]
    return any(isinstance(o, ast.Try) for o in around) or any("hasattr(" in (s := ast.unparse(o)) or "os.name" in s or "sys.platform" in s
                                                              for o in around if isinstance(o, ast.IfExp | ast.If | ast.BoolOp))


@pytest.mark.parametrize("file", SOURCES, ids=lambda f: f"{f.parent.name}.{f.stem}")
def test_what_unix_alone_has_is_asked_for_first(file):
    tree, bare = ast.parse(file.read_text(encoding="utf-8")), []
    for node in ast.walk(tree):
        names = [o.name for o in node.names] if isinstance(node, ast.Import) else [node.module] if isinstance(node, ast.ImportFrom) else []
        names += [node.attr] if isinstance(node, ast.Attribute) else []
        if {str(o).partition(".")[0] for o in names} & (UNIX if not isinstance(node, ast.Attribute) else CALLS) and not guarded(tree, node):
            bare.append(f"line {node.lineno}: {ast.unparse(node)}")
    assert not bare


def test_the_checks_above_find_what_they_look_for(tmp_path):
    bad = tmp_path / "bad.py"
    bad.write_text("import resource\nopen('a')\nopen('a', 'w')\nPath('a').read_text()\nos.sched_getaffinity(0)\n"
                   "subprocess.run(['git'], text=True)\n", encoding="utf-8")
    for check in (test_text_is_read_and_written_in_utf_8, test_what_unix_alone_has_is_asked_for_first):
        with pytest.raises(AssertionError): check(bad)
    bad.write_text("open('a', 'rb')\nopen('a', encoding='utf-8')\ntry: import resource\nexcept ImportError: pass\n"
                   "n = os.sched_getaffinity(0) if hasattr(os, 'sched_getaffinity') else 1\n", encoding="utf-8")
    for check in (test_text_is_read_and_written_in_utf_8, test_what_unix_alone_has_is_asked_for_first): check(bad)


ELSEWHERE = """
import builtins, os, sys
from pathlib import Path
plain = builtins.__import__
def without(name, globals=None, *rest, **more): # other packages know their system
    if name in ("resource", "fcntl", "pwd", "grp", "termios") and (globals or {}).get("__name__", "").startswith("lightx"): raise ImportError(name)
    return plain(name, globals, *rest, **more)
builtins.__import__ = without
for o in ("sched_getaffinity", "sched_setaffinity", "getloadavg"): delattr(os, o)
exists = Path.exists
Path.exists = lambda self, **k: not self.as_posix().startswith("/proc") and exists(self, **k)
"""


def elsewhere(code, *options, cwd, **env):
    """Some code in a process that has no Unix about it, and whose files are not in UTF-8 unless that is said."""
    (cwd / "code.py").write_text(ELSEWHERE + code, encoding="utf-8")
    run = subprocess.run([sys.executable, "-X", "utf8=0", *options, "code.py"], capture_output=True, cwd=cwd,
                         env=os.environ | {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "cp1252", "COLUMNS": "200"} | env)
    said = (run.stdout + run.stderr).decode("cp1252")
    assert run.returncode == 0, said
    return run.stdout.decode("cp1252"), run.stderr.decode("cp1252")


def test_the_runtime_answers_elsewhere(tmp_path):
    out, err = elsewhere(f"""
import lightx
from lightx.cli import main
clf = lightx.load({str(MODEL)!r})
print([o.label for o in clf.explain(["cup goal today", "\\u00d6l \\u6cb9"])])
for args in (["predict", "cup goal today", "--json", "--model", {str(MODEL)!r}], ["cache"], ["predict", "--help"]):
    sys.argv = ["lightx", *args]
    try: main()
    except SystemExit as e: assert not e.code, e.code
print(*(o for o in ("torch", "resource") if sys.modules.get(o)))
""", cwd=tmp_path, LIGHTX_CACHE=str(tmp_path / "cache"))
    assert "Traceback" not in out + err and json.loads(out.splitlines()[1])["label"] and out.splitlines()[-1] == ""


def test_everything_is_imported_distilled_and_exported_elsewhere(tmp_path, corpus_folder, teacher_folder):
    rows = "".join(f"cup goal Öl 油 {o},Fußball\nbank stock oil {o},金\n" for o in range(20))
    (tmp_path / "news.csv").write_text(f"text,label\n{rows}", encoding="utf-8")
    names = sorted(f"lightx.{o.parent.name}.{o.stem}" for o in (ROOT / "lightx").glob("*/[a-z]*.py"))
    code = f"""
from importlib import import_module
for o in {names}: import_module(o)
import json, warnings, torch
import lightx
from lightx.experiments import provenance, read_results, write_results
from lightx.deploy import export
from lightx.evaluation import peak_resident_memory
from lightx.runtime import InputError
torch.onnx.export = lambda graph, example, file, **_: Path(file).write_bytes(b"graph")
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer
base = AutoModelForSequenceClassification.from_pretrained({str(teacher_folder)!r}, num_labels=2, ignore_mismatched_sizes=True)
base.config.id2label, base.config.label2id = {{0: "Fußball", 1: "金"}}, {{"Fußball": 0, "金": 1}}
base.save_pretrained("teacher")
AutoTokenizer.from_pretrained({str(teacher_folder)!r}).save_pretrained("teacher")
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always", EncodingWarning)
    clf = lightx.distill("news.csv", "teacher", out="model", recipe="ce", max_length=16, steps=4, unseen_texts=4, progress=False)
    export("model", "exported")
    write_results("results.json", provenance(), [dict(metric="Öl", value=1)])
    assert read_results("results.json")[0]["machine"]["cores"] >= 1
    assert sorted(lightx.load("model").names) == sorted(lightx.load("exported").names) == ["Fußball", "金"]
    assert lightx.load("model").predict(["cup goal"]).tolist() == clf.predict(["cup goal"]).tolist()
ours = [o for o in said if issubclass(o.category, EncodingWarning) and Path(o.filename).is_relative_to({str(ROOT / "lightx")!r})]
print("bare", *(f"{{o.filename}}:{{o.lineno}}" for o in ours))
try: print(peak_resident_memory())
except InputError as e: print(e)
"""
    out, err = elsewhere(code, "-X", "warn_default_encoding", cwd=tmp_path, LIGHTX_CACHE=str(tmp_path / "cache"))
    assert out.splitlines() == ["bare", "peak memory can't be measured on this system: leave costs out"], out + err
    assert "Fußball" in (tmp_path / "model" / "README.md").read_text(encoding="utf-8")


def test_windows_is_never_asked_by_a_signal(tmp_path, monkeypatch):
    """There `os.kill` with any number ends the other process."""
    def killed(*_): raise AssertionError("a process was ended")
    monkeypatch.setattr(files, "os", SimpleNamespace(**{k: getattr(os, k) for k in ("getpid", "replace", "environ", "path")}, name="nt", kill=killed))
    left = tmp_path / f".model.{files._machine()}.{os.getppid()}.tmp"
    left.write_text("half of")
    with files.atomic_path(tmp_path / "model") as tmp: tmp.write_text("whole")
    assert left.exists() and (tmp_path / "model").read_text() == "whole"


def test_a_product_that_is_in_use_is_left_and_said(tmp_path, monkeypatch):
    """Windows replaces no file that a program has open."""
    from lightx.runtime import InputError
    def in_use(old, new): raise PermissionError(13, "The process cannot access the file", str(old), 32, str(new))
    (tmp_path / "model").write_text("old")
    monkeypatch.setattr(os, "replace", in_use)
    with pytest.raises(InputError, match=r"model: cannot be written \(.*\): make room, or choose another place"):
        with files.atomic_path(tmp_path / "model") as tmp: tmp.write_text("new")
    assert [o.read_text() for o in tmp_path.iterdir()] == ["old"]


def test_names_of_files_are_names_on_every_system():
    from lightx.experiments import run_path
    name = run_path(Path("out"), dict(alpha=0.1, seed=0, data="C:\\news?.csv", label_names="a:b|c")).name
    assert not set(name) & set('<>:"/\\|?*') and files.content_key("a:b").isalnum()

"""The house: parts in their order, names that are public, notebooks and modules alike, and a package that installs."""
import ast
import filecmp
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SIDEBAR = re.findall(r"[\w/]+\.ipynb", (ROOT / "_quarto.yml").read_text(encoding="utf-8"))
ORDER = [re.sub(r"^\d\d_|\.ipynb$", "", o.replace("/", ".").removesuffix(".ipynb")) for o in SIDEBAR if o[0].isdigit()] # part.module
PARTS = list(dict.fromkeys(o.split(".")[0] for o in ORDER))
MODULES = sorted(f for f in (ROOT / "lightx").glob("*/*.py") if not f.name.startswith("_"))
NOTEBOOKS = sorted(f for f in (ROOT / "nbs").glob("**/*.ipynb") if "checkpoint" not in str(f))


def run(*args, **kw):
    done = subprocess.run([*map(str, args)], capture_output=True, text=True, **kw)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def code_of(notebook):
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return ["".join(c["source"]) for c in cells if c["cell_type"] == "code"]


def imported(source):
    """The modules of lightx that some code imports, as part.module or part."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and not node.level and (node.module or "").startswith("lightx."):
            yield node.module.removeprefix("lightx.")


def test_import_is_quick_and_loads_nothing():
    code = """
import sys, time
before, start = set(sys.modules), time.perf_counter()
import lightx
print(time.perf_counter() - start, *(o for o in set(sys.modules) - before if o.startswith("lightx.") or o in ("torch", "numpy")))
"""
    seconds, *loaded = min((run(sys.executable, "-c", code).split() for _ in range(5)), key=lambda o: float(o[0]))
    assert float(seconds) < 0.05 and not loaded


def test_the_face():
    import lightx
    assert set(lightx.__all__) == {"distill", "load", "Classifier", "LightXClassifier", "attribute", "integrated_gradients"} <= set(dir(lightx))
    assert all(callable(getattr(lightx, o)) for o in lightx.__all__)
    assert all(o in lightx.__doc__ for o in PARTS)
    with pytest.raises(AttributeError, match="no attribute 'distil'"):
        lightx.distil # noqa: B018


@pytest.mark.parametrize("asked", [["--help"], ["--version"], ["distill", "--help"], ["sweep", "--bad"], ["distill"]])
def test_help_and_mistypings_load_nothing_heavy(asked):
    code = f"""
import sys
from lightx.cli import main
sys.argv = ["lightx", *{asked}]
try: main()
except SystemExit: pass
print([o for o in ("torch", "numpy", "pandas", "transformers", "tokenizers", "matplotlib") if o in sys.modules])
"""
    assert run(sys.executable, "-c", code).splitlines()[-1] == "[]"


def copy_of_the_repository(folder):
    made = shutil.ignore_patterns(".venv*", ".git", "runs", "*.egg-info", "build", "dist", "_proc", "_docs", "__pycache__", ".*_cache",
                                  ".coverage*")
    corpora = shutil.ignore_patterns("data") # at the root; lightx/data is a part
    def ignored(at, names): return made(at, names) | (corpora(at, names) if Path(at) == ROOT else set())
    return shutil.copytree(ROOT, folder, symlinks=True, ignore=ignored)


@pytest.mark.skipif(not shutil.which("make"), reason="needs make")
def test_export_clean_and_readme_leave_no_difference(tmp_path):
    copy, path = copy_of_the_repository(tmp_path / "lightx"), f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for command in (["nbdev_export"], ["nbdev_clean"], ["make", "readme"]):
        run(*command, cwd=copy, env=os.environ | {"PATH": path})
    for file in [*copy.glob("nbs/**/*.ipynb"), *copy.glob("lightx/**/*.py"), copy / "README.md", copy / "nbs" / "front.png"]:
        assert filecmp.cmp(file, ROOT / file.relative_to(copy), shallow=False), f"{file.name}: run `make notebooks`"


@pytest.mark.parametrize("file", MODULES, ids=lambda f: f"{f.parent.name}.{f.stem}")
def test_public_functions_are_documented(file):
    source = file.read_text(encoding="utf-8")
    lines, tree = source.splitlines(), ast.parse(source)
    inside = [o for top in tree.body if isinstance(top, ast.ClassDef) for o in top.body]
    public = [o for o in [*tree.body, *inside] if isinstance(o, ast.FunctionDef | ast.ClassDef)]
    # Options of the command line carry their help in their type, often a shared one.
    shared = {"Source", "Data", "Teacher", "MaxLength", "TextColumn", "LabelColumn", "LabelNames", "Jobs", "Workers", "Param", "Html", "Json",
              "Model", "Texts", "Abstain", "AnyTeacher", "Unlabelled", "Measured", "Token", "HostNames", "Column", "Target"}
    bare = []
    for node in (o for o in public if not o.name.startswith("_")):
        if not ast.get_docstring(node):
            bare.append(node.name)
        args = node.args.args if isinstance(node, ast.FunctionDef) else []
        told = {a.arg for a in args if "#" in lines[a.end_lineno - 1] or "Annotated" in lines[a.lineno - 1]}
        told |= {a.arg for a in args if file.parent.name == "cli" and a.annotation and ast.unparse(a.annotation) in shared}
        bare += [f"{node.name}.{a.arg}" for a in args if a.arg not in ("self", "cls") and a.arg not in told]
    assert not bare
    assert sum(bool(o.strip()) and not o.startswith("# %%") for o in lines) <= 300


def grown(node):
    """The class that a function is patched into, or an empty name; a property's setter is told apart."""
    how = next((o for o in map(ast.unparse, node.decorator_list) if o.startswith("patch")), "")
    return ast.unparse(node.args.args[0].annotation) + " set" * ("set_prop" in how) if how else ""


@pytest.mark.parametrize("file", MODULES, ids=lambda f: f"{f.parent.name}.{f.stem}")
def test_a_module_defines_each_name_once(file):
    tree, seen = ast.parse(file.read_text(encoding="utf-8")), []
    for node in tree.body:
        if isinstance(node, ast.FunctionDef): seen.append((grown(node), node.name))
        if isinstance(node, ast.ClassDef): seen += [("", node.name), *((node.name, o.name) for o in node.body if isinstance(o, ast.FunctionDef))]
    assert sorted({o for o in seen if seen.count(o) > 1}) == []


def test_the_order_of_the_parts_is_that_of_the_flow():
    assert PARTS == ["runtime", "data", "teacher", "attribution", "student", "training", "evaluation", "experiments", "deploy", "cli"]
    assert {f"{f.parent.name}.{f.stem}" for f in MODULES} <= set(ORDER)
    assert {f.parent.name for f in (ROOT / "tests").glob("*/test_*.py")} <= set(PARTS)


@pytest.mark.parametrize("notebook", [o for o in SIDEBAR if o[0].isdigit()])
def test_parts_and_modules_import_only_from_earlier_ones(notebook):
    own = re.sub(r"^\d\d_", "", notebook.removesuffix(".ipynb")).replace("/", ".")
    for cell in code_of(ROOT / "nbs" / notebook):
        if re.match(r"\s*[%!]", cell): continue
        for name in imported(cell):
            part, *module = name.split(".")
            assert PARTS.index(part) <= PARTS.index(own.split(".")[0]), f"{notebook} imports {name}"
            exported = re.search(r"^#\| ?exports?\b", cell, re.M)
            if exported and part == own.split(".")[0]:
                assert module and ORDER.index(name) < ORDER.index(own), f"{notebook} imports {name}: name an earlier module of its own part"


@pytest.mark.parametrize("part", PARTS)
def test_a_part_names_its_public_things(part):
    named = import_module(f"lightx.{part}")
    for file in (ROOT / "lightx" / part).glob("[a-z]*.py"):
        if part == "cli" or file.stem in ("guards", "server"): continue # commands, and what needs an extra
        missing = set(import_module(f"lightx.{part}.{file.stem}").__all__) - set(named.__all__)
        assert not missing, f"lightx/{part}/__init__.py lacks {missing} of {file.stem}"


def test_versions_agree():
    import lightx
    setting = re.search(r"^version = (.*)$", (ROOT / "settings.ini").read_text(encoding="utf-8"), re.M)[1]
    cited = re.search(r"^version: (.*)$", (ROOT / "CITATION.cff").read_text(encoding="utf-8"), re.M)[1]
    assert lightx.__version__ == setting == cited
    assert f"## [{setting}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_every_notebook_stands_in_the_sidebar_of_the_docs():
    assert sorted(SIDEBAR) == sorted(f.relative_to(ROOT / "nbs").as_posix() for f in NOTEBOOKS)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """An sdist and a wheel of the repository."""
    folder = tmp_path_factory.mktemp("built")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder / "dist", copy_of_the_repository(folder / "source"))
    return next((folder / "dist").glob("*.tar.gz")), next((folder / "dist").glob("*.whl"))


def test_wheel_and_sdist_hold_what_they_should_and_the_wheel_works(built, tmp_path, monkeypatch):
    monkeypatch.delenv("PYTHONPATH", raising=False) # or something else than the wheel would be imported
    sdist, wheel = built
    run(sys.executable, "-m", "twine", "check", "--strict", sdist, wheel)
    with zipfile.ZipFile(wheel) as z:
        names = set(z.namelist())
        outputs = [c["outputs"] for o in names if o.endswith(".ipynb") for c in json.loads(z.read(o))["cells"] if c["cell_type"] == "code"]
        meta = z.read(next(o for o in names if o.endswith("METADATA"))).decode()
    notebooks = [f"lightx/experiments/notebooks/{o}.ipynb" for o in ("alpha", "method", "report", "methods")]
    assert {"lightx/py.typed", "lightx/deploy/web/page.html", "lightx/deploy/web/page.js", *notebooks} <= names
    assert outputs and not any(outputs) and not any(o.startswith(("tests", "nbs")) for o in names)
    assert "License-Expression: Apache-2.0" in meta and "Project-URL: Source" in meta
    assert not re.search(r"\]\((?!https?://|#)", meta) # links of the README lead somewhere from an index page too
    with tarfile.open(sdist) as t:
        inside = {o.partition("/")[2] for o in t.getnames()}
    assert {"tests/conftest.py", "tests/test_package.py", "nbs/07_experiments/alpha.ipynb", "settings.ini", "Makefile", "_quarto.yml"} <= inside

    venv.create(tmp_path / "venv", with_pip=True)
    scripts = tmp_path / "venv" / ("Scripts" if os.name == "nt" else "bin")
    run(scripts / "python", "-m", "pip", "install", "-q", "--no-deps", wheel)
    # What lightx needs is taken from the environment of the tests; lightx itself must be the wheel's.
    site = next(p for p in sys.path if p.endswith("site-packages"))
    own = run(scripts / "python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
    (Path(own) / "needs.pth").write_text(site)
    assert str(tmp_path / "venv") in run(scripts / "python", "-c", "import lightx; print(lightx.__file__)", cwd=tmp_path)
    assert "sweep" in run(scripts / "lightx", "--help", cwd=tmp_path, env=os.environ | {"COLUMNS": "100"})
    run(scripts / "lightx", "notebook", "alpha", cwd=tmp_path)
    assert (tmp_path / "alpha.ipynb").is_file()


def test_the_base_install_is_small_and_answers(built, tmp_path, monkeypatch):
    """What `pip install lightx` brings, in an environment of its own: no torch, 150 MB at most, and it predicts."""
    monkeypatch.delenv("PYTHONPATH", raising=False) # or something else than the wheel would be imported
    venv.create(tmp_path / "venv", with_pip=False)
    python = tmp_path / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
    pip = subprocess.run([sys.executable, "-m", "pip", "--python", str(python), "install", "-q", str(built[1])], capture_output=True, text=True)
    if pip.returncode and "No matching distribution" in pip.stderr: pytest.skip("no package index can be reached")
    assert pip.returncode == 0, pip.stderr
    size = sum(f.stat().st_size for f in (tmp_path / "venv").rglob("*") if f.is_file() and not f.is_symlink())
    assert size <= 150e6, f"{size / 1e6:.0f} MB"
    model = ROOT / "tests" / "deploy" / "written_by_0.1" / "PairStudent"
    answer = run(python, "-m", "lightx", "predict", "cup goal today", "--model", model, "--json", cwd=tmp_path)
    assert json.loads(answer)["label"] == json.loads((model / "answers.json").read_text())[0]["label"]
    asked = subprocess.run([python, "-m", "lightx", "distill", "bbc_news"], capture_output=True, text=True, cwd=tmp_path)
    assert asked.returncode == 2 and "pip install 'lightx[train]'" in asked.stderr


@pytest.mark.parametrize("part", PARTS)
def test_a_part_has_all_that_it_says_it_has(part):
    module = import_module(f"lightx.{part}")
    assert [o for o in module.__all__ if not hasattr(module, o)] == [] and len(set(module.__all__)) == len(module.__all__)

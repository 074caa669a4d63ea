import ast
import filecmp
import os
import re
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = sorted(f for f in (ROOT / "lightx").glob("*.py") if not f.name.startswith("_"))


def run(*args, **kw):
    done = subprocess.run([*map(str, args)], capture_output=True, text=True, **kw)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_import_is_quick_and_runs_nothing():
    code = """
import sys, time
start = time.perf_counter()
import lightx
print(time.perf_counter() - start, *(o for o in ("torch", "transformers", "numpy") if o in sys.modules))
"""
    seconds, *heavy = min((run(sys.executable, "-c", code).split() for _ in range(3)), key=lambda o: float(o[0]))
    assert float(seconds) < 0.3 and not heavy


def test_help_needs_no_heavy_import():
    code = """
import sys
from lightx.cli import app
try: app(["--version"])
except SystemExit: pass
assert "torch" not in sys.modules
"""
    assert run(sys.executable, "-c", code).startswith("lightx ")


def copy_of_the_repository(folder):
    made = ".venv*", ".git", "runs", "data", "*.egg-info", "build", "_proc", "_docs", "__pycache__", ".*_cache"
    return shutil.copytree(ROOT, folder, symlinks=True, ignore=shutil.ignore_patterns(*made))


def test_export_clean_and_readme_leave_no_difference(tmp_path):
    copy, path = copy_of_the_repository(tmp_path / "lightx"), f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    for command in (["nbdev_export"], ["nbdev_clean"], ["make", "readme"]):
        run(*command, cwd=copy, env=os.environ | {"PATH": path})
    for file in [*copy.glob("nbs/**/*.ipynb"), *copy.glob("lightx/*.py"), copy / "README.md"]:
        assert filecmp.cmp(file, ROOT / file.relative_to(copy), shallow=False), f"{file.name}: run `make notebooks`"


@pytest.mark.parametrize("file", MODULES, ids=lambda f: f.stem)
def test_public_functions_are_documented(file):
    source = file.read_text()
    lines, tree = source.splitlines(), ast.parse(source)
    inside = [o for top in tree.body if isinstance(top, ast.ClassDef) for o in top.body]
    public = [o for o in [*tree.body, *inside] if isinstance(o, ast.FunctionDef | ast.ClassDef)]
    shared = {o.targets[0].id for o in tree.body if isinstance(o, ast.Assign) and ast.unparse(o.value).startswith("Annotated[")}
    bare = []
    for node in (o for o in public if not o.name.startswith("_")):
        if not ast.get_docstring(node):
            bare.append(node.name)
        args = node.args.args if isinstance(node, ast.FunctionDef) else []
        told = {a.arg for a in args if "#" in lines[a.end_lineno - 1] or "Annotated" in lines[a.lineno - 1]}
        told |= {a.arg for a in args if a.annotation and ast.unparse(a.annotation) in shared}
        bare += [f"{node.name}.{a.arg}" for a in args if a.arg not in ("self", "cls") and a.arg not in told]
    assert not bare


def test_modules_import_only_from_earlier_ones():
    order = [f.stem.split("_", 1)[1] for f in sorted((ROOT / "nbs").glob("[0-9]*.ipynb"))]
    for file in MODULES:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("lightx."):
                assert order.index(node.module.split(".")[1]) < order.index(file.stem), f"{file.stem} imports {node.module}"


def test_every_notebook_stands_in_the_sidebar_of_the_docs():
    shown = re.findall(r"[\w/]+\.ipynb", (ROOT / "_quarto.yml").read_text())
    assert sorted(shown) == sorted(str(f.relative_to(ROOT / "nbs")) for f in (ROOT / "nbs").glob("**/*.ipynb") if "checkpoint" not in str(f))


def test_links_of_the_readme_lead_somewhere():
    links = re.findall(r"\]\(([^)#]+)\)", (ROOT / "README.md").read_text())
    assert len(links) > 20
    assert not [o for o in links if "://" not in o and not (ROOT / o).exists()]


def test_wheel_works_elsewhere(tmp_path):
    source = copy_of_the_repository(tmp_path / "source")
    run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", tmp_path, source)
    wheel, = tmp_path.glob("*.whl")
    assert {"lightx/web/page.html", "lightx/web/page.js"} <= set(zipfile.ZipFile(wheel).namelist())
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    run(python, "-m", "pip", "install", "-q", "--no-deps", wheel)
    # What lightx needs is taken from the environment of the tests; lightx itself must be the wheel's.
    site = next(p for p in sys.path if p.endswith("site-packages"))
    (next((tmp_path / "venv" / "lib").glob("python*/site-packages")) / "needs.pth").write_text(site)
    where = run(python, "-c", "import lightx; print(lightx.__file__)", cwd=tmp_path)
    assert str(tmp_path / "venv") in where
    notebooks = ["alpha.ipynb", "report.ipynb", "method.ipynb", "methods.ipynb"]
    code = f"from lightx.experiment import experiment_notebook as n; print(*map(n, {notebooks}))"
    assert run(python, "-c", code, cwd=tmp_path).count(str(tmp_path / "venv")) == len(notebooks)
    assert "sweep" in run(tmp_path / "venv" / "bin" / "lightx", "--help", cwd=tmp_path, env=os.environ | {"COLUMNS": "100"})

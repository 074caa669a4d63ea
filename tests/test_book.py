"""The book: plain code computes what the package does, links and citations lead somewhere, shown numbers are those of the results files."""
import ast
import json
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import make_teacher
from links import anchors, ids as heading_ids, links, slug
from torch import nn

ROOT = Path(__file__).parent.parent
NBS = ROOT / "nbs"
NOTEBOOKS = sorted(f for f in NBS.glob("**/*.ipynb") if "checkpoint" not in str(f))
PARTS = [f for f in NOTEBOOKS if f.parent.name[0].isdigit()]


def cells(notebook, kind):
    found = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return ["".join(c["source"]) for c in found if c["cell_type"] == kind]


@pytest.fixture(scope="module")
def plain():
    """The definitions of the notebook, for texts of a language of 24 pieces and three classes."""
    names = dict(torch=torch, np=np, F=F, nn=nn, pieces=range(24), names="abc")
    for cell in cells(NBS / "tutorials" / "paper_in_one.ipynb", "code"):
        for node in ast.parse(cell).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                exec(compile(ast.Module([node], []), "paper_in_one", "exec"), names)
    return SimpleNamespace(**names)


@pytest.fixture(scope="module")
def ids():
    return torch.randint(4, 24, (12, 7), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("kind", ["bert", "distilbert"])
def test_the_plain_sum_over_points_is_integrated_gradients(plain, ids, kind):
    from lightx.attribution import integrated_gradients
    model = make_teacher(kind).model.requires_grad_(False)
    def answer(e): return model(inputs_embeds=e).logits
    e = model.get_input_embeddings()(ids)
    values = plain.integrated_gradients(answer, e, *plain.gauss(8))
    theirs = integrated_gradients(model, ids, torch.ones_like(ids), "centred", n_steps=8, precision="float32")
    assert torch.allclose(values, theirs.values, atol=1e-5)
    assert torch.allclose(plain.completeness_error(answer, e, values), theirs.error, atol=1e-4)
    assert plain.completeness_error(answer, e, 0.5 * values).min() > 0.1


def test_the_plain_student_and_its_loss_are_those_of_the_package(plain, ids):
    from lightx.student import new_student
    from lightx.training import xai_loss
    torch.manual_seed(3)
    student, theirs = plain.Student(24, 3).eval(), new_student(3, 3, vocab_size=24, target="centred").eval()
    for own, other in zip(student.explain(ids), theirs.explain(ids, torch.ones_like(ids))):
        assert torch.allclose(own, other, atol=1e-6)
    values = student.explain(ids)[1].detach()
    summed = plain.integrated_gradients(student.answer, student.embedding(ids).detach(), *plain.even(2000))
    assert torch.allclose(values, summed, atol=1e-3 * values.abs().max())
    wrong = values.roll(1, 0)
    assert torch.isclose(plain.xai_loss(values, wrong), xai_loss(values, wrong, torch.ones_like(ids))) and plain.xai_loss(values, wrong) > 0


def test_the_plain_loop_trains_the_same_student(plain, ids):
    from lightx.student import new_student
    from lightx.training import Examples, LightX, train_student
    labels, E_T = torch.arange(12) % 3, torch.randn(12, 7, 3, generator=torch.Generator().manual_seed(1))
    own, history = plain.train_student(ids, labels, E_T, alpha=0.3, seed=2, epochs=4)
    examples = Examples(ids.tolist(), labels, SimpleNamespace(values=[*E_T.numpy()], logits=np.zeros((12, 3)), baseline_logits=np.zeros((12, 3))))
    theirs = new_student(3, 2, vocab_size=24, target="centred")
    losses = train_student(theirs, examples, LightX(alpha=0.3), epochs=4, lr=2e-3, batch_size=16, seed=2)
    assert np.allclose(history.numpy(), [[o["ce"], o["xai"]] for o in losses], rtol=1e-4)
    assert torch.allclose(own.explain(ids)[0], theirs(ids, torch.ones_like(ids)), atol=1e-4)
    assert not torch.allclose(own.embedding.weight, new_student(3, 2, vocab_size=24).embedding.weight, atol=1e-3) # it did learn


def test_the_plain_notebook_is_short_and_plain():
    code = "\n".join(o for o in cells(NBS / "tutorials" / "paper_in_one.ipynb", "code") if not o.startswith("#| hide"))
    plain, found, _ = code.partition("import lightx.")
    lines = [o for o in plain.splitlines() if o.strip() and not o.lstrip().startswith("#")]
    assert found and 100 < len(lines) <= 200 and "lightx" not in plain


CITED = re.compile(r"([A-Z][\w-]+)(?:(?:, [A-Z][\w-]+)* and (?:van )?[A-Z][\w-]+| et al\.)?,? \(?((?:19|20)\d\d)[;)]")


def test_every_cited_work_is_in_the_bibliography():
    known = "\n".join(cells(NBS / "bibliography.ipynb", "markdown"))
    entries = [o for o in known.splitlines() if o.startswith("- ")]
    assert len(entries) > 30 and all("](" in o for o in entries)
    seen = set()
    for file in NOTEBOOKS:
        for text in cells(file, "markdown") + cells(file, "code"):
            seen |= {o.groups() for o in CITED.finditer(text)}
    assert {("Sundararajan", "2017"), ("Krishna", "2022"), ("Arora", "2017")} <= seen
    missing = [(who, year) for who, year in seen if not any(who in o and year in o for o in entries)]
    assert not missing


def test_works_of_the_citation_file_are_in_the_bibliography_with_their_links():
    yaml = pytest.importorskip("yaml")
    known = "\n".join(cells(NBS / "bibliography.ipynb", "markdown"))
    cited = yaml.safe_load((NBS.parent / "CITATION.cff").read_text(encoding="utf-8"))["references"]
    assert [o["title"] for o in cited if o["title"] not in known or o.get("url", "") not in known] == []
    assert [o["title"] for o in cited if "url" not in o] == ["lightX: Explanation-Guided Learning for Lightweight Models"]


PAGES = [*NOTEBOOKS, *(ROOT / f"{o}.md" for o in ("README", "CONTRIBUTING", "CHANGELOG", "SECURITY"))]


@pytest.mark.parametrize("heading, name", [
    ("The closed form", "the-closed-form"), ("3. Why it says so: *IG*", "why-it-says-so-ig"), ("[CLS] and [SEP]", "cls-and-sep"),
    ("`lightx` 0.2", "lightx-0.2"), ("A [link](x.ipynb), here", "a-link-here"), ("2024", "section")])
def test_a_heading_has_the_address_that_pandoc_gives_it(heading, name):
    assert slug(heading) == name


def test_a_heading_that_is_there_twice_has_two_addresses():
    assert list(heading_ids(["Files", "The files", "Files", "Files"])) == ["files", "the-files", "files-1", "files-2"]


@pytest.mark.parametrize("page", PAGES, ids=lambda f: f.relative_to(ROOT).as_posix())
def test_links_lead_to_files_and_headings_that_are_there(page):
    dead = []
    for link in links(page):
        file, _, anchor = link.partition("#")
        if re.match(r"https?://[\w.-]+\.\w+(/|$)|mailto:|data:", link): continue # not asked for here: no network
        target = (page.parent / file).resolve() if file else page
        if target == NBS / "try.html" and not anchor: continue # made by `make page`
        inside = target.is_relative_to(NBS if page.suffix == ".ipynb" else ROOT) # the site has nothing else
        if not inside or not target.is_file() or anchor and anchor not in anchors(target): dead.append(link)
    assert not dead


def test_a_dead_link_is_seen(tmp_path):
    page = tmp_path / "a.md"
    page.write_text("# One\n\n[a](#one) [b](#two) `[c](no.md)`\n\n```\n[d](no.md)\n# Not\n```\n\n<img src=\"no.png\">", encoding="utf-8")
    assert links(page) == ["#one", "#two", "no.png"] and anchors(page) == {"one"}


def test_every_page_is_found_from_the_first():
    found, ahead = set(), [NBS / "index.ipynb"]
    while ahead:
        page = ahead.pop()
        found.add(page)
        ahead += {o for o in ((page.parent / link.partition("#")[0]).resolve() for link in links(page)) if o in NOTEBOOKS} - found
    assert sorted(set(NOTEBOOKS) - found) == []


@pytest.mark.parametrize("name", ["index", "measured"])
def test_numbers_of_a_page_are_those_of_the_results_files(name, monkeypatch):
    """The cells that read results give again what the notebook holds."""
    from IPython.display import Markdown
    monkeypatch.chdir(NBS)
    shown, space = [], {}
    for cell in json.loads((NBS / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] != "code" or not re.match(r"#\| (hide|echo: false)", source) or "plt.show()" in source: continue
        *first, last = ast.parse(source).body
        exec(compile(ast.Module(first, []), name, "exec"), space)
        if not isinstance(last, ast.Expr): exec(compile(ast.Module([last], []), name, "exec"), space)
        elif isinstance(made := eval(compile(ast.Expression(last.value), name, "eval"), space), Markdown):
            shown.append(made.data)
            assert made.data == "".join(cell["outputs"][0]["data"]["text/markdown"]), "run the notebook again"
    assert len(shown) == {"index": 1, "measured": 21}[name] and all(re.search(r"\d", o) for o in shown)


def test_commands_in_the_text_are_those_of_the_command_line():
    from typer.main import get_command
    from lightx.cli import app
    known = {name: {o for p in c.params for o in [*p.opts, *p.secondary_opts]} | {"--help"} for name, c in get_command(app).commands.items()}
    asked, wrong = 0, []
    for page in PAGES:
        text = page.read_text(encoding="utf-8") if page.suffix == ".md" else "\n".join(cells(page, "markdown"))
        for name, rest in re.findall(r"^(?:.*[|&] )?lightx ([a-z]+)(.*)$", text, re.M):
            if name not in known and not rest.lstrip().startswith("-"): continue # a sentence
            asked += 1
            options = re.findall(r"(?<=\s)--[a-z-]+", rest.partition(" # ")[0])
            wrong += [f"{page.name}: lightx {name} {o}" for o in options if o not in known.get(name, ())]
    assert asked > 20 and not wrong


def test_the_site_without_quarto_has_the_pages_in_order_and_links_that_lead_somewhere(tmp_path):
    pytest.importorskip("latex2mathml")
    from book import build
    from execnb.nbio import read_nb, write_nb
    from nbdev.processors import FilterDefaults
    names = ["index", "checklist", "03_attribution/plain", "glossary"]
    for name in names:
        nb = read_nb(NBS / f"{name}.ipynb")
        FilterDefaults()(nb)
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write_nb(nb, tmp_path / f"{name}.ipynb")
    (tmp_path / "_quarto.yml").write_text("""
project: {resources: []}
website:
  title: lightx
  navbar: {left: [{text: Try it, href: try.html}]}
  sidebar:
    contents:
      - {href: index.ipynb}
      - checklist.ipynb
      - {section: Attribution, contents: [03_attribution/plain.ipynb]}
      - {section: Words, contents: [glossary.ipynb]}
""", encoding="utf-8")
    assert build(tmp_path, tmp_path / "site") == 4
    pages = {name: (tmp_path / "site" / f"{name}.html").read_text(encoding="utf-8") for name in names}
    plain = pages["03_attribution/plain"]
    assert 'class="previous" href="../checklist.html"' in plain and 'class="next" href="../glossary.html"' in plain
    assert '<h2 id="integrated-gradients">' in plain and "<math" in plain and "$$" not in plain
    assert ".ipynb" not in "".join(re.findall(r'href="([^"]*)"', plain))
    assert "<details open><summary>Attribution" in plain and "#| " not in plain and "{{" not in plain
    assert "fig-alt" not in pages["index"] and 'href="checklist.html"' in pages["index"]
    found = json.loads((tmp_path / "site" / "search.js").read_text(encoding="utf-8").removeprefix("const PAGES = "))
    assert [o["at"] for o in found] == names and ["Integrated Gradients", "integrated-gradients"] in found[2]["headings"]


def exported_sizes(notebook):
    """The lines of each exported cell, without blank ones and without its directives."""
    exported = [o for o in cells(notebook, "code") if re.search(r"^#\s*\|\s*exports?\b", o, re.M)]
    return [sum(bool(line.strip()) and not re.match(r"#\s*\|", line) for line in o.splitlines()) for o in exported]


@pytest.mark.parametrize("notebook", PARTS, ids=lambda f: f"{f.parent.name}/{f.stem}")
def test_exported_cells_are_short(notebook):
    sizes = exported_sizes(notebook) or [0] # a notebook of runs exports nothing
    assert np.median(sizes) <= 10, sizes
    assert np.mean(np.array(sizes) <= 25) >= 0.9, sizes


def test_a_long_cell_is_seen(tmp_path):
    def written(*sizes):
        source = ["#| export\nx = 1\n\n" + "y = 2\n" * (n - 1) for n in sizes]
        (tmp_path / "a.ipynb").write_text(json.dumps({"cells": [dict(cell_type="code", source=[o]) for o in [*source, "z = 3\n" * 99]]}))
        return tmp_path / "a.ipynb"
    assert exported_sizes(written(3, 40)) == [3, 40]


SIDEBAR = re.findall(r"(\d\d_\w+)/(\w+)\.ipynb", (ROOT / "_quarto.yml").read_text(encoding="utf-8"))
LESSONS = [f"{part}/{name}" for part, name in {part: name for part, name in reversed(SIDEBAR)}.items()][::-1] # the first notebook of each part
SOLUTION = re.compile(r"<details><summary>Solution</summary>\n\n(.*?)\n\n</details>", re.S)


@pytest.mark.parametrize("lesson", LESSONS)
def test_a_lesson_opens_with_what_one_needs_and_ends_with_exercises(lesson):
    text = "\n".join(cells(NBS / f"{lesson}.ipynb", "markdown"))
    assert "**You need**" in text and "You get**" in text and "## Where it fails" in text
    assert len(SOLUTION.findall(text.partition("## Exercises")[2])) >= 2 and re.search(r"^Next: \[", text, re.M)
    code = [line for o in cells(NBS / f"{lesson}.ipynb", "code") for line in o.splitlines() if line.strip() and not line.startswith("#|")]
    assert len(text.split()) >= 2 * len(code)


@pytest.mark.parametrize("lesson", LESSONS)
def test_the_code_of_solutions_can_be_read(lesson):
    for solution in SOLUTION.findall("\n".join(cells(NBS / f"{lesson}.ipynb", "markdown"))):
        for code in re.findall(r"```python\n(.*?)```", solution, re.S): ast.parse(code)


def test_the_solutions_of_the_first_lesson_run(capsys):
    """Those of the others need a teacher."""
    import matplotlib
    matplotlib.use("Agg")
    names = {}
    for cell in cells(NBS / f"{LESSONS[0]}.ipynb", "code"):
        if "nbdev" not in cell: exec(compile(cell, LESSONS[0], "exec"), names)
    capsys.readouterr()
    for code in re.findall(r"```python\n(.*?)```", "\n".join(cells(NBS / f"{LESSONS[0]}.ipynb", "markdown")), re.S): exec(code, names)
    assert "[-0.125  0.   ]" in capsys.readouterr().out # what an unknown word adds, as the last solution says

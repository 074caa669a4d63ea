"""The site without Quarto: the same pages, sidebar, order and addresses, so that every page can be looked at before it is published."""
import html
import json
import re
import shutil
from pathlib import Path

import yaml
from latex2mathml.converter import convert
from links import ids
from markdown_it import MarkdownIt
from nbdev.serve import proc_nbs
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name

ROOT = Path(__file__).parent.parent
NBS = ROOT / "nbs"
MATH = re.compile(r"(```.*?```|`[^`]*`)|\$\$(.+?)\$\$|(?<![\\$\w])\$(?=\S)([^$\n]+?)(?<=\S)\$(?![\d$])", re.S)


def code_block(text, language):
    "Highlighted code."
    return highlight(text, get_lexer_by_name(language if language in ("python", "bash") else "text"), HtmlFormatter(cssclass="sourceCode"))


def mathml(found):
    "Code as it is, formulas as MathML: no script, no network."
    if found[1]: return found[1]
    made = convert((found[2] or found[3]).strip(), display="block" if found[2] else "inline")
    return re.sub(r"\s*\n\s*", " ", made)


class Page:
    "One notebook as HTML, with its headings."
    def __init__(self, path, at):
        self.at, self.headings = at, [] # at: its address without .html, from the site's root
        self.title, self.summary = at, ""
        self.md = MarkdownIt("commonmark", {"html": True, "highlight": lambda text, name, _: code_block(text, name)}).enable("table")
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        self.body = "\n".join(filter(None, (getattr(self, cell["cell_type"])(cell) for cell in cells)))
        names = ids(text for _, text in self.headings)
        self.toc = [(level, text, name) for (level, text), name in zip(self.headings, names)]
        for *_, name in self.toc: self.body = self.body.replace('id="?"', f'id="{name}"', 1)
        self.body = re.sub(r'href="([^":]+)\.ipynb(#[^"]*)?"', lambda m: f'href="{m[1]}.html{m[2] or ""}"', self.body)

    def raw(self, cell):
        "The front matter."
        told = yaml.safe_load("".join(cell["source"]).strip().strip("-")) or {}
        self.title, self.summary = told.get("title", self.title), told.get("description", "")

    def markdown(self, cell): return self.rendered("".join(cell["source"]))

    def rendered(self, source):
        "HTML of Markdown; headings are noted and get their ids when all are known."
        tokens = self.md.parse(MATH.sub(mathml, source))
        for one, inside in zip(tokens, tokens[1:]):
            if one.type == "heading_open":
                self.headings.append((int(one.tag[1]), inside.content))
                one.attrSet("id", "?")
        return self.md.renderer.render(tokens, self.md.options, {}).replace("<table>", '<table class="table">')

    def code(self, cell):
        "A cell's source, unless it says `echo: false`, and its outputs."
        source = "".join(cell["source"])
        told = dict(re.findall(r"^#\| ?([\w-]+): *(.*)$", source, re.M))
        source = re.sub(r"^#\|.*\n?", "", source, flags=re.M).strip("\n")
        if told.get("include") == "false" or not source: return ""
        shown = "" if told.get("echo") == "false" else f'<div class="cell-code">{code_block(source, "python")}</div>'
        if "code-fold" in told:
            shown = f"<details{' open' * (told['code-fold'] == 'show')}><summary>{told['code-summary'].strip(chr(34))}</summary>{shown}</details>"
        alt = told.get("fig-alt", "").strip('"')
        return f'<div class="cell">{shown}{"".join(self.output(o, alt) for o in cell.get("outputs", []))}</div>'

    def output(self, o, alt):
        "One output, by the richest form that it has."
        data = {k: "".join(v) if isinstance(v, list) else v for k, v in o.get("data", {}).items()}
        if "text/html" in data: inside = data["text/html"]
        elif "image/svg+xml" in data: inside = data["image/svg+xml"]
        elif "image/png" in data: inside = f'<img alt="{html.escape(alt)}" src="data:image/png;base64,{"".join(data["image/png"].split())}">'
        elif "text/markdown" in data: inside = self.rendered(data["text/markdown"])
        else:
            text = "".join(o.get("text", "")) or data.get("text/plain", "")
            return f'<div class="cell-output cell-output-stdout"><pre><code>{html.escape(text)}</code></pre></div>' if text else ""
        return f'<div class="cell-output cell-output-display">{inside}</div>'

    def text(self):
        "Its words, for the search."
        plain = re.sub(r"<(svg|style|script|math|pre).*?</\1>|<img[^>]*>", " ", self.body, flags=re.S)
        return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", plain)).split())


def contents(config):
    "The sidebar: a list of (section or None, notebook)."
    for entry in config["website"]["sidebar"]["contents"]:
        if isinstance(entry, str): yield None, entry
        elif "section" in entry: yield from ((entry["section"], o) for o in entry["contents"])
        else: yield None, entry["href"]


def sidebar(pages, now, up):
    "The navigation of one page: the section that it is in is open."
    parts, section = [], None
    for name, page in pages:
        if name != section:
            if section: parts.append("</ul></details>")
            if name: parts.append(f"<details{' open' * any(o is now and n == name for n, o in pages)}><summary>{html.escape(name)}</summary><ul>")
            section = name
        link = f'<a href="{up}{page.at}.html"{" class=active" * (page is now)}>{html.escape(page.title)}</a>'
        parts.append(f"<li>{link}</li>" if name else f"<p>{link}</p>")
    return "\n".join(parts) + ("</ul></details>" if section else "")


def near(pages, k, up):
    "Links to the page before and the page behind."
    beside = [("previous", k - 1)] * (k > 0) + [("next", k + 1)] * (k + 1 < len(pages))
    return "".join(f'<a class="{name}" href="{up}{pages[o][1].at}.html">{html.escape(pages[o][1].title)}</a>' for name, o in beside)


def whole(template, config, pages, k):
    "A page in its frame."
    page = pages[k][1]
    up = "../" * page.at.count("/")
    toc = [f'<li class="level{level}"><a href="#{name}">{html.escape(text.replace("`", ""))}</a></li>' for level, text, name in page.toc if level < 4]
    filled = dict(title=html.escape(page.title), site=config["website"]["title"], up=up, body=page.body, sidebar=sidebar(pages, page, up),
                  near=near(pages, k, up), toc=f"<ul>{''.join(toc)}</ul>" if toc else "", summary=page.md.renderInline(page.summary),
                  links="".join(f'<a href="{up}{o["href"]}">{o["text"]}</a>' for o in config["website"]["navbar"]["left"]))
    return re.sub(r"\{\{(\w+)\}\}", lambda m: filled[m[1]], template)


def build(notebooks, out):
    "The site of some processed notebooks in a folder, which is made anew."
    config = yaml.safe_load((notebooks / "_quarto.yml").read_text(encoding="utf-8"))
    template = (Path(__file__).parent / "book.html").read_text(encoding="utf-8")
    pages = [(section, Page(notebooks / name, name.removesuffix(".ipynb"))) for section, name in contents(config)]
    shutil.rmtree(out, ignore_errors=True)
    for k, (_, page) in enumerate(pages):
        file = out / f"{page.at}.html"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(whole(template, config, pages, k), encoding="utf-8")
    found = [dict(at=o.at, title=o.title, headings=[[t.replace("`", ""), n] for _, t, n in o.toc], text=o.text()) for _, o in pages]
    (out / "search.js").write_text(f"const PAGES = {json.dumps(found, ensure_ascii=False)}", encoding="utf-8")
    for file in ("styles.css", *config["project"]["resources"]):
        if (NBS / file).exists(): shutil.copy(NBS / file, out / file)
    return len(pages)


if __name__ == "__main__":
    print(build(proc_nbs().resolve(), ROOT / "_docs"), "pages in _docs; the published site is Quarto's")

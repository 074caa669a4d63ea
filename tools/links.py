"""Links and anchors of notebooks and Markdown files, as the site has them."""
import json
import re
from pathlib import Path

FENCE = re.compile(r"^(```|~~~).*?^\1", re.S | re.M)


def slug(heading):
    "The id that pandoc, and so Quarto, gives to a heading."
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading) # of a link its text
    text = re.sub(r"[^\w\s.-]", "", text.replace("`", "").replace("*", "")).strip().lower()
    return re.sub(r"^[\W\d_]+", "", re.sub(r"\s+", "-", text)) or "section"


def ids(headings):
    "The ids of a page's headings; one that is there already gets a number."
    seen = {}
    for heading in headings:
        name = slug(heading)
        seen[name] = seen.get(name, -1) + 1
        yield f"{name}-{seen[name]}" if seen[name] else name


def markdown(path):
    "The text of a file, or of a notebook's cells and outputs, without blocks of code."
    text = Path(path).read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        parts = []
        for cell in json.loads(text)["cells"]:
            if cell["cell_type"] == "markdown": parts.append("".join(cell["source"]))
            parts += ["".join(o["data"]["text/markdown"]) for o in cell.get("outputs", []) if "text/markdown" in o.get("data", {})]
        text = "\n\n".join(parts)
    return FENCE.sub("", text)


def anchors(path):
    "The addresses inside a page: its headings below the title, and ids that it sets."
    text = markdown(path)
    first = 2 if path.suffix == ".ipynb" else 1 # a notebook's title is no heading of its page
    headings = [o for level, o in re.findall(r"^(#+) +(.+?) *$", text, re.M) if len(level) >= first]
    return {*ids(headings), *re.findall(r'\bid="([^"]+)"', text)}


def links(path):
    "Where a page leads to: addresses as they are written."
    text = re.sub(r"`[^`\n]*`", "", markdown(path))
    return re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'\b(?:href|src)="([^"]+)"', text)

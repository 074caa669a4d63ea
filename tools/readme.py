"""README.md from nbs/index.ipynb: its text, its code where that is shown, and its outputs as they are stored there."""
import base64
import json
import re
from configparser import ConfigParser
from pathlib import Path

ROOT = Path(__file__).parent.parent
FIGURE = "nbs/front.png" # a README can show pictures from files only


def settings():
    config = ConfigParser(delimiters=["="])
    config.read(ROOT / "settings.ini", encoding="utf-8")
    return config["DEFAULT"]


def output(cell, o):
    "One output as Markdown."
    data = o.get("data", {})
    if "text/markdown" in data: return "".join(data["text/markdown"])
    if "image/png" in data:
        (ROOT / FIGURE).write_bytes(base64.b64decode("".join(data["image/png"])))
        alt = re.search(r'fig-alt: "(.*)"', "".join(cell["source"]))[1]
        return f"![{alt}]({FIGURE})"
    return "```\n" + "".join(o.get("text") or data["text/plain"]).rstrip() + "\n```"


def readme(notebook):
    "The text of README.md."
    parts = []
    for cell in notebook["cells"]:
        source, tags = "".join(cell["source"]), cell["metadata"].get("tags", [])
        if cell["cell_type"] == "markdown": parts.append(source)
        if cell["cell_type"] != "code" or source.startswith("#| hide") or "notebookonly" in tags: continue
        if "#| echo: false" not in source:
            joined = parts[-1].startswith("```python") # cells that follow each other are one block
            before = parts.pop().removesuffix("```") if joined else "```python\n"
            parts.append(f"{before}{source}\n```")
        if "quiet" not in tags: parts += [output(cell, o) for o in cell["outputs"]]
    cfg, text = settings(), "\n\n".join(parts)
    text = text.replace("](try.html)", f"]({cfg['doc_host']}{cfg['doc_baseurl']}/try.html)") # the page is on the site alone
    text = text.replace(f"]({cfg['git_url']}/blob/{cfg['branch']}/", "](") # what lies beside the README
    text = re.sub(r"\]\((?=[\w/]+\.ipynb)", "](nbs/", text)
    return re.sub(r"\n{3,}", "\n\n", text) + "\n"


if __name__ == "__main__":
    (ROOT / "README.md").write_text(readme(json.loads((ROOT / "nbs" / "index.ipynb").read_text(encoding="utf-8"))), encoding="utf-8")

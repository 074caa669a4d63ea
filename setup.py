"""What nbdev's settings.ini says, for setuptools: one source for name, version and requirements."""
import json
import re
from configparser import ConfigParser
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

root = Path(__file__).parent
config = ConfigParser(delimiters=["="])
config.read(root / "settings.ini", encoding="utf-8")
cfg = config["DEFAULT"]
own = {k.removesuffix("_requirements"): v.split() for k, v in cfg.items() if k.endswith("_requirements")}
# What an extra needs of others: exporting needs PyTorch, the demo trains and exports, the benchmarks compare all of it.
needs = {"export": ["train"], "ray": ["train"], "demo": ["train", "export"], "bench": ["demo", "serve", "train", "export"]}
needs["all"] = ["train", "serve", "export", "ray", "demo"]
needs["dev"] = needs["all"]
extras = {k: own.get(k, []) + sum((own[o] for o in needs.get(k, [])), []) for k in [*own, "all"]}
# Notebooks that `lightx sweep`, `compare` and `notebook` hand out; they travel without their outputs.
notebooks = ["nbs/07_experiments/alpha.ipynb", "nbs/07_experiments/method.ipynb", "nbs/experiments/report.ipynb", "nbs/experiments/methods.ipynb"]


class BuildWithNotebooks(build_py):
    def run(self):
        super().run()
        if self.editable_mode: return # there they are found in the repository
        folder = Path(self.build_lib) / "lightx" / "experiments" / "notebooks"
        folder.mkdir(parents=True, exist_ok=True)
        for name in notebooks:
            notebook = json.loads((root / name).read_text(encoding="utf-8"))
            for cell in notebook["cells"]:
                if cell["cell_type"] == "code": cell |= {"outputs": [], "execution_count": None}
            (folder / Path(name).name).write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def absolute(readme):
    "Links and pictures of the README as an index page can follow them."
    tree, raw = (f"{cfg['git_url']}/{o}/v{cfg['version']}/" for o in ("blob", "raw"))
    readme = re.sub(r"(!\[[^\]]*\]\()(?!https?://)", rf"\1{raw}", readme)
    return re.sub(r"((?<!!)\[[^\]]*\]\()(?!https?://|#)", rf"\1{tree}", readme)


setup(
    name=cfg["lib_name"],
    version=cfg["version"],
    description=cfg["description"],
    long_description=absolute((root / "README.md").read_text(encoding="utf-8")),
    long_description_content_type="text/markdown",
    author=cfg["author"],
    url=cfg["git_url"],
    project_urls={"Documentation": cfg["doc_host"] + cfg["doc_baseurl"], "Source": cfg["git_url"], "Issues": cfg["git_url"] + "/issues",
                  "Changelog": f"{cfg['git_url']}/blob/main/CHANGELOG.md"},
    license_expression="Apache-2.0",
    license_files=["LICENSE"],
    keywords=cfg["keywords"].split(),
    python_requires=f">={cfg['min_python']}",
    packages=find_packages(include=["lightx", "lightx.*"]),
    package_data={"lightx": ["py.typed"], "lightx.deploy": ["web/*"]},
    cmdclass={"build_py": BuildWithNotebooks},
    install_requires=cfg["requirements"].split(),
    extras_require=extras,
    entry_points={"console_scripts": cfg["console_scripts"].split()},
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Intended Audience :: Developers",
        "Intended Audience :: Science/Research",
        "Operating System :: OS Independent",
        *(f"Programming Language :: Python :: 3.{o}" for o in (11, 12, 13)),
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Typing :: Typed",
    ],
)

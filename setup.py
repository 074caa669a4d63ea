from configparser import ConfigParser
from pathlib import Path

from setuptools import setup

root = Path(__file__).parent
config = ConfigParser(delimiters=["="])
config.read(root / "settings.ini", encoding="utf-8")
cfg = config["DEFAULT"]

setup(
    name=cfg["lib_name"],
    version=cfg["version"],
    description=cfg["description"],
    long_description=(root / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    author=cfg["author"],
    author_email=cfg["author_email"],
    url=cfg["git_url"],
    license="Apache-2.0",
    keywords=cfg["keywords"].split(),
    python_requires=f">={cfg['min_python']}",
    # The experiments travel with the package: `lightx sweep` and `lightx compare` run them from wherever it is installed.
    packages=["lightx", "lightx.experiments"],
    package_dir={"lightx.experiments": "nbs/experiments"},
    package_data={"lightx": ["web/*"], "lightx.experiments": ["alpha.ipynb", "report.ipynb", "method.ipynb", "methods.ipynb"]},
    install_requires=cfg["requirements"].split(),
    extras_require={
        "demo": cfg["demo_requirements"].split(),
        "ray": cfg["ray_requirements"].split(),
        "export": cfg["export_requirements"].split(),
        "serve": cfg["serve_requirements"].split(),
        "bench": cfg["bench_requirements"].split(),
        "dev": " ".join(cfg[f"{o}_requirements"] for o in ("dev", "demo", "ray", "export", "serve")).split(),
    },
    entry_points={"console_scripts": cfg["console_scripts"].split()},
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Intended Audience :: Developers",
        "Intended Audience :: Science/Research",
        "Programming Language :: Python :: 3.11",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
)

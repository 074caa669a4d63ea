"""What may go wrong, as rows of a table: what is there, what is asked, and the line that says so."""
import hashlib
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest


class Fault(NamedTuple):
    """One row: nothing is lost or half-written by it, and there is no traceback."""
    name: str
    prepare: Callable[[Path], list]  # puts files into a folder, which is the current one; the arguments of `lightx`
    line: str                        # a regular expression for the line that is printed
    status: int = 2                  # of the command


def table(*faults):
    """A parametrization by faults."""
    return pytest.mark.parametrize("fault", faults, ids=lambda o: o.name)


def contents(folder):
    """Every file of a folder with a hash of its bytes, and every folder."""
    return {o.relative_to(folder).as_posix(): hashlib.sha256(o.read_bytes()).hexdigest() if o.is_file() else "" for o in folder.rglob("*")}


def told(capsys, monkeypatch, *args):
    """Status, standard output and standard error of the command, in this process."""
    from lightx.cli import main
    monkeypatch.setattr(sys, "argv", ["lightx", *map(str, args)])
    try:
        main()
        status = 0
    except SystemExit as e:
        status = e.code or 0
    return status, *capsys.readouterr()


def check(fault, folder, capsys, monkeypatch):
    """A row of the table holds."""
    monkeypatch.chdir(folder)
    args = fault.prepare(folder)
    before = contents(folder)
    status, out, err = told(capsys, monkeypatch, *args)
    said = " ".join((out + err).split()) # long lines are wrapped where no terminal says how wide it is
    assert status == fault.status, said
    assert re.search(fault.line, said), said
    assert "Traceback" not in said
    assert contents(folder) == before

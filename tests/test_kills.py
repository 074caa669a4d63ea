"""Runs that are killed, interrupted, or meet a full disk: the next one ends with the same bytes as one that nobody disturbed.

A process that has imported everything forks a child for each run, so that a run takes its own time and no more. In CI a few moments are
tried; `pytest -m slow tests/test_kills.py` tries 20 random ones, and a full disk at each write.
"""
import errno
import hashlib
import io
import json
import os
import random
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs fork, and a device that is full")
STEPS = {"os.rename", "os.mkdir", "os.remove", "os.rmdir"}


def disturb(root, how, at):
    """Count what this process writes under a folder, and do something at one of the times."""
    count, plain = [0], io.open

    def now(path):
        if not str(path).startswith((str(root), "out", ".out", "cache")): return False # absolute, or from the current folder
        count[0] += 1
        return count[0] == at

    def hook(event, args):
        wrote = event in STEPS or event == "open" and isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR)
        if how == "full": wrote = event == "os.rename" or event == "os.mkdir" and not os.path.exists(args[0])
        if not wrote or not now(args[0]): return
        if how == "full": raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), args[0])
        if how: os.kill(os.getpid(), signal.Signals[how])

    def opened(file, mode="r", *args, **kwargs):
        if not set(mode) & set("wax+") or not now(file): return plain(file, mode, *args, **kwargs)
        return plain("/dev/full", mode, *args, **kwargs | dict(opener=None)) # `tempfile` has one, which would open what it wants

    if how == "limit":
        import resource
        resource.setrlimit(resource.RLIMIT_FSIZE, (at, at)) # no file may be longer: what is written in Rust fails too
    else:
        sys.addaudithook(hook)
        if how == "full": io.open = __builtins__.open = opened
    return count


def in_place(notebook, out, parameters, **_):
    """As `papermill.execute_notebook`, in this process."""
    cells = [c for c in json.loads(Path(notebook).read_text(encoding="utf-8"))["cells"] if c["cell_type"] == "code"]
    names = {"display": lambda *_: None}
    for c in cells:
        if "injected-parameters" in c["metadata"].get("tags", []): continue
        exec("".join(c["source"]).replace("given = [o for o in dir()", "given = [o for o in []"), names)
        if "parameters" in c["metadata"].get("tags", []): names |= parameters
    Path(out).write_text("ran", encoding="utf-8")


def replace_what_is_slow_or_measured():
    """How many tokens go into a pass is measured by a clock, so that two caches may differ there in the last bits."""
    from functools import partial

    import papermill
    import torch

    import lightx.attribution.corpus as corpus
    import lightx.deploy as deploy
    corpus.best_max_tokens = lambda *_: 512
    corpus.chosen_precision = lambda *_: "float32"
    deploy.distill = partial(deploy.distill, steps=20)
    papermill.execute_notebook = in_place
    torch.onnx.export = lambda graph, example, file, **_: Path(file).write_bytes(b"graph" * 1000)


def child(request):
    """One run of the command."""
    root = Path(request["root"])
    os.environ["LIGHTX_CACHE"] = str(root / "cache")
    os.chdir(root)
    sys.argv = ["lightx", *request["args"]]
    from lightx.cli import main
    replace_what_is_slow_or_measured()
    count, status = disturb(root, request.get("how"), request.get("at", 0)), 130
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT}) # before, it is Python that starts, and not yet the command
        try: status = command(main)
        finally: signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    except KeyboardInterrupt: pass
    sys.stdout.flush()
    sys.stderr.flush()
    os.write(2, f"\nevents {count[0]}\n".encode())
    os._exit(status)


def command(main):
    """Its exit status."""
    try: main()
    except SystemExit as e: return e.code or 0
    except BaseException:
        import traceback
        traceback.print_exc()
        return 1
    return 0


def fork(request):
    """Status and output of a child, which may be sent a signal after some seconds."""
    end, start = os.pipe()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    if not (pid := os.fork()):
        os.dup2(start, 1)
        os.dup2(start, 2)
        child(request)
    os.close(start)
    said, until = b"", time.time() + request.get("after", 600)
    while ready := select.select([end], [], [], max(0, until - time.time()))[0] or [None]:
        if ready[0] is None:
            os.kill(pid, signal.Signals[request["signal"]])
            until = time.time() + 600
        elif part := os.read(end, 2**16): said += part
        else: break
    os.close(end)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), said.decode()


def serve():
    """Answer requests, a line each."""
    import datasets, lightx.deploy, lightx.experiments, papermill, torch, transformers # noqa: F401
    from transformers import BertForSequenceClassification, Trainer # noqa: F401
    from sklearn.feature_extraction.text import TfidfVectorizer # noqa: F401
    from sklearn.svm import LinearSVC # noqa: F401
    import matplotlib.pyplot # noqa: F401
    for line in sys.stdin: print(json.dumps(fork(json.loads(line))), flush=True)


@pytest.fixture(scope="module")
def server():
    run = subprocess.Popen([sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                           env=os.environ | {"MPLBACKEND": "agg", "TOKENIZERS_PARALLELISM": "false", "COLUMNS": "200"})
    def ask(root, args, **request):
        root.mkdir(exist_ok=True)
        run.stdin.write(json.dumps(dict(root=str(root), args=[str(o) for o in args], **request)) + "\n")
        run.stdin.flush()
        status, said = json.loads(run.stdout.readline())
        return status, re.sub(r"\nevents \d+\n", "", said), int((re.findall(r"\nevents (\d+)\n", said) or [0])[0])
    yield ask
    run.stdin.close()
    run.wait()


@pytest.fixture(scope="module")
def commands(corpus_folder, teacher_folder, base_folder, server, tmp_path_factory):
    few = ["--teacher", teacher_folder, "--max-length", 16, "--n-per-class", 6]
    found = {
        "distill": ["distill", corpus_folder, *few, "--recipe", "ce", "--out", "out"],
        "attribute": ["attribute", corpus_folder, "--teacher", teacher_folder, "--max-length", 16, "--texts", 40, "--out", "out"],
        "sweep": ["sweep", corpus_folder, *few, "--alphas", "0,1", "-p", "epochs=1", "-p", "batch_size=8", "-p", "unseen_texts=4", "--out", "out"],
        "finetune": ["distill", corpus_folder, "--teacher", base_folder, *few[2:], "--teacher-epochs", 1, "--recipe", "ce", "--out", "out"]}
    made = tmp_path_factory.mktemp("made")
    assert server(made, found["distill"])[0] == 0
    return found | {"export": ["export", made / "out", "--out", "out"]}


def contents(folder):
    """All but the notebooks of a sweep, which have times in them, and which a run that was killed after its result leaves as they were."""
    files = [o for o in folder.rglob("*") if o.is_file() and o.suffix != ".ipynb"]
    return {o.relative_to(folder).as_posix(): hashlib.sha256(o.read_bytes()).hexdigest() for o in files}


@pytest.fixture(scope="module")
def whole(server, commands, tmp_path_factory):
    """What a run makes that nobody disturbs, how often it writes, and its seconds."""
    made = {}
    def of(name):
        if name not in made:
            root, start = tmp_path_factory.mktemp("whole"), time.time()
            status, said, events = server(root, commands[name])
            assert status == 0, said
            made[name] = contents(root), events, time.time() - start
        return made[name]
    return of


def disturbed(server, commands, whole, root, name, **how):
    """A run that something happens to: status and what it said. It leaves no half of anything."""
    status, said, _ = server(root, commands[name], **how)
    assert "Traceback" not in said and "damaged" not in said, said
    left = contents(root)
    if "SIGKILL" not in how.values(): assert not [o for o in left if o.endswith((".tmp", ".lock"))], (how, left)
    # A store and a sweep are folders that grow; every other product is whole or not there.
    product = {k: v for k, v in left.items() if k.startswith("out")}
    if name not in ("attribute", "sweep"): assert product in ({}, {k: v for k, v in whole(name)[0].items() if k.startswith("out")}), (how, left)
    if status == 2: assert re.search(r"lightx: .*(No space left on device|File too large)", said), said
    return status, said


def ends_as_if_undisturbed(server, commands, whole, root, name, how):
    """The next run makes what an undisturbed one makes, and nothing is left of the one before."""
    status, said, _ = server(root, commands[name])
    if status == 2 and "is there already" in said and name not in ("attribute", "sweep"): status = 0 # the signal came after the end
    assert status == 0 and "damaged" not in said, (how, said)
    made, wanted = contents(root), whole(name)[0]
    assert made.keys() == wanted.keys() and not [k for k in made if made[k] != wanted[k]], how


@pytest.mark.parametrize("name", ["distill", "attribute", "sweep", "export"])
def test_killed_interrupted_and_full_one_after_the_other(server, commands, whole, tmp_path, name):
    events = whole(name)[1]
    for how, at in (("SIGKILL", events // 3), ("SIGINT", events // 4), ("full", 2)):
        status, said = disturbed(server, commands, whole, tmp_path, name, how=how, at=at)
        assert status == {"SIGKILL": -9, "full": 2}.get(how, status) and status, said
        assert how != "full" or re.search(r"lightx: \S+: cannot be written \(No space left on device\): .*make room", said), said
    # The weights of a student are written in Rust, whose errors are none of Python's.
    if name in ("distill", "export"): assert disturbed(server, commands, whole, tmp_path, name, how="limit", at=100_000)[0] == 2
    ends_as_if_undisturbed(server, commands, whole, tmp_path, name, "all")


@pytest.fixture
def slow(request):
    if "slow" not in request.config.option.markexpr: pytest.skip("takes minutes: pytest -m slow tests/test_kills.py")


ALL = ["distill", "attribute", "sweep", "export", "finetune"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ALL)
def test_random_moments(slow, server, commands, whole, tmp_path, name):
    rand, whens = random.Random(name), []
    for i in range(20):
        how = dict(signal=rand.choice(["SIGKILL", "SIGINT"]), after=rand.uniform(0, whole(name)[2]))
        whens.append(disturbed(server, commands, whole, tmp_path / str(i), name, **how)[0])
        ends_as_if_undisturbed(server, commands, whole, tmp_path / str(i), name, how)
    assert sum(o != 0 for o in whens) >= 5 # the others came after the end


@pytest.mark.slow
@pytest.mark.parametrize("how", ["SIGKILL", "SIGINT", "full"])
@pytest.mark.parametrize("name", ALL)
def test_every_write(slow, server, commands, whole, tmp_path, name, how):
    wrong = []
    for at in range(1, whole(name)[1] + 1):
        try:
            disturbed(server, commands, whole, tmp_path / str(at), name, how=how, at=at)
            ends_as_if_undisturbed(server, commands, whole, tmp_path / str(at), name, (how, at))
        except AssertionError as e: wrong.append(f"{at}: {e}")
    assert not wrong, "\n\n".join(wrong)


if __name__ == "__main__": serve()

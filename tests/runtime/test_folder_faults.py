"""What may be wrong with a classifier's folder: a line for each, and no answer that is silently another."""
import functools
import json
import os
import random
import shutil
import struct
import tempfile
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from conftest import make_tokenizer
from faults import Fault, check, table
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import load_file, save_file

import lightx
from lightx.deploy import Classifier, quantize_int8
from lightx.runtime import InputError, NumpyClassifier, read_about, write_about
from lightx.student import BigramStudent, new_student, STUDENTS

OLD = Path(__file__).parents[1] / "deploy" / "written_by_0.1"
NAMES = ["sport", "money", "space"]


@functools.cache
def base(kind):
    """A folder as it is saved, or exported."""
    folder = Path(tempfile.mkdtemp()) / "model"
    if kind == "exported": # but for its graphs
        shutil.copytree(base("MLPStudent"), folder, ignore=shutil.ignore_patterns("c*.json"))
        clf = Classifier.from_pretrained(base("MLPStudent"))
        save_file({k: o.numpy() for k, o in quantize_int8(clf.student).state_dict().items()}, folder / "model.int8.safetensors")
        write_about(folder, dict(student="MLPStudent", names=NAMES, max_length=24, pad_id=0, target="centred", baseline="zero", pool_width=0))
    elif kind == "graph": # as version 0.1 exported it
        shutil.copytree(base("exported"), folder, ignore=shutil.ignore_patterns("*.safetensors"))
        rewrite(folder / "classifier.json", student=None, sums=None)
        write_graph(folder / "model.onnx")
    else:
        tokenizer = make_tokenizer().backend_tokenizer
        more = dict(embed_dim=8, hidden=8, embed_std=1.) | (dict(slots=16) if kind == "BigramStudent" else {})
        student = new_student(3, 0, STUDENTS[kind], vocab_size=tokenizer.get_vocab_size() + 3, target="centred", **more)
        if kind == "BigramStudent": student.set_bigrams(np.array([[4, 5]]), np.array([tokenizer.get_vocab_size()]))
        Classifier(student, tokenizer, NAMES, 24, dict(recipe="none")).save_pretrained(folder)
    return folder


def write_graph(file):
    """A bag of words whose embeddings are its attributions."""
    def node(op, into, out, **how): return helper.make_node(op, into, [out], **how)
    def value(name, kind, shape): return helper.make_tensor_value_info(name, kind, shape)
    table = numpy_helper.from_array(np.random.default_rng(0).normal(size=(32, 3)).astype(np.float32), "table")
    nodes = [node("Gather", ["table", "input_ids"], "attributions"), node("ReduceMean", ["attributions", "axis"], "logits", keepdims=0),
             node("Softmax", ["logits"], "probabilities"), node("Identity", ["logits"], "baseline")]
    rows, each = ["B", "T"], [value("attributions", TensorProto.FLOAT, ["B", "T", 3])]
    each += [value(o, TensorProto.FLOAT, ["B", 3]) for o in ("logits", "probabilities", "baseline")]
    graph = helper.make_graph(nodes, "bag", [value(o, TensorProto.INT64, rows) for o in ("input_ids", "attention_mask")], each,
                              [table, numpy_helper.from_array(np.array([1]), "axis")])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), file)


def rewrite(file, **new):
    """Change keys of a JSON file; None takes one out."""
    whole = json.loads(file.read_text()) | new
    file.write_text(json.dumps({k: o for k, o in whole.items() if o is not None}))


def unsealed(folder):
    if (folder / "classifier.json").exists(): rewrite(folder / "classifier.json", sums=None)


def row(name, change, line, kind="MLPStudent", sealed=False):
    """A fault: a folder is copied, changed, and asked."""
    def prepare(d):
        shutil.copytree(base(kind) if kind in STUDENTS or kind in ("exported", "graph") else OLD / kind[4:], d / "model")
        if not sealed: unsealed(d / "model")
        change(d / "model")
        return ["predict", "cup goal", "--model", "model"]
    return Fault(name, prepare, line)


def named(name, prepare, line): return Fault(name, lambda d: ["predict", "cup goal", "--model", prepare(d)], line)
def about(**new): return lambda d: rewrite(d / "classifier.json", **new)
def config(**new): return lambda d: rewrite(d / "config.json", **new)
def bytes_of(file, raw): return lambda d: (d / file).write_bytes(raw)
def lost(file): return lambda d: (d / file).unlink()
def replaced(file, old, new): return lambda d: (d / file).write_bytes((d / file).read_bytes().replace(old, new, 1))


def arrays(**change):
    """Write the weights again with some of them changed; None takes one out."""
    def made(d):
        found = load_file(d / "model.safetensors")
        found |= {k: o and o(found[k]) for k, o in change.items()}
        save_file({k: o for k, o in found.items() if o is not None}, d / "model.safetensors")
    return made


def header(change):
    """Write the weights again with another header."""
    def made(d):
        raw = (d / "model.safetensors").read_bytes()
        size = struct.unpack("<Q", raw[:8])[0]
        found = json.loads(raw[8:8 + size])
        change(found)
        text = json.dumps(found).encode()
        (d / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + raw[8 + size:])
    return made


def tokenizer_with(**more):
    """A tokenizer that has other words."""
    def made(d):
        found = json.loads((d / "tokenizer.json").read_text())
        found["model"]["vocab"] |= more
        (d / "tokenizer.json").write_text(json.dumps(found))
    return made


def poisoned(value):
    def made(o):
        o = o.copy()
        o.flat[-1] = value
        return o
    return made


def a_teacher(d):
    (d / "t").mkdir()
    (d / "t" / "config.json").write_text('{"architectures": ["BertForSequenceClassification"]}')
    return "t"


@table(
    named("a folder that is not there", lambda d: "nowhere/at/all/here", r"nowhere/at/all/here: no such folder"),
    named("a path that is not there", lambda d: "./nowhere", r"\./nowhere: no such folder: check the name"),
    named("a hub name with spaces", lambda d: "my own model", r"my own model: no such folder, and not to be had from the hub"),
    named("a file", lambda d: (d / "model.txt").write_text("x") and "model.txt", r"model\.txt: this is a file: give a model's folder"),
    named("a link to itself", lambda d: (d / "a").symlink_to(d / "a") or "a", r"'a': cannot be opened .*: check the name"),
    named("a link to nowhere", lambda d: (d / "a").symlink_to(d / "b") or "a", r"'a': cannot be opened \(No such file"),
    named("a name that is too long", lambda d: "a" * 300, r"aaa': cannot be opened \(File name too long\): check the name"),
    named("a zero byte", lambda d: "a\0b", r"cannot be opened \(embedded null byte\): check the name"),
    named("the home of nobody", lambda d: "~nobodyatall/model", r"cannot be opened \(Could not determine home"),
    named("an empty folder", lambda d: (d / "a").mkdir() or "a", r"a: no classifier\.json: give a folder from `lightx distill`"),
    named("a teacher", a_teacher, r"t: no classifier\.json: give a folder from `lightx distill`"),
    row("no tokenizer", lost("tokenizer.json"), r"model: no tokenizer\.json: give a folder", sealed=True),
    row("no weights", lost("model.safetensors"), r"model: no model\.safetensors: give a folder", sealed=True),
    row("classifier.json is empty", bytes_of("classifier.json", b""), r"model/classifier\.json: damaged .*: get the folder again"),
    row("classifier.json is cut", bytes_of("classifier.json", b'{"names": ["a"'), r"model/classifier\.json: damaged \(Expecting"),
    row("classifier.json is in UTF-16", bytes_of("classifier.json", "{}".encode("utf-16")), r"model/classifier\.json: damaged \('utf-8' codec"),
    row("classifier.json is a list", bytes_of("classifier.json", b"[]"), r"model/classifier\.json: damaged \(it holds no object\)"),
    row("classifier.json is too deep", bytes_of("classifier.json", b"[" * 10**5), r"model/classifier\.json: damaged \(.*recursion"),
    row("classifier.json has a number of 5,000 digits", bytes_of("classifier.json", b'{"max_length": ' + b"9" * 5000 + b"}"),
        r"model/classifier\.json: damaged \(Exceeds the limit"),
    row("config.json is cut", bytes_of("config.json", b"{"), r"model/config\.json: damaged"),
    row("no names", about(names=None), r"model/classifier\.json: no names: get the folder again"),
    row("names are a text", about(names="sport"), r"classifier\.json: names is 'sport', not a list of names"),
    row("a name is a number", about(names=["a", "b", 3]), r"classifier\.json: names is .*, not a list of names"),
    row("a name is blank", about(names=["a", "b", " "]), r"classifier\.json: names is .*, not a list of names"),
    row("too few names", about(names=["a", "b"]), r"model: 2 class names for a student of 3 classes: give one for each"),
    row("too many names", about(names=["a", "b", "c", "d"]), r"model: 4 class names for a student of 3 classes: give one for each"),
    row("a name twice", about(names=["a", "b", "a"]), r"model: two classes are called 'a': give each a name of its own"),
    row("no max_length", about(max_length=None), r"classifier\.json: no max_length"),
    row("max_length is a text", about(max_length="24"), r"max_length is '24', not a whole number, 3 or more"),
    row("max_length is a fraction", about(max_length=24.5), r"max_length is '24.5', not a whole number, 3 or more"),
    row("max_length is true", about(max_length=True), r"max_length is 'True', not a whole number, 3 or more"),
    row("max_length has room for no word", about(max_length=2), r"max_length is '2', not a whole number, 3 or more"),
    row("max_length is beyond all numbers", about(max_length=10**12), r"max_length is '1000000000000', not a whole number"),
    row("pad_id is negative", config(pad_id=-1), r"model/config\.json: pad_id is '-1', not a token's id"),
    row("pad_id is above the rows", config(pad_id=99), r"model\.safetensors: row 99 is read, and the embedding has 35"),
    row("pool_width is negative", config(pool_width=-1), r"config\.json: pool_width is '-1', not a whole number"),
    row("target is mistyped", config(target="centered"), r"config\.json: target is 'centered', not logits, centred or probabilities"),
    row("baseline is mistyped", config(baseline="zeros"), r"config\.json: baseline is 'zeros', not zero or pad"),
    row("student is a list", about(student=["MLPStudent"]), r"student is .*, not the name of a kind of student"),
    row("facts are a list", about(facts=[1]), r"facts is .*, not an object"),
    row("examples are texts", about(examples=["a"]), r"examples is .*, not a list of objects"),
    row("a vocabulary of 40 million", config(vocab_size=40_000_000), r"embedding\.weight is \[35, 8\], \[40000000, 8\] is what fits the rest"),
    row("another hidden size", config(hidden=9), r"hidden\.weight is \[8, 8\], \[9, 8\] is what fits the rest"),
    row("another number of classes", config(num_labels=4), r"output\.weight is \[3, 8\], \[4, 8\] is what fits the rest"),
    row("bigrams that are not there", about(student="BigramStudent"), r"model\.safetensors: given is missing for a BigramStudent"),
    row("bigrams that nobody reads", about(student="MLPStudent"), r"model\.safetensors: given is too much for a MLPStudent", "BigramStudent"),
    row("a bigram's row above the embedding", arrays(slot_row=lambda o: o + 99), r"row 1\d\d is read, and the embedding has 35", "BigramStudent"),
    row("a layer is missing", arrays(**{"hidden.bias": None}), r"model\.safetensors: hidden\.bias is missing for a MLPStudent"),
    row("layers that do not fit", arrays(**{"output.weight": lambda o: o[:, :7].copy()}), r"output\.weight is \[3, 7\], \[3, 8\] is what fits"),
    row("weights are whole numbers", arrays(**{"hidden.weight": lambda o: o.astype(np.int32)}), r"hidden\.weight is of type int32"),
    row("a weight is NaN", arrays(**{"embedding.weight": poisoned(np.nan)}), r"embedding\.weight has weights that are no finite numbers"),
    row("a weight is infinite", arrays(**{"output.bias": poisoned(np.inf)}), r"output\.bias has weights that are no finite numbers"),
    row("weights are empty", bytes_of("model.safetensors", b""), r"model\.safetensors: damaged \(cut, or no safetensors file\)"),
    row("weights are a pickle", bytes_of("model.safetensors", b"\x80\x04\x95" + b"x" * 99), r"model\.safetensors: damaged \(cut, or no safetensors"),
    row("weights are cut", lambda d: os.truncate(d / "model.safetensors", os.path.getsize(d / "model.safetensors") - 9),
        r"model\.safetensors: damaged \(\S+ bytes of arrays where the header says"),
    row("weights go on", lambda d: (d / "model.safetensors").open("ab").write(b"more"), r"bytes of arrays where the header says"),
    row("the header is no JSON", replaced("model.safetensors", b'{"', b"{'"), r"model\.safetensors: damaged \("),
    row("the header is a list", lambda d: (d / "model.safetensors").write_bytes(struct.pack("<Q", 2) + b"[]"), r"model\.safetensors: damaged \("),
    row("an array outside the file", header(lambda o: o["output.bias"].update(data_offsets=[10**9, 10**9 + 12])),
        r"damaged \(\S+ is not where its shape says\)"),
    row("two arrays in one place", header(lambda o: o["output.bias"].update(data_offsets=o["hidden.bias"]["data_offsets"])),
        r"damaged \(\S+ is not where its shape says\)"),
    row("a shape below zero", header(lambda o: o["output.bias"].update(shape=[-3])), r"output\.bias has no shape or place"),
    row("an array without a place", header(lambda o: o["output.bias"].pop("data_offsets")), r"model\.safetensors: damaged \('data_offsets'\)"),
    row("numbers of an unknown type", header(lambda o: o["output.bias"].update(dtype="F7")), r"output\.bias is of type F7, which no student has"),
    row("a flipped byte in the weights", lambda d: flip(d / "model.safetensors", -50),
        r"model/model\.safetensors: not the file that was saved", sealed=True),
    row("another model's tokenizer", tokenizer_with(cup=5, goal=4), r"model/tokenizer\.json: not the file that was saved with this", sealed=True),
    row("another baseline", config(baseline="pad"), r"model/config\.json: not the file that was saved with this classifier", sealed=True),
    row("another max_length", about(max_length=12), r"classifier\.json: its settings are not those that were saved", sealed=True),
    row("the tokenizer is cut", bytes_of("tokenizer.json", b'{"version": "1.0"'), r"model/tokenizer\.json: damaged .*: get the folder again"),
    row("the tokenizer is another JSON", bytes_of("tokenizer.json", b'{"a": 1}'), r"model/tokenizer\.json: damaged"),
    row("more words than rows", tokenizer_with(**{f"w{i}": 32 + i for i in range(9)}), r"it has ids above the 35 rows"),
    row("an id above the rows", tokenizer_with(new=99), r"tokenizer\.json: it has ids above the 35 rows of the student: take the tokenizer"),
    row("an LSTM with 40 million words", config(vocab_size=40_000_000), r"embedding\.weight is \[32, 4\] of float32, by config\.json it has to be "
        r"\[40000000, 4\]", "0.1 LSTMStudent"),
    row("an LSTM with an option of another's", config(slots=3), r"config\.json: no LSTMStudent is built like this", "0.1 LSTMStudent"),
    row("an LSTM that lacks an array", arrays(**{"output.bias": None}),
        r"output\.bias is nothing, by config\.json it has to be \[3\]", "0.1 LSTMStudent"),
    row("an LSTM with NaN", arrays(**{"output.bias": poisoned(np.nan)}), r"output\.bias has weights that are no finite numbers", "0.1 LSTMStudent"),
    row("an LSTM without config.json", lost("config.json"), r"model: no config\.json", "0.1 LSTMStudent"),
    row("exported: weights of another", lambda d: shutil.copy(d / "model.int8.safetensors", d / "model.safetensors"),
        r"model\.safetensors: not the file that was saved", "exported", True),
    row("exported: too few names", about(names=["a", "b"]), r"2 class names for a student of 3 classes", "exported", True),
    row("exported: the tokenizer is damaged", bytes_of("tokenizer.json", b"{}"), r"tokenizer\.json: damaged", "exported"),
    row("a graph with too many names", about(names=[*"abcd"]),
        r"model/classifier\.json: 4 class names for a graph of 3 classes: export it again", "graph"),
    row("a graph that is damaged", bytes_of("model.onnx", b"no graph"), r"model/model\.onnx: damaged \(\w+\): export the classifier again", "graph"),
    row("a graph with another's tokenizer", tokenizer_with(new=99),
        r"model: its graph does not go with its tokenizer \(\w+\): export it again", "graph"),
    row("a graph without a tokenizer", lost("tokenizer.json"), r"model: no tokenizer\.json", "graph"),
)
def test_faults_of_folders(fault, tmp_path, capsys, monkeypatch):
    check(fault, tmp_path, capsys, monkeypatch)


def flip(file, at):
    raw = bytearray(file.read_bytes())
    raw[at] ^= 1
    file.write_bytes(raw)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may read everything")
@pytest.mark.parametrize("file", ["", "classifier.json", "model.safetensors", "tokenizer.json"])
def test_what_may_not_be_read_is_named(file, tmp_path):
    folder = shutil.copytree(base("MLPStudent"), tmp_path / "model")
    (folder / file).chmod(0)
    try:
        with pytest.raises(InputError, match=r"cannot be (read|opened) \(Permission denied\)"): lightx.load(folder)
    finally: (folder / file).chmod(0o700)


@pytest.mark.parametrize("file", ["model.int8.safetensors", "tokenizer.json"])
def test_eight_bits_are_checked_too(file, tmp_path):
    folder = shutil.copytree(base("exported"), tmp_path / "model")
    whole = NumpyClassifier.from_folder(folder, "model.int8.safetensors")(TEXTS[0])
    np.testing.assert_allclose(whole.logits, lightx.load(folder)(TEXTS[0]).logits, atol=0.1)
    flip(folder / file, -9)
    with pytest.raises(InputError, match=f"{file}: not the file that was saved"): NumpyClassifier.from_folder(folder, "model.int8.safetensors")


TEXTS = ["cup goal today", "the bank says oil rates in new orbit " * 9, ""]


def said(clf):
    """What a classifier answers, but for what its classes are called."""
    return [(list(o.probabilities.values()), o.logits.tolist(), o.attributions.tolist(), o.special.tolist(), o.truncated,
             [(w.text, w.start) for w in o.words]) for o in clf(TEXTS)]


def mutated(raw, rng):
    """The same bytes with a bit flipped, cut, without one, with one twice, two swapped, or digits changed."""
    at, other, kind = rng.randrange(len(raw)), rng.randrange(len(raw)), rng.randrange(6)
    made = bytearray(raw)
    if kind == 0: made[at] ^= 1 << rng.randrange(8)
    elif kind == 1: del made[at:]
    elif kind == 2: del made[at]
    elif kind == 3: made.insert(at, made[at])
    elif kind == 4: made[at], made[other] = made[other], made[at]
    else:
        digits = [i for i, o in enumerate(raw) if 48 <= o < 58]
        made[rng.choice(digits)] = rng.choice(b"0123456789")
    return bytes(made)


@pytest.mark.parametrize("load", [lightx.load, Classifier.from_pretrained], ids=["numpy", "torch"])
@pytest.mark.parametrize("file", ["classifier.json", "config.json", "tokenizer.json", "model.safetensors"])
def test_a_changed_byte_is_said_or_changes_no_answer(file, load, tmp_path):
    folder = shutil.copytree(base("BigramStudent"), tmp_path / "model")
    raw, rng, refused = (folder / file).read_bytes(), random.Random(file), 0
    before = said(load(folder))
    for _ in range(40):
        (folder / file).write_bytes(mutated(raw, rng))
        if (folder / file).read_bytes() == raw: continue
        try: clf = load(folder)
        except InputError as e:
            refused += 1
            assert "\n" not in str(e) and "model" in str(e) and ": " in str(e)
        else: assert said(clf) == before and (file == "classifier.json" or clf.names == NAMES)
    assert refused >= 20


def test_ends_of_lines_are_no_damage(tmp_path):
    folder = shutil.copytree(base("MLPStudent"), tmp_path / "model")
    for o in folder.glob("*.json"): o.write_bytes(o.read_bytes().replace(b"\n", b"\r\n"))
    assert said(lightx.load(folder)) == said(lightx.load(base("MLPStudent")))


def test_names_may_be_edited(tmp_path):
    folder = shutil.copytree(base("MLPStudent"), tmp_path / "model")
    rewrite(folder / "classifier.json", names=["Sport", "Money", "Space"])
    assert lightx.load(folder).names == ["Sport", "Money", "Space"]


def test_what_changed_since_a_student_was_built_is_saved(tmp_path):
    clf = Classifier.from_pretrained(base("MLPStudent"))
    clf.student.baseline = "pad"
    clf.student.pad_id = 3
    Classifier(clf.student.prune_vocabulary(list(range(32))), clf.tokenizer, NAMES, 24).save_pretrained(tmp_path / "model")
    about = read_about(tmp_path / "model")
    assert (about["baseline"], about["pad_id"], about["vocab_size"]) == ("pad", 3, 32)
    clf.student = clf.student # its choices are read anew
    for load in (lightx.load, Classifier.from_pretrained):
        np.testing.assert_allclose(load(tmp_path / "model")("cup goal").attributions, clf("cup goal").attributions, atol=1e-6)


def test_weights_that_are_no_numbers_are_neither_taken_nor_saved(tmp_path):
    clf = Classifier.from_pretrained(base("MLPStudent"))
    clf.student.output.bias.data[0] = torch.inf
    with pytest.raises(InputError, match="output.bias has weights that are no finite numbers"): clf.save_pretrained(tmp_path / "model")
    with pytest.raises(InputError, match="no finite numbers"): Classifier(clf.student, clf.tokenizer, NAMES)
    save_file({"a": np.float32([np.nan])}, tmp_path / "model.int8.safetensors")
    with pytest.raises(InputError, match="no finite numbers"): write_about(tmp_path, dict(names=NAMES, max_length=9))


def test_a_config_that_asks_for_much_takes_no_memory(tmp_path):
    folder = shutil.copytree(base("MLPStudent"), tmp_path / "model")
    unsealed(folder)
    rewrite(folder / "config.json", vocab_size=40_000_000)
    with pytest.raises(InputError, match=r"it has to be \[40000000, 8\] of float32"): Classifier.from_pretrained(folder)
    rewrite(folder / "config.json", vocab_size=35, hidden=10**18)
    with pytest.raises(InputError, match="get the folder again"): Classifier.from_pretrained(folder)


def test_bigrams_of_a_student_are_read():
    assert isinstance(Classifier.from_pretrained(base("BigramStudent")).student, BigramStudent)

"""What may be wrong with a teacher's folder, what its classes are called, and where a fine-tuned one is kept."""
import functools
import json
import logging
import math
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import make_teacher, write_corpus
from faults import Fault, check, table
from safetensors.torch import load_file, save_file

from lightx.attribution import explain_corpus
from lightx.data import load_corpus, tokenize
from lightx.runtime import InputError
from lightx.teacher import align_classes, find_model, finetune, load_finetuned, load_teacher, model_key, predict_logits, reorder_head

NAMES = ["money", "space", "sport"] # as the data has them


@functools.cache
def base(kind="bert"):
    """The folder of a teacher whose classes are the data's."""
    folder, teacher = Path(tempfile.mkdtemp()) / "t", make_teacher(kind)
    call(teacher.model, NAMES)
    for o in teacher: o.save_pretrained(folder)
    return folder


def call(model, names):
    model.config.id2label, model.config.label2id = dict(enumerate(names)), {o: i for i, o in enumerate(names)}


def row(name, change, line):
    """A fault: the folder is copied, changed, and to be distilled."""
    def prepare(d):
        (d / "news").mkdir()
        write_corpus(d / "news", 4, 2)
        shutil.copytree(base(), d / "t")
        return ["distill", d / "news", "--teacher", change(d / "t") or "t", "--max-length", 16, "--out", "model"]
    return Fault(name, prepare, line)


def config(**new):
    def made(d):
        whole = json.loads((d / "config.json").read_text()) | new
        (d / "config.json").write_text(json.dumps({k: o for k, o in whole.items() if o is not None}))
    return made


def bytes_of(file, raw): return lambda d: (d / file).write_bytes(raw) and None
def lost(file): return lambda d: (d / file).unlink()
def both(*changes): return lambda d: [o(d) for o in changes] and None
def names(*found): return config(id2label=dict(enumerate(found)), label2id={o: i for i, o in enumerate(found)})


def arrays(change):
    def made(d):
        found = load_file(d / "model.safetensors")
        change(found)
        save_file(found, d / "model.safetensors", {"format": "pt"})
    return made


def tokenizer(change, file="tokenizer.json"):
    def made(d):
        found = json.loads((d / file).read_text())
        change(found)
        (d / file).write_text(json.dumps(found))
    return made


def without_padding(d): tokenizer(lambda o: o.update(pad_token_id=None), "config.json")(d) # taken out it would be 0


def in_shards(d):
    """The weights in two files, of which one is lost."""
    from transformers import AutoModelForSequenceClassification
    model = AutoModelForSequenceClassification.from_pretrained(d)
    (d / "model.safetensors").unlink()
    model.save_pretrained(d, max_shard_size="20KB")
    sorted(d.glob("model-*.safetensors"))[0].unlink()


def flipped(d):
    raw = bytearray((d / "model.safetensors").read_bytes())
    raw[5] ^= 64
    (d / "model.safetensors").write_bytes(raw)


HEAD = ("classifier.weight", "classifier.bias")
LAYER = "bert.encoder.layer.1.output.dense.weight"


@table(
    row("a file for a folder", lambda d: "t/config.json", r"t/config\.json: this is a file: give a model's folder"), # a table is a teacher
    row("a folder that is not there", lambda d: "./nowhere", r"\./nowhere: no such folder: check the name"),
    row("a hub name with spaces", lambda d: "my own bert", r"my own bert: no such folder, and not to be had from the hub"),
    row("a link to itself", lambda d: (d.parent / "a").symlink_to(d.parent / "a") or "a", r"'a': cannot be opened"),
    row("no config", lost("config.json"), r"t: this folder has no config\.json: give a model's folder"),
    row("an adapter", lambda d: bytes_of("adapter_config.json", b"{}")(d), r"t: this folder holds an adapter, no whole model: merge it"),
    row("the config is cut", bytes_of("config.json", b'{"model_type":'), r"t/config\.json: damaged .*: get the folder again"),
    row("the config is a list", bytes_of("config.json", b"[1]"), r"t/config\.json: damaged \(it holds no object\)"),
    row("an architecture that nobody knows", config(model_type="mine"), r"t: this model can't be loaded \("),
    row("a hidden size in words", config(hidden_size="many"), r"t: this model can't be loaded|t/config\.json: no model is built like this"),
    row("heads that do not divide", config(num_attention_heads=3), r"t/config\.json: no model is built like this"),
    row("weights in a pickle", both(lost("model.safetensors"), bytes_of("pytorch_model.bin", b"x")),
        r"t: no model\.safetensors, and pytorch_model\.bin is not read, as its format can run code: save it as safetensors"),
    row("no weights", lost("model.safetensors"), r"t: no model\.safetensors: get the whole folder again"),
    row("a shard is lost", in_shards, r"t: no model-00001-of-\d+\.safetensors: get the whole folder again"),
    row("the list of shards is damaged", both(lost("model.safetensors"), bytes_of("model.safetensors.index.json", b"{}")),
        r"t/model\.safetensors\.index\.json: damaged \(no weight_map\)"),
    row("weights are cut", lambda d: (d / "model.safetensors").write_bytes((d / "model.safetensors").read_bytes()[:-7]) and None,
        r"t/model\.safetensors: damaged \(\S+ bytes of arrays where the header says \S+\): get the folder again"),
    row("a flipped byte in the header's length", flipped, r"t/model\.safetensors: damaged \(cut, or no safetensors file\)"),
    row("no head", arrays(lambda o: [o.pop(k) for k in HEAD]), r"t: its weights lack the head for classes \(classifier\.bias\): get the whole"),
    row("a head for other classes", arrays(lambda o: o.update({k: o[k][:2].clone() for k in HEAD})),
        r"classifier\.weight is \[2, 32\], by config\.json it has to be \[3, 32\]: get the folder again"),
    row("a part of a layer is lost", arrays(lambda o: o.pop(LAYER)), r"t: its weights lack bert\.encoder\.layer\.1\.output\.dense\.weight: get the"),
    row("more layers than weights", config(num_hidden_layers=3), r"t: its weights lack bert\.encoder\.layer\.2\.\S+: get the whole folder"),
    row("fewer layers than weights", config(num_hidden_layers=1),
        r"t: its weights have bert\.encoder\.layer\.1\.\S+, of which config\.json knows nothing"),
    row("ten million layers", config(num_hidden_layers=10**7), r"t: config\.json names 10,000,000 layers, the weights are \d+ arrays"),
    row("a vocabulary of 40 million", config(vocab_size=40_000_000),
        r"word_embeddings\.weight is \[32, 32\], by config\.json it has to be \[40000000, 32\]"),
    row("forty gigabytes that are not there", both(config(vocab_size=400_000_000), arrays(lambda o: o.pop("bert.embeddings.word_embeddings.weight"))),
        r"t: config\.json names 12,800,000,000 numbers that the weights don't have"),
    row("a weight is NaN", arrays(lambda o: o[LAYER].view(-1)[3:4].fill_(math.nan)), r"t: bert\.\S+ has weights that are no finite numbers"),
    row("a weight is infinite", arrays(lambda o: o["classifier.bias"].fill_(math.inf)),
        r"t: classifier\.bias has weights that are no finite numbers"),
    row("classes with a gap", config(id2label={"0": "money", "1": "space", "3": "sport"}),
        r"t: config\.json numbers its classes 0, 1, 3: number them from 0"),
    row("a class twice", names("money", "money", "sport"), r"t: config\.json calls two classes 'money': give each a name of its own"),
    row("a regression", both(config(id2label={"0": "stars"}, label2id={"stars": 0}), arrays(lambda o: o.update({k: o[k][:1].clone() for k in HEAD}))),
        r"t: it decides about each label by itself \(one output\), a student for one of several"),
    row("several labels a text", config(problem_type="multi_label_classification"),
        r"t: it decides about each label by itself \(multi_label_classification\), a student for one of several: give a teacher that does so too"),
    row("a tagger of words", config(architectures=["BertForTokenClassification"]),
        r"t: it is a BertForTokenClassification, which decides on no whole texts"),
    row("no tokenizer", lost("tokenizer.json"), r"t: no tokenizer\.json: get the whole folder again"),
    row("the tokenizer is cut", bytes_of("tokenizer.json", b'{"a'), r"t/tokenizer\.json: damaged"),
    row("the tokenizer's config is cut", bytes_of("tokenizer_config.json", b'{"a'), r"t/tokenizer_config\.json: damaged"),
    row("the tokenizer is another JSON", bytes_of("tokenizer.json", b'{"a": 1}'), r"t: this model can't be loaded \("),
    row("a word's id above the rows", tokenizer(lambda o: o["model"]["vocab"].update(new=99)),
        r"t: its tokenizer knows 100 pieces, its embedding 32"),
    row("a tokenizer that is slow alone", tokenizer(lambda o: o.update(tokenizer_class="CanineTokenizer"), "tokenizer_config.json"),
        r"t: its tokenizer has no fast form, which tells where words are"),
    row("no padding", both(without_padding, tokenizer(lambda o: o.pop("pad_token"), "tokenizer_config.json")),
        r"t: it has no token for padding: set pad_token of its tokenizer and pad_token_id of its config"),
    row("classes that are partly the data's", names("money", "space", "health"),
        r"t: its classes are money, space, health, the data's money, space, sport: rename those that are the same"),
)
def test_faults_of_teachers(fault, tmp_path, capsys, monkeypatch):
    check(fault, tmp_path, capsys, monkeypatch)


@pytest.fixture(scope="module")
def news(tmp_path_factory):
    return load_corpus(str(write_corpus(tmp_path_factory.mktemp("news"), 4, 2)))


@pytest.fixture
def notices(caplog):
    caplog.set_level(logging.WARNING, "lightx")
    return lambda: [o.getMessage() for o in caplog.records if o.name == "lightx"]


def turned(kind, order, called, folder):
    """A teacher whose head's rows and names stand in another order."""
    teacher = load_teacher(str(base(kind)), max_length=16)
    last = {"bert": "classifier", "distilbert": "classifier", "roberta": "classifier.out_proj"}[kind]
    head = teacher.model.get_submodule(last)
    with torch.no_grad():
        for o in (head.weight, head.bias): o.copy_(o[order].clone())
    call(teacher.model, called)
    for o in teacher: o.save_pretrained(folder)
    return str(folder)


@pytest.mark.parametrize("kind", ["bert", "distilbert", "roberta"])
def test_the_order_of_a_teachers_classes_changes_nothing(kind, news, tmp_path, notices):
    order = [2, 0, 1]
    folder = turned(kind, order, [NAMES[i] for i in order], tmp_path / "t")
    plain, ours = load_finetuned(str(base(kind)), news["train"], 16, 1, 1e-4), load_finetuned(folder, news["train"], 16, 1, 1e-4)
    def turnings(): return [o for o in notices() if "tolerance" not in o]
    [line] = turnings()
    assert "its classes stand in another order (sport, money, space) than those of the data (money, space, sport)" in line
    ids = tokenize(plain.tokenizer, news["test"]["text"], 16)
    expected = predict_logits(plain.model, ids)
    assert torch.equal(expected, predict_logits(ours.model, ids)) and ours.model.config.id2label == dict(enumerate(NAMES))
    assert ours.model.config.label2id == {o: i for i, o in enumerate(NAMES)}
    reasons = [explain_corpus(o, ids, tmp_path / str(i), progress=False).values for i, o in enumerate((plain, ours))]
    for a, b in zip(*reasons, strict=True): np.testing.assert_array_equal(a, b)
    for o in ours: o.save_pretrained(tmp_path / "again")
    again = load_finetuned(str(tmp_path / "again"), news["train"], 16, 1, 1e-4)
    assert torch.equal(predict_logits(again.model, ids), expected) and len(turnings()) == 1


@pytest.mark.parametrize("called, line", [
    (["Money", "SPACE", "spo rt"], "its classes are written otherwise than those of the data: money is Money, space is SPACE, sport is spo rt"),
    (["a", "b", "c"], "the names of its classes are not those of the data, and are taken in their order: money is a, space is b, sport is c"),
    (["LABEL_0", "LABEL_1", "LABEL_2"], "are taken in their order: money is LABEL_0, space is LABEL_1, sport is LABEL_2"),
])
def test_names_that_are_not_the_datas_are_said(called, line, news, tmp_path, notices):
    teacher = load_finetuned(turned("bert", [0, 1, 2], called, tmp_path / "t"), news["train"], 16, 1, 1e-4)
    assert [o for o in notices() if line in o] and len(notices()) == 1
    assert teacher.model.config.id2label == dict(enumerate(NAMES))


@pytest.mark.parametrize("ours, said", [(["0", "1", "2"], 0), (["1", "2", "3"], 1)])
def test_numbers_are_the_names_of_classes_that_nobody_named(ours, said, notices):
    teacher = make_teacher()
    align_classes(teacher, ours, "t")
    assert len(notices()) == said and list(teacher.model.config.id2label.values()) == ours


@pytest.mark.parametrize("kind", ["electra", "deberta-v2", "modernbert", "gpt2", "xlnet", "albert", "bart"])
def test_a_head_of_any_architecture_can_be_put_in_order(kind):
    from transformers import AutoConfig, AutoModelForSequenceClassification
    small = dict(hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, embedding_size=32, d_model=32, n_layer=1, n_head=2,
                 n_embd=32, d_inner=32, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=32,
                 decoder_ffn_dim=32)
    known = vars(AutoConfig.for_model(kind))
    small = {k: o for k, o in small.items() if k in known or kind in ("gpt2", "xlnet") and k in ("d_model", "n_layer", "n_head", "n_embd", "d_inner")}
    config = AutoConfig.for_model(kind, vocab_size=40, pad_token_id=0, bos_token_id=1, cls_token_id=1, eos_token_id=2, sep_token_id=2, **small)
    config.id2label = dict(enumerate("abc"))
    torch.manual_seed(0)
    teacher = make_teacher()._replace(model=AutoModelForSequenceClassification.from_config(config).eval())
    ids = [[1, 5, 6, 2], [1, 9, 2]]
    before = predict_logits(teacher.model, ids)
    assert reorder_head(teacher, [1, 2, 0])
    torch.testing.assert_close(predict_logits(teacher.model, ids), before[:, [1, 2, 0]])


def test_a_head_that_cannot_be_put_in_order_is_refused_and_left_as_it_was():
    teacher = make_teacher()
    call(teacher.model, ["sport", "money", "space"])
    rows = teacher.model.classifier.weight.detach().clone()
    teacher.model.classifier.register_forward_hook(lambda module, into, out: out + torch.arange(3.)) # no order of rows is one of these logits
    with pytest.raises(InputError, match="its head can't be put in that order: number the labels as the teacher does"):
        align_classes(teacher, NAMES, "t")
    assert torch.equal(teacher.model.classifier.weight, rows)


def test_a_tokenizer_that_pads_otherwise_is_said(tmp_path, notices):
    folder = shutil.copytree(base(), tmp_path / "t")
    config(pad_token_id=3)(folder)
    load_teacher(str(folder), max_length=16)
    assert len(notices()) == 1 and "fills up with token 3, its tokenizer with 0" in notices()[0]


def test_padding_is_taken_from_the_config_or_the_tokenizer(tmp_path):
    folder = shutil.copytree(base(), tmp_path / "t")
    without_padding(folder)
    assert load_teacher(str(folder), max_length=16).model.config.pad_token_id == 0
    config(pad_token_id=0)(folder)
    tokenizer(lambda o: o.pop("pad_token"), "tokenizer_config.json")(folder)
    assert load_teacher(str(folder), max_length=16).tokenizer.pad_token == "[PAD]"


def test_a_base_model_is_no_teacher_yet(base_folder):
    with pytest.raises(InputError, match="a base model, without a head for classes: fine-tune it first"): load_teacher(str(base_folder))


def hub(tmp_path, monkeypatch, revision):
    """A cache of the hub with one model."""
    import huggingface_hub.constants
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    folder = tmp_path / "models--me--news" / "snapshots" / revision
    shutil.copytree(base(), folder)
    (tmp_path / "models--me--news" / "refs").mkdir(exist_ok=True)
    (tmp_path / "models--me--news" / "refs" / "main").write_text(revision)
    return folder


def test_a_model_of_the_hub_is_known_by_its_revision_and_named_as_it_was_asked_for(tmp_path, monkeypatch):
    for revision in ("a" * 40, "b" * 40):
        folder = hub(tmp_path, monkeypatch, revision)
        assert find_model("me/news") == folder and model_key(folder) == revision
        assert load_teacher("me/news", max_length=16).model.name_or_path == "me/news"
    (folder / "model.safetensors").unlink()
    with pytest.raises(InputError, match=r"no model\.safetensors: get the whole folder again"): load_teacher("me/news", max_length=16)


@pytest.fixture
def trained(monkeypatch):
    """How often a teacher is fine-tuned; the training itself is left out."""
    calls = []
    def train(teacher, *args, **kwargs): calls.append(teacher.model.get_input_embeddings().weight[0, 0].item())
    monkeypatch.setattr("lightx.teacher.loading.train_teacher", train)
    return calls


def base_model(folder, seed):
    teacher = make_teacher(seed=seed)
    teacher.model.base_model.save_pretrained(folder)
    teacher.tokenizer.save_pretrained(folder)


def test_two_folders_of_one_name_give_two_teachers(news, trained, tmp_path, monkeypatch):
    found = []
    for i in (0, 1):
        (tmp_path / str(i)).mkdir()
        monkeypatch.chdir(tmp_path / str(i))
        base_model("base", i)
        found += [finetune("./base", news["train"], 16, 1), finetune("base", news["train"], 16, 1.0)]
    assert found[0] == found[1] != found[2] == found[3] and len(set(trained)) == len(trained) == 2
    monkeypatch.chdir(tmp_path / "0")
    base_model("base", 2) # other weights in the same folder
    assert finetune("./base", news["train"], 16, 1) not in found


def test_classes_of_other_names_give_another_teacher(news, trained, tmp_path):
    base_model(tmp_path / "base", 3)
    other = news["train"].cast_column("label", type(news["train"].features["label"])(names=["a", "b", "c"]))
    found = [finetune(str(tmp_path / "base"), o, 16, 1) for o in (news["train"], other)]
    assert found[0] != found[1] and load_teacher(str(found[1]), max_length=16).model.config.id2label[0] == "a"


@pytest.mark.parametrize("damage", [lambda d: (d / "tokenizer.json").unlink(), lambda d: (d / "model.safetensors").write_bytes(b"x"),
                                    lambda d: config(num_hidden_layers=1)(d)], ids=["lost", "cut", "changed"])
def test_a_damaged_teacher_is_named_set_aside_and_fine_tuned_again(damage, news, trained, tmp_path, notices):
    base_model(tmp_path / "base", 4)
    folder = finetune(str(tmp_path / "base"), news["train"], 16, 1)
    shutil.copytree(folder, tmp_path / "before")
    damage(folder)
    count = len(trained)
    teacher = load_finetuned(str(tmp_path / "base"), news["train"], 16, 1, 5e-5)
    assert len(trained) == count + 1 and len(notices()) == 1 and "is damaged" in notices()[0] and folder.name in notices()[0]
    assert {o.name for o in folder.iterdir()} == {o.name for o in (tmp_path / "before").iterdir()}
    assert teacher.model.config.id2label == dict(enumerate(NAMES))


@pytest.mark.parametrize("key", ["epochs", "lr"])
@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf])
def test_a_fine_tuning_that_can_be_none_is_refused(key, value, news, base_folder):
    with pytest.raises(InputError, match=f"teacher_{key} is {value}: fine-tuning needs a number above 0"):
        finetune(str(base_folder), news["train"], 16, **{key: value})


def test_a_fine_tuning_that_ends_in_no_numbers_is_not_kept(news, monkeypatch, tmp_path):
    base_model(tmp_path / "base", 5)
    def diverge(teacher, *args, **kwargs): teacher.model.classifier.bias.data.fill_(math.nan)
    monkeypatch.setattr("lightx.teacher.loading.train_teacher", diverge)
    monkeypatch.setenv("LIGHTX_CACHE", str(tmp_path / "cache"))
    with pytest.raises(InputError, match="fine-tuned with teacher_lr 5e-05: classifier.bias has weights that are no finite numbers"):
        finetune(str(tmp_path / "base"), news["train"], 16)
    assert not list((tmp_path / "cache" / "teachers").iterdir())

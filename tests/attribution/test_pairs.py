"""Pairs of texts: two columns to words of both, with each family's own kind of tokenizer."""
import json
import string

import numpy as np
import pytest
import torch
import transformers as hf
from faults import check, Fault, table, told
from hypothesis import given, settings, strategies as st
from tokenizers import pre_tokenizers

import lightx
from lightx.attribution import (corpus_logits, explain_corpus, integrated_gradients, Paths, plain_integrated_gradients, teacher_answers, text_key,
                                verify)
from lightx.data import load_texts, model_inputs, PairIds, tokenize
from lightx.runtime import InputError
from lightx.teacher import Encoder, load_teacher, plain_forward, predict_logits, read_positions, reads_segments, Teacher

WORDS = "a man woman plays the guitar makes music sleeps runs".split()
SIZE = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=48, num_labels=3, max_position_embeddings=64)


def word_pieces():
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, *string.ascii_lowercase[1:], *("##" + o for o in string.ascii_lowercase)]
    return hf.BertTokenizerFast(vocab={o: i for i, o in enumerate(pieces)})


def byte_pairs(kind, special):
    return kind(vocab={o: i for i, o in enumerate([*special, *sorted(pre_tokenizers.ByteLevel.alphabet())])}, merges=[])


def unigrams(kind, special):
    return kind(vocab=[*((o, 0.) for o in special), *(("\u2581" + o, -1.) for o in WORDS), *((o, -5.) for o in "\u2581" + string.ascii_lowercase)])


XLNET = ["<unk>", "<s>", "</s>", "<sep>", "<pad>", "<cls>", "<mask>", "<eod>", "<eop>"]
KINDS = {
    "bert": (word_pieces, hf.BertConfig, SIZE), "electra": (word_pieces, hf.ElectraConfig, SIZE | dict(embedding_size=32)),
    "roberta": (lambda: byte_pairs(hf.RobertaTokenizerFast, ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]), hf.RobertaConfig,
                SIZE | dict(type_vocab_size=1)),
    "deberta-v2": (lambda: unigrams(hf.DebertaV2TokenizerFast, []), hf.DebertaV2Config,
                   SIZE | dict(relative_attention=True, pos_att_type=["p2c", "c2p"])),
    "xlnet": (lambda: unigrams(hf.XLNetTokenizerFast, XLNET), hf.XLNetConfig,
              dict(d_model=32, n_layer=2, n_head=2, d_inner=48, num_labels=3)),
    "gpt2": (lambda: byte_pairs(hf.GPT2TokenizerFast, ["<|endoftext|>"]), hf.GPT2Config,
             dict(n_embd=32, n_layer=2, n_head=2, n_positions=64, num_labels=3)),
}
PAIRS = [("a man plays the guitar", "a man makes music"), ("the woman sleeps", "a woman runs"), ("music", "the man")]


def make(family, **changes):
    """A teacher with sharp decisions and, where it has them, large embeddings of segments."""
    torch.manual_seed(0)
    tokenizer, config, choices = KINDS[family]
    tokenizer = tokenizer()
    if tokenizer.pad_token_id is None: tokenizer.pad_token = tokenizer.eos_token
    if family == "xlnet": tokenizer.model_input_names = ["input_ids", "token_type_ids", "attention_mask"] # as older checkpoints say
    ends = {o: getattr(tokenizer, o) for o in ("pad_token_id", "bos_token_id", "eos_token_id")}
    config = config(**choices | ends | dict(vocab_size=len(tokenizer)) | changes)
    model = hf.AutoModelForSequenceClassification.from_config(config, attn_implementation="eager").eval()
    with torch.no_grad():
        for name, p in model.named_parameters(): p.add_(torch.randn_like(p) * (1 if "token_type" in name or "seg_embed" in name else 0.1))
    return Teacher(model, tokenizer)


def theirs(teacher, pair):
    """What transformers makes of a pair."""
    batch = teacher.tokenizer(*pair, return_tensors="pt")
    return teacher.model(**batch).logits


@pytest.mark.parametrize("family", KINDS)
def test_logits_are_those_of_transformers_alone_and_in_a_batch(family):
    teacher = make(family)
    ids = tokenize(teacher.tokenizer, PAIRS)
    assert [list(o) for o in ids] == teacher.tokenizer(*map(list, zip(*PAIRS)))["input_ids"]
    with torch.no_grad(): alone = torch.cat([theirs(teacher, o) for o in PAIRS])
    torch.testing.assert_close(predict_logits(teacher.model, ids, teacher.pad_id), alone, atol=1e-5, rtol=1e-4)
    assert (alone[0] - alone[1]).abs().max() > 1e-3


@pytest.mark.parametrize("family", KINDS)
def test_attributions_are_complete_the_plain_ones_and_the_same_in_a_batch_as_alone(family):
    teacher = make(family)
    ids = tokenize(teacher.tokenizer, PAIRS)
    batch = model_inputs(ids, teacher.pad_id)
    choices = dict(precision="float32", n_steps=20)
    together = integrated_gradients(teacher.model, **batch, **choices)
    for row, o in enumerate(ids):
        alone = integrated_gradients(teacher.model, **model_inputs([o], teacher.pad_id), **choices)
        torch.testing.assert_close(together.values[row, :len(o)], alone.values[0], atol=1e-5, rtol=1e-3)
    left = {k: torch.stack([row.roll(len(row) - len(o)) for row, o in zip(v, ids)]) for k, v in batch.items()} # the padding before the tokens
    turned = integrated_gradients(teacher.model, **left, **choices)
    torch.testing.assert_close(turned.values[left["attention_mask"] > 0], together.values[batch["attention_mask"] > 0], atol=1e-5, rtol=1e-3)
    read, answer = read_positions(teacher.model, batch["input_ids"], batch["attention_mask"]), plain_forward(teacher.model)
    segments = batch.get("token_type_ids")
    def logits(x, m):
        n = len(x) // len(read)
        return answer(x, m, read.repeat(n), None if segments is None else segments.repeat(n, 1))
    with torch.no_grad():
        plain = plain_integrated_gradients(logits, teacher.model.get_input_embeddings()(batch["input_ids"]), batch["attention_mask"], n_steps=20)
    torch.testing.assert_close(together.values, plain, atol=1e-5, rtol=1e-3)
    assert (integrated_gradients(teacher.model, **batch, target="centred", tol=0.01, max_steps=256, precision="float32").error <= 0.01).all()


@pytest.mark.parametrize("family", ["bert", "electra", "xlnet"])
def test_segments_change_the_attributions(family):
    teacher = make(family)
    [pair] = tokenize(teacher.tokenizer, PAIRS[:1])
    assert reads_segments(teacher.model) and set(pair.segments) >= {0, 1}
    batch = model_inputs([pair])
    found = integrated_gradients(teacher.model, **batch, n_steps=8, precision="float32").values
    joined = integrated_gradients(teacher.model, **model_inputs([list(pair)]), n_steps=8, precision="float32").values
    assert (found - joined).abs().max() > (0.01 if family == "xlnet" else 0.1) * joined.abs().max()
    paths = Paths(teacher.model, **batch)
    assert isinstance(paths.exact, Encoder) == (family != "xlnet")
    torch.testing.assert_close(paths.logits(torch.tensor([0]), torch.tensor([1.])), theirs(teacher, PAIRS[0]).detach(), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("family", ["roberta", "deberta-v2", "gpt2"])
def test_teachers_without_segments_are_not_told(family):
    teacher = make(family)
    batch = model_inputs(tokenize(teacher.tokenizer, PAIRS), teacher.pad_id)
    assert not reads_segments(teacher.model)
    told = batch | dict(token_type_ids=torch.ones_like(batch["input_ids"]))
    torch.testing.assert_close(*(integrated_gradients(teacher.model, **o, n_steps=3, precision="float32").values for o in (batch, told)))


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(["bert", "roberta", "xlnet", "gpt2"]), st.integers(1, 60), st.integers(1, 60), st.integers(6, 40))
def test_of_both_texts_something_is_left(family, n, m, most):
    tokenizer = TOKENIZERS.setdefault(family, KINDS[family][0]())
    pair = "man " * n, "runs " * m
    [ids] = tokenize(tokenizer, [pair], most)
    texts = tokenizer.decode(ids).split()
    assert len(ids) <= most and any("m" in o for o in texts) and any("r" in o for o in texts)
    whole = tokenizer(*pair)["input_ids"]
    assert list(ids) == whole if len(whole) <= most else len(ids) == most


TOKENIZERS = {}


@pytest.mark.parametrize("family", KINDS)
def test_words_know_their_text(family):
    teacher = make(family)
    pairs = [("A man  plays the guitar".lower(), "a man makes music"), ("the woman sleeps", "runs")]
    ids = tokenize(teacher.tokenizer, pairs, 50)
    explained = explain_corpus(teacher, ids, tol=0.1, precision="float32", progress=False)
    for pair, answer, values in zip(pairs, teacher_answers(teacher, pairs, explained, 50), explained.values):
        said = [[pair[k][o.start:o.end].strip() for o in answer.words if o.sentence == k] for k in (0, 1)]
        assert ["".join(o) for o in said] == ["".join(o.split()) for o in pair]
        assert [o.text for o in answer.words] == [pair[o.sentence][o.start:o.end] for o in answer.words]
        np.testing.assert_allclose(answer.attributions.sum(0) + answer.special, values.astype(float).sum(0), atol=2e-3)
        shown = json.loads(json.dumps(answer.to_dict()))
        assert [o["sentence"] for o in shown["words"]] == [o.sentence for o in answer.words] and "<br>" in answer._repr_html_()
        assert "[0]" in repr(answer) and len(answer.plot(30).patches) == len(answer.words)


def test_a_store_tells_a_pair_from_one_text_and_goes_on(tmp_path):
    teacher = make("bert")
    pairs = tokenize(teacher.tokenizer, PAIRS)
    joined = [list(o) for o in pairs]
    assert len({text_key(o) for o in [*pairs, *joined]}) == 6
    choices = dict(sharding=dict(max_tokens=512, shard_texts=2), precision="float32", progress=False)
    some = explain_corpus(teacher, pairs[:2], tmp_path / "s", **choices)
    files = {o.name: o.read_bytes() for o in (tmp_path / "s").iterdir()}
    both = explain_corpus(teacher, [*pairs, *joined], tmp_path / "s", **choices)
    assert files.items() <= {o.name: o.read_bytes() for o in (tmp_path / "s").iterdir()}.items()
    assert all((a == b).all() for a, b in zip(some.values, both.values))
    assert abs(both.values[0].astype(float) - both.values[3]).max() > 0.1 * abs(both.values[0]).max()
    with torch.no_grad(): np.testing.assert_allclose(both.logits[:3], torch.cat([theirs(teacher, o) for o in PAIRS]), atol=1e-4)
    assert verify(teacher, [*pairs, *joined], tmp_path / "s").good()
    np.testing.assert_allclose(corpus_logits(teacher, pairs, progress=False), both.logits[:3], atol=1e-4)
    assert abs(corpus_logits(teacher, joined, progress=False) - both.logits[:3]).max() > 1e-3


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A teacher of pairs on disk."""
    folder = tmp_path_factory.mktemp("nli")
    for o in make("bert", id2label={0: "entailment", 1: "neutral", 2: "contradiction"}): o.save_pretrained(folder)
    return folder


CSV = "premise,hypothesis,label\n" + "".join(f"{a},{b},{i}\n" for i, (a, b) in enumerate(PAIRS))


def test_two_columns_are_explained_from_the_command_line(tmp_path, folder, capsys, monkeypatch):
    (tmp_path / "nli.csv").write_text(CSV)
    options = ["attribute", tmp_path / "nli.csv", "--text", "premise,hypothesis", "--teacher", folder, "--out", tmp_path / "s", "--max-length", 32]
    status, out, err = told(capsys, monkeypatch, *options)
    assert status == 0 and "above tolerance" in out, err
    stamps = {o.name: o.stat().st_mtime_ns for o in (tmp_path / "s").iterdir()}
    assert told(capsys, monkeypatch, *options)[0] == 0 and told(capsys, monkeypatch, *options, "--verify")[0] == 0
    assert stamps == {o.name: o.stat().st_mtime_ns for o in (tmp_path / "s").iterdir()}
    answers = lightx.attribute(str(tmp_path / "nli.csv"), str(folder), tmp_path / "s", text="premise,hypothesis", max_length=32, progress=False)
    assert stamps == {o.name: o.stat().st_mtime_ns for o in (tmp_path / "s").iterdir()} # the same pairs, found
    assert [o.texts for o in answers] == PAIRS and answers[0].label in ("entailment", "neutral", "contradiction")
    again = lightx.attribute(PAIRS, str(folder), text="premise,hypothesis", max_length=32, progress=False)
    assert [repr(o) for o in again] == [repr(o) for o in answers]


def write(path, text=CSV):
    (path / "nli.csv").write_text(text)
    return "nli.csv"


def asked(at, text="premise,hypothesis", *more, csv=CSV, teacher=None):
    return ["attribute", write(at, csv), "--text", text, "--teacher", teacher or "nobody", "--out", "s", *more]


@table(
    Fault("a column that is not there", lambda at: asked(at, "premise,hypotheses"),
          r"nli.csv: no column 'hypotheses'; it has .*: name the right one$"),
    Fault("three columns", lambda at: asked(at, "premise,hypothesis,label"), r"nli.csv: .* are 3 columns of texts: name one, or two of pairs"),
    Fault("a column twice", lambda at: asked(at, "premise,premise"), r"nli.csv: 'premise,premise' is one column twice: name one, or two"),
    Fault("an empty hypothesis", lambda at: asked(at, csv="premise,hypothesis\na man,\n"),
          r"nli.csv, row 1: hypothesis is empty .*: fill or remove it$"),
    Fault("a student of pairs", lambda at: ["distill", write(at), "--text", "premise,hypothesis", "--teacher", "nobody", "--out", "m"],
          r"nli.csv: 'premise,hypothesis' are two columns of texts, .* reads one: name one; `lightx attribute` explains a teacher .* pairs$"),
)
def test_bad_pairs_are_one_line_and_leave_nothing(fault, tmp_path, capsys, monkeypatch):
    check(fault, tmp_path, capsys, monkeypatch)


def test_no_room_for_both_and_a_base_model_are_one_line(tmp_path, folder, capsys, monkeypatch):
    check(Fault("no room", lambda at: asked(at, "premise,hypothesis", "--max-length", 4, teacher=folder),
                r"max_length is 4: a pair has 3 .*: take 5 or more$"),
          tmp_path, capsys, monkeypatch)
    base = tmp_path / "base"
    make("bert").model.base_model.save_pretrained(base)
    make("bert").tokenizer.save_pretrained(base)
    check(Fault("a base model", lambda at: asked(at, teacher=base), r"base: a base model, .*: give a classifier that was fine-tuned on pairs$"),
          tmp_path, capsys, monkeypatch)
    with pytest.raises(InputError, match="give pairs, tuples of two strings"): load_texts([("a", "b"), ("c",)])


def test_segments_are_tried_when_a_teacher_is_loaded(folder, monkeypatch):
    assert isinstance(tokenize(load_teacher(str(folder), max_length=32).tokenizer, PAIRS)[0], PairIds)
    whole = hf.BertForSequenceClassification.forward
    def forward(self, input_ids=None, token_type_ids=None, **kwargs):
        return whole(self, input_ids=input_ids, token_type_ids=token_type_ids if input_ids is not None else None, **kwargs) # forgets them
    monkeypatch.setattr(hf.BertForSequenceClassification, "forward", forward)
    with pytest.raises(InputError, match="answers otherwise in a batch or for embeddings"): load_teacher(str(folder), max_length=32)

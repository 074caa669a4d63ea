"""Small teachers and corpora that need no network and no download."""
import os
import random
import subprocess
import sys

import pytest

# Before any library is imported: nothing here may ask the network, and two tests run at once, with a core each.
os.environ |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "OMP_NUM_THREADS": "1"}

WORDS = {"sport": "cup goal match team coach win".split(), "money": "bank stock rates oil profit shares".split(),
         "space": "moon rocket orbit launch star probe".split()}
FILLER = "the a of in on today new after says first".split()


def write_corpus(folder, n_train=30, n_test=9):
    """AG News in small: CSV files with text and label, three classes told apart by their words."""
    rng = random.Random(0)
    for split, n in {"train": n_train, "test": n_test}.items():
        rows = [(" ".join(rng.choices(WORDS[c], k=3) + rng.choices(FILLER, k=rng.randint(2, 9))), c) for i in range(n) for c in WORDS]
        (folder / f"{split}.csv").write_text("text,label\n" + "".join(f"{t},{c}\n" for t, c in rows))
    return folder


def lightx(*args):
    """The command, in a process of its own."""
    return subprocess.run([sys.executable, "-c", "from lightx.cli import main; main()", *map(str, args)], capture_output=True, text=True)


def make_tokenizer():
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", *(w for o in WORDS.values() for w in o), *FILLER]
    tok = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="[UNK]"))
    tok.pre_tokenizer = pre_tokenizers.Whitespace()
    tok.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)])
    return PreTrainedTokenizerFast(tokenizer_object=tok, pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]", unk_token="[UNK]")


def make_teacher(kind="bert", num_labels=3, seed=0):
    """A random transformer of two layers with sharp decisions, so that its explanations are not flat."""
    import torch
    import transformers as hf

    from lightx.teacher import Teacher

    torch.manual_seed(seed)
    tokenizer = make_tokenizer()
    shared = dict(vocab_size=len(tokenizer), num_labels=num_labels, pad_token_id=0)
    if kind == "distilbert":
        config = hf.DistilBertConfig(dim=32, n_layers=2, n_heads=2, hidden_dim=64, max_position_embeddings=64, **shared)
        model = hf.DistilBertForSequenceClassification(config)
    else:
        config, cls = {"bert": (hf.BertConfig, hf.BertForSequenceClassification),
                       "roberta": (hf.RobertaConfig, hf.RobertaForSequenceClassification)}[kind]
        shared |= dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64, max_position_embeddings=64)
        model = cls(config(**shared))
    with torch.no_grad():
        for p in model.parameters():
            p.add_(torch.randn_like(p) * 0.15)
    return Teacher(model.eval(), tokenizer)


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory):
    """Every product of the tests goes to a folder of their own."""
    os.environ["LIGHTX_CACHE"] = str(tmp_path_factory.getbasetemp() / "cache")


@pytest.fixture(scope="session")
def corpus_folder(tmp_path_factory):
    return write_corpus(tmp_path_factory.mktemp("news"))


@pytest.fixture(scope="session")
def base_folder(tmp_path_factory):
    """A base model on disk: saved without a classification head."""
    folder, teacher = tmp_path_factory.mktemp("base"), make_teacher()
    teacher.model.base_model.save_pretrained(folder)
    teacher.tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def teacher_folder(tmp_path_factory):
    """A teacher on disk that counts as fine-tuned: saved with a head for three classes."""
    folder, teacher = tmp_path_factory.mktemp("teacher"), make_teacher()
    teacher.model.save_pretrained(folder)
    teacher.tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(params=["bert", "distilbert", "roberta"])
def teacher(request):
    return make_teacher(request.param)


TEXTS = ["cup goal today", "the bank says oil rates in new orbit", "rocket launch after the first moon probe of a team", "a star"]


@pytest.fixture
def batch():
    from lightx.data import pad, tokenize

    return pad(tokenize(make_tokenizer(), TEXTS))


# A sweep that takes seconds.
TINY = {"n_per_class": 6, "max_length": 16, "epochs": 2, "batch_size": 8, "unseen_texts": 4, "teacher_epochs": 1}


def examples(n=120, seed=0):
    """Texts of a made-up language, explained by its rule."""
    from types import SimpleNamespace

    import numpy as np

    from lightx.training import Examples, toy_corpus
    ids, labels, attributions = toy_corpus(n, seed)
    logits = np.stack([o.sum(0) for o in attributions])
    return Examples(ids, labels, SimpleNamespace(values=attributions, logits=logits, baseline_logits=0 * logits))


def trained_densely(student, texts, objective, optim, lrs, batch_size, epochs, seed=0):
    """The plainest loop there is: every row of the embedding in every step."""
    import torch
    order, at = torch.Generator().manual_seed(seed), iter(lrs)
    torch.manual_seed(seed)
    student.train()
    for _ in range(epochs):
        for rows in torch.randperm(len(texts), generator=order).split(batch_size):
            optim.param_groups[0]["lr"] = next(at)
            optim.zero_grad()
            objective(student, texts.batch(rows))[0].backward()
            optim.step()
    return student.eval()

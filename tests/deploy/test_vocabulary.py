"""A pruned vocabulary reads the training texts as before, and can still spell the rest."""
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from conftest import FILLER, WORDS

from lightx.deploy import Classifier, kept_tokens, prune_tokenizer, prune_vocabulary
from lightx.runtime import InputError
from lightx.student import BigramStudent, new_student

SPECIAL = ["<pad>", "<unk>", "<s>", "</s>"]
CORPUS = [f"{a} {b}, {c}ing!" for o in WORDS.values() for a in o for b in FILLER for c in o[:3]] + ["Crème brûlée 2024 🎉 株価", "a-b_c: «ça»"]
LETTERS = sorted(set("".join(CORPUS)))


def bounded(tok, **options):
    """With special tokens around a text, and padding."""
    tok.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[(o, tok.token_to_id(o)) for o in ("<s>", "</s>")])
    tok.enable_padding(pad_id=tok.token_to_id("<pad>"), pad_token="<pad>")
    return tok


def wordpiece():
    tok = Tokenizer(models.WordPiece(unk_token="<unk>"))
    tok.normalizer, tok.pre_tokenizer, tok.decoder = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer(), decoders.WordPiece()
    tok.train_from_iterator(CORPUS, trainers.WordPieceTrainer(vocab_size=200, special_tokens=SPECIAL, show_progress=False))
    return bounded(tok)


def byte_bpe():
    tok = Tokenizer(models.BPE())
    tok.pre_tokenizer, tok.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    tok.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=400, special_tokens=SPECIAL, show_progress=False,
                                                        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    tok.add_special_tokens([AddedToken("<mask>", lstrip=True)]) # behind the vocabulary, as RoBERTa has it
    return bounded(tok)


def marked_bpe():
    tok = Tokenizer(models.BPE(unk_token="<unk>", continuing_subword_prefix="##", end_of_word_suffix="</w>"))
    tok.pre_tokenizer, tok.decoder = pre_tokenizers.Whitespace(), decoders.BPEDecoder()
    tok.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=300, special_tokens=SPECIAL, show_progress=False,
                                                        continuing_subword_prefix="##", end_of_word_suffix="</w>"))
    return bounded(tok)


def unigram():
    tok = Tokenizer(models.Unigram())
    tok.pre_tokenizer, tok.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    tok.train_from_iterator(CORPUS, trainers.UnigramTrainer(vocab_size=150, special_tokens=SPECIAL, unk_token="<unk>", show_progress=False))
    return bounded(tok)


def roberta():
    tok = byte_bpe()
    tok.post_processor = processors.Sequence([processors.RobertaProcessing(*((o, tok.token_to_id(o)) for o in ("</s>", "<s>")))])
    return tok


def wordlevel():
    tok = Tokenizer(models.WordLevel(unk_token="<unk>"))
    tok.pre_tokenizer = pre_tokenizers.Whitespace()
    tok.train_from_iterator(CORPUS, trainers.WordLevelTrainer(special_tokens=SPECIAL, show_progress=False))
    return bounded(tok)


MADE = {o.__name__: o() for o in (wordpiece, byte_bpe, marked_bpe, unigram, roberta, wordlevel)}


def classifier(name, **options):
    student = new_student(3, vocab_size=MADE[name].get_vocab_size(), embed_dim=8, pad_id=MADE[name].token_to_id("<pad>"), embed_std=1., **options)
    return Classifier(student, MADE[name], ["sport", "money", "space"], max_length=40)


texts = st.lists(st.one_of(st.sampled_from(CORPUS), st.text(LETTERS, max_size=30), st.text(max_size=12)), min_size=1, max_size=6)


@pytest.mark.parametrize("name", MADE)
@given(texts=texts, other=st.text(max_size=20))
@settings(deadline=None, max_examples=40)
def test_training_texts_are_read_as_before(name, texts, other):
    clf = classifier(name, baseline="pad")
    fewer = prune_vocabulary(clf, texts)
    assert fewer.tokenizer.get_vocab_size() <= clf.tokenizer.get_vocab_size()
    for text, before, after in zip(texts, clf(texts), fewer(texts)):
        assert fewer.tokenizer.encode(text).tokens == clf.tokenizer.encode(text).tokens
        np.testing.assert_allclose(after.logits, before.logits, atol=1e-5)
        np.testing.assert_allclose(after.attributions, before.attributions, atol=1e-5)
    assert [o.text for o in fewer(other).words] == [o.text for o in clf(other).words] # whatever it is, it is read


@pytest.mark.parametrize("name", MADE)
def test_special_tokens_survive(name):
    fewer = prune_tokenizer(MADE[name], kept_tokens(MADE[name], {7}))
    assert [fewer.token_to_id(o) for o in SPECIAL] == [0, 1, 2, 3]
    assert fewer.encode("oil").ids[0] == fewer.token_to_id("<s>") and fewer.encode("oil").ids[-1] == fewer.token_to_id("</s>")
    assert fewer.get_added_tokens_decoder().keys() == {fewer.token_to_id(o.content) for o in fewer.get_added_tokens_decoder().values()}
    assert json.loads(fewer.to_str())["padding"]["pad_id"] == fewer.token_to_id("<pad>")
    assert sorted(fewer.get_vocab().values()) == list(range(fewer.get_vocab_size()))


def test_bytes_spell_anything():
    fewer = prune_vocabulary(classifier("byte_bpe"), ["oil"]).tokenizer
    for text in ("株価 🎉", "Crème\n\tbrûlée", "oil <mask>"):
        ids = fewer.encode(text, add_special_tokens=False).ids
        assert fewer.decode(ids, skip_special_tokens=False) == text.replace(" <mask>", "<mask>")


def test_a_frequent_bar_keeps_fewer():
    clf = classifier("byte_bpe")
    sizes = [prune_vocabulary(clf, CORPUS, least).tokenizer.get_vocab_size() for least in (1, 20, 1000)]
    assert sizes == sorted(sizes, reverse=True) and len(set(sizes)) == 3


def test_bigrams_of_bytes_survive():
    tok = MADE["byte_bpe"]
    student = new_student(3, kind=BigramStudent, vocab_size=tok.get_vocab_size() + 4, slots=64, embed_dim=8, embed_std=1.)
    pair = tok.encode("oil bank", add_special_tokens=False).ids[:2]
    student.set_bigrams(np.array([pair]), np.array([tok.get_vocab_size()]))
    student.embedding.weight.data[tok.get_vocab_size()] = 1.
    clf = Classifier(student, tok, ["sport", "money", "space"], max_length=40)
    np.testing.assert_allclose(prune_vocabulary(clf, ["oil bank"])("oil bank").attributions, clf("oil bank").attributions, atol=1e-5)


def test_ids_with_gaps_are_told():
    tok = Tokenizer(models.WordLevel({"a": 0, "b": 1, "<unk>": 2}, unk_token="<unk>"))
    tok.add_tokens(["late"])
    kept = kept_tokens(tok, {0})
    assert kept == [0, 2, 3] and prune_tokenizer(tok, kept).encode("late").ids == [2]
    with pytest.raises(InputError, match="export the whole"):
        prune_tokenizer(tok, [3, 0, 2])

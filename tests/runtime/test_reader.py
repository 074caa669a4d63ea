"What the reader says is what the tokenizer says, for any text."
import time

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

import lightx.runtime.reader
from lightx.runtime import FEW_TEXTS, from_encoding, LONG, Reader

PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "b", "c", "##a", "##b", "##c", "ab", "abc", "##abc", "abcabcab", "abcabcabc", "1", "##1", ".", "'",
          "[", "]", "cls", "é", "A", "##A", "油"]

def bert(lowercase=True):
    made = Tokenizer(models.WordPiece({o: i for i, o in enumerate(PIECES)}, unk_token="[UNK]"))
    made.normalizer, made.pre_tokenizer = normalizers.BertNormalizer(lowercase=lowercase), pre_tokenizers.BertPreTokenizer()
    made.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", None, [("[CLS]", 2), ("[SEP]", 3)])
    made.add_special_tokens(PIECES[:4])
    return made

CHUNKS = st.sampled_from(["a", "b", "c", "A", "ab", "abc", "abcabcab", "abcabcabc", "abcabcabcabcabca", "abcabcabcabcabcab",
                          "c" * 120, "1", ".", "'", "$", " ", "  ", "\n", "\t", "\x00", "\x0b", "\x1c", "\x7f", "[CLS]", "[cls]", "[UNK]",
                          "é", "e\u0301", "油", "🎉", "\u00a0", "\u200b", "K"])
TEXTS = st.lists(st.one_of(st.lists(CHUNKS, max_size=12).map("".join), st.text(max_size=20)), max_size=6)
# Few places in the table: words displace each other.
READERS = {(lowercase, n): Reader(bert(lowercase), n, slots=4) for lowercase in (True, False) for n in (3, 5, 16, 128)}

@settings(deadline=None, max_examples=150)
@given(TEXTS, st.sampled_from(list(READERS)))
def test_reads_what_the_tokenizer_reads(texts, which):
    read = READERS[which]
    for text, reading in zip(texts * FEW_TEXTS, read(texts * FEW_TEXTS), strict=True):
        known = from_encoding(read.tokenizer.encode(text), text)
        for together, alone, want in zip(reading, read([text])[0], known):
            np.testing.assert_array_equal(together, want)
            np.testing.assert_array_equal(alone, want)
        for ids in (*read.ids([text]), *read.ids([text] * FEW_TEXTS)): np.testing.assert_array_equal(ids, known.ids)

def test_most_texts_take_the_short_way(monkeypatch):
    read = Reader(bert())
    monkeypatch.setattr(lightx.runtime.reader, "from_encoding", lambda *_: pytest.fail("went to the tokenizer"))
    monkeypatch.setattr(read, "tokenizer", None)
    for times in (1, FEW_TEXTS): assert len(read(["abc, ab' 1", "", "A\n\tb"] * times)) == len(read.ids(["", "c."] * times)) + times

@pytest.mark.parametrize("change", [lambda o: setattr(o, "normalizer", normalizers.BertNormalizer(clean_text=False)),
                                    lambda o: setattr(o, "pre_tokenizer", pre_tokenizers.Whitespace()),
                                    lambda o: setattr(o, "post_processor", processors.TemplateProcessing("$A [SEP]", None, [("[SEP]", 3)]))])
def test_other_rules_are_left_to_the_tokenizer(change):
    made = bert()
    change(made)
    read = Reader(made)
    assert read.rules is None
    assert read(["ab\x00. c"] * FEW_TEXTS)[0].ids.tolist() == made.encode("ab\x00. c").ids

def test_the_memory_stays_small(monkeypatch):
    monkeypatch.setattr(lightx.runtime.reader, "MAX_WORDS", 50)
    read = Reader(bert())
    for i in range(300):
        for times in (1, FEW_TEXTS): assert read([f"a{i}"] * times)[0].ids.tolist() == read.tokenizer.encode(f"a{i}").ids
    assert len(read.memory.known) <= 51 and len(read.memory.ids) <= 51 * 5 and len(read.pieces) <= 50

def trained(kind):
    "A small tokenizer of another kind, with pieces of its own."
    texts = ["the oil price soars in 2024 ", "油价 上涨 了 ", "café won't, it's (a) goal! ", "🎉 x  y   z\n\n", "aaaa aaaaaaa "] * 3
    made, special = Tokenizer({"bpe": models.BPE, "bytes": models.BPE, "unigram": models.Unigram}[kind]()), ["<s>", "</s>", "<unk>"]
    if kind == "bytes": made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    if kind == "unigram": made.normalizer, made.pre_tokenizer = normalizers.NFKC(), pre_tokenizers.Metaspace()
    trainer = {"bpe": trainers.BpeTrainer, "bytes": trainers.BpeTrainer, "unigram": trainers.UnigramTrainer}[kind]
    more = dict(unk_token="<unk>") if kind == "unigram" else {}
    made.train_from_iterator(texts, trainer(vocab_size=400, special_tokens=special, show_progress=False, **more))
    made.post_processor = processors.TemplateProcessing("<s> $A </s>", None, [("<s>", 0), ("</s>", 1)])
    return made

LONG_CHUNKS = st.sampled_from(["oil ", "price", " ", "\n", "  ", "a", "aaaa", "油价", "é", "e\u0301", "\u0301", "🎉", "'s", "won't ", ".", "2024",
                               "[SEP]", "</s>", "\x00", "\u00a0", "x" * 40, "a" * 130])
KINDS = {"wordpiece": lambda: bert(), "cased": lambda: bert(False), "bpe": lambda: trained("bpe"), "bytes": lambda: trained("bytes"),
         "unigram": lambda: trained("unigram")}
MANY = {(kind, n): Reader(make(), n) for kind, make in KINDS.items() for n in (3, 8, 32)}

@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(LONG_CHUNKS, st.integers(1, 250)), min_size=2, max_size=7), st.sampled_from(list(MANY)))
def test_a_long_text_is_read_as_the_whole_is(parts, which):
    read, text = MANY[which], "".join(o * n for o, n in parts)
    for got, want in zip(read([text])[0], from_encoding(read.tokenizer.encode(text), text), strict=True): np.testing.assert_array_equal(got, want)
    np.testing.assert_array_equal(read.ids([text] * FEW_TEXTS)[-1], read.tokenizer.encode(text).ids)

@pytest.mark.parametrize("text", ["oil prices soar. " * 600_000, "oil prices é. " * 700_000, " " * 10_000_000, "\x00" * 10_000_000, "a" * 10_000_000,
                                  "油价" * 5_000_000, "[SEP]a" * 1_500_000], ids=["plain", "accent", "spaces", "zeros", "word", "signs", "marks"])
def test_ten_million_characters_take_under_a_second(text):
    read, start = MANY["wordpiece", 32], time.process_time()
    reading, = read([text])
    assert time.process_time() - start < 1 and len(reading.ids) <= 32 and reading.truncated == (len(reading.ids) == 32)

def test_a_text_is_cut_only_if_it_is_long(monkeypatch):
    read = Reader(trained("bytes"), 8)
    monkeypatch.setattr(lightx.runtime.reader, "shorten", lambda *_: pytest.fail("cut"))
    read(["é" * LONG * 8])
    with pytest.raises(pytest.fail.Exception): read(["é" * (LONG * 8 + 1)])

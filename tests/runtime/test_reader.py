"What the reader says is what the tokenizer says, for any text."
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

import lightx.runtime.reader
from lightx.runtime import FEW_TEXTS, from_encoding, Reader

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

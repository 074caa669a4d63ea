"""Token ids checked one by one, with a tokenizer of seven pieces."""
import pickle

import pytest

from lightx.data import PairIds, are_pairs, model_inputs, pad, tokenize
from lightx.runtime import InputError


@pytest.fixture
def tokenizer():
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast
    vocab = {o: i for i, o in enumerate(["[PAD]", "[CLS]", "[SEP]", "[UNK]", "oil", "price", "##s"])}
    tok = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]"))
    tok.pre_tokenizer = pre_tokenizers.Whitespace()
    tok.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1",
                                                       special_tokens=[("[CLS]", 1), ("[SEP]", 2)])
    tok = PreTrainedTokenizerFast(tokenizer_object=tok, pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]", unk_token="[UNK]")
    tok.model_input_names = ["input_ids", "token_type_ids", "attention_mask"] # as a tokenizer of BERT's says itself
    return tok


def test_ids_and_what_is_cut(tokenizer, caplog):
    assert tokenize(tokenizer, ["oil prices", "oil"]) == [[1, 4, 5, 6, 2], [1, 4, 2]]
    assert not caplog.text
    assert tokenize(tokenizer, ["oil prices"], max_length=4) == [[1, 4, 5, 2]]
    assert "1 of 1 texts are longer than 4 tokens" in caplog.text
    assert tokenize(tokenizer, ["oil " * 1_000_000, " " * 5000 + "oil"], max_length=5) == [[1, 4, 4, 4, 2], [1, 4, 2]]


def test_padding_is_on_the_right_and_masked():
    ids, mask = pad([[1, 4, 2], [1]], pad_id=9, width=4)
    assert ids.tolist() == [[1, 4, 2, 9], [1, 9, 9, 9]] and mask.tolist() == [[1, 1, 1, 0], [1, 0, 0, 0]]


def test_a_pair_keeps_its_segments_wherever_it_goes(tokenizer):
    [pair] = tokenize(tokenizer, [("oil prices", "oil")])
    assert (list(pair), pair.segments) == ([1, 4, 5, 6, 2, 4, 2], [0, 0, 0, 0, 0, 1, 1])
    assert pickle.loads(pickle.dumps(pair)).segments == pair.segments # as it goes to another process
    assert model_inputs([pair, [1, 4, 2]])["token_type_ids"].tolist() == [pair.segments, [0] * 7]
    assert are_pairs([("oil", "price")]) and not are_pairs(["oil"]) and not are_pairs([])
    tokenizer.model_input_names = ["input_ids", "attention_mask"]
    assert not isinstance(tokenize(tokenizer, [("oil prices", "oil")])[0], PairIds)


def test_a_pair_needs_room_for_both(tokenizer):
    assert tokenize(tokenizer, [("oil " * 50, "price")], 8) == [[1, 4, 4, 4, 4, 2, 5, 2]]
    with pytest.raises(InputError, match="a pair has 3 special tokens here, and needs room for one of each text: take 5 or more"):
        tokenize(tokenizer, [("oil", "price")], 4)

"""Every family of sequence classifiers: the same logits and attributions in a batch as alone, on either side of the padding."""
from functools import partial

import pytest
import torch
import transformers as hf
from conftest import make_tokenizer

from lightx.attribution import explain_corpus, fill_store, integrated_gradients as measured_precision, plain_integrated_gradients, run_settings
from lightx.runtime import InputError
from lightx.student import vocabulary_vectors
from lightx.teacher import (check_forward, Decoder, fast_forward, max_positions, own_logits, plain_forward, predict_logits, read_positions,
                            stand_alone, Teacher)

integrated_gradients = partial(measured_precision, precision="float32")

SIZE = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=48, vocab_size=60, num_labels=3,
            max_position_embeddings=64)
ENDS = dict(pad_token_id=0, bos_token_id=1, eos_token_id=2)
GROUPED = SIZE | ENDS | dict(num_key_value_heads=1, head_dim=16)
FAMILIES = {
    "bert": (hf.BertConfig, SIZE), "roberta": (hf.RobertaConfig, SIZE | ENDS), "xlm-roberta": (hf.XLMRobertaConfig, SIZE | ENDS),
    "distilbert": (hf.DistilBertConfig, dict(dim=32, n_layers=2, n_heads=2, hidden_dim=48, vocab_size=60, num_labels=3, max_position_embeddings=64)),
    "electra": (hf.ElectraConfig, SIZE | dict(embedding_size=16)), "albert": (hf.AlbertConfig, SIZE | ENDS | dict(embedding_size=16)),
    "deberta": (hf.DebertaConfig, SIZE), "deberta-v2": (hf.DebertaV2Config, SIZE | dict(relative_attention=True, pos_att_type=["p2c", "c2p"])),
    "mpnet": (hf.MPNetConfig, SIZE | dict(pad_token_id=1)), "modernbert": (hf.ModernBertConfig, SIZE | ENDS | dict(cls_token_id=3, sep_token_id=4)),
    "xlnet": (hf.XLNetConfig, dict(d_model=32, n_layer=2, n_head=2, d_inner=48, vocab_size=60, num_labels=3) | ENDS),
    "gpt2": (hf.GPT2Config, dict(n_embd=32, n_layer=2, n_head=2, n_positions=64, vocab_size=60, num_labels=3) | ENDS),
    "llama": (hf.LlamaConfig, GROUPED), "qwen2": (hf.Qwen2Config, GROUPED), "qwen3": (hf.Qwen3Config, GROUPED),
    "mistral": (hf.MistralConfig, GROUPED),
    "gemma": (hf.GemmaConfig, GROUPED), "gemma2": (hf.Gemma2Config, GROUPED | dict(query_pre_attn_scalar=16)),
    "gemma3": (hf.Gemma3TextConfig, GROUPED | dict(query_pre_attn_scalar=16)), "gpt-neox": (hf.GPTNeoXConfig, SIZE | ENDS),
    "phi3": (hf.Phi3Config, GROUPED),
    "opt": (hf.OPTConfig, dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, ffn_dim=48, word_embed_proj_dim=32, vocab_size=60,
                               num_labels=3, max_position_embeddings=64) | ENDS),
    "bart": (hf.BartConfig, dict(d_model=32, encoder_layers=2, decoder_layers=2, encoder_attention_heads=2, decoder_attention_heads=2,
                                 encoder_ffn_dim=48, decoder_ffn_dim=48,
                                 vocab_size=60, num_labels=3, max_position_embeddings=64,
                                 decoder_start_token_id=2) | ENDS),
    "t5": (hf.T5Config, dict(d_model=32, d_kv=16, num_layers=2, num_heads=2, d_ff=48, vocab_size=60, num_labels=3, decoder_start_token_id=0,
                             pad_token_id=0, eos_token_id=2)),
}


def make(family, **changes):
    """A small random classifier whose decisions differ from text to text."""
    torch.manual_seed(0)
    config, choices = FAMILIES[family]
    model = hf.AutoModelForSequenceClassification.from_config(config(**choices | changes), attn_implementation="eager").eval()
    with torch.no_grad():
        for p in model.parameters():
            p.add_(torch.randn_like(p) * 0.1)
    return model


TEXTS = [[3, 11, 12, 13, 14, 15, 16, 2], [3, 21, 22, 2], [3, 31, 2], [3, 41, 42, 43, 44, 2]] # all begin and end as tokenizers let them


def batch(texts=TEXTS, pad_id=0, left=False):
    width = max(map(len, texts))
    rows = [[pad_id] * (width - len(o)) + o if left else o + [pad_id] * (width - len(o)) for o in texts]
    mask = [[0] * (width - len(o)) + [1] * len(o) if left else [1] * len(o) + [0] * (width - len(o)) for o in texts]
    return torch.tensor(rows), torch.tensor(mask)


@pytest.mark.parametrize("family", FAMILIES)
def test_logits_of_a_batch_are_those_of_each_text(family):
    model = make(family)
    with torch.no_grad():
        alone = torch.cat([model(input_ids=torch.tensor([o])).logits for o in TEXTS])
        torch.testing.assert_close(own_logits(model, *batch()), alone, atol=1e-5, rtol=1e-4)
        ids, mask = batch()
        by_embeddings = plain_forward(model)(model.get_input_embeddings()(ids), mask, read_positions(model, ids, mask))
        torch.testing.assert_close(by_embeddings, alone, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(predict_logits(model, TEXTS, 0), alone, atol=1e-5, rtol=1e-4)
    assert (alone[0] - alone[1]).abs().max() > 1e-3 # else nothing would be tested
    check_forward(model, TEXTS[:2], family)


@pytest.mark.parametrize("family", FAMILIES)
def test_attributions_of_a_batch_are_those_of_each_text_on_either_side(family):
    model = make(family)
    alone = [integrated_gradients(model, torch.tensor([o]), torch.ones(1, len(o), dtype=torch.long), n_steps=6) for o in TEXTS]
    for left in (False, True):
        ids, mask = batch(left=left)
        together = integrated_gradients(model, ids, mask, n_steps=6)
        for row, one in enumerate(alone):
            torch.testing.assert_close(together.values[row, mask[row] > 0], one.values[0], atol=1e-5, rtol=1e-3)
            torch.testing.assert_close(together.logits[row], one.logits[0], atol=1e-5, rtol=1e-3)
        assert not together.values[mask == 0].any()


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_fast_agrees_with_the_plain_sum(family):
    model = make(family)
    ids, mask = batch()
    read, answer = read_positions(model, ids, mask), plain_forward(model)
    x = model.get_input_embeddings()(ids).detach()
    with torch.no_grad():
        plain = plain_integrated_gradients(lambda e, m: answer(e, m, read.repeat(len(e) // len(read))), x, mask, n_steps=24)
    torch.testing.assert_close(integrated_gradients(model, ids, mask, n_steps=24).values, plain, atol=1e-5, rtol=1e-3)


# They divide by the length of what they read, layer after layer, so that next to the zero embedding they jump.
JUMPING = ("gemma2", "gemma3", "t5")


@pytest.mark.parametrize("family", FAMILIES)
def test_attributions_are_complete(family):
    model = make(family)
    made = integrated_gradients(model, *batch(), target="centred", baseline="pad" if family in JUMPING else "zero", tol=0.005, max_steps=512)
    assert (made.error <= 0.005).all()
    if family in JUMPING: # the error is said where it stays
        assert integrated_gradients(model, *batch(), target="centred", tol=0.005, max_steps=32).above.any()
    moved = made.logits - made.baseline_logits
    torch.testing.assert_close(made.values.sum(1) - made.delta, moved - moved.mean(1, keepdim=True), atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("family", ["gpt2", "llama", "qwen2", "opt", "gemma3"])
@pytest.mark.parametrize("pad_id", [None, 2, 5])
def test_decoders_without_a_padding_token_or_with_the_end_as_one(family, pad_id):
    model = make(family, pad_token_id=pad_id)
    texts = [[3, 11, 12, 13, 14, 2, 2], [3, 21, 22, 2], [3, 31, 32], [2]]
    with torch.no_grad():
        alone = torch.cat([model(input_ids=torch.tensor([o])).logits for o in texts])
    for filler in (0, 2, 7):
        for left in (False, True):
            made = integrated_gradients(model, *batch(texts, filler, left), n_steps=4)
            torch.testing.assert_close(made.logits, alone, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(predict_logits(model, texts, 0), alone, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("family, most", [("bert", 64), ("roberta", 63), ("mpnet", 62), ("gpt2", 64), ("opt", 64), ("bart", 64),
                                          ("xlnet", 10**9), ("t5", 10**9), ("llama", 64), ("modernbert", 64)])
def test_position_limits_are_those_of_the_model(family, most):
    model = make(family)
    assert max_positions(model) == most
    if most == 10**9: most = 200
    words = [10 + i % 40 for i in range(most - 2)]
    with torch.no_grad():
        assert own_logits(model, *batch([[3, *words, 2]])).isfinite().all()
        if family in ("bert", "roberta", "mpnet", "gpt2", "opt", "bart"): # learned positions: one more is out of range
            with pytest.raises((IndexError, RuntimeError)): own_logits(model, *batch([[3, *words, 9, 2]]))




@pytest.mark.parametrize("choices", [dict(problem_type="multi_label_classification"), dict(num_labels=1, problem_type="regression"),
                                     dict(num_labels=1)])
@pytest.mark.parametrize("family", ["bert", "gpt2", "distilbert"])
def test_labels_that_stand_alone_are_explained_one_by_one(family, choices):
    model = make(family, **choices)
    assert stand_alone(model)
    made = integrated_gradients(model, *batch(), tol=0.005, max_steps=512)
    moved = made.logits - made.baseline_logits
    assert made.values.shape[-1] == model.config.num_labels and (made.error <= 0.005).all()
    torch.testing.assert_close(made.delta.abs().amax(1) / moved.abs().amax(1), made.error, atol=1e-6, rtol=1e-3)
    for target in ("centred", "probabilities"):
        with pytest.raises(InputError, match="decides about each label by itself .*: take logits"):
            integrated_gradients(model, *batch(), target=target)


@pytest.mark.parametrize("family", ["bert", "gpt2", "t5"])
def test_a_store_explains_labels_that_stand_alone(family, tmp_path):
    teachers = [Teacher(make(family, problem_type=o), make_tokenizer()) for o in ("multi_label_classification", "single_label_classification")]
    several, one = (explain_corpus(o, TEXTS, progress=False, precision="float32", tol=0.01, max_steps=64) for o in teachers)
    assert several.values[0].shape == (len(TEXTS[0]), 3) and abs(several.values[0].sum(1)).max() > 1e-3 # not centred
    assert abs(one.values[0].astype(float).sum(1)).max() < 0.05
    assert run_settings(teachers[0]) != run_settings(teachers[1]) # else one would be given the other's
    with pytest.raises(InputError, match="take logits"):
        fill_store(teachers[0], TEXTS, tmp_path / "s", target="centred", progress=False)
    assert not (tmp_path / "s").exists()
    assert vocabulary_vectors(teachers[0], progress=False).shape[0] == 60


@pytest.mark.parametrize("family", ["bert", "llama"])
@pytest.mark.parametrize("target", ["logits", "centred", "probabilities"])
def test_the_most_probable_classes_are_explained_as_among_all(family, target):
    model = make(family, num_labels=9)
    ids, mask = batch()
    every, some = (integrated_gradients(model, ids, mask, target, n_steps=8, top=o) for o in (0, 3))
    top = every.logits.topk(3).indices[:, None].expand(-1, ids.shape[1], -1)
    torch.testing.assert_close(some.values.gather(2, top), every.values.gather(2, top), atol=1e-5, rtol=1e-3)
    torch.testing.assert_close(some.values.sum(-1), every.values.sum(-1), atol=1e-4, rtol=1e-3) # the others by their mean
    assert all(len(set(o[0].tolist())) == 4 for o in some.values) # three classes, and the six others alike
    torch.testing.assert_close(integrated_gradients(model, ids, mask, target, n_steps=8, top=8).values, every.values)


@pytest.mark.parametrize("family", ["gpt2", "llama", "mistral", "qwen2", "qwen3", "gemma"])
def test_decoders_are_answered_by_their_last_token_alone(family):
    model = make(family, sliding_window=6) if family == "mistral" else make(family)
    quick, plain = fast_forward(model), plain_forward(model)
    assert isinstance(quick, Decoder)
    ids, mask = batch()
    read, x = read_positions(model, ids, mask), model.get_input_embeddings()(ids).detach()
    for given in (x[:, :5].clone(), x): # shorter than Mistral's window, and longer
        seen, at = mask[:, :given.shape[1]], read.clamp_max(given.shape[1] - 1)
        with torch.no_grad():
            torch.testing.assert_close(quick(given, seen, at), plain(given, seen, at), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(fast_forward(model, torch.bfloat16)(x, mask, read), plain(x, mask, read), atol=0.05, rtol=0.1)

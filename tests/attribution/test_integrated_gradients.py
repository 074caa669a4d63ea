from functools import partial

import numpy as np
import pytest
import torch
from conftest import make_teacher
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lightx.attribution import (apply_target, best_max_tokens, captum_attributions, ChangeOfVariables, FLOOR, frozen, gauss_legendre, gradient_bytes,
                                initial_nodes, integrated_gradients as measured_precision, Paths)
from lightx.runtime import InputError

# What a machine multiplies fastest differs; the mathematics is checked in float32, and bfloat16 in tests of its own.
integrated_gradients = partial(measured_precision, precision="float32")


@pytest.mark.parametrize("target", ["logits", "centred", "probabilities"])
@pytest.mark.parametrize("baseline", ["zero", "pad"])
def test_completeness_within_tolerance(teacher, batch, target, baseline):
    # DistilBERT's head has a relu, whose kinks take many pieces.
    made = integrated_gradients(teacher.model, *batch, target=target, baseline=baseline, tol=1e-3, max_steps=1024)
    moved = apply_target(made.logits, target) - apply_target(made.baseline_logits, target)
    torch.testing.assert_close(made.values.sum(1) - made.delta, moved, atol=1e-5, rtol=1e-4)
    assert (made.error < 1e-3).all() and not made.above.any()
    torch.testing.assert_close(made.logits, teacher.model(input_ids=batch[0], attention_mask=batch[1]).logits, atol=1e-5, rtol=1e-4)


def test_all_architectures_agree_with_captum(teacher, batch):
    # captum's baseline is a row of padding ids, for which RoBERTa counts no positions; ours keeps the text's.
    if teacher.model.config.model_type == "roberta":
        pytest.skip("captum changes RoBERTa's positions with the baseline")
    theirs = captum_attributions(teacher.model, *batch, n_steps=12)
    ours = integrated_gradients(teacher.model, *batch, baseline="pad", n_steps=12).values
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-3)


def test_adaptive_agrees_with_many_even_steps(teacher, batch):
    even = integrated_gradients(teacher.model, *batch, n_steps=400).values
    adaptive = integrated_gradients(teacher.model, *batch, tol=1e-3, max_steps=1024).values
    assert (even - adaptive).abs().max() < 5e-3 * even.abs().max()


def test_batch_equals_texts_one_by_one(teacher, batch):
    ids, mask = batch
    together = integrated_gradients(teacher.model, ids, mask, n_steps=8, max_tokens=40).values
    for row, n in enumerate(mask.sum(1)):
        alone = integrated_gradients(teacher.model, ids[row:row + 1, :n], mask[row:row + 1, :n], n_steps=8).values
        torch.testing.assert_close(together[row, :n], alone[0], atol=1e-5, rtol=1e-3)
        assert together[row, n:].abs().sum() == 0


def test_last_class_for_nothing_is_right(batch):
    model = make_teacher().model
    centred = integrated_gradients(model, *batch, target="centred", n_steps=8).values
    logits = integrated_gradients(model, *batch, target="logits", n_steps=8).values
    torch.testing.assert_close(centred, logits - logits.mean(-1, keepdim=True), atol=1e-5, rtol=1e-4)


def test_max_steps_is_kept_and_marked(batch):
    made = integrated_gradients(make_teacher().model, *batch, tol=1e-9, max_steps=40)
    assert (made.steps <= 40).all() and made.above.all()


def test_smaller_tolerance_takes_more_points_and_errs_less(batch):
    model = make_teacher("distilbert").model
    loose, tight = (integrated_gradients(model, *batch, tol=tol, max_steps=1024) for tol in (0.1, 1e-3))
    assert tight.steps.sum() > loose.steps.sum() and tight.error.max() < 1e-3


def test_when_the_budget_ends_the_worst_pieces_were_halved_first(batch):
    model = make_teacher("distilbert").model
    few, more = (integrated_gradients(model, *batch, tol=1e-9, max_steps=steps) for steps in (24, 400))
    assert (few.steps <= 24).all() and (more.steps <= 400).all()
    assert few.above.all() and more.above.all() and more.error.mean() < few.error.mean() / 4


def test_model_is_left_as_it_was(batch):
    model = make_teacher().model.train()
    model.classifier.weight.requires_grad_(False)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    integrated_gradients(model, *batch, n_steps=2)
    assert model.training and not model.classifier.weight.requires_grad and model.classifier.bias.requires_grad
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items()) and all(p.grad is None for p in model.parameters())
    with pytest.raises(RuntimeError), frozen(model):
        raise RuntimeError
    assert model.training


def test_a_text_too_long_is_refused():
    ids = torch.ones(1, 10_000, dtype=torch.long)
    with pytest.raises(InputError, match="a text has 10,000 tokens, this model reads 64 at most"):
        integrated_gradients(make_teacher().model, ids, ids)
    with pytest.raises(InputError, match="this model reads 63 at most"):
        integrated_gradients(make_teacher("roberta").model, ids, ids)


def test_gradients_match_finite_differences(batch):
    model = make_teacher().model.double()
    paths = Paths(model, *batch)
    texts, t, eps = torch.arange(4), torch.tensor([0.1, 0.4, 0.7, 1.0], dtype=torch.float64), 1e-5
    numeric = (paths.logits(texts, t + eps) - paths.logits(texts, t - eps)) / (2 * eps)
    torch.testing.assert_close(paths.gradients(texts, t).sum(1).double(), numeric, atol=1e-5, rtol=1e-4)


@given(n=st.integers(1, 20), degree=st.integers(0, 39))
def test_gauss_is_exact_up_to_its_degree(n, degree):
    nodes, weights = gauss_legendre(n)
    if degree < 2 * n:
        assert abs(float((weights.double() * nodes.double() ** degree).sum()) - 1 / (degree + 1)) < 1e-5


@settings(deadline=None)
@given(moves=arrays(np.float32, (2, 10), elements=st.floats(0, 50, width=32)), t=arrays(np.float64, (2, 7), elements=st.floats(0, 1)))
def test_a_change_of_variables_runs_from_0_to_1_and_its_inverse_is_its_inverse(moves, t):
    warp, rows, t = ChangeOfVariables(torch.tensor(moves)), torch.arange(2).repeat_interleave(7), torch.tensor(t).flatten()
    s = warp.forward(rows, t)
    torch.testing.assert_close(warp.inverse(rows, s), t, atol=1e-9, rtol=0)
    assert (warp.derivative(rows, t) >= FLOOR / (FLOOR + 1) - 1e-9).all() and ((s >= -1e-12) & (s <= 1 + 1e-12)).all()
    ends = torch.tensor([0., 1., 0., 1.]).double()
    torch.testing.assert_close(warp.forward(torch.tensor([0, 0, 1, 1]), ends), ends, atol=1e-12, rtol=0)


def test_smaller_tolerances_begin_with_more_nodes():
    assert [initial_nodes(o) for o in (1, 0.1, 0.01, 0.001, 1e-12)] == [4, 6, 12, 20, 64]


@pytest.mark.parametrize("target", ["logits", "centred", "probabilities"])
def test_forward_mode_gives_the_same_gradients(teacher, batch, target):
    paths, texts, t = Paths(teacher.model, *batch, target), torch.tensor([0, 3, 1]), torch.tensor([0.2, 0.6, 0.9])
    torch.testing.assert_close(paths.forward_mode_gradients(texts, t), paths.gradients(texts, t), atol=1e-5, rtol=1e-3)


def test_many_classes_take_the_cheaper_side(batch, monkeypatch):
    model = make_teacher(num_labels=40).model
    back = [integrated_gradients(model, batch[0][r:r + 1, :n], batch[1][r:r + 1, :n], n_steps=4).values for r, n in enumerate(batch[1].sum(1))]
    monkeypatch.setattr(Paths, "gradients", lambda *args: pytest.fail("took the dearer side"))
    together = integrated_gradients(model, *batch, n_steps=4, max_tokens=100).values
    for row, n in enumerate(batch[1].sum(1)):
        torch.testing.assert_close(together[row, :n], back[row][0], atol=1e-5, rtol=1e-3)


def test_memory_that_runs_out_halves_the_batches(batch, monkeypatch):
    model, sizes, gradients = make_teacher().model, [], Paths.gradients
    whole = integrated_gradients(model, *batch, n_steps=8).values

    def small(self, texts, t):
        sizes.append(len(texts))
        if len(texts) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return gradients(self, texts, t)

    monkeypatch.setattr(Paths, "gradients", small)
    torch.testing.assert_close(integrated_gradients(model, *batch, n_steps=8).values, whole, atol=1e-5, rtol=1e-3)
    assert max(sizes) == 32 and sizes[-1] <= 3


def test_other_errors_are_not_taken_for_a_lack_of_memory(batch, monkeypatch):
    def broken(*args):
        raise RuntimeError("shapes differ")
    monkeypatch.setattr(Paths, "gradients", broken)
    with pytest.raises(RuntimeError, match="shapes differ"):
        integrated_gradients(make_teacher().model, *batch, n_steps=2)


def test_bfloat16_ends_within_the_tolerance_of_float32(batch):
    model = make_teacher().model
    exact, mixed = (integrated_gradients(model, *batch, tol=0.01, precision=o) for o in ("float32", "bfloat16"))
    assert not mixed.above.any() and (mixed.values - exact.values).abs().max() < 0.05 * exact.values.abs().max()
    tight = integrated_gradients(model, *batch, tol=1e-5, max_steps=400, precision="bfloat16")
    torch.testing.assert_close(tight.values, integrated_gradients(model, *batch, tol=1e-5, max_steps=400, precision="float32").values)


def test_a_batch_keeps_to_its_memory(batch):
    model = make_teacher().model
    with frozen(model):
        need = gradient_bytes(Paths(model, *batch)) / 2**30
    assert best_max_tokens(model, *batch, memory=3.5 * need, precision="float32") in [n * batch[0].shape[1] for n in (1, 2, 3)]
    with pytest.raises(InputError, match="memory 1e-06 GiB is too little"):
        best_max_tokens(model, *batch, memory=1e-6)


def test_an_architecture_that_is_not_known_is_used_as_it_is(batch):
    import transformers as hf

    from lightx.teacher import Encoder, fast_forward
    torch.manual_seed(0)
    shared = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64, vocab_size=60, num_labels=3)
    model = hf.AlbertForSequenceClassification(hf.AlbertConfig(embedding_size=32, **shared)).eval()
    assert not isinstance(fast_forward(model), Encoder)
    made = integrated_gradients(model, *batch, n_steps=32)
    assert (made.error < 0.01).all()

import numpy as np
import pytest
import torch
from conftest import make_teacher
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lightx.attribution import Paths, apply_target, captum_attributions, frozen, gauss, integrated_gradients, place
from lightx.data import InputError


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
    placed = integrated_gradients(teacher.model, *batch, tol=1e-3, max_steps=1024).values
    assert (even - placed).abs().max() < 5e-3 * even.abs().max()


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


def test_slopes_match_finite_differences(batch):
    model = make_teacher().model.double()
    paths = Paths(model, *batch)
    texts, t, eps = torch.arange(4), torch.tensor([0.1, 0.4, 0.7, 1.0], dtype=torch.float64), 1e-5
    numeric = (paths.logits(texts, t + eps) - paths.logits(texts, t - eps)) / (2 * eps)
    torch.testing.assert_close(paths.slopes(texts, t).sum(1).double(), numeric, atol=1e-5, rtol=1e-4)


@given(n=st.integers(1, 20), degree=st.integers(0, 39))
def test_gauss_is_exact_up_to_its_degree(n, degree):
    nodes, weights = gauss(n)
    if degree < 2 * n:
        assert abs(float((weights.double() * nodes.double() ** degree).sum()) - 1 / (degree + 1)) < 1e-5


@settings(deadline=None)
@given(profile=arrays(np.float32, (3, 9, 2), elements=st.floats(-50, 50, width=32)), pieces=st.integers(1, 6))
def test_pieces_cover_the_path(profile, pieces):
    edges = place(torch.tensor(profile), pieces)
    assert edges.shape == (3, pieces + 1)
    assert (edges[:, 0] == 0).all() and (edges[:, -1] == 1).all() and (edges.diff(dim=1) > 0).all()

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import make_teacher
from hypothesis import given, settings
from hypothesis import strategies as st

from lightx.teacher import head_costs, LogitsOnly, prune_heads, Teacher
from lightx.data import pad
from lightx.runtime import InputError
from lightx.training import (ADKD, Batch, Combined, DiXtill, E2KD, Examples, explain_student, find_method, IGAugment, kl_losses, LightX,
                             LogitMatch, map_cosine, map_distance, METHODS, predict_student, rationale_loss, SoftLabels, Task, toy_corpus, train,
                             UNTRAINED)
from lightx.student import LSTMStudent, MLPStudent, new_student, SelectStudent
from transformers import BertConfig, BertForSequenceClassification

SMALL = dict(vocab_size=30, embed_dim=6)
STUDENTS = {LSTMStudent: dict(units=5), SelectStudent: dict(hidden=8), MLPStudent: dict(hidden=8)}


def small(kind, seed=0, **kwargs):
    student = new_student(3, seed, kind, **SMALL, **STUDENTS[kind], **kwargs)
    with torch.no_grad():
        student.embedding.weight.mul_(10)
    return student


def random_batch(seed=0, texts=4, dtype=torch.float32):
    rng = np.random.default_rng(seed)
    ids, mask = pad([rng.integers(1, 30, rng.integers(2, 9)).tolist() for _ in range(texts)])
    values = torch.from_numpy(rng.normal(size=(*ids.shape, 3))).to(dtype) * mask[..., None]
    logits = [torch.from_numpy(rng.normal(size=(texts, 3))).to(dtype) for _ in range(2)]
    return Batch(ids, mask, torch.from_numpy(rng.integers(0, 3, texts)), values, *logits)


@pytest.mark.parametrize("kind", STUDENTS)
@given(seed=st.integers(0, 10**6))
@settings(deadline=None, max_examples=15)
def test_padding_never_counts(kind, seed):
    student, batch = small(kind, seed % 5).eval(), random_batch(seed)
    wider = [torch.nn.functional.pad(o, (0, 5), value=v) for o, v in ((batch.input_ids, 17), (batch.attention_mask, 0))]
    for a, b in zip(student.explain(*batch[:2]), student.explain(*wider)):
        b = b[:, :a.shape[1]] if b.dim() == 3 else b
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", STUDENTS)
@pytest.mark.parametrize("target", ["logits", "centred", "probabilities"])
def test_explanations_add_up(kind, target):
    student, batch = small(kind, target=target, **(dict(n_steps=40) if kind is LSTMStudent else {})).eval(), random_batch()
    from lightx.attribution import apply_target
    logits, values = student.explain(*batch[:2])
    moved = apply_target(logits, target) - apply_target(student.baseline_logits(*batch[:2]), target)
    torch.testing.assert_close(values.sum(1), moved, atol=2e-4, rtol=1e-3)
    torch.testing.assert_close(student(*batch[:2]), logits)


class Answered:
    "A student whose answers are given: even odds, and its first token for the first class."
    training = True
    maps = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])

    def __call__(self, *args):
        return torch.zeros(1, 2)

    def explain(self, *args):
        return self(), self.maps

    def scores(self, *args):
        return self(), self.maps[..., 0]


# CE = ln 2 = 0.6931, KL = 0.1308 of odds 3 to 1 from even ones, cos = 3 / 5 for the first class and 1 for the second.
@pytest.mark.parametrize("objective, loss", [
    (SoftLabels(0.1, temperature=1), 0.1 * 0.6931 + 0.9 * 0.1308),
    (LogitMatch(0.1), 0.1 * 0.6931 + 0.9 * 1.0986**2 / 2),
    (DiXtill(0.9, temperature=1), 0.1 * 0.6931 + 0.9 * (1 - 0.8774 + (1 - 0.6) / 2)),
    (DiXtill(0.9, temperature=2), 0.1 * 0.6931 + 0.9 * (1 - 0.9643 + (1 - 0.6) / 2)), # roots of the odds: KL = 0.0363
    (DiXtill(0.9, temperature=2, scale=4), 0.1 * 0.6931 + 0.9 * (1 - 0.8647 + (1 - 0.6) / 2)),
    (Combined(0.1, temperature=1, xai_weight=2, token_dropout=0), 0.1 * 0.6931 + 0.9 * 0.1308 + 2 * (4 + 0 + 16 + 0) / 4),
    (E2KD(weight=2, temperature=1), 0.1308 + 2 * (1 - 0.6)),
    (ADKD(0.9, weight=0.5, temperature=1), 0.1 * 0.6931 + 0.9 * 0.1308 + 0.5 * (2 - 2 * 0.6) / 2),
])
def test_an_objective_is_what_its_formula_gives_by_hand(objective, loss):
    taught = torch.tensor([[[3.0, 0.0], [4.0, 1.0]]])
    batch = Batch(torch.ones(1, 2).long(), torch.ones(1, 2).long(), torch.tensor([0]), taught, torch.tensor([[3.0, 1.0]]).log())
    assert objective(Answered(), batch)[0].item() == pytest.approx(loss, abs=1e-4)


@pytest.mark.parametrize("objective", [LightX(0.3), E2KD(), ADKD(), DiXtill()])
def test_the_gradient_of_an_objective_on_the_lstm_is_its_derivative(objective):
    student, batch = small(LSTMStudent, n_steps=3).double(), random_batch(1, 2, torch.float64)
    names = ["embedding.weight", "ahead.weight_ih_l0", "back.weight_hh_l0", "attend.0.weight", "output.weight"]
    weights = [dict(student.named_parameters())[o] for o in names]
    for w, g in zip(weights, torch.autograd.grad(objective(student, batch)[0], weights)):
        direction = torch.randn(w.shape, generator=torch.Generator().manual_seed(0)).double()
        with torch.no_grad():
            w += 1e-6 * direction
            up = objective(student, batch)[0]
            w -= 2e-6 * direction
            down = objective(student, batch)[0]
            w += 1e-6 * direction
        torch.testing.assert_close((g * direction).sum(), ((up - down) / 2e-6).detach(), atol=1e-7, rtol=1e-4)


def test_float32_explanations_of_the_lstm_have_a_gradient_too():
    student, batch = small(LSTMStudent), random_batch()
    E2KD()(student, batch)[0].backward()
    assert student.back.weight_hh_l0.grad.abs().max() > 0


@given(st.integers(0, 10**6), st.floats(1, 10))
def test_kl_is_never_negative_and_zero_only_for_equal_logits(seed, tau):
    a, b = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(seed)).double()
    assert (kl_losses(a, b, tau) > 0).all() and kl_losses(a, a + 3, tau).abs().max() < 1e-9


@given(st.integers(0, 10**6), st.floats(0.1, 10))
def test_maps_are_compared_by_direction(seed, scale):
    batch = random_batch(seed)
    e = batch.attributions
    assert map_distance(scale * e, e) < 1e-6
    torch.testing.assert_close(map_cosine(-scale * e[..., 0], e[..., 0]), -torch.ones(len(e)))


def test_a_rationale_that_is_met_costs_nothing():
    chances = torch.tensor([[0.2, 0.9]])
    assert rationale_loss(chances.logit(), chances, torch.ones(1, 2)).abs() < 1e-6


def test_selection_is_noisy_in_training_alone_and_never_empty():
    student, batch = small(SelectStudent), random_batch()
    with torch.no_grad():
        student.selector[2].bias -= 100 # nothing would be kept
    assert (student.train().select(*batch[:2])[0].sum(1) == 1).all()
    kept = student.eval().select(*batch[:2])[0]
    assert (kept.sum(1) == 1).all() and (kept * (1 - batch.attention_mask) == 0).all()


def test_augmentation_leaves_evaluation_alone():
    student, batch = small(MLPStudent, dropout=0.0).eval(), random_batch()
    assert torch.equal(IGAugment(share=1)(student, batch)[0], IGAugment(share=0)(student, batch)[0])
    student.train()
    assert not torch.equal(IGAugment(share=1)(student, batch)[0], IGAugment(share=0)(student, batch)[0])


@pytest.fixture(scope="module")
def toy():
    ids, labels, pulls = toy_corpus(60)
    known = SimpleNamespace(values=pulls, logits=np.stack([o.sum(0) for o in pulls]), baseline_logits=np.zeros((60, 3), np.float32))
    size = dict(hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8)
    model = BertForSequenceClassification(BertConfig(vocab_size=60, num_labels=3, **size)).eval()
    more = toy_corpus(40, seed=1)
    return Task(Teacher(model, SimpleNamespace(cls_token_id=None, sep_token_id=None)), Examples(ids, labels, known),
                unlabelled=(more[0], np.stack([o.sum(0) for o in more[2]])))


@pytest.mark.parametrize("name", [o for o in METHODS if o not in UNTRAINED and "original" not in METHODS[o].__module__])
def test_a_method_trains_alike_twice(name, toy, monkeypatch):
    monkeypatch.setattr(Task, "epochs", lambda self, *a, **k: 1)
    (a, history), (b, again) = train(name, toy), train(name, toy)
    assert history == again and all(torch.equal(p, q) for p, q in zip(a.state_dict().values(), b.state_dict().values()))
    logits = predict_student(a, toy.examples)
    assert logits.shape == (60, 3) and logits.isfinite().all()
    assert [len(o) for o in explain_student(a, toy.examples)] == toy.examples.lengths.tolist()


def test_the_best_student_starts_from_the_teacher_and_learns_from_texts_without_labels(toy):
    plan, more = find_method("best")(toy), find_method("best_unlabelled")(toy)
    weight = plan.student.embedding.weight
    assert torch.equal(weight, more.student.embedding.weight) is False # the pieces are counted in more texts
    assert torch.equal(weight, find_method("best")(toy).student.embedding.weight)
    assert weight[:, 8:].abs().max() == 0 # the teacher is 8 wide, and nothing is made up beside it
    assert len(more.examples) == 100 and (more.examples.labels[60:] == -100).all() and more.examples.explained.sum() == 60
    with pytest.raises(InputError, match="best_unlabelled learns from texts without labels"):
        find_method("best_unlabelled")(replace(toy, unlabelled=None))


def test_words_are_left_out_in_training_alone():
    student, batch = small(MLPStudent, dropout=0.0).eval(), random_batch()
    assert torch.equal(Combined(token_dropout=0.9)(student, batch)[0], Combined(token_dropout=0)(student, batch)[0])
    student.train()
    assert not torch.equal(Combined(token_dropout=0.9)(student, batch)[0], Combined(token_dropout=0)(student, batch)[0])


def test_controls_change_nothing_but_the_attributions(toy):
    for name in ("lightx_shuffled", "lightx_random", "lightx_wrong_class"):
        examples = find_method(name)(toy).examples
        assert not torch.equal(examples.attributions, toy.examples.attributions)
        assert (examples.attributions[toy.examples.attention_mask == 0] == 0).all()
        assert all(torch.equal(getattr(examples, o), getattr(toy.examples, o)) for o in ("input_ids", "labels", "logits", "baseline_logits"))


@pytest.mark.parametrize("kind", ["bert", "roberta"])
def test_heads_are_cut_as_they_are_silenced(kind, batch):
    teacher, (ids, mask) = make_teacher(kind), batch
    with torch.no_grad():
        whole = LogitsOnly(teacher.model)(ids, mask)
    costs = head_costs(teacher.model, [(ids, mask, whole.argmax(1))])
    small = prune_heads(teacher.model, costs, 1)
    assert costs.shape == (2, 2) and not torch.allclose(small(ids, mask), whole)
    with torch.no_grad():
        torch.testing.assert_close(prune_heads(teacher.model, costs, 2)(ids, mask), whole)
        torch.testing.assert_close(LogitsOnly(teacher.model)(ids, mask), whole) # the teacher is as it was


def test_a_teacher_of_another_layout_is_refused(batch):
    with pytest.raises(InputError, match="distilbert is not laid out like BERT"):
        head_costs(make_teacher("distilbert").model, [(*batch, torch.zeros(4, dtype=torch.long))])

"""The related methods as their authors have them: by hand, by finite differences, against plain loops, and on a tiny teacher."""
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import make_teacher
from hypothesis import given, settings
from hypothesis import strategies as st

from lightx.attribution import explain_corpus
from lightx.data import pad
from lightx.runtime import InputError
from lightx.student import MLPStudent, new_student, SelectStudent, WordLSTMStudent
from lightx.training import (ADKDOriginal, Batch, corpus_maps, DiXtillOriginal, E2KDOriginal, embedding_output, embeddings_read, Examples,
                             explain_student, find_method, grad_cam, IGAugmentOriginal, kl_losses, METHODS, methods, predict_student,
                             REKDOriginal, run_plan, saliency, selected, softened_choice, Task)

ORIGINALS = [o for o in METHODS if "training.original" in METHODS[o].__module__]


def random_batch(seed=0, texts=4, classes=3, width=3, dtype=torch.float64):
    rng = np.random.default_rng(seed)
    ids, mask = pad([rng.integers(3, 30, rng.integers(2, 9)).tolist() for _ in range(texts)])
    values = torch.from_numpy(rng.normal(size=(*ids.shape, width))).to(dtype) * mask[..., None]
    return Batch(ids, mask, torch.from_numpy(rng.integers(0, classes, texts)), values, torch.from_numpy(rng.normal(size=(texts, classes))).to(dtype))


def small(kind=MLPStudent, seed=0, **kwargs):
    student = new_student(3, seed, kind, **dict(vocab_size=30, embed_dim=6, hidden=8, dropout=0.0) | kwargs).double()
    with torch.no_grad():
        student.embedding.weight.mul_(10)
    return student


@pytest.fixture(scope="module")
def task():
    teacher, rng = make_teacher(), np.random.default_rng(0)
    words = range(4, len(teacher.tokenizer))
    ids = [[1, *rng.choice(words, rng.integers(3, 8)).tolist(), 2] for _ in range(40)]
    known = explain_corpus(teacher, ids, target="centred", tol=0.2, progress=False)
    return Task(teacher, Examples(ids, known.logits.argmax(1), known), steps=10)


# --- What is trained on

def test_all_of_them_are_methods():
    assert set(ORIGINALS) == {"dixtill_original", "adkd_original", "e2kd_original", "ig_augment_original", "ig_augment_shuffled", "rekd_original",
                              "rekd_select_only", "rekd_no_rationale"}


@pytest.mark.parametrize("name", ORIGINALS)
def test_a_method_trains_alike_twice(name, task):
    def once():
        plan = find_method(name)(task)
        assert plan.epochs >= 10
        plan.epochs = 2
        return run_plan(plan, task)
    (a, history), (b, again) = once(), once()
    assert history == again and all(torch.equal(p, q) for p, q in zip(a.state_dict().values(), b.state_dict().values()))
    assert any(not torch.equal(p, q) for p, q in zip(a.state_dict().values(), find_method(name)(task).student.state_dict().values()))
    logits = predict_student(a, task.examples)
    assert logits.shape == (40, 3) and logits.isfinite().all()
    assert [len(o) for o in explain_student(a, task.examples)] == task.examples.lengths.tolist()
    assert ("held_out" in history[0]) == (name.startswith(("dixtill", "adkd", "rekd")))


@pytest.mark.parametrize("name", [o for o in ORIGINALS if not o.startswith(("e2kd", "ig_augment"))])
def test_what_judges_is_cut_from_the_same_texts(name, task):
    plan = find_method(name)(task)
    rows = [tuple(o) for part in (plan.examples, plan.judged) for o in part.ids]
    assert len(plan.judged) == 4 and sorted(rows) == sorted(map(tuple, task.examples.ids))


def test_shuffled_maps_and_logits_are_those_of_other_texts(task):
    own, other = find_method("ig_augment_original")(task).examples, find_method("ig_augment_shuffled")(task).examples
    assert torch.equal(own.logits.sort(0).values, other.logits.sort(0).values) and not torch.equal(own.logits, other.logits)
    assert torch.equal(own.labels, other.labels) and torch.equal(own.input_ids, other.input_ids)
    assert (other.attributions[task.examples.attention_mask == 0] == 0).all() and not torch.equal(own.attributions, other.attributions)


def test_maps_are_the_teachers_own(task):
    model, examples = task.teacher.model, task.examples
    def make(batch):
        return saliency(*embedding_output(model, *batch[:2]))
    maps = corpus_maps(model, examples, make, "test", batch_size=7)
    for i in (0, 17, 39):
        alone = make(examples.batch(torch.tensor([i])))[0].detach()
        torch.testing.assert_close(maps[i, :len(alone)], alone, atol=1e-5, rtol=1e-4)
        assert maps[i, len(alone):].abs().sum() == 0


# --- Objectives

class Given:
    """A student of one text of two tokens, whose answers are given."""
    training = True

    def __init__(self, embeddings, attention=None):
        self.embedding, self.attention, self.reader = torch.nn.Embedding.from_pretrained(embeddings), attention, self

    def __call__(self, ids, mask):
        return self.embedding(ids).requires_grad_().sum(1)

    def read_words(self, ids, mask):
        return ids, mask

    def mean_by_word(self, values, ids, mask):
        return values

    def scores(self, ids, mask):
        return self(ids, mask), self.attention


# Logits (3, 4) + (4, 1) = (7, 5): CE of the first class = ln(1 + e^-2) = 0.1269, KL of odds 3 to 1 = 0.0646, cosine of (3, 4) and (4, 3) = 0.96.
@pytest.mark.parametrize("objective, loss", [
    (DiXtillOriginal(0.9, temperature=1), 0.1 * 0.1269 + 0.9 * (1 - math.exp(-0.0646)) + 0.9 * 0.04 / 2),
    (E2KDOriginal(weight=2), 0.0646 + 2 * 0.04),
    (ADKDOriginal(1, 1, temperature=1), 0.2 * 0.1269 + 0.8 * (0.75 * 0.1269 + 0.25 * 2.1269) + 10 * (2 - 2 * 0.9947) / 2),
])
def test_an_objective_is_what_its_formula_gives_by_hand(objective, loss):
    map_of = torch.tensor([[[4.0], [3.0]]])
    if isinstance(objective, ADKDOriginal): # the student's map is (5, sqrt(17)), before it is scaled
        map_of /= 5
        loss += 10 * (0.9947 - (5 * 0.8 + 17**0.5 * 0.6) / 42**0.5)
    batch = Batch(torch.tensor([[0, 1]]), torch.ones(1, 2).long(), torch.tensor([0]), map_of, torch.tensor([[3.0, 1.0]]).log())
    student = Given(torch.tensor([[3.0, 4.0], [4.0, 1.0]]), attention=torch.tensor([[3.0, 4.0]]))
    assert objective(student, batch)[0].item() == pytest.approx(loss, abs=2e-3)


def finite_differences(student, objective, batch, names):
    weights = [dict(student.named_parameters())[o] for o in names]
    for w, g in zip(weights, torch.autograd.grad(objective(student, batch)[0], weights)):
        direction = torch.randn(w.shape, generator=torch.Generator().manual_seed(0)).double()
        with torch.no_grad():
            w += 1e-6 * direction
        up = objective(student, batch)[0].detach()
        with torch.no_grad():
            w -= 2e-6 * direction
        down = objective(student, batch)[0].detach()
        with torch.no_grad():
            w += 1e-6 * direction
        torch.testing.assert_close((g * direction).sum(), (up - down) / 2e-6, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("make", [lambda: ADKDOriginal(2, 10**6), lambda: E2KDOriginal(weight=3)])
def test_the_gradient_through_a_gradient_is_its_derivative(make):
    finite_differences(small().train(), make(), random_batch(2, width=3), ["embedding.weight", "hidden.weight", "output.weight"])


def test_the_gradient_of_dixtill_is_its_derivative():
    student = new_student(3, 0, WordLSTMStudent, vocab_size=30, words=40, embed_dim=6, units=5).double()
    batch = random_batch(1, width=1)
    student.learn_words(*batch[:2])
    finite_differences(student, DiXtillOriginal(), batch, ["reader.embedding.weight", "reader.ahead.weight_ih_l0", "reader.attend.0.weight"])


@given(st.integers(0, 10**6), st.integers(2, 5))
@settings(deadline=None, max_examples=20)
def test_saliency_does_not_depend_on_the_size_or_the_sign_of_gradients(seed, classes):
    batch = random_batch(seed, classes=classes)
    student = new_student(classes, seed % 7, vocab_size=30, embed_dim=6, hidden=8, dropout=0.0).double()
    logits, e = embeddings_read(student, *batch[:2])
    maps, negative = saliency(logits, e), saliency(-logits, e)
    assert maps.shape[-1] == (classes if classes > 2 else 1) and (maps >= 0).all()
    assert (maps[batch.attention_mask == 0] == 0).all()
    if classes == 2:
        torch.testing.assert_close(maps, negative)


def test_grad_cam_of_a_bag_of_words_is_positive_gradient_times_input():
    batch = random_batch(3)
    student = small()
    logits, e = embeddings_read(student, *batch[:2])
    g, = torch.autograd.grad(logits[torch.arange(4), batch.labels].sum(), e, retain_graph=True)
    # The gradient of the mean is the same at every token of a text, so its mean over the tokens is that one.
    torch.testing.assert_close(grad_cam(logits, e, batch.attention_mask, batch.labels), torch.relu((g * e).sum(-1)))


def test_maps_are_laid_over_texts_in_training_alone():
    student, batch = small().eval(), random_batch()
    assert torch.equal(IGAugmentOriginal(share=1)(student, batch)[0], IGAugmentOriginal(share=0)(student, batch)[0])
    student.train()
    plain = IGAugmentOriginal(share=0)(student, batch)[0]
    assert not torch.equal(IGAugmentOriginal(share=1)(student, batch)[0], plain)
    assert torch.equal(IGAugmentOriginal(share=0)(student, batch)[0], plain) and not student.embedding._forward_hooks


# --- REKD

def test_the_teacher_answers_for_what_the_student_has_kept(task):
    batch = task.examples.batch(torch.arange(5))
    objective, everything = REKDOriginal(10, task.teacher.model), batch.attention_mask.float()
    with torch.no_grad():
        whole = task.teacher.model(*batch[:2]).logits
    torch.testing.assert_close(objective.answers(*batch[:2], everything), whole, atol=1e-5, rtol=1e-4)
    assert not torch.allclose(objective.answers(*batch[:2], everything * 0), whole)


def test_a_selecting_student_is_told_both_by_the_rationale_and_by_the_answers(task):
    batch = task.examples.batch(torch.arange(8))
    batch = batch._replace(attributions=batch.attributions[..., :1])
    student = new_student(3, 0, SelectStudent, vocab_size=task.teacher.model.config.vocab_size)
    student.rows = None
    def gradient(**choices):
        torch.manual_seed(0)
        loss, parts = REKDOriginal(10, **choices)(student.train(), batch)
        return torch.autograd.grad(loss, student.selector[0].weight)[0], parts
    alone, parts = gradient()
    both, more = gradient(model=task.teacher.model)
    answers, _ = gradient(model=task.teacher.model, rationale_weight=0.0)
    assert {"kd", "rationale"} <= set(more) and not {"kd", "rationale"} & set(parts)
    assert not torch.allclose(both, alone) and not torch.allclose(answers, both) and not torch.allclose(answers, alone)


def test_held_out_texts_ask_no_teacher():
    def never(**kwargs):
        raise AssertionError("asked")
    student, batch = small(SelectStudent).eval(), random_batch(width=1)
    loss, parts = REKDOriginal(10, never)(student, batch)
    assert loss == parts["own"] and set(parts) == {"ce", "select", "own", "kept"}


def test_temperatures_fall_in_stairs_of_a_hundred_steps():
    objective, seen = REKDOriginal(1000), []
    for objective.taken in range(0, 1100, 50): # noqa: B007
        seen.append(objective.temperature())
    assert seen[0] == 5 and seen[1] == 5 and seen == sorted(seen, reverse=True) and seen[-1] == 0.1
    assert len(set(seen[:20])) == 10 and seen[10] == pytest.approx((5 * 0.1) ** 0.5) # half of the way, in logarithms


@given(st.integers(0, 10**6), st.floats(0.05, 1))
@settings(deadline=None)
def test_a_teachers_selection_is_the_largest_share_of_its_tokens(seed, rate):
    batch = random_batch(seed)
    values, mask = batch.attributions[..., 0], batch.attention_mask
    kept = (selected(values, mask, rate) > 0) & (mask > 0)
    for row, n, v in zip(kept, mask.sum(1), values):
        assert row.sum() == math.ceil(np.float32(rate) * int(n) - 1e-6)
        if row[:n].all():
            continue
        assert v[:n][row[:n]].min() >= v[:n][~row[:n]].max()


@given(st.floats(-3, 3), st.floats(0.2, 5))
def test_without_noise_a_choice_is_its_odds_at_a_temperature(score, temperature):
    log_chance = softened_choice(torch.tensor([[score]]), temperature, torch.zeros(1, 1, 2))
    assert log_chance.exp()[0, 0, 0].item() == pytest.approx(1 / (1 + math.exp(-score / temperature)), abs=1e-5)


# --- Words

def merged(tokens, values):
    """What the authors' `merge_tokens` does, as a plain loop: words and the means of their pieces."""
    words = []
    for t, v in zip(tokens, values):
        if t.startswith("##") and words:
            words[-1][0] += t
            words[-1][1].append(v)
        else:
            words.append([t, [v]])
    return [w for w, _ in words], [float(np.mean(v)) for _, v in words]


@given(st.integers(0, 10**6))
@settings(deadline=None, max_examples=40)
def test_words_are_those_of_a_plain_loop(seed):
    rng = np.random.default_rng(seed)
    pieces = ["[PAD]", "[CLS]", "[SEP]", *(f"w{i}" for i in range(6)), *(f"##{i}" for i in range(5))]
    student = new_student(2, 0, WordLSTMStudent, vocab_size=len(pieces), words=30, embed_dim=4, units=3)
    student.goes_on.copy_(torch.tensor([o.startswith("##") for o in pieces]))
    student.unread[1:3] = True
    texts = [[1, *rng.integers(3, len(pieces), rng.integers(1, 10)).tolist(), 2] for _ in range(4)]
    ids, mask = pad(texts)
    student.learn_words(ids, mask)
    values = torch.from_numpy(rng.normal(size=ids.shape).astype(np.float32))
    means, (rows, there) = student.mean_by_word(values, ids, mask), student.read_words(ids, mask)
    numbers = {}
    for i, text in enumerate(texts):
        words, expected = merged([pieces[o] for o in text[1:-1]], values[i, 1:len(text) - 1].tolist())
        assert there[i].sum() == len(words)
        torch.testing.assert_close(means[i, :len(words)], torch.tensor(expected), atol=1e-5, rtol=1e-5)
        for word, row in zip(words, rows[i].tolist()):
            assert numbers.setdefault(word, row) == row # the same word has one row
    assert len(set(numbers.values())) == len(numbers)   # and different words have different ones


def test_padding_never_counts_and_explanations_add_up_on_words():
    student = new_student(3, 1, WordLSTMStudent, vocab_size=30, words=50, embed_dim=6, units=5, n_steps=40, embed_std=2.0).eval()
    student.goes_on[20:] = True
    ids, mask = pad([[5, 21, 22, 6], [7, 25], [29, 8, 9]])
    student.learn_words(ids, mask)
    wider = torch.nn.functional.pad(ids, (0, 4), value=9), torch.nn.functional.pad(mask, (0, 4))
    with torch.no_grad():
        logits, values = student.explain(ids, mask)
        torch.testing.assert_close(values.sum(1), logits - student.baseline_logits(ids, mask), atol=1e-4, rtol=1e-3)
        for a, b in zip((logits, values), student.explain(*wider)):
            torch.testing.assert_close(a, b[:, :a.shape[1]] if b.dim() == 3 else b, atol=1e-5, rtol=1e-4)


def test_words_beyond_the_room_are_the_rarest():
    student = new_student(2, 0, WordLSTMStudent, vocab_size=20, words=2, embed_dim=4, units=3)
    ids, mask = pad([[5, 5, 6], [5, 6, 7]])
    student.learn_words(ids, mask)
    rows, _ = student.read_words(ids, mask)
    assert rows[1, 2] == 2 and set(rows[0].tolist()) == {0, 1}


def test_what_dixtill_cannot_read_is_refused_in_one_line(task):
    with pytest.raises(InputError, match="the LSTM is explained against zero"):
        find_method("dixtill_original")(replace(task, baseline="pad"))


# --- Head pruning

def test_heads_are_judged_on_texts_that_the_teacher_was_not_fine_tuned_on(task, monkeypatch):
    seen, costs = [], methods.head_costs
    def spy(model, batches):
        seen.append(batches)
        return costs(model, batches)
    monkeypatch.setattr(methods, "head_costs", spy)
    find_method("head_pruning")(task)
    more = [[1, 5, 6, 7, 2], [1, 9, 9, 2]]
    logits = np.array([[0.0, 2, 1], [5, 0, 0]], np.float32)
    find_method("head_pruning")(replace(task, unlabelled=(more, logits)))
    def texts(batches):
        return {tuple(row[m.bool()].tolist()): int(y) for i, mask, labels in batches for row, m, y in zip(i, mask, labels)}
    assert texts(seen[0]) == dict(zip(map(tuple, task.examples.ids), task.examples.labels.tolist()))
    assert texts(seen[1]) == dict(zip(map(tuple, more), [1, 0])) # the teacher's own decisions stand for labels


def test_kl_of_the_authors_keras_is_ours():
    # keras.losses.kl_divergence(softmax(t / tau), softmax(s / tau)) * tau**2, by hand
    t, s, tau = np.array([2.0, 0.5, -1.0]), np.array([0.0, 1.0, 0.0]), 5
    p, q = (np.exp(o / tau) / np.exp(o / tau).sum() for o in (t, s))
    ours = kl_losses(torch.tensor(s)[None], torch.tensor(t)[None], tau).item()
    assert ours == pytest.approx(tau**2 * (p * np.log(p / q)).sum(), rel=1e-9)

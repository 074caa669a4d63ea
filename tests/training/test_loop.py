import numpy as np
import pytest
import torch
from conftest import examples, trained_densely
from hypothesis import given, settings
from hypothesis import strategies as st

from lightx.training import (AutoLightX, BestEpoch, CrossEntropy, Examples, GradientStats, learning_rates, LightX, RowAdam, RowMomentum, RULES,
                             StackedLightX, StudentStack, train_student)
from lightx.runtime import InputError
from lightx.student import new_student


def small(seed=0, **kwargs):
    return new_student(3, seed, **dict(vocab_size=60, embed_dim=8, hidden=16) | kwargs)


@pytest.mark.parametrize("name, lr, dense", [
    ("adam", 3e-3, lambda p: torch.optim.Adam(p)), ("adamw", 3e-3, lambda p: torch.optim.AdamW(p, weight_decay=0.05)),
    ("sgd", 0.3, lambda p: torch.optim.SGD(p)), ("momentum", 0.1, lambda p: torch.optim.SGD(p, momentum=0.9)),
    ("momentum_99", 0.02, lambda p: torch.optim.SGD(p, momentum=0.99))])
@pytest.mark.parametrize("schedule", ["constant", "warmup_cosine"])
def test_rows_alone_learn_what_the_whole_embedding_learns(name, lr, dense, schedule):
    # A vocabulary of which most words are rare, so that rows wait for many steps.
    texts, steps = examples(), 3 * 30
    plain, rowwise = small(vocab_size=200), small(vocab_size=200)
    trained_densely(plain, texts, LightX(0.3, 10), dense(plain.parameters()), learning_rates(schedule, lr, steps), 4, 3)
    train_student(rowwise, texts, LightX(0.3, 10), 3, lr, 4, name, schedule=schedule, weight_decay=0.05)
    moved = (plain.embedding.weight - small(vocab_size=200).embedding.weight).abs().mean()
    gap = max((a - b).abs().max().item() for a, b in zip(plain.parameters(), rowwise.parameters()))
    assert moved > 1e-4 and gap < 2e-5


@settings(deadline=None, max_examples=25)
@given(st.lists(st.sets(st.integers(0, 11), min_size=1, max_size=4), min_size=1, max_size=60), st.floats(0, 0.2), st.integers(0, 99))
def test_a_row_is_what_it_would_be_whenever_it_is_read(steps, decay, seed):
    g = torch.Generator().manual_seed(seed)
    lrs = [1e-2 * (1 - i / len(steps)) + 1e-4 for i in range(len(steps))]
    dense, rowwise = torch.nn.Parameter(torch.randn(12, 3, generator=g)), None
    rowwise, optim = RowAdam(dense.detach().clone(), lrs, decay), torch.optim.AdamW([dense], weight_decay=decay)
    for lr, rows in zip(lrs, steps):
        rows = torch.tensor(sorted(rows))
        torch.testing.assert_close(rowwise.gather(rows), dense.detach()[rows], atol=2e-5, rtol=1e-4)
        grad = torch.randn(len(rows), 3, generator=g)
        rowwise.update(grad)
        dense.grad = torch.zeros(12, 3).index_copy(0, rows, grad)
        optim.param_groups[0]["lr"] = lr
        optim.step()
    rowwise.finish()
    torch.testing.assert_close(rowwise.table, dense.detach(), atol=2e-5, rtol=1e-4)


def test_rows_that_nobody_reads_stay_where_they_are():
    table = torch.randn(5, 2)
    for kind in (RowAdam, RowMomentum):
        rowwise = kind(table.clone(), [0.1] * 3)
        for _ in range(3):
            rowwise.gather(torch.tensor([1]))
            rowwise.update(torch.ones(1, 2))
        rowwise.finish()
        assert torch.equal(rowwise.table[[0, 2, 3, 4]], table[[0, 2, 3, 4]]) and not torch.equal(rowwise.table[1], table[1])


@pytest.mark.parametrize("baseline", ["zero", "pad"])
@pytest.mark.parametrize("target", ["logits", "centred", "probabilities"])
def test_a_short_embedding_is_multiplied_whole_to_the_same_end(baseline, target, monkeypatch):
    student, batch = small(baseline=baseline, target=target).eval().double(), examples().batch(torch.arange(9))
    found = []
    for few in (True, False):
        monkeypatch.setattr(type(student), "_short_table", lambda self, ids: few)
        logits, values = student.explain(*batch[:2])
        grad, = torch.autograd.grad((values**2).sum() + student(*batch[:2]).logsumexp(1).sum(), student.embedding.weight)
        found.append((logits, values, grad))
    for a, b in zip(*found):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("loss", [LightX(0.5), LightX(0.5, 30, 0.1)])
def test_students_learn_side_by_side_what_they_learn_alone(loss):
    alphas, texts = [0.0, 0.3, 1.0], examples()
    stack = StudentStack([small(seed, dropout=0.2) for seed in range(3)])
    train_student(stack, texts, StackedLightX(alphas, loss), epochs=4)
    for seed, (alpha, side) in enumerate(zip(alphas, stack.students())):
        alone = small(seed, dropout=0.2)
        train_student(alone, texts, LightX(alpha, loss.xai_weight, loss.baseline_weight), epochs=4)
        gap = max((a - b).abs().max().item() for a, b in zip(alone.parameters(), side.parameters()))
        assert gap < 1e-4 and not side.training


def test_the_learning_rate_climbs_and_falls():
    rates = learning_rates("warmup_cosine", 1.0, 50)
    top = rates.index(max(rates))
    assert rates[:top] == sorted(rates[:top]) and rates[top:] == sorted(rates[top:], reverse=True) and max(rates) <= 1 and rates[-1] < 0.01
    assert len(learning_rates("warmup_cosine", 1.0, 1)) == 1
    with pytest.raises(InputError, match="schedule 'cosine' is unknown"):
        train_student(small(), examples(), CrossEntropy(), schedule="cosine")


@pytest.mark.parametrize("rule", RULES)
@given(st.lists(st.tuples(st.floats(0, 10), st.floats(0, 10), st.floats(1e-6, 10), st.floats(1e-6, 10), st.floats(-1, 1)), min_size=1, max_size=70))
@settings(deadline=None, max_examples=20)
def test_a_rule_gives_a_share(rule, seen):
    found = RULES[rule]()
    for a, b, p, q, cos in seen:
        assert 0 <= found(GradientStats(torch.tensor([a, b]), torch.tensor([p, q]), torch.tensor(cos * p * q))) <= 1


def test_a_loss_that_cannot_fall_does_not_stop_a_training():
    auto = AutoLightX("gradnorm", LightX(0.5, xai_weight=0.0)) # the second gradient is zero throughout
    history = train_student(small(), examples(), auto, epochs=2)
    assert np.isfinite(history[-1]["loss"]) and len(auto.alphas) == 2 * 4


@pytest.mark.parametrize("optimizer, lr", [("adam", 0.03), ("momentum", 0.3)])
def test_the_best_epoch_is_the_student_of_a_shorter_training(optimizer, lr):
    texts, judged = examples().held_out(0.3)
    kept, shorter, last = (small(vocab_size=200) for _ in range(3))
    history = train_student(kept, texts, CrossEntropy(), 30, lr, 8, optimizer, best=BestEpoch(judged, "ce"))
    losses = [o["held_out"] for o in history]
    best = int(np.argmin(losses)) + 1
    assert 1 <= best < 30 and losses[-1] > losses[best - 1]
    train_student(shorter, texts, CrossEntropy(), best, lr, 8, optimizer)
    for a, b in zip(kept.parameters(), shorter.parameters()):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)
    # To be looked at does not change what a student learns.
    plain = train_student(last, texts, CrossEntropy(), 30, lr, 8, optimizer)
    assert [o["loss"] for o in plain] == pytest.approx([o["loss"] for o in history], rel=1e-5)


@given(st.lists(st.integers(0, 3), min_size=2, max_size=60), st.floats(0.05, 0.5), st.integers(0, 99))
@settings(deadline=None, max_examples=40)
def test_held_out_texts_are_a_share_of_every_class(labels, share, seed):
    texts = Examples([[i + 1] for i in range(len(labels))], labels)
    rest, back = texts.held_out(share, seed)
    assert sorted([*rest.input_ids[:, 0].tolist(), *back.input_ids[:, 0].tolist()]) == list(range(1, len(labels) + 1))
    assert len(back) == max(1, round(share * len(labels))) and len(rest) >= 1
    for c in set(labels):
        assert abs((back.labels == c).sum().item() - share * labels.count(c)) < 2
    assert [int(labels[i - 1]) for i in back.input_ids[:, 0]] == back.labels.tolist()

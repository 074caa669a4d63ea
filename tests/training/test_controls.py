"""What each control keeps of attributions, and the parts of the recipe."""
import pytest
import torch
from conftest import examples
from hypothesis import given, settings, strategies as st

from lightx.student import MLPStudent, new_student
from lightx.training import (Combined, map_distance, noise_like, of_same_class, permuted_within, spread_evenly,
                             WholeTextLogits, xai_loss)


@settings(deadline=None)
@given(st.integers(0, 10**6))
def test_two_controls_keep_the_sum_of_each_text_and_nothing_reaches_padding(seed):
    some = examples(12, seed)
    sums = some.attributions.sum(1)
    for made in (permuted_within(some, seed), spread_evenly(some)):
        torch.testing.assert_close(made.sum(1), sums, atol=1e-5, rtol=1e-5)
    for made in (permuted_within(some, seed), spread_evenly(some), of_same_class(some, seed), noise_like(some, seed)):
        assert made.shape == some.attributions.shape and not made[some.attention_mask == 0].any()


@settings(deadline=None)
@given(st.integers(0, 10**6))
def test_a_permutation_keeps_the_rows_of_a_text(seed):
    some = examples(6, seed)
    made = permuted_within(some, seed)
    for row, n in enumerate(some.lengths):
        assert sorted(made[row, :n].tolist()) == sorted(some.attributions[row, :n].tolist())


def test_each_text_gets_the_attributions_of_another_one_of_its_class():
    some, at = examples(40), 2
    some.attributions = torch.arange(40.)[:, None, None].expand(40, some.input_ids.shape[1], 3) * some.attention_mask[..., None]
    made, decided = of_same_class(some, 0), some.logits.argmax(1)
    other = made[:, at, 0].long() # every text is longer than that
    assert (other != torch.arange(40)).all() and (decided[other] == decided).all() and len(other.unique()) == 40


def test_noise_has_the_spread_of_each_text_without_its_padding():
    some = examples(2)
    some.lengths = torch.tensor([4000, 4])
    some.attention_mask = (torch.arange(4000) < some.lengths[:, None]).long()
    some.attributions = torch.stack([3 * torch.randn(4000, 3), torch.zeros(4000, 3)])
    made = noise_like(some)
    assert made[0].std().item() == pytest.approx(3, rel=0.05) and not made[1].any()


def test_whole_text_logits_need_no_attributions():
    some, student = examples(8), new_student(3, vocab_size=60, target="centred")
    whole = some.batch(torch.arange(8))
    objective = WholeTextLogits(0.5, 100, 0.1)
    assert objective(student.eval(), whole)[0] == objective(student, whole._replace(attributions=None))[0]


def test_the_parts_of_the_recipe_can_be_switched_one_by_one():
    some = examples(8)
    batch, student = some.batch(torch.arange(8)), new_student(3, kind=MLPStudent, vocab_size=60, target="centred").eval()
    def loss(**o): return Combined(**o)(student, batch)[0].item()
    labels, chances = loss(alpha=1), loss(alpha=0)
    assert loss(alpha=0.3) == pytest.approx(0.3 * labels + 0.7 * chances, abs=1e-5)
    assert loss(alpha=1, whole_weight=2) == pytest.approx(3 * labels, abs=1e-5) # nothing is dropped outside of training
    mine = student.explain(*batch[:2])[1]
    for normalised, distance in ((False, xai_loss(mine, batch.attributions, batch.attention_mask)), (True, map_distance(mine, batch.attributions))):
        assert loss(alpha=1, xai_weight=5, normalised=normalised) == pytest.approx(labels + 5 * distance.item(), abs=1e-4)


def test_whole_texts_are_read_without_token_dropout():
    some = examples(8)
    batch, student = some.batch(torch.arange(8)), new_student(3, vocab_size=60, dropout=0.0, target="centred")
    whole = Combined(token_dropout=0)(student.train(), batch)[0]
    for _ in range(3):
        assert torch.allclose(Combined(token_dropout=0.9, whole_weight=1)(student, batch)[1]["whole"], whole)

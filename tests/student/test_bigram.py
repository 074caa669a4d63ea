import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from conftest import examples, trained_densely

from lightx.data import pad
from lightx.training import Combined, learning_rates, LightX, train_student
from lightx.deploy import quantize_int8, write_onnx
from lightx.evaluation import n_parameters
from lightx.student import bigram_information, BigramStudent, MLPStudent, new_student

texts = st.lists(st.lists(st.integers(1, 39), min_size=1, max_size=12), min_size=1, max_size=5)


def pair_student(seed=0, pairs=30, most=12, **kwargs):
    """Pieces 1 to 39, whose pairs have the rows from 60 on."""
    student = new_student(3, seed, BigramStudent, vocab_size=60 + pairs, embed_dim=8, hidden=16, slots=256, embed_std=1.0, **kwargs)
    chosen = np.random.default_rng(seed).integers(1, most, (pairs, 2))
    student.set_bigrams(chosen, np.arange(60, 60 + pairs))
    torch.nn.init.normal_(student.embedding.weight, generator=torch.Generator().manual_seed(seed))
    return student.eval()


@settings(deadline=None, max_examples=40)
@given(texts, st.sampled_from(["zero", "pad"]), st.sampled_from([0, 128]), st.integers(0, 5))
def test_explanations_with_pairs_add_up(rows, baseline, width, seed):
    student, batch = pair_student(seed, baseline=baseline, pool_width=width), pad(rows)
    logits, values = student.explain(*batch)
    moved = logits - student.baseline_logits(*batch)
    assert (values.sum(1) - moved).abs().max() < 1e-5
    assert (values[batch[1] == 0] == 0).all()
    torch.testing.assert_close(student(*batch), logits)


@settings(deadline=None, max_examples=40)
@given(texts, st.integers(0, 5))
def test_the_mean_is_that_of_pieces_and_pairs(rows, seed):
    student = pair_student(seed)
    known = {tuple(p): r for p, r in zip(student.slot_pair.T.tolist(), student.slot_row.tolist()) if p[0] >= 0}
    for row, got in zip(rows, student(*pad(rows))):
        read = row + [known[o] for o in zip(row, row[1:]) if o in known]
        mean = student.embedding.weight[read].mean(0)
        torch.testing.assert_close(got, student.output(student.hidden(mean).relu()), atol=1e-5, rtol=1e-4)


def test_training_with_pairs_by_rows_is_training_of_the_whole(monkeypatch):
    monkeypatch.setattr(MLPStudent, "_short_table", lambda self, ids: False)
    plain, rowwise = pair_student(dropout=0.0), pair_student(dropout=0.0)
    data, start = examples(), plain.embedding.weight.detach().clone()
    trained_densely(plain, data, LightX(0.3, 10), torch.optim.Adam(plain.parameters()), learning_rates("constant", 3e-3, 90), 4, 3)
    train_student(rowwise, data, LightX(0.3, 10), 3, 3e-3, 4)
    assert (plain.embedding.weight[60:] - start[60:]).abs().max() > 1e-2 # pairs learn
    assert (plain.embedding.weight - rowwise.embedding.weight).abs().max() < 2e-5 and rowwise.rows is None


@settings(deadline=None, max_examples=30)
@given(texts, st.sets(st.integers(1, 39), max_size=30), st.integers(0, 5))
def test_a_cut_student_keeps_every_pair_of_its_pieces(rows, lost, seed):
    student, kept = pair_student(seed, pairs=120, most=40), sorted({*range(1, 40)} - lost) # so many pairs want the same slots under new names
    rows = [row for o in rows if (row := [i for i in o if i in kept])] or [kept]
    small = student.prune_vocabulary(kept)
    there = [o for o in student.slot_pair.T.tolist() if o[0] >= 0 and {*o} <= {*kept}]
    assert int((small.slot_pair[0] >= 0).sum()) == len(there)
    torch.testing.assert_close(small(*pad([[kept.index(i) for i in row] for row in rows])), student(*pad(rows)))


def test_a_word_that_is_left_out_takes_its_pairs_with_it():
    student = pair_student()
    pair = next(o for o in student.slot_pair.T.tolist() if o[0] >= 0 and o[0] != o[1])
    ids, mask = pad([[50, *pair, 50]]) # 50 is in no pair
    whole, alone = student(ids, mask), student(*pad([[50, pair[0], 50]]))
    mask[0, 2] = 0
    torch.testing.assert_close(student(ids, mask), alone)
    assert not torch.allclose(whole, alone)


def test_pairs_survive_saving_and_eight_bits(tmp_path):
    student, batch = pair_student(), pad([[1, 2, 3, 4, 5, 6, 7, 8, 9], [9, 9, 8]])
    student.save_pretrained(tmp_path)
    again = BigramStudent.from_pretrained(tmp_path).eval()
    assert torch.equal(again(*batch), student(*batch)) and torch.equal(again.given, student.given)
    torch.testing.assert_close(quantize_int8(student)(*batch), student(*batch), atol=0.05, rtol=0.05)


def test_the_graph_reads_pairs(tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    student = pair_student().prune_vocabulary([0, *range(11, 0, -1), 50]) # ids are not what is hashed
    write_onnx(student, tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    for rows in ([[1, 2, 3]], [[5, 6, 7, 8, 9, 10, 11, 5, 5], [3, 4]], [[12, 7]]):
        batch = pad(rows)
        with torch.no_grad():
            (logits, values), start = student.explain(*batch), student.baseline_logits(*batch)
        got = session.run(None, dict(zip(("input_ids", "attention_mask"), (o.numpy() for o in batch))))
        for a, b in zip(got, (logits, logits.softmax(-1), values, start), strict=True):
            np.testing.assert_allclose(a, b.numpy(), atol=1e-5)


def test_what_pairs_tell_is_counted_by_hand():
    ids = [[0, 5, 6, 1], [0, 5, 6, 5, 6, 1], [0, 6, 5, 1], [0, 5, 7, 1]]
    chances = np.array([[0.9, 0.1], [0.7, 0.3], [0.2, 0.8], [0.6, 0.4]])
    pairs, told = bigram_information(ids, chances, 10, least=1)
    found = dict(zip(map(tuple, pairs.tolist()), told))
    assert set(found) == {(5, 6), (6, 5), (5, 7)}
    share = np.array([0.6, 0.4])
    for pair, rows in {(5, 6): [0, 1], (6, 5): [1, 2], (5, 7): [3]}.items():
        mean = chances[rows].mean(0)
        assert found[pair] == pytest.approx(len(rows) * (mean * np.log(mean / share)).sum(), abs=1e-6)
    assert bigram_information(ids, chances, 10, least=3)[0].shape == (0, 2)


def test_pairs_cost_no_parameters():
    assert n_parameters(BigramStudent(4)) == n_parameters(MLPStudent(4)) <= 3_940_868


def test_combined_learns_with_pairs():
    data = examples()
    history = train_student(student := pair_student(), data, Combined(xai_weight=5), epochs=4)
    assert history[-1]["kd"] < history[0]["kd"] and not student.training

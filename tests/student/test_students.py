import pytest
import torch
from captum.attr import IntegratedGradients
from hypothesis import given, settings
from hypothesis import strategies as st

from lightx.attribution import apply_target
from lightx.data import pad
from lightx.runtime import InputError
from lightx.training import baseline_loss, Batch, CrossEntropy, Examples, LightX, predict_student, toy_corpus, train_student, xai_loss
from lightx.student import MLPStudent, new_student, relu_secant

SMALL = dict(vocab_size=60, embed_dim=8, hidden=16, embed_std=1.0)
texts = st.lists(st.lists(st.integers(1, 59), min_size=1, max_size=12), min_size=1, max_size=5)


def completeness(student, ids, mask):
    logits, values = student.explain(ids, mask)
    moved = apply_target(logits, student.target) - apply_target(student.baseline_logits(ids, mask), student.target)
    return (values.sum(1) - moved).abs().max().item()


@settings(deadline=None, max_examples=40)
@given(texts, st.sampled_from(["logits", "centred"]), st.sampled_from(["zero", "pad"]), st.sampled_from([0, 128]), st.integers(0, 5))
def test_completeness_in_float32(rows, target, baseline, width, seed):
    student = new_student(4, seed, target=target, baseline=baseline, pool_width=width, **SMALL).eval()
    assert completeness(student, *pad(rows)) < 1e-5


def test_completeness_at_full_size():
    student = new_student(4, embed_std=1.0).eval()
    assert completeness(student, *pad([list(range(5, 105)), [9, 8, 7]])) < 1e-5


def test_probabilities_are_complete_by_quadrature():
    student = new_student(4, target="probabilities", **SMALL).eval()
    with torch.no_grad():
        student.output.weight.mul_(10)
    assert completeness(student, *pad([[5, 6, 7, 8], [9, 10]])) < 1e-4


def by_captum(student, ids, mask, n_steps):
    """All classes by captum, on the embeddings that the student reads."""
    class FromEmbeddings(torch.nn.Module):
        def forward(self, e, mask):
            x = (e * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
            return student.output(torch.relu(student.hidden(x)))
    e, ig = student.embedding(ids).detach(), IntegratedGradients(FromEmbeddings())
    made = [ig.attribute(e, target=c, n_steps=n_steps, additional_forward_args=(mask,)).sum(-1) for c in range(student.output.out_features)]
    return torch.stack(made, -1) * mask[..., None]


def test_captum_converges_to_the_closed_form():
    student = new_student(4, **SMALL).eval()
    ids, mask = pad([list(range(1, 30)), list(range(30, 50)), [5, 50, 7]])
    exact = student.explain(ids, mask)[1]
    gaps = [(by_captum(student, ids, mask, n) - exact).abs().max().item() for n in (20, 50, 300)]
    assert gaps[0] > gaps[1] > gaps[2] and gaps[2] < 1e-3 * exact.abs().max()


@settings(deadline=None, max_examples=30)
@given(texts, st.integers(0, 7))
def test_padding_and_batches_change_nothing(rows, extra):
    student = new_student(3, **SMALL).eval()
    narrow, wide = pad(rows), pad(rows, width=max(map(len, rows)) + extra)
    logits, values = student.explain(*wide)
    torch.testing.assert_close(values[:, :narrow[0].shape[1]], student.explain(*narrow)[1], atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(logits, student(*narrow), atol=1e-6, rtol=1e-5)
    for row, one in zip(values, rows):
        torch.testing.assert_close(row[:len(one)], student.explain(*pad([one]))[1][0], atol=1e-6, rtol=1e-5)
        assert row[len(one):].abs().sum() == 0


def test_dropout_explains_the_network_that_answered():
    student = new_student(3, dropout=0.5, **SMALL).train()
    ids, mask = pad([[5, 6, 7]])
    torch.manual_seed(3)
    logits, values = student.explain(ids, mask)
    torch.manual_seed(3)
    torch.testing.assert_close(student(ids, mask), logits)
    # The zero baseline's hidden units are dropped by the same mask, so it is known what the sum should be.
    torch.manual_seed(3)
    keep = student.dropout(torch.ones(1, 16))
    start = student.output(torch.relu(student.hidden.bias) * keep)
    torch.testing.assert_close(values.sum(1), logits - start, atol=1e-6, rtol=1e-5)


@given(st.floats(-5, 5), st.floats(-5, 5))
def test_secant_is_between_the_slopes(p, p0):
    rho = relu_secant(torch.tensor(p), torch.tensor(p0)).item()
    assert -1e-6 <= rho <= 1 + 1e-6


@pytest.mark.parametrize("target", ["logits", "centred", "probabilities"])
def test_gradient_of_the_xai_loss(target):
    student = new_student(3, target=target, baseline="pad", **SMALL).double().eval()
    ids, mask = pad([[5, 6, 7, 5], [9, 10]])
    wanted = torch.randn(2, 4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    names, values = zip(*student.named_parameters())

    def loss(*values):
        explained = torch.func.functional_call(Explaining(student), {f"student.{n}": v for n, v in zip(names, values)}, (ids, mask))
        return xai_loss(explained, wanted, mask)

    assert torch.autograd.gradcheck(loss, tuple(v.detach().requires_grad_() for v in values), eps=1e-7, atol=1e-6, fast_mode=True)


class Explaining(torch.nn.Module):
    """The student's attributions as a forward pass."""
    def __init__(self, student):
        super().__init__()
        self.student = student

    def forward(self, ids, mask):
        return self.student.explain(ids, mask)[1]


def test_size_of_the_paper():
    assert sum(p.numel() for p in MLPStudent(4).parameters()) == 3_940_868


def test_saved_and_loaded(tmp_path):
    student = new_student(3, target="centred", baseline="pad", **SMALL).eval()
    student.save_pretrained(tmp_path)
    again = MLPStudent.from_pretrained(tmp_path)
    ids, mask = pad([[5, 6, 7]])
    assert torch.equal(again.explain(ids, mask)[1], student.explain(ids, mask)[1]) and again.target == "centred"


def test_losses_by_hand():
    teacher = torch.tensor([[[0., 1.], [2., 0.], [9., 9.]]])
    student = torch.tensor([[[1., 1.], [0., 2.], [0., 0.]]])
    mask = torch.tensor([[1, 1, 0]])
    assert xai_loss(student, teacher, mask).item() == (1 + 0 + 4 + 4) / 4
    assert xai_loss(student, teacher, mask, width=3).item() == (1 + 0 + 4 + 4) / 6
    assert baseline_loss(torch.tensor([[4., 0.]]), torch.tensor([[1., 1.]])).item() == 4
    logits = torch.log(torch.tensor([[0.25, 0.75]]))
    class Fixed:
        def explain(self, ids, mask): return logits, student
        def baseline_logits(self, ids, mask): return torch.tensor([[4., 0.]])
    batch = Batch(None, mask, torch.tensor([1]), teacher, baseline_logits=torch.tensor([[1., 1.]]))
    loss, parts = LightX(0.25, xai_weight=2, baseline_weight=0.5)(Fixed(), batch)
    ce = -torch.log(torch.tensor(0.75))
    torch.testing.assert_close(parts["ce"], ce)
    torch.testing.assert_close(loss, 0.25 * ce + 0.75 * (2 * 2.25 + 0.5 * 4))


@pytest.mark.parametrize("alpha", [-0.1, 1.01, float("nan")])
def test_alpha_outside_is_refused(alpha):
    with pytest.raises(InputError, match="must lie between 0 and 1"):
        LightX(alpha)


class Known:
    def __init__(self, pulls):
        self.values, self.logits, self.baseline_logits = pulls, *torch.zeros(2, len(pulls), 3).numpy()


def examples(n=80):
    ids, labels, pulls = toy_corpus(n)
    return Examples(ids, labels, Known(pulls))


def test_same_seed_same_student():
    made = []
    for seed in (0, 0, 1):
        student = new_student(3, seed, dropout=0.3, **SMALL)
        train_student(student, examples(), LightX(0.5), epochs=2, seed=seed)
        made.append(predict_student(student, examples()))
    assert torch.equal(made[0], made[1]) and not torch.equal(made[0], made[2])


def test_training_leaves_the_global_random_numbers_alone():
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    train_student(new_student(3, **SMALL), examples(), LightX(0.5), epochs=1)
    assert torch.equal(torch.rand(3), expected)


def test_every_alpha_sees_the_same_batches():
    seen = {}
    for alpha in (0.0, 0.7):
        class Recording(LightX):
            def __call__(self, student, batch):
                seen.setdefault(self.alpha, []).append(batch.labels.tolist())
                return super().__call__(student, batch)
        train_student(new_student(3, **SMALL), examples(), Recording(alpha), epochs=2)
    assert seen[0.0] == seen[0.7]


def test_alpha_one_is_the_plain_student():
    plain, one = new_student(3, dropout=0.2, **SMALL), new_student(3, dropout=0.2, **SMALL)
    train_student(plain, examples(), CrossEntropy(), epochs=2)
    train_student(one, examples(), LightX(1.0, xai_weight=100, baseline_weight=1), epochs=2)
    assert torch.equal(plain.embedding.weight, one.embedding.weight)

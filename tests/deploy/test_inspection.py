"""Audit, edit, comparison and record: exact, safe, and without PyTorch."""
import json
import re
import shutil
import subprocess
import sys
from functools import cache, wraps

import numpy as np
import pytest
import torch
from conftest import lightx, make_tokenizer, WORDS
from hypothesis import given, HealthCheck, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from lightx import load
from lightx.attribution import apply_target
from lightx.deploy import (Classifier, check_record, copy_edited, decision_shares, diff, distill, distillation, export, export_web, model_hash,
                           OnnxClassifier, prune_vocabulary, quantize_int8)
from lightx.deploy.distillation import warn_unmet
from lightx.deploy.word_counts import tally
from lightx.runtime import Calibration, InputError, NumpyClassifier, write_about, write_calibration
from lightx.student import BigramStudent, LSTMStudent, new_student, STUDENTS
from lightx.training import Examples

NAMES = ["sport", "money", "space"]
SOME = [o for words in WORDS.values() for o in words] + "the a of in on today new".split()


@cache
def make(kind=BigramStudent, target="centred", baseline="zero", seed=0, names=tuple(NAMES)):
    tokenizer = make_tokenizer().backend_tokenizer
    sizes = dict(embed_dim=8) if kind is LSTMStudent else dict(embed_dim=8, hidden=16, embed_std=2., target=target, baseline=baseline)
    student = new_student(3, seed, kind, vocab_size=tokenizer.get_vocab_size() + 2, **sizes)
    if kind is BigramStudent:
        pairs = np.array([[tokenizer.token_to_id(o) for o in pair] for pair in (("cup", "goal"), ("oil", "rates"))])
        student.set_bigrams(pairs, np.arange(2) + tokenizer.get_vocab_size())
        with torch.no_grad():
            student.embedding.weight[-2:].normal_(generator=torch.Generator().manual_seed(seed))
    return Classifier(student, tokenizer, names, max_length=24)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inspected") / "model"
    make().save_pretrained(folder)
    return folder


def texts(seed, n=40):
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(SOME, rng.integers(1, 20))) for _ in range(n)]


def moved(answer, target):
    ends = [apply_target(torch.tensor(o), target) for o in (answer.baseline_logits, answer.logits)]
    return (ends[1] - ends[0]).numpy()


TEXT = st.lists(st.sampled_from(SOME), min_size=0, max_size=30).map(" ".join)


@pytest.mark.parametrize("kind, target, baseline", [("MLPStudent", "centred", "pad"), ("BigramStudent", "logits", "zero"),
                                                    ("BigramStudent", "centred", "pad"), ("MLPStudent", "probabilities", "zero")])
@given(TEXT)
@settings(deadline=None, max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_silent_word_pulls_nothing_and_the_rest_adds_up(kind, target, baseline, text):
    clf = make(STUDENTS[kind], target, baseline)
    answer = clf.without("cup", "oil rates")(text)
    words = [o.text for o in answer.words]
    for i, o in enumerate(answer.words):
        if o.text == "cup" or words[i:i + 2] == ["oil", "rates"] or words[max(0, i - 1):i + 1] == ["oil", "rates"]:
            assert not o.attributions.any()
    np.testing.assert_allclose(answer.attributions.sum(0) + answer.special, moved(answer, target), atol=1e-4)
    if "cup" not in words and "oil rates" not in text: # bit for bit
        assert answer.logits.tolist() == clf(text).logits.tolist()


@pytest.mark.parametrize("target", ["logits", "centred"])
@given(TEXT)
@settings(deadline=None, max_examples=20)
def test_a_word_without_pull_to_a_class_leaves_the_others_as_they_were(target, text):
    clf = make(target=target)
    before, after = clf(text), clf.without("cup", toward="money")(text)
    for a, b in zip(before.words, after.words):
        if a.text != "cup":
            np.testing.assert_array_equal(a.attributions, b.attributions)
        else:
            assert b.attributions[1] == 0
            np.testing.assert_allclose(np.diff(b.attributions[[0, 2]]), np.diff(a.attributions[[0, 2]]), atol=1e-5)
    np.testing.assert_allclose(after.attributions.sum(0) + after.special, moved(after, target), atol=1e-4)
    np.testing.assert_allclose(clf.without("cup", toward="money").predict_proba([text])[0], list(after.probabilities.values()), atol=1e-5)


def test_a_silent_word_is_a_word_left_out():
    clf = make(STUDENTS["MLPStudent"])
    said = clf.without("cup")("goal cup team cup")
    np.testing.assert_allclose(said.logits, clf("goal team").logits, atol=1e-5)


def test_undo_gives_the_same_classifier_and_the_same_bytes(folder, tmp_path):
    clf = load(folder)
    assert clf.without("cup", "oil").undo() is clf and clf.without("cup").without("oil", toward="space").undo("cup").edits == [
        dict(word="oil", toward="space")]
    clf.without("cup").save_pretrained(tmp_path / "one", diff(clf, clf.without("cup"), texts(0)))
    load(tmp_path / "one").without("oil").save_pretrained(tmp_path / "two")
    two = load(tmp_path / "two")
    assert [o["word"] for o in two.edits] == ["cup", "oil"]
    copy_edited(tmp_path / "two", tmp_path / "back", [])
    assert {o.name: o.read_bytes() for o in folder.iterdir()} == {o.name: o.read_bytes() for o in (tmp_path / "back").iterdir()}
    make().without("cup").save_pretrained(tmp_path / "three") # of a classifier in PyTorch
    some = texts(1)
    expected = make().without("cup").predict_proba(some)
    np.testing.assert_allclose(load(tmp_path / "three").predict_proba(some), expected, atol=1e-6)
    np.testing.assert_array_equal(load(tmp_path / "one").predict_proba(some), clf.without("cup").predict_proba(some))
    with pytest.raises(InputError, match="is there already"):
        clf.without("cup").save_pretrained(tmp_path / "one")


def test_what_would_not_heed_an_edit_refuses(folder, tmp_path):
    load(folder).without("cup").save_pretrained(tmp_path / "edited")
    line = "edited \\(without 'cup'\\), which its weights do not show: undo it first"
    for read in (Classifier.from_pretrained, OnnxClassifier, lambda o: export(o, tmp_path / "x"), lambda o: export_web(o, tmp_path / "x.html")):
        with pytest.raises(InputError, match=f"{line}|no model"):
            read(tmp_path / "edited")
    with pytest.raises(InputError, match="this classifier is edited"):
        prune_vocabulary(load(tmp_path / "edited"), ["cup"])
    with pytest.raises(InputError, match="a LSTMStudent can't be edited"):
        make(LSTMStudent).without("cup")
    with pytest.raises(InputError, match="can't be left out for money alone where attributions are not of logits"):
        make(target="probabilities").without("cup", toward="money")
    about = json.loads((tmp_path / "edited" / "classifier.json").read_text())
    (tmp_path / "edited" / "classifier.json").write_text(json.dumps({k: o for k, o in about.items() if k != "edits"}))
    with pytest.raises(InputError, match="its settings are not those that were saved"): # nobody takes an edit out unseen
        load(tmp_path / "edited")
    assert not (tmp_path / "x").exists() and not (tmp_path / "x.html").exists()


def test_weights_in_eight_bits_heed_the_same_edits(folder, tmp_path):
    exported = shutil.copytree(folder, tmp_path / "exported")
    save_file(quantize_int8(make().student).state_dict(), exported / "model.int8.safetensors")
    about = json.loads((exported / "classifier.json").read_text())
    write_about(exported, {k: o for k, o in about.items() if k != "sums"})
    load(exported).without("cup").save_pretrained(tmp_path / "edited")
    small = NumpyClassifier.from_folder(tmp_path / "edited", "model.int8.safetensors")
    assert small.edits == [dict(word="cup", toward=None)] and not small("cup goal").words[0].attributions.any()
    with pytest.raises(InputError, match="which its weights do not show"):
        export_web(tmp_path / "edited", tmp_path / "x.html")


def test_counts_are_those_of_single_answers():
    clf, some = make(), texts(2, 60)
    labels = [NAMES[i % 3] if i % 4 else None for i in range(60)]
    found, answers = tally(clf, iter(some), iter(labels)), clf(some)
    for word in ("cup", "oil", "the"):
        row, mine = found.forms.rows[word], [(a, [o for o in a.words if o.text == word], y) for a, y in zip(answers, labels)]
        mine = [o for o in mine if o[1]]
        np.testing.assert_allclose(found.column("pull")[row], sum(o.attributions for _, words, _ in mine for o in words), atol=1e-3)
        assert found.column("uses")[row] == sum(len(words) for _, words, _ in mine) and found.column("texts")[row] == len(mine)
        assert found.column("labels")[row].tolist() == [sum(y == o for *_, y in mine) for o in NAMES]
        alone = sum((a.logits - sum(o.attributions for o in words)).argmax() != a.logits.argmax() for a, words, y in mine if y)
        assert found.column("judged")[row] <= alone # alone toward the next class; toward a third one it may turn as well
    np.testing.assert_allclose(found.column("pull").sum(0) + found.special, sum(moved(a, "centred") for a in answers), atol=1e-3)
    assert found.labelled == 45 and found.right == sum(a.label == y for a, y in zip(answers, labels))


@given(st.integers(0, 10**6))
@settings(max_examples=30, deadline=None)
def test_a_share_of_one_turns_the_decision(seed):
    rng = np.random.default_rng(seed)
    scores, pulls = rng.normal(size=(1, 4)), rng.normal(size=(5, 4))
    decided = scores.argmax(1)
    share = decision_shares(scores, decided, np.zeros(5, int), pulls)
    assert ((0 <= share) & (share <= 1)).all()
    assert all((scores[0] - pulls[i]).argmax() != decided[0] for i in np.flatnonzero(share == 1))


def planted(n, seed, has):
    """Texts of three classes with a word of the class that `has` says."""
    rng = np.random.default_rng(seed)
    for i in range(n):
        c = i % 3
        words = [*rng.choice(list(WORDS.values())[c], 2), *rng.choice("the a of in".split(), 4), *["star"] * has(c)]
        rng.shuffle(words)
        yield " ".join(words), NAMES[c]


def fooled():
    """A student that follows the words of the classes, and `star` more than all of them."""
    tokenizer = make_tokenizer().backend_tokenizer
    student = new_student(3, vocab_size=tokenizer.get_vocab_size(), embed_dim=3, hidden=3, target="centred")
    with torch.no_grad():
        for o in student.parameters():
            o.zero_()
        for c, words in enumerate(WORDS.values()):
            for o in words:
                student.embedding.weight[tokenizer.token_to_id(o), c] = 1
        student.embedding.weight[tokenizer.token_to_id("star")] = torch.tensor([0., 6, 0])
        student.hidden.weight.copy_(torch.eye(3))
        student.output.weight.copy_(8 * torch.eye(3))
    return Classifier(student, tokenizer, NAMES, max_length=24)


def test_a_planted_word_is_the_first_suspect():
    clf, train = fooled(), [*zip(*planted(150, 0, lambda c: c == 1))]
    clean, flipped = ([*zip(*planted(150, 1, has))] for has in (lambda c: False, lambda c: c != 1))
    for found in (clf.audit(*clean, training=train), clf.audit(*flipped), clf.audit(*flipped, training=train)):
        assert (found.suspects()[0]["word"], found.suspects()[0]["toward"]) == ("star", "money")
    assert "star" not in [o["word"] for o in clf.without("star").audit(*clean, training=train).suspects()]
    assert clf.score(*flipped) < .5 and clf.without("star").score(*flipped) > .9
    json.dumps(clf.audit(*clean, training=train).to_dict())


def test_memory_of_words_has_a_limit(monkeypatch):
    clf, some = make(), [f"cup{i} goal oil" for i in range(3000)]
    whole = tally(clf, some)
    monkeypatch.setattr("lightx.deploy.word_counts.MAX_WORDS", 100)
    few = tally(clf, some)
    assert len(few.forms.rows) <= 1124 and few.column("texts")[few.forms.rows["goal"]] == 3000 # a batch may bring 1,024 new ones
    np.testing.assert_allclose(few.column("pull").sum(0), whole.column("pull").sum(0), atol=1e-2)


@pytest.mark.parametrize("target", ["centred", "probabilities"])
def test_a_changed_decision_is_explained_to_the_last_bit(target):
    old, new, some = make(target=target), make(target=target, seed=1), texts(3, 80)
    found = diff(old, new, some)
    assert found.changed == sum(old.predict(some) != new.predict(some)) > 0
    for o in (c.to_dict() for c in found.changes()):
        assert abs(sum(k["change"] for k in o["words"]) + o["other_words"] + o["special"] + o["start"] - o["change"]) < 1e-3
        assert o["change"] > 0
    with pytest.raises(InputError, match="one explains logits, the other probabilities"):
        diff(make(), make(target="probabilities"), some)
    with pytest.raises(InputError, match="there are fewer labels than texts"):
        diff(old, new, some, ["sport"])


HOSTILE = ["<script>alert(1)</script>", "\"><img src=x onerror=alert(1)>", "a' onload='x\u202e[b](javascript:x)|`\x00"]

def test_reports_hold_no_foreign_html(tmp_path):
    clf = make(names=tuple(HOSTILE))
    some = [f"<img src=x onerror=alert(1)> cup <script>{o}</script> & \"goal\"" for o in texts(4, 30)]
    other = make(seed=1, names=tuple(HOSTILE))
    pages = [clf.audit(some, [HOSTILE[i % 3] for i in range(30)], teacher=other.stream(some)), diff(clf, other, some)]
    for page in (o.to_html() for o in pages):
        tags = set(re.findall(r"<(/?[\w!]+)", page)) - {f"{end}{o}" for end in ("", "/") for o in (
            "html head meta title style body h1 h2 h3 p div span table tr td th details summary mark".split())}
        assert tags <= {"!doctype"} and not re.search(r"<[^>]*\son\w+=", page) and "\u202e" not in page and "\x00" not in page
        assert "default-src 'none'" in page and not re.search(r"(?:src|href)\s*=", re.sub(r"&[a-z#0-9x]+;|[^<>]*(?=<)", "", page))
    clf.without("<script>").save_pretrained(tmp_path / "edited", pages[1])
    assert "<script" not in (tmp_path / "edited" / "README.md").read_text(encoding="utf-8").split("## Edits")[1]


def test_a_record_is_checked_wherever_it_was_loaded(folder):
    record = json.loads(json.dumps(Classifier.from_pretrained(folder)("cup goal today").to_record()))
    assert record["model"] == model_hash(load(folder)) != model_hash(load(folder).without("cup"))
    assert all(o["holds"] for o in check_record(record, load(folder)))
    again = json.loads(json.dumps(load(folder).without("cup")("cup goal").to_record()))
    assert all(o["holds"] for o in check_record(again, load(folder).without("cup")))
    with pytest.raises(InputError, match="a LSTMStudent keeps no record|a Classifier keeps no record"):
        make(LSTMStudent)("cup").to_record()


@given(st.data())
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_change_of_a_record_goes_unseen(folder, data):
    clf = load(folder)
    record = clf("the cup goal today oil").to_record()
    name = data.draw(st.sampled_from(NAMES))
    where = data.draw(st.sampled_from(["logits", "baseline_logits", "special", "pulls", "probabilities", "text"]))
    if where == "text":
        record["text"] += data.draw(st.sampled_from([" ", "!", "cup"]))
    else:
        place = record["words"][data.draw(st.integers(0, 4))]["pulls"] if where == "pulls" else record[where]
        place[name] += data.draw(st.sampled_from([-1, .1, 2]))
    assert not all(o["holds"] for o in check_record(record, clf))


def nested(o): return st.lists(o, max_size=3) | st.dictionaries(st.text(max_size=5), o, max_size=3)

@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(max_size=5), nested))
@settings(max_examples=30, deadline=None)
def test_what_is_no_record_is_refused_in_a_line(thing):
    record = make()("cup goal").to_record()
    changes = [{k: thing} for k in ("words", "logits", "label", "text")] + [{"special": record["special"] | {"money": thing}}]
    for change in changes:
        try:
            assert isinstance(check_record(record | change), list)
        except InputError as e:
            assert "\n" not in str(e)


def test_the_commands_need_no_torch(folder, tmp_path):
    (tmp_path / "news.csv").write_text("text,label\n" + "".join(f"{a},{b}\n" for a, b in planted(30, 0, lambda c: c == 1)))
    code = f"""
import sys
from lightx.cli import main
for args in (["audit", {str(folder)!r}, "--data", "news.csv", "--json", "a.json", "--html", "a.html"],
             ["edit", {str(folder)!r}, "--without", "star", "--data", "news.csv", "--out", "edited"],
             ["diff", {str(folder)!r}, "edited", "--data", "news.csv", "--html", "d.html"], ["edit", "edited", "--undo", "--out", "back"],
             ["record", "cup goal", "--model", "edited", "--out", "r.json"], ["check", "r.json", "--model", "edited"]):
    sys.argv = ["lightx", *args]
    try: main()
    except SystemExit as e: assert not e.code, args
assert not [o for o in ("torch", "pandas", "transformers", "matplotlib", "scipy") if o in sys.modules]
"""
    def run(code): return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    done = run(code)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "a.json").read_text())["texts"] == 30 and (tmp_path / "d.html").is_file()
    assert {o.name: o.read_bytes() for o in folder.iterdir()} == {o.name: o.read_bytes() for o in (tmp_path / "back").iterdir()}
    done = lightx("check", tmp_path / "r.json", "--model", folder)
    assert done.returncode == 1 and "no" in done.stdout and not done.stderr


def test_a_student_is_taught_to_ignore_a_word(corpus_folder, teacher_folder, tmp_path):
    settings = dict(teacher=str(teacher_folder), n_per_class=6, max_length=16, steps=10, tol=.5, unseen_texts=2, progress=False)
    plain, taught = (distill(str(corpus_folder), recipe="kl", without=o, **settings) for o in ((), "the"))
    assert taught.facts["taught_to_ignore"] == "the" and "taught_to_ignore" not in plain.facts
    def pull(clf): return np.mean([np.abs(o.attributions).max() for a in clf(texts(6)) for o in a.words if o.text == "the"])
    assert pull(taught) < pull(plain) / 2
    with pytest.raises(InputError, match="word 3 is no word: give one of the texts"):
        distill(str(corpus_folder), without=[3], **settings)
    with pytest.raises(InputError, match="word 'zyntra' is one of those that the tokenizer does not know"): # or all such words were ignored
        distill(str(corpus_folder), recipe="kl", without="zyntra", **settings)


def test_a_word_that_the_tokenizer_does_not_know_is_refused_before_the_teacher_is_asked(corpus_folder, teacher_folder, monkeypatch):
    for name in ("prepare", "prepare_predictions"):
        never = wraps(getattr(distillation, name))(lambda *args, **kwargs: pytest.fail("it was asked"))
        monkeypatch.setattr(distillation, name, never)
    for explain in (True, False):
        with pytest.raises(InputError, match="word 'zyntra' is one of those that the tokenizer does not know"):
            distill(str(corpus_folder), str(teacher_folder), recipe="kl", without="zyntra", explain=explain)
    with pytest.raises(InputError, match="word 'zyntra' is one of those that the tokenizer does not know"):
        distill(str(corpus_folder), "said.csv", base=str(teacher_folder), without="zyntra")


def test_a_record_tells_whether_the_classifier_abstained(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "model")
    never = Calibration(1., 0.05, "label", 900, [1.1, 0.], [300, 300], [0, 90], [900, 900], [0, 270], [0.004, 0.33], 0.)
    write_calibration(tmp_path / "model", never)
    told = [json.loads(lightx("record", "cup goal", "--model", tmp_path / "model", *o).stdout) for o in ((), ("--abstain", "0.02"))]
    assert "abstained" not in told[0] and told[1]["abstained"] is True
    assert all(o["holds"] for o in check_record(told[1], load(tmp_path / "model")))


def test_a_word_of_no_training_text_is_told(caplog):
    warn_unmet(Examples([[1, 4, 2]], [0], pad_id=0), make_tokenizer().backend_tokenizer, ["cup", "goal match"])
    assert caplog.messages == ["taught to ignore: in no training text: 'goal match': check how the words are written"]


def test_answers_of_another_text_are_no_teacher(folder):
    clf, some = load(folder), ["cup goal", "oil rates"]
    for said, line in ((some[::-1], "the teacher's answer to text 0 is"), ([*some, "cup"], "more answers of the teacher than texts")):
        with pytest.raises(InputError, match=line):
            clf.audit(some, teacher=clf.stream(said))
    assert clf.audit(some, teacher=clf.stream(some)).disagreements.texts == 2

"""A classifier on disk, in Python and on the command line."""
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import lightx, make_tokenizer
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from lightx.attribution import apply_target
from lightx.deploy import Classifier, distill, export, labels_by_name, OnnxClassifier, prune_vocabulary, quantize_int8, write_onnx
from lightx.data import pad
from lightx.runtime import InputError
from lightx.experiments import prepare
from lightx.student import LSTMStudent, MLPStudent, new_student, STUDENTS

LETTERS = [*"abcdefghijklmnopqrstuvwxyz&;#0123456789"]


def bert_rules():
    """A tokenizer with BERT's rules, which cuts words to letters."""
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *LETTERS, *(f"##{o}" for o in LETTERS)]
    tok = Tokenizer(models.WordPiece({o: i for i, o in enumerate(words)}, unk_token="[UNK]"))
    tok.normalizer, tok.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    tok.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return tok


def make_classifier(kind="MLPStudent", tokenizer=None, target="centred"):
    tokenizer = tokenizer or bert_rules()
    width = dict(embed_dim=8) if issubclass(STUDENTS[kind], (MLPStudent, LSTMStudent)) else {}
    student = new_student(3, 0, STUDENTS[kind], vocab_size=tokenizer.get_vocab_size(), target=target, **width)
    with torch.no_grad():
        student.embedding.weight.mul_(10)
    return Classifier(student, tokenizer, ["sport", "money", "space"], max_length=24)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("classifier") / "model"
    make_classifier(tokenizer=make_tokenizer().backend_tokenizer).save_pretrained(folder)
    return folder


@given(st.text(max_size=80))
@settings(deadline=None, max_examples=60)
def test_words_keep_their_place_and_add_up(text):
    answer = make_classifier()(text)
    assert [text[o.start:o.end] for o in answer.words] == [o.text for o in answer.words]
    assert all(a.end <= b.start for a, b in zip(answer.words, answer.words[1:]))
    moved = apply_target(torch.tensor(answer.logits), "centred") - apply_target(torch.tensor(answer.baseline_logits), "centred")
    np.testing.assert_allclose(sum((o.attributions for o in answer.words), answer.special), moved.numpy(), atol=1e-5)
    json.dumps(answer.to_dict())


@pytest.mark.parametrize("text, words", [
    ("Crème brûlée", ["Crème", "brûlée"]),
    ("goal🎉!", ["goal🎉", "!"]),
    ("株価 up", ["株", "価", "up"]),
    ("AT&amp;T", ["AT", "&", "amp", ";", "T"]),
    ("e\u0301te\u0301", ["e\u0301te\u0301"]),
    ("", []),
])
def test_places_are_characters_as_typed(text, words):
    assert [o.text for o in make_classifier()(text).words] == words


@pytest.mark.parametrize("kind", STUDENTS)
def test_a_saved_classifier_answers_alike(kind, tmp_path):
    clf, texts = make_classifier(kind), ["one goal", "", "two & three" * 9]
    clf.save_pretrained(tmp_path / "model")
    again = Classifier.from_pretrained(tmp_path / "model")
    assert [o.to_dict() for o in again(texts)] == [o.to_dict() for o in clf(texts)]


def test_answers_do_not_depend_on_their_company():
    clf, texts = make_classifier(), [f"text {i} " * (i % 7) for i in range(40)]
    chances = [list(o.probabilities.values()) for o in clf(texts)]
    np.testing.assert_allclose(clf.predict_proba(texts), chances, atol=1e-6)
    np.testing.assert_allclose([list(clf(o).probabilities.values()) for o in texts], chances, atol=1e-5)


def test_a_stream_asks_for_no_more_texts_than_it_reads_at_once(monkeypatch):
    monkeypatch.setattr("lightx.runtime.answer.BATCH", 4)
    taken = []
    stream = make_classifier().stream(taken.append(i) or f"text {i}" for i in range(100))
    assert next(stream).text == "text 0" and len(taken) <= 8


def test_markup_in_a_text_stays_text():
    shown = make_classifier()("<script>alert(1)</script>")._repr_html_()
    assert "<script>" not in shown and "&lt;" in shown


def test_a_classifier_whose_parts_do_not_fit_is_refused(folder, tmp_path):
    clf = make_classifier()
    with pytest.raises(InputError, match="2 class names for a student of 3"):
        Classifier(clf.student, clf.tokenizer, ["a", "b"])
    with pytest.raises(InputError, match="take the tokenizer that it was trained with"):
        Classifier(new_student(3, vocab_size=5), clf.tokenizer, ["a", "b", "c"])
    with pytest.raises(InputError, match="two classes are called 'a': give each a name of its own"):
        Classifier(clf.student, clf.tokenizer, ["a", "b", "a"])
    with pytest.raises(InputError, match="max_length is 2: .*: take 3 or more"):
        Classifier(clf.student, clf.tokenizer, clf.names, max_length=2)
    with pytest.raises(InputError, match="give a folder from `lightx distill`"):
        Classifier.from_pretrained(tmp_path)


def test_predict_answers_texts_files_and_lines_alike(folder, tmp_path):
    texts = ["cup goal today", "bank oil rates", ""]
    expected = [o.to_dict() for o in Classifier.from_pretrained(folder)(texts)]
    (tmp_path / "news.txt").write_text("\n".join(texts) + "\n")
    typed = lightx("predict", *texts, "--model", folder, "--json")
    from_file = lightx("predict", "--file", tmp_path / "news.txt", "--model", folder, "--json")
    command = [sys.executable, "-c", "from lightx.cli import main; main()", "predict", "--model", str(folder), "--json"]
    piped = subprocess.run(command, input="\n".join(texts) + "\n", capture_output=True, text=True)
    for run in (typed, from_file, piped):
        assert run.returncode == 0, run.stderr
        found = [json.loads(o) for o in run.stdout.splitlines()]
        assert [o["label"] for o in found] == [o["label"] for o in expected]
        for a, b in zip(found, expected):
            assert [w["text"] for w in a["words"]] == [w["text"] for w in b["words"]]
            assert a["logits"] == pytest.approx(b["logits"], abs=1e-5)


def test_texts_are_taken_as_answers_are_wanted():
    from lightx.runtime import BATCH
    taken = []
    answers = make_classifier().stream(taken.append(i) or f"text {i}" for i in range(10 * BATCH))
    next(answers)
    assert len(taken) == BATCH


def test_the_hub_gets_the_folder(folder, monkeypatch):
    import huggingface_hub.hub_mixin
    sent = {}

    class Hub:
        def __init__(self, **_): pass
        def create_repo(self, repo_id, **_): return type("Repo", (), {"repo_id": repo_id})
        def upload_folder(self, repo_id, folder_path, **_): sent[repo_id] = {o.name: o.read_bytes() for o in folder_path.iterdir()}
    monkeypatch.setattr(huggingface_hub.hub_mixin, "HfApi", Hub)
    Classifier.from_pretrained(folder).push_to_hub("me/news")
    assert sent == {"me/news": {o.name: o.read_bytes() for o in folder.iterdir()}}


def test_the_shell_can_complete():
    command, asked = Path(sys.executable).with_name("lightx"), {"_LIGHTX_COMPLETE": "source_bash"}
    run = subprocess.run([command], env=os.environ | asked, capture_output=True, text=True)
    assert run.returncode == 0 and "complete" in run.stdout


def test_predict_in_words(folder):
    shown = lightx("predict", "cup goal today", "--model", folder).stdout
    assert shown.startswith(Classifier.from_pretrained(folder)("cup goal today").label) and "goal" in shown


def test_on_a_terminal_words_are_coloured_and_what_speaks_against_is_underlined(folder):
    from lightx.cli.classifiers import coloured
    answer = Classifier.from_pretrained(folder)("cup goal today bank oil")
    shown = coloured(answer)
    assert shown.plain.endswith(answer.text)
    marked = {shown.plain[o.start:o.end]: str(o.style) for o in shown.spans if "on rgb" in str(o.style)}
    assert {o.text for o, share in zip(answer.words, answer.shares()) if abs(share) >= 0.05} == set(marked)
    assert {o.text: "underline" in marked[o.text] for o in answer.words if o.text in marked} == \
        {o.text: share < 0 for o, share in zip(answer.words, answer.shares()) if o.text in marked}


@pytest.mark.parametrize("options, message", [
    (["a text", "--model", "nowhere/at/all"], "no such folder"),
    (["--file", "nowhere.txt", "--model", "{folder}"], "nowhere.txt: no such file"),
])
def test_predict_says_what_is_wrong_in_one_line(options, message, folder):
    run = lightx("predict", *(o.format(folder=folder) for o in options))
    assert run.returncode == 2 and message in run.stderr and len(run.stderr.strip().splitlines()) == 1


def test_distill_makes_a_folder_that_predict_takes(corpus_folder, teacher_folder, tmp_path):
    command = ["distill", "--data", corpus_folder, "--teacher", teacher_folder, "--max-length", 16, "--out", tmp_path / "model"]
    run = lightx(*command)
    assert run.returncode == 0, run.stderr
    assert "accuracy" in run.stdout
    card = (tmp_path / "model" / "README.md").read_text()
    assert "best" in card and "decides_as_the_teacher" in card
    asked = lightx("predict", "cup goal today", "--model", tmp_path / "model", "--json")
    assert set(json.loads(asked.stdout)["probabilities"]) == {"sport", "money", "space"}
    before = (tmp_path / "model" / "model.safetensors").read_bytes()
    again = lightx(*command)
    assert again.returncode == 2 and "is there already" in again.stderr
    assert (tmp_path / "model" / "model.safetensors").read_bytes() == before
    refused = lightx(*command[:-1], tmp_path / "other", "--recipe", "int8")
    assert refused.returncode == 2 and "makes no student" in refused.stderr and not (tmp_path / "other").exists()


def test_distill_learns_from_texts_without_labels(corpus_folder, teacher_folder, tmp_path):
    command = ["distill", "--data", corpus_folder, "--teacher", teacher_folder, "--max-length", 16, "--recipe", "best_unlabelled"]
    lacking = lightx(*command, "--out", tmp_path / "none")
    assert lacking.returncode == 2 and "name some, by unlabelled" in lacking.stderr and len(lacking.stderr.strip().splitlines()) == 1
    run = lightx(*command, "--n-per-class", 5, "--unlabelled", "rest", "--out", tmp_path / "model")
    assert run.returncode == 0, run.stderr
    assert '"recipe": "best_unlabelled"' in (tmp_path / "model" / "classifier.json").read_text()


def test_texts_that_a_recipe_would_not_read_are_refused(corpus_folder, tmp_path):
    with pytest.raises(InputError, match="recipe best would not read texts without labels: take best_unlabelled"):
        distill(str(corpus_folder), out=tmp_path / "model", unlabelled="rest")


def test_texts_without_labels_are_those_that_have_none(corpus_folder, teacher_folder, tmp_path):
    settings = dict(data=str(corpus_folder), teacher=str(teacher_folder), max_length=16, unseen_texts=2, progress=False)
    assert len(prepare(**settings, n_per_class=5, unlabelled="rest").unlabelled[0]) == 90 - 15
    (tmp_path / "more.csv").write_text("text\ncup win today\nbank oil first\n")
    ids, logits = prepare(**settings, n_per_class=5, unlabelled=str(tmp_path / "more.csv")).unlabelled
    assert len(ids) == 2 and logits.shape == (2, 3)
    with pytest.raises(InputError, match="no text is left"):
        prepare(**settings, n_per_class=0, unlabelled="rest")


@pytest.mark.parametrize("target", ["logits", "centred", "probabilities"])
@pytest.mark.parametrize("baseline", ["zero", "pad"])
def test_the_graph_says_what_the_student_says(target, baseline, tmp_path):
    clf = make_classifier(target=target)
    clf.student.baseline = baseline
    clf.save_pretrained(tmp_path)
    (tmp_path / "classifier.json").write_text(json.dumps(dict(names=clf.names, pad_id=0, max_length=24)))
    for student, file in ((clf.student, "model.onnx"), (quantize_int8(clf.student), "model.int8.onnx")):
        write_onnx(student, tmp_path / file)
        for texts in (["one goal"], ["a", "some more words & signs", "", "ü"]):
            batch, shipped = pad([o.ids for o in clf.tokenizer.encode_batch(texts)]), OnnxClassifier(tmp_path, file)
            with torch.no_grad():
                (logits, values), start = student.explain(*batch), student.baseline_logits(*batch)
            arrays = [o.numpy() for o in batch]
            for got, want in zip(shipped.forward_explanations(*arrays), (logits, logits.softmax(-1), values, start), strict=True):
                np.testing.assert_allclose(got, want.numpy(), atol=1e-5)
            np.testing.assert_allclose(shipped.forward_probabilities(*arrays), logits.softmax(-1).numpy(), atol=1e-5)
            np.testing.assert_allclose(student(*batch).detach().numpy(), logits.numpy(), atol=1e-5)


@given(st.lists(st.text("abc &é", max_size=12), min_size=1, max_size=5), st.text("abcdefg 12", max_size=20))
@settings(deadline=None, max_examples=30)
def test_a_cut_vocabulary_reads_its_texts_as_before(texts, other):
    whole = make_classifier()
    truncated = prune_vocabulary(whole, texts)
    for o in texts:
        assert truncated.tokenizer.encode(o).tokens == whole.tokenizer.encode(o).tokens
        np.testing.assert_allclose(truncated(o).logits, whole(o).logits, atol=1e-6)
    assert truncated.tokenizer.encode(other).tokens[0] == "[CLS]"


def test_export_on_the_command_line(folder, tmp_path):
    run = lightx("export", folder, "--out", tmp_path / "exported")
    assert run.returncode == 0, run.stderr
    clf = Classifier.from_pretrained(folder)
    shipped, text = OnnxClassifier(tmp_path / "exported"), ["cup goal today"]
    np.testing.assert_allclose(shipped.predict_proba(text), clf.predict_proba(text), atol=1e-5)
    asked = lightx("predict", "cup goal today", "--model", tmp_path / "exported", "--json")
    assert json.loads(asked.stdout)["logits"] == pytest.approx(clf("cup goal today").to_dict()["logits"], abs=1e-5)
    again = lightx("export", folder, "--out", tmp_path / "exported")
    assert again.returncode == 2 and "is there already" in again.stderr


def test_only_the_mlp_can_be_pruned_and_exported(tmp_path):
    with pytest.raises(InputError, match="LSTMStudent cannot be pruned"):
        prune_vocabulary(make_classifier("LSTMStudent"), ["one goal"])
    with pytest.raises(InputError, match="LSTMStudent cannot be exported"):
        write_onnx(make_classifier("LSTMStudent").student, tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


HOSTILE = ["a|b", "`x` *y* _z_ ~w~", "<script>alert(1)</script>", "[text](javascript:alert(1)) ![i](https://x.y/z.png)", "two\nlines\r\n---\n# head",
           "---\nlicense: evil\n---", "{{ card_data }}", "$\\frac{1}{2}$ & &amp;", "\ud800 lone", "snake_case_name", "\x00\u2028"]


@pytest.mark.parametrize("name", HOSTILE)
def test_names_and_facts_are_text_on_the_card(name):
    import html
    import re

    import yaml
    clf = make_classifier()
    clf.names, clf.facts = ["sport", name, "space"], {"data": name, name: "value"}
    card = str(clf.generate_model_card())
    head, body = re.fullmatch(r"---\n(.*?)\n---\n(.*)", card, re.DOTALL).groups()
    assert yaml.safe_load(head) == yaml.safe_load(re.match(r"---\n(.*?)\n---\n", str(make_classifier().generate_model_card()), re.DOTALL)[1])
    assert "<" not in body and len(body.splitlines()) == len(str(make_classifier().generate_model_card()).split("\n---\n", 1)[1].splitlines()) + 2
    bare = re.sub(r"\\.", "", body.split("## How it was made")[1]) # without what is escaped
    assert len(re.findall(r"\|", bare)) == 3 + 3 + 2 * 3 and not re.search(r"[`*\[\]~$!]", bare) and "://" not in bare
    line = next(o for o in body.splitlines() if o.startswith("Decides between"))
    shown = html.unescape(re.sub(r"\\(.)", r"\1", line))
    assert re.sub(r"[\x00-\x20\u2028]+", " ", name).replace("\ud800", "?") in shown


def test_the_corpus_may_write_its_classes_otherwise_but_may_not_have_others(folder, tmp_path, caplog):
    from datasets import ClassLabel, Dataset, DatasetDict
    def corpus(*names):
        rows = Dataset.from_dict(dict(text=["cup goal", "bank"], label=[0, 1])).cast_column("label", ClassLabel(names=list(names)))
        return DatasetDict(train=rows, test=rows)
    assert labels_by_name(corpus("Space", "sport")["test"], ["sport", "money", "space"]) == [2, 0]
    assert [o.getMessage() for o in caplog.records] == ["the corpus writes its classes otherwise than the classifier: Space as space"]
    with pytest.raises(InputError, match="the corpus has classes Space, health, the classifier sport, money, space: give its own corpus"):
        export(folder, tmp_path / "exported", corpus("Space", "health"))
    assert not list(tmp_path.iterdir()) # it is said before anything is written

"""When a classifier does not answer: confidence, thresholds and bounds, the file of a calibration, the server and its fallback."""
import json
import shutil
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import numpy as np
import pytest
import torch
from conftest import make_tokenizer, WORDS
from fastapi.testclient import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom
from test_classifier import make_classifier

import lightx
from lightx.deploy import calibrate, calibration_of, check_record, wanted_classes, Classifier, Fallback, fit_temperature, make_app, upper_bound
from lightx.runtime import Calibration, CALIBRATION, calibrated_sums, confidence, InputError, read_calibration

TEXTS = [f"{a} {b} {c}" for o in WORDS.values() for a in o for b in o for c in o[:3]]
SURE = Calibration(1., 0.05, "label", 900, [0.5, 0.], [300, 300], [0, 90], [600, 900], [0, 270], [0.005, 0.33], 0.)


def labels_of(clf, texts, wrong=0.3, seed=0):
    """The classifier's own decisions; where it is least sure, often another class."""
    chances, rng = clf.predict_proba(texts), np.random.default_rng(seed)
    unsure = chances.max(1) < np.quantile(chances.max(1), 0.5)
    return [clf.names[(i + (unsure[k] and rng.random() < wrong)) % 3] for k, i in enumerate(chances.argmax(1))]


def trained():
    return make_classifier(tokenizer=make_tokenizer().backend_tokenizer)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A calibrated classifier on disk."""
    folder, clf = tmp_path_factory.mktemp("calibrated") / "model", trained()
    calibrate(clf, (TEXTS, labels_of(clf, TEXTS)), risk=0.1)
    clf.save_pretrained(folder)
    return folder


@given(st.lists(st.lists(st.floats(-20, 20), min_size=3, max_size=3), min_size=1, max_size=5), st.floats(0.1, 10))
@settings(max_examples=50, deadline=None)
def test_confidence_is_the_largest_probability_of_divided_logits(logits, temperature):
    logits = torch.tensor(logits, dtype=torch.float64)
    np.testing.assert_allclose(confidence(logits.softmax(1).numpy(), temperature), (logits / temperature).softmax(1).amax(1).numpy(), rtol=1e-6)


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.floats(0.01, 0.3))
@settings(max_examples=50, deadline=None)
def test_as_few_mistakes_come_at_the_bound_with_a_chance_of_delta(found, delta):
    k, n = found
    bound = float(upper_bound(k, n, delta))
    assert k / n <= bound <= 1 and (bound == 1 or binom.cdf(k, n, bound) == pytest.approx(delta, rel=1e-6))
    assert upper_bound(0, 0, delta) == 1


@given(st.lists(st.floats(0, 0.4), min_size=1, max_size=12), st.floats(0.01, 0.4))
@settings(max_examples=50, deadline=None)
def test_the_sequence_ends_before_the_first_bound_that_fails(bounds, risk):
    J = len(bounds)
    made = Calibration(1., 0.05, "label", 100, np.linspace(1, 0, J).tolist(), [10] * J, [0] * J, [50] * J, [1] * J, bounds, 0.)
    first = made.start(risk)
    try: last = made.level(risk)
    except InputError as e:
        assert bounds[first] > risk and "can't be guaranteed" in str(e) and "\n" not in str(e)
    else: assert all(o <= risk for o in bounds[first:last + 1]) and (last == J - 1 or bounds[last + 1] > risk)


def drawn(n, seed):
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(n, 3)) * 3
    return torch.tensor(2 * logits).softmax(1).numpy(), (logits + rng.gumbel(size=logits.shape)).argmax(1)


def test_the_bound_holds_for_new_texts_and_a_choice_without_one_does_not():
    chances, true = drawn(60_000, 0)
    wrong, failed, careless, answered = chances.argmax(1) != true, 0, 0, []
    sure_of_all, order = confidence(chances, 1), np.random.default_rng(1)
    for seed in range(100):
        some = order.integers(len(true), size=800)
        made = calibration_of(chances[some], true[some], seed=seed)
        try: given = confidence(chances, made.temperature) >= made.thresholds[made.level(0.1)]
        except InputError: continue
        failed, answered = failed + (wrong[given].mean() > 0.1), [*answered, given.mean()]
        sure = np.sort(sure_of_all[some])[::-1]
        shares = np.cumsum(wrong[some][np.argsort(-sure_of_all[some])]) / np.arange(1, 801)
        careless += wrong[sure_of_all >= sure[np.flatnonzero(shares <= 0.1)[-1]]].mean() > 0.1
    assert failed <= 11 and len(answered) > 80 and np.mean(answered) > 0.4 # more than 11 of 100 come by chance once in 200 times
    assert careless > 25


def test_the_temperature_is_that_of_the_truth():
    chances, true = drawn(20_000, 0)
    assert fit_temperature(chances, true) == pytest.approx(2, abs=0.1)
    assert fit_temperature(chances, np.full(len(true), -1)) == 1 # no text is of a class


def test_texts_of_no_class_count_as_wrong():
    chances = np.tile([0.9, 0.1], (400, 1))
    none = calibration_of(chances, np.full(400, -1))
    assert none.wrong[-1] == none.answered[-1] == 300
    with pytest.raises(InputError, match="wrong on 300 of 300 texts"): none.level(0.4)
    assert wanted_classes(["oos", "a"], ["a", "b"], "it").tolist() == [-1, 0]


def test_a_calibrated_classifier_abstains_in_every_form(folder):
    for clf in (lightx.load(folder), Classifier.from_pretrained(folder)):
        some = TEXTS[::12]
        decided = clf.predict(some, abstain=0.1)
        gone = [o is None for o in decided]
        assert 0 < sum(gone) < len(gone) and [o for o in decided if o] == clf.predict([o for o, g in zip(some, gone) if not g]).tolist()
        assert [o.abstained for o in clf.explain(some, 0.1)] == gone == [clf(o, abstain=0.1).abstained for o in some]
        assert clf(some[0]).abstained is None and "abstained" not in clf(some[0]).to_dict()
        assert clf.predict(some).tolist() == trained().predict(some).tolist()


def test_the_risk_is_kept_on_the_texts_of_the_calibration(folder):
    clf = lightx.load(folder)
    decided, wanted = clf.predict(TEXTS, abstain=0.1), np.array(labels_of(clf, TEXTS))
    given = np.array([o is not None for o in decided])
    assert (decided != wanted)[given].mean() <= 0.1 < (clf.predict(TEXTS) != wanted).mean()


def test_a_calibration_goes_when_the_student_changes(folder, caplog):
    clf = Classifier.from_pretrained(folder)
    with torch.no_grad(): clf.student.output.bias.add_(1)
    with pytest.raises(InputError, match="is not calibrated"): clf.predict(TEXTS, abstain=0.1)
    assert "the student was changed after it was calibrated" in caplog.text
    clf = Classifier.from_pretrained(folder)
    clf.student = trained().student
    assert clf.calibration is None
    clf = lightx.load(folder)
    clf.student.embedding = clf.student.embedding.copy()
    assert clf.calibration is None


def test_a_calibration_of_another_state_is_not_read(folder, tmp_path, caplog):
    shutil.copytree(folder, other := tmp_path / "other")
    assert read_calibration(other) == lightx.load(folder).calibration
    about = json.loads((other / "classifier.json").read_text())
    (other / "classifier.json").write_text(json.dumps(about | dict(names=about["names"][::-1])))
    assert lightx.load(other).calibration is None and "of another state of this classifier" in caplog.text


ANYTHING = st.one_of(st.none(), st.text(max_size=3), st.floats(), st.integers(-3, 3), st.lists(st.floats(), max_size=3))

@given(st.sampled_from(sorted(asdict(SURE))), ANYTHING)
@settings(max_examples=20, deadline=None)
def test_any_file_is_a_calibration_or_named(tmp_path_factory, key, value):
    folder = tmp_path_factory.getbasetemp() / "any"
    folder.mkdir(exist_ok=True)
    (folder / "classifier.json").write_text('{"names": ["a", "b"], "max_length": 9}')
    (folder / CALIBRATION).write_text(json.dumps(asdict(SURE) | {key: value, "sums": calibrated_sums(folder)}))
    try: found = read_calibration(folder)
    except InputError as e: assert CALIBRATION in str(e) and "\n" not in str(e)
    else:
        try: assert len(found.abstains(np.array([[0.9, 0.1]]), 0.1)) == 1
        except InputError as e: assert "can't be guaranteed" in str(e)


def test_a_refusal_leaves_what_was_there(folder, tmp_path):
    shutil.copytree(folder, other := tmp_path / "other")
    before, clf = (other / CALIBRATION).read_bytes(), lightx.load(other)
    with pytest.raises(InputError, match=r"0.001 can't be guaranteed by \d+ texts: calibrate with about [\d,]+"):
        calibrate(clf, (TEXTS, labels_of(clf, TEXTS)), risk=0.001, out=other)
    assert (other / CALIBRATION).read_bytes() == before and clf.predict(TEXTS, abstain=0.1) is not None


def test_against_a_file_of_decisions(tmp_path):
    clf, file = trained(), tmp_path / "said.csv"
    file.write_text("text,label\n" + "".join(f"{t},{o}\n" for t, o in zip(TEXTS, clf.predict(TEXTS))) + "more,\n")
    (tmp_path / "texts.csv").write_text("text\n" + "\n".join([*TEXTS, "more"]))
    facts = calibrate(clf, tmp_path / "texts.csv", 0.05, teacher=file)
    assert facts["against"] == "teacher" and facts["wrong"] == 0 and facts["coverage"] == 1


def test_what_was_hardly_understood_is_said():
    clf = trained()
    assert clf("nowhere seen words").note == "3 of 3 words are unknown" and clf("cup goal today").note == ""
    clf.calibration = Calibration(**asdict(SURE) | dict(least_pull=1e9))
    assert "all words together pull" in clf("cup goal").note and clf("cup goal").note in clf("cup goal")._repr_html_()
    assert clf("cup goal").to_dict()["note"] == clf("cup goal").note


def test_abstaining_needs_no_torch(folder):
    code = (f"import sys; sys.modules['torch'] = sys.modules['scipy'] = None; import lightx; "
            f"print(lightx.load({str(folder)!r}).predict(['cup goal win'], abstain=0.1))")
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.startswith("[")


# --- edited

def test_an_edited_classifier_is_calibrated_for_itself(folder, tmp_path, caplog):
    lightx.load(folder).without("cup").save_pretrained(one := tmp_path / "one")
    assert not (one / CALIBRATION).exists() and "its calibration is of other edits" in caplog.text
    clf = lightx.load(one)
    with pytest.raises(InputError, match="is not calibrated"): clf.predict(TEXTS, abstain=0.1)
    calibrate(clf, (TEXTS, labels_of(clf, TEXTS)), risk=0.1, out=one)
    gone = [o is None for o in clf.predict(TEXTS, abstain=0.1)]
    again = lightx.load(one)
    assert 0 < sum(gone) < len(gone) == len(TEXTS) and [o.abstained for o in again.explain(TEXTS, 0.1)] == gone
    assert again.without("oil").calibration is None is again.undo().calibration
    again.save_pretrained(tmp_path / "two")
    assert lightx.load(tmp_path / "two").calibration == clf.calibration


def test_a_calibration_of_other_edits_is_not_read(folder, tmp_path, caplog):
    clf = trained()
    calibrate(clf, (TEXTS, labels_of(clf, TEXTS)), risk=0.1)
    clf.without("cup").save_pretrained(edited := tmp_path / "edited") # of a classifier in PyTorch, which writes its own
    assert not (edited / CALIBRATION).exists()
    shutil.copyfile(folder / CALIBRATION, edited / CALIBRATION)
    assert lightx.load(edited).calibration is None and "of another state of this classifier" in caplog.text


def test_a_server_answers_as_its_edited_classifier(folder, tmp_path):
    clf = lightx.load(folder).without("cup").without("oil", toward=lightx.load(folder).names[0])
    with TestClient(make_app(clf)) as client:
        for explain in (True, False):
            answers = client.post("/predict", json=dict(texts=TEXTS[:9], explain=explain)).json()["answers"]
            np.testing.assert_allclose([[*o["probabilities"].values()] for o in answers], clf.predict_proba(TEXTS[:9]), atol=1e-6)


def test_a_record_says_that_the_classifier_abstained(folder):
    clf = lightx.load(folder)
    for o in clf.explain([*TEXTS[:60], "nowhere seen words"], 0.1):
        record = o.to_record(text=False)
        assert record["abstained"] == o.abstained and record.get("note", "") == o.note and all(k["holds"] for k in check_record(record, clf, o.text))
    assert "abstained" not in clf(TEXTS[0]).to_record() and "note" not in clf(TEXTS[0]).to_record()


# --- the server

class Other(BaseHTTPRequestHandler):
    """A large model that answers, or does what it is told by its path."""
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        said = {"/odd": b"{}", "/surrogate": b'{"answers": [{"label": "\\ud800<script>"}]}',
                "/nan": b'{"answers": [{"label": "a", "probabilities": {"a": NaN}}]}', "/few": b'{"answers": []}', "/binary": b"\xff\x00"}
        answers = [dict(label=f"large {len(o)}", probabilities={"large": 1}) for o in asked["texts"]]
        body = said.get(self.path, json.dumps({"answers": answers}).encode())
        if self.path == "/slow": time.sleep(1)
        self.send_response(dict([("/error", 500), ("/moved", 302)]).get(self.path, 200))
        if self.path == "/moved": self.send_header("location", f"http://127.0.0.1:{self.server.server_port}/")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args): pass


@contextmanager
def beside(path, folder, seconds=0.5):
    """A server with a fallback at a path of another."""
    other = ThreadingHTTPServer(("127.0.0.1", 0), Other)
    threading.Thread(target=other.serve_forever, daemon=True).start()
    app = make_app(lightx.load(folder), abstain=0.1, fallback=Fallback(f"http://127.0.0.1:{other.server_port}{path}", seconds))
    with TestClient(app) as client: yield client
    other.shutdown()
    other.server_close()


def counted(client):
    lines = (o.rpartition(" ") for o in client.get("/metrics").text.splitlines() if o.startswith("lightx_"))
    return {k: float(v) for k, _, v in lines}


def test_what_is_abstained_from_is_handed_over(folder):
    clf, texts = lightx.load(folder), TEXTS[:60]
    gone = [o is None for o in clf.predict(texts, abstain=0.1)]
    assert 0 < sum(gone) < 60
    with beside("/predict", folder) as client:
        answers = client.post("/predict", json={"texts": texts}).json()["answers"]
        assert [o["abstained"] for o in answers] == gone == [o.get("fallback", False) for o in answers]
        for text, o, g in zip(texts, answers, gone):
            assert o["label"] == (f"large {len(text)}" if g else clf(text).label) and ("words" in o) != g
        found = counted(client)
        assert found["lightx_abstained_texts_total"] == found['lightx_fallback_texts_total{result="answered"}'] == sum(gone)


@pytest.mark.parametrize("path", ["/odd", "/nan", "/few", "/binary", "/error", "/moved", "/slow"])
def test_a_failing_fallback_is_never_the_users_error(path, folder):
    clf = lightx.load(folder)
    text = next(o for o, d in zip(TEXTS, clf.predict(TEXTS, abstain=0.1)) if d is None)
    with beside(path, folder, 0.3) as client:
        start = time.monotonic()
        reply = client.post("/predict", json={"texts": [text]})
        assert reply.status_code == 200 and time.monotonic() - start < 0.9
        answer = reply.json()["answers"][0]
        assert answer["abstained"] is True and "fallback" not in answer and answer["label"] == clf(text).label and answer["words"]
        assert counted(client)['lightx_fallback_texts_total{result="failed"}'] == 1


@pytest.mark.parametrize("odd", ["ftp://a", "http://[", "http://a:99999/", "http://a:x/"])
def test_a_fallback_has_an_address(odd):
    with pytest.raises(InputError, match="no address: give one that begins with http"): Fallback(odd)


def test_an_odd_label_of_the_fallback_is_sent_as_text(folder):
    text = next(o for o, d in zip(TEXTS, lightx.load(folder).predict(TEXTS, abstain=0.1)) if d is None)
    with beside("/surrogate", folder) as client:
        assert client.post("/predict", json={"texts": [text]}).json()["answers"][0]["label"] == "\ufffd<script>"


def test_a_risk_may_be_asked_for_by_a_request(folder):
    with TestClient(make_app(lightx.load(folder))) as client:
        def ask(**more): return client.post("/predict", json=dict(texts=TEXTS[:20], explain=False) | more)
        assert "abstained" not in ask().json()["answers"][0]
        decided = lightx.load(folder).predict(TEXTS[:20], abstain=0.1)
        assert [o["abstained"] for o in ask(abstain=0.1).json()["answers"]] == [o is None for o in decided]
        assert ask(abstain=1e-6).status_code == 422 and "can't be guaranteed" in ask(abstain=1e-6).json()["detail"]
        for odd in (0, 2, "x", -1): assert ask(abstain=odd).status_code == 422
    with TestClient(make_app(trained())) as client:
        reply = client.post("/predict", json=dict(texts=["a"], abstain=0.1))
        assert reply.status_code == 422 and "is not calibrated" in reply.json()["detail"]


def test_the_command_serves_with_a_fallback(folder):
    from test_server import serving
    text = next(o for o, d in zip(TEXTS, lightx.load(folder).predict(TEXTS, abstain=0.1)) if d is None)
    with serving(folder, "--abstain", "0.1", "--fallback", "http://127.0.0.1:9/", "--timeout", "1") as (_, address, _):
        answer = httpx.post(f"{address}/predict", json={"texts": [text]}).json()["answers"][0]
        assert answer["abstained"] is True and "fallback" not in answer

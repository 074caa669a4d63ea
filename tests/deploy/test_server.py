"""A classifier behind HTTP."""
import json
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from test_classifier import make_classifier

from lightx.deploy import Classifier
from lightx.deploy.server import replies


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A server in a process of its own, as a user starts it."""
    folder = tmp_path_factory.mktemp("served") / "model"
    make_classifier().save_pretrained(folder)
    limits = ["--texts", "8", "--characters", "500", "--body", "4000"]
    command = [sys.executable, "-c", "from lightx.cli import main; main()", "serve", str(folder), "--port", "0", *limits]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        address = next(found[0] for line in process.stderr if (found := re.findall(r"http://[\d.:]+", line)))
        with httpx.Client(base_url=address) as client:
            yield client, Classifier.from_pretrained(folder)
    finally:
        process.terminate()
        process.wait()


def test_replies_are_the_answers_of_the_classifier(served):
    client, clf = served
    texts = ["one goal", "", "Crème & brûlée", "long " * 60]
    reply = client.post("/predict", json={"texts": texts})
    assert reply.status_code == 200
    for found, expected in zip(reply.json()["answers"], clf(texts), strict=True):
        told = expected.to_dict()
        assert (found["label"], found["truncated"]) == (told["label"], told["truncated"])
        assert [o["text"] for o in found["words"]] == [o["text"] for o in told["words"]]
        assert found["probabilities"] == pytest.approx(told["probabilities"], abs=1e-5)


def test_no_time_goes_into_reasons_that_nobody_wants(monkeypatch):
    clf = make_classifier()
    monkeypatch.setattr(clf, "forward_explanations", lambda *_: pytest.fail("explained"))
    asked = ["one goal", "money"]
    found = replies(clf, [(o, False) for o in asked])
    assert [o["label"] for o in found] == [clf.names[i] for i in clf.predict_proba(asked).argmax(1)]


def test_many_at_once_get_their_own_replies(served):
    client, clf = served
    texts = [f"text {i} " * (i % 9) for i in range(200)]
    with ThreadPoolExecutor(16) as pool:
        replies = list(pool.map(lambda o: client.post("/predict", json={"texts": [o], "explain": False}).json()["answers"][0], texts))
    for found, expected in zip(replies, clf(texts), strict=True):
        assert found["probabilities"] == pytest.approx(expected.probabilities, abs=1e-5)


@pytest.mark.parametrize("body, status, words", [
    (b"{", 422, "json"),
    (b"", 422, "required"),
    (b"\xff", 400, "parsing"),
    (b'{"texts": ["\\ud800"]}', 422, "unicode"),
    (b'{"texts": "a text"}', 422, "valid list"),
    (b'{"texts": [1]}', 422, "valid string"),
    (b'{"texts": []}', 422, "at least 1"),
    (b'{"texts": ["a"], "more": 1}', 422, "not permitted"),
    (json.dumps({"texts": ["a"] * 9}).encode(), 422, "at most 8"),
    (json.dumps({"texts": ["a" * 501]}).encode(), 422, "at most 500"),
    (json.dumps({"texts": ["a" * 400] * 50}).encode(), 413, "larger than 4,000 bytes"),
])
def test_bad_requests_are_told_why_and_the_server_stays_up(served, body, status, words):
    client, _ = served
    reply = client.post("/predict", content=body, headers={"content-type": "application/json"})
    assert reply.status_code == status and words in reply.json()["detail"]
    streamed = client.post("/predict", content=iter([body]), headers={"content-type": "application/json"})
    assert streamed.status_code == status
    assert client.get("/health").json()["status"] == "ok"


def test_the_description_names_every_limit(served):
    question = served[0].get("/openapi.json").json()["components"]["schemas"]["Question"]["properties"]["texts"]
    assert (question["maxItems"], question["items"]["maxLength"]) == (8, 500)

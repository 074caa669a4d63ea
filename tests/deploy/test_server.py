"""A classifier behind HTTP."""
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx
import pytest
from test_classifier import make_classifier

from lightx.deploy import Classifier
from lightx.deploy.server import replies


@contextmanager
def serving(folder, *options, token=None):
    """A server in a process of its own, as a user starts it: the process, its address, and what it said before."""
    command = [sys.executable, "-c", "from lightx.cli import main; main()", "serve", str(folder), "--port", "0", *options]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ | ({"LIGHTX_TOKEN": token} if token else {}))
    said = []
    try:
        for line in process.stderr:
            said.append(line)
            if found := re.search(r"http://[\d.:]+", line):
                break
        yield process, found[0], "".join(said)
    finally:
        process.terminate()
        process.wait()
        process.stderr.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("served") / "model"
    make_classifier().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def served(folder):
    limits = ["--texts", "8", "--characters", "500", "--body", "4000"]
    with serving(folder, *limits) as (_, address, said), httpx.Client(base_url=address) as client:
        assert "token" not in said # nobody else can reach it
        yield client, Classifier.from_pretrained(folder)


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


def test_the_description_needs_nothing_from_outside(served):
    page = served[0].get("/docs")
    assert page.status_code == 200 and "POST /predict" in page.text and "<script" not in page.text
    assert not re.findall(r"(?:src|href)=", page.text) and "default-src 'none'" in page.headers["content-security-policy"]


def test_names_of_other_hosts_are_refused(served):
    client, _ = served
    for name, status in (("localhost:80", 200), ("127.0.0.1", 200), ("[::1]", 200), ("evil.example", 400), ("localhost.evil.example", 400)):
        assert client.get("/health", headers={"host": name}).status_code == status, name


def test_metrics_count_what_was_asked(served):
    client, _ = served
    def counted(): return {k: float(v) for k, v in re.findall(r"^(lightx_\S+) ([\d.]+)$", client.get("/metrics").text, re.M)}
    before = counted()
    client.post("/predict", json={"texts": ["one", "two", "three"]})
    client.post("/predict", json={"texts": []})
    client.get("/nowhere")
    after = counted()
    def more(key): return after[key] - before.get(key, 0)
    assert more('lightx_requests_total{path="/predict",status="200"}') == more('lightx_requests_total{path="/predict",status="422"}') == 1
    assert more('lightx_requests_total{path="other",status="404"}') == 1
    assert sum(more(k) for k in after if k.startswith("lightx_texts_total")) == 3
    assert more('lightx_request_seconds_count{path="/predict"}') == 2


def test_a_token_is_wanted_where_one_is_set(folder):
    with serving(folder, "--host", "0.0.0.0", token="sésame") as (_, address, said), httpx.Client() as client:
        client.base_url = address.replace("0.0.0.0", "127.0.0.1")
        assert "token" not in said
        for header, status in ((None, 401), ("Bearer sesame", 401), ("sésame", 401), ("Bearer sésame", 200)):
            headers = {"authorization": header.encode("latin-1")} if header else {}
            assert client.post("/predict", json={"texts": ["a"]}, headers=headers).status_code == status, header
            assert client.get("/metrics", headers=headers).status_code == status
        assert client.get("/health").status_code == 200


def test_a_server_that_others_can_reach_says_so(folder):
    with serving(folder, "--host", "0.0.0.0") as (_, _, said):
        assert "whoever reaches 0.0.0.0 can ask this server, without a token: set LIGHTX_TOKEN" in said.replace("\n", "")


HALF = b"POST /predict HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 40\r\n\r\n{"


@pytest.mark.parametrize("sent", [b"", b"POST /pre", HALF], ids=["nothing", "half a head", "half a body"])
@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_it_ends_within_seconds_whoever_is_still_talking(folder, sent):
    with serving(folder) as (process, address, _), socket.create_connection(address[7:].split(":")) as client:
        client.sendall(sent)
        time.sleep(0.2)
        start = time.monotonic()
        process.send_signal(signal.SIGTERM)
        said = process.stderr.read()
        assert process.wait(10) in (0, -signal.SIGTERM) and time.monotonic() - start < 7
        assert "Traceback" not in said


@pytest.mark.skipif(os.name == "nt", reason="files")
def test_a_thousand_that_are_slow_or_silent_keep_nobody_out(folder):
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 1200: pytest.skip("too few files may be open")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 1200), hard))
    with serving(folder, "--seconds", "2", "--connections", "500") as (process, address, _), httpx.Client(base_url=address) as client:
        place, sent = (address[7:].split(":")[0], int(address.rpartition(":")[2])), (b"", b"POST /pre", HALF)
        crowd = [socket.create_connection(place) for _ in range(1000)]
        for i, o in enumerate(crowd): o.sendall(sent[i % 3])
        for _ in range(50):
            assert client.post("/predict", json={"texts": ["one goal"]}).status_code == 200
        time.sleep(3)
        assert all(o.recv(4096) for o in crowd[-300:]) # a word, to those who were let go for being late
        for o in crowd: o.close()
        assert client.get("/health").json()["status"] == "ok"
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

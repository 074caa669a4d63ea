"""The page, in a real browser."""
import random

import numpy as np
import pytest
from browser import HELP, find_browser
from playwright.sync_api import sync_playwright
from test_classifier import make_classifier

from lightx.deploy import Classifier, export, export_web
from lightx.runtime import InputError

BROWSER = find_browser()
TEXTS = ["Oil prices soar", "Crème brûlée & more", "AT&amp;T <b>", "goal🎉 株価 up", "e\u0301te\u0301\u200b!", "", "  ", "a" * 120,
         "long words " * 30, "ΑΣ ĳ İ ﬁ 각"]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    clf = make_classifier()
    clf.examples = [dict(text=o, teacher=clf(o).to_dict()) for o in TEXTS[:3]]
    clf.save_pretrained(folder / "model")
    export(folder / "model", folder / "exported")
    sizes = export_web(folder / "exported", folder / "index.html")
    assert sizes["page"] < 8e6
    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        page = browser.new_page(viewport=dict(width=390, height=800)) # a phone
        page.route("http*://**", lambda route: pytest.fail(f"the page asked for {route.request.url}"))
        page.goto((folder / "index.html").as_uri())
        page.wait_for_selector("body[data-ready]", timeout=60_000)
        yield page, Classifier.from_pretrained(folder / "model"), folder
        browser.close()


pytestmark = pytest.mark.skipif(not BROWSER, reason=HELP.splitlines()[0])


def test_typing_changes_label_colours_and_numbers(page):
    page, clf, folder = page
    for text in ("goal goal & more", "money 42 space"):
        page.get_by_label("Your text").fill(text)
        page.wait_for_function("text => document.querySelector('#mine .words')?.textContent === text", arg=text)
        expected = clf(text)
        assert page.locator("#mine .label").inner_text() == expected.label
        attributions = [float(o.get_attribute("data-attribution")) for o in page.locator("#mine .words span").all()]
        np.testing.assert_allclose(attributions, expected.scores, atol=0.02)  # 8 bits in the page
        strongest = page.locator("#mine .words span").nth(int(np.abs(expected.scores).argmax()))
        side = "31, 119, 180" if expected.scores[np.abs(expected.scores).argmax()] > 0 else "255, 127, 14"
        assert side in strongest.evaluate("o => getComputedStyle(o).backgroundColor")
        assert float(page.locator("#time").inner_text().split()[-2]) < 100 # ms
    assert page.locator("#mine [role=status]").count() == 1 and page.get_by_label("Probabilities").count() == 3
    page.screenshot(path=folder / "page.png", full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth") # nothing sticks out on a phone


def test_the_page_reads_as_the_tokenizer_does(page):
    page, clf, _ = page
    rng = random.Random(0)
    letters = "abcXYZ 019 .,&;#<> éÜßÅ 株価 \u0301\u200b\t\n🎉€ǆΣ"
    texts = TEXTS + ["".join(rng.choices(letters, k=rng.randint(0, 30))) for _ in range(400)]
    read = "texts => texts.map(t => lightx.words(t).map(o => lightx.pieces(o.letters).map(p => p[0])))"
    clf.tokenizer.no_truncation()
    for text, found in zip(texts, page.evaluate(read, texts), strict=True):
        encoding = clf.tokenizer.encode(text, add_special_tokens=False)
        assert sum(found, []) == encoding.ids, repr(text)
    clf.tokenizer.enable_truncation(clf.max_length)
    for text, found in zip(texts, page.evaluate("texts => Promise.all(texts.map(lightx.answer))", texts), strict=True):
        expected = clf(text)
        assert [o["text"] for o in found["words"]] == [o.text for o in expected.words], repr(text)
        assert found["truncated"] == expected.truncated
        np.testing.assert_allclose(list(found["probabilities"].values()), list(expected.probabilities.values()), atol=0.01)


def test_the_teacher_stands_beside_the_student_by_keyboard(page):
    page, clf, _ = page
    page.get_by_label("A text that neither was trained on").focus()
    page.keyboard.press("ArrowDown")
    page.wait_for_function("text => document.querySelector('#student .words')?.textContent === text", arg=TEXTS[1])
    assert page.locator("#teacher .words").inner_text() == TEXTS[1]
    assert page.locator("#teacher .label").inner_text() == clf(TEXTS[1]).label


def test_only_tokenizers_that_the_page_knows(tmp_path):
    from conftest import make_tokenizer
    make_classifier(tokenizer=make_tokenizer().backend_tokenizer).save_pretrained(tmp_path / "model")
    export(tmp_path / "model", tmp_path / "exported")
    with pytest.raises(InputError, match="the page reads as BERT does"):
        export_web(tmp_path / "exported", tmp_path / "index.html")
    assert not (tmp_path / "index.html").exists()

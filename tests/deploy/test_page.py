"""The page, in a real browser."""
import copy
import json
import random
import re
import struct

import numpy as np
import pytest
import torch
from browser import HELP, find_browser
from playwright.sync_api import sync_playwright
from safetensors.torch import save_file
from test_classifier import make_classifier
from test_vocabulary import CORPUS, MADE, SPECIAL
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

from lightx.deploy import Classifier, export, export_web, PATTERNS, quantize_int8, unreadable
from lightx.runtime import InputError
from lightx.student import BigramStudent, MLPStudent, new_student

BROWSER = find_browser()
TEXTS = ["Oil prices soar", "Crème brûlée & more 🎉 株価", "AT&amp;T <b>", "goal🎉 株価 up", "e\u0301te\u0301\u200b!", "", "  ", "a" * 120,
         "long words " * 30, "ΑΣ ĳ İ ﬁ 각",
         "constructor __proto__", "oil\u0378x", "<s> goal <mask>  </s>[CLS]", " <mask>goal", "  <mask>  b", "  two", "don't we'll 12345 ..."]


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield browser
        browser.close()


def opened(browser, file):
    """A page that asks nobody for anything."""
    page = browser.new_page(viewport=dict(width=390, height=800)) # a phone
    page.route("http*://**", lambda route: pytest.fail(f"the page asked for {route.request.url}"))
    page.on("pageerror", lambda e: pytest.fail(str(e)))
    page.goto(file.as_uri())
    page.wait_for_selector("body[data-ready]", timeout=60_000)
    return page


@pytest.fixture(scope="module")
def page(browser, tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    clf = make_classifier()
    clf.examples = [dict(text=o, teacher=clf(o).to_dict()) for o in TEXTS[:3]]
    clf.save_pretrained(folder / "model")
    export(folder / "model", folder / "exported")
    sizes = export_web(folder / "exported", folder / "index.html")
    assert sizes["page"] == (folder / "index.html").stat().st_size < 100_000
    yield opened(browser, folder / "index.html"), Classifier.from_pretrained(folder / "model"), folder


pytestmark = pytest.mark.skipif(not BROWSER, reason=HELP.splitlines()[0])


def in_eight_bits(clf, folder):
    """What `export` writes for the page, without the graphs; the classifier as the page has it."""
    folder.mkdir()
    clf.student = quantize_int8(clf.student)
    save_file(clf.student.state_dict(), folder / "model.int8.safetensors")
    clf.tokenizer.save(str(folder / "tokenizer.json"))
    own = {o: getattr(clf.student, o) for o in ("pad_id", "target", "baseline", "pool_width")}
    (folder / "classifier.json").write_text(json.dumps(dict(names=clf.names, max_length=clf.max_length, examples=[], **own)))
    return clf


def same(page, clf, texts):
    """Ids, words, places, and numbers of the page and of Python."""
    found = page.evaluate("texts => texts.map(o => ({ ...lightx.read(o), ...lightx.answer(o) }))", texts)
    for text, one, expected in zip(texts, found, clf(texts), strict=True):
        unit = np.cumsum([0, *(1 + (o > "\uffff") for o in text)]) # JavaScript counts an emoji twice
        assert one["ids"] == expected.reading.ids.tolist(), ascii(text)
        places = [(o.text, unit[o.start], unit[o.end]) for o in expected.words]
        assert [(o["text"], o["start"], o["end"]) for o in one["words"]] == places, ascii(text)
        if not one["ids"]: # without a token PyTorch divides by zero; the page answers as for the baseline
            assert one["logits"] == one["baseline_logits"]
            continue
        assert (one["label"], one["truncated"]) == (expected.label, expected.truncated)
        told = expected.to_dict()
        for key in ("logits", "baseline_logits", "probabilities", "special"):
            np.testing.assert_allclose(list(one[key].values()), list(told[key].values()), atol=1e-4)
        values = [[list(o["attributions"].values()) for o in answer["words"]] for answer in (one, told)]
        np.testing.assert_allclose(*values, atol=1e-4)


def odd(n, seed=0):
    """Random texts of odd characters, all older than 2016: what came later is where browsers and tokenizers differ."""
    rng = random.Random(seed)
    letters = ("abcXYZ 019 .,&;#<>'’`-_ éÜßÅ 株価 \u0301\u0323\u200b\u200d\t\n\r\x0b\x00\x01\x85\xa0\u3000🎉👩‍👧€ǆΣΑς İĳﬁ각가"
               "\u1100\u1161\u11a8½①²العשלוםहिन्दी ไทย\ufeff\ufffd\u0344\u212b\u0f77\u09c7\u09be𝒳\u2028«»—…\u2581ＡŸ")
    parts = [*CORPUS[:40], *letters, " ", "   ", "<mask>", "</s>", "goal", "..."]
    texts = ["".join(rng.choices(letters, k=rng.choice([1, 3, 8, 20, 60]))) for _ in range(n)]
    return TEXTS + texts + ["".join(o[:12] for o in rng.choices(parts, k=rng.randint(1, 8))) for _ in range(n // 2)]


def charsmap(replaced):
    """A table of replacements as SentencePiece writes it: a tree in a double array, then what is put in."""
    told, at, nodes = b"", {}, {b"": 0}
    for key, value in replaced.items():
        at[key.encode()] = len(told)
        told += value.encode() + b"\0"
        for i in range(1, len(key.encode()) + 1):
            nodes.setdefault(key.encode()[:i], len(nodes))
    base, units = {o: 256 * (i + 1) for o, i in nodes.items()}, [0] * 256 * (len(nodes) + 1)
    for key in nodes:
        place = base[key[:-1]] ^ key[-1] if key else 0
        units[place] = (place ^ base[key]) << 10 | (key in at) << 8 | (key[-1] if key else 0)
        if key in at:
            units[base[key]] = at[key] | 1 << 31
    return struct.pack(f"<I{len(units)}I", 4 * len(units), *units) + told


TABLE = normalizers.Precompiled(charsmap({"\t": " ", "\n": " ", "\u3000": " ", "ﬁ": "fi", "…": "...", "\u200b": "", "\x00": "", "①": "1",
                                          "e\u0301": "é", "é": "e", "Ａ": "A", "½": "1/2", "\u200d": " "}))


def trained(model, trainer, pre_tokenizer, normalizer=None, framed=True):
    """A small tokenizer of some kind."""
    tok = Tokenizer(model)
    tok.pre_tokenizer = pre_tokenizer
    if normalizer:
        tok.normalizer = normalizer
    extra = ["e\u0301te\u0301 가각 ﬁne ½ ①② العربية שלום हिन्दी ไทย Ångström ǅ ß ΑΣ. x² 𝒳 👩‍👩‍👧 don't we'll 12345 ... ``quoted''"]
    tok.train_from_iterator(CORPUS + extra, trainer)
    if framed:
        tok.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 2), ("</s>", 3)])
    return tok


def quiet(kind, size, **options):
    return kind(vocab_size=size, special_tokens=SPECIAL, show_progress=False, **options)


def wordpiece(pre, normalizer):
    return trained(models.WordPiece(unk_token="<unk>"), quiet(trainers.WordPieceTrainer, 300), pre, normalizer)


def bpe(pre, normalizer=None, post=None):
    tok = trained(models.BPE(), quiet(trainers.BpeTrainer, 450, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()), pre, normalizer, framed=False)
    tok.add_special_tokens([AddedToken("<mask>", lstrip=True, rstrip=True)])
    tok.add_tokens([AddedToken("goal", normalized=True)])
    if post:
        tok.post_processor = post
    return tok


def unigram(pre, normalizer=None):
    return trained(models.Unigram(), quiet(trainers.UnigramTrainer, 200, unk_token="<unk>"), pre, normalizer)


def wordlevel(pre, normalizer=None):
    return trained(models.WordLevel(unk_token="<unk>"), quiet(trainers.WordLevelTrainer, 300), pre, normalizer)


P, N = pre_tokenizers, normalizers
ROBERTA, BYTES = (("</s>", 3), ("<s>", 2)), processors.ByteLevel(trim_offsets=True)
FRAME = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 2), ("</s>", 3)])
KINDS = {
    "bert": lambda: wordpiece(P.BertPreTokenizer(), N.BertNormalizer()),
    "bert, cased": lambda: wordpiece(P.BertPreTokenizer(), N.BertNormalizer(lowercase=False)),
    "bert, as typed": lambda: wordpiece(P.BertPreTokenizer(), N.BertNormalizer(False, False, True, False)),
    "word pieces, NFKC": lambda: wordpiece(P.Sequence([P.Whitespace(), P.Digits(True)]), N.Sequence([N.NFKC(), N.Lowercase()])),
    "word pieces, NFD": lambda: wordpiece(P.Sequence([P.WhitespaceSplit(), P.Punctuation("merged_with_next"), P.Digits(False)]),
                                          N.Sequence([N.NFD(), N.StripAccents(), N.Strip()])),
    "gpt2": lambda: bpe(P.ByteLevel(add_prefix_space=False), post=BYTES),
    "gpt2, with a space": lambda: bpe(P.ByteLevel(add_prefix_space=True)),
    "roberta": lambda: bpe(P.ByteLevel(add_prefix_space=False), post=processors.RobertaProcessing(*ROBERTA, add_prefix_space=False)),
    "roberta, with a space": lambda: bpe(P.ByteLevel(add_prefix_space=True), post=processors.RobertaProcessing(*ROBERTA)),
    "modernbert": lambda: bpe(P.ByteLevel(add_prefix_space=False), N.NFC(), processors.Sequence([BYTES, FRAME])),
    "llama3": lambda: bpe(P.Sequence([P.Split(Regex(PATTERNS[2]), "isolated"), P.ByteLevel(add_prefix_space=False, use_regex=False)])),
    "qwen2": lambda: bpe(P.Sequence([P.Split(Regex(PATTERNS[3]), "isolated"), P.ByteLevel(add_prefix_space=False, use_regex=False)]), N.NFC()),
    "unigram": lambda: unigram(P.Metaspace()),
    "unigram, first": lambda: unigram(P.Metaspace(prepend_scheme="first"), N.Sequence([N.Strip(), TABLE])),
    "unigram, never": lambda: unigram(P.Metaspace(prepend_scheme="never", split=False)),
    "xlmr": lambda: unigram(P.Sequence([P.WhitespaceSplit(), P.Metaspace()]), N.Sequence([TABLE, N.Replace(Regex(" {2,}"), " ")])),
    "albert": lambda: unigram(P.Sequence([P.WhitespaceSplit(), P.Metaspace()]), N.Sequence(
        [N.Replace("``", '"'), N.Replace("''", '"'), N.NFKD(), N.StripAccents(), N.Lowercase(), TABLE])),
    "words": lambda: wordlevel(P.Whitespace()),
    "words, with more": lambda: wordlevel(P.Sequence([P.Split("-", "merged_with_previous"), P.WhitespaceSplit()]),
                                          N.Sequence([N.NFC(), N.Prepend("xy")])),
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_page_reads_as_the_tokenizer_does(kind, browser, tmp_path):
    tok = KINDS[kind]()
    student = new_student(3, vocab_size=tok.get_vocab_size(), embed_dim=8, hidden=16, target="centred", embed_std=1.)
    clf = in_eight_bits(Classifier(student, tok, ["sport", "money", "space"], max_length=24), tmp_path / "exported")
    export_web(tmp_path / "exported", tmp_path / "index.html")
    page = opened(browser, tmp_path / "index.html")
    same(page, clf, odd(200))
    page.close()


@pytest.mark.parametrize("kind, target, baseline, pool_width", [
    (MLPStudent, "logits", "zero", 0), (MLPStudent, "centred", "pad", 0), (MLPStudent, "probabilities", "pad", 16),
    (BigramStudent, "logits", "pad", 0), (BigramStudent, "centred", "zero", 16), (BigramStudent, "probabilities", "zero", 0)])
def test_the_page_explains_as_the_student_does(kind, target, baseline, pool_width, browser, tmp_path):
    tok, V = MADE["byte_bpe"], MADE["byte_bpe"].get_vocab_size()
    more = dict(slots=64) if kind is BigramStudent else {}
    student = new_student(3, kind=kind, vocab_size=V + 4, embed_dim=8, hidden=16, target=target, baseline=baseline, pool_width=pool_width,
                          embed_std=1., **more)
    if kind is BigramStudent:
        ids = tok.encode("oil bank, oil stock", add_special_tokens=False).ids
        student.set_bigrams(np.array([ids[:2], ids[1:3], ids[2:4]]), np.array([V, V + 1, ids[-1]])) # the last is a row that a piece gave
        with torch.no_grad():
            student.embedding.weight[student.given] += torch.randn(int(student.given.sum()), 8)
    clf = in_eight_bits(Classifier(student, tok, ["sport", "money", "space"], max_length=24), tmp_path / "exported")
    export_web(tmp_path / "exported", tmp_path / "index.html")
    page = opened(browser, tmp_path / "index.html")
    same(page, clf, [*CORPUS[:60], "oil bank, oil stock", "", *TEXTS])
    page.close()


def test_what_is_exported_is_what_the_page_needs(page):
    page, clf, folder = page
    assert {o.name for o in (folder / "exported").iterdir()} == {"classifier.json", "model.int8.onnx", "model.int8.safetensors", "model.onnx",
                                                                  "model.safetensors", "tokenizer.json"}
    assert len({o.stat().st_mode for o in (folder / "exported").iterdir()}) == 1
    rounded = copy.copy(clf) # other tests share the classifier
    rounded.student = quantize_int8(clf.student)
    same(page, rounded, odd(100, seed=1))


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


def test_a_word_can_be_switched_off_and_on_again(page):
    page, clf, _ = page
    before, without = clf("goal KIM goal"), prune_word(clf, "goal")("goal KIM goal")
    page.get_by_label("Your text").fill("goal KIM goal")
    words = page.locator("#mine .words span")
    words.nth(2).click()
    page.wait_for_selector("#without")
    assert [o.get_attribute("aria-pressed") for o in words.all()] == ["true", "false", "true"]
    found = [float(o.get_attribute("data-attribution")) for o in words.all()]
    assert found[0] == found[2] == 0 and found[1] == pytest.approx(without.attributions[1, clf.names.index(without.label)], abs=0.02)
    assert page.locator("#mine .label").inner_text() == without.label and before.label in page.locator("#without").inner_text()
    page.keyboard.press("Enter") # the word still has the focus
    page.wait_for_selector("#without", state="detached")
    assert page.locator("#mine .label").inner_text() == before.label


def prune_word(clf, word):
    """A classifier for which a word's pieces have the baseline's embedding, zero."""
    student = copy.deepcopy(clf.student)
    with torch.no_grad(): student.embedding.weight[clf.tokenizer.encode(word, add_special_tokens=False).ids] = 0
    return Classifier(student, clf.tokenizer, clf.names, clf.max_length)


def test_the_teacher_stands_beside_the_student_by_keyboard(page):
    page, clf, _ = page
    page.get_by_label("A text that neither was trained on").focus()
    page.keyboard.press("ArrowDown")
    page.wait_for_function("text => document.querySelector('#student .words')?.textContent === text", arg=TEXTS[1])
    assert page.locator("#teacher .words").inner_text() == TEXTS[1]
    assert page.locator("#teacher .words span").all_inner_texts() == [o.text for o in clf(TEXTS[1]).words]
    assert page.locator("#teacher .label").inner_text() == clf(TEXTS[1]).label


def test_the_page_can_connect_to_nobody(page):
    page, _, folder = page
    assert "default-src 'none'" in re.search(r'Content-Security-Policy" content="([^"]*)"', (folder / "index.html").read_text(encoding="utf-8"))[1]
    refused = """() => Promise.all([fetch("data:text/plain,x"), import("data:text/javascript,"), new Promise((well, bad) => {
        const o = new Image(); o.onload = well; o.onerror = bad; o.src = "data:image/gif;base64,R0lGODlhAQABAAAAACw=" })]
        .map(o => o.then(() => "came", () => "refused")))"""
    assert page.evaluate(refused) == ["refused"] * 3


HOSTILE = ["</script><script>document.title='x'</script>", '"><img/src=x/onerror=alert(1)>', "__proto__ {{script}}\u202e\x00"]


def test_the_words_of_each_class_are_those_of_the_audit(browser, tmp_path):
    words = ["goal", *HOSTILE[:2], "{{style}}", "\u202eevil", *"abcdefghijklmnop"]
    tok = Tokenizer(models.WordLevel({o: i for i, o in enumerate(["<unk>", *words])}, unk_token="<unk>"))
    tok.pre_tokenizer = P.WhitespaceSplit()
    student = new_student(3, vocab_size=tok.get_vocab_size(), embed_dim=8, hidden=16, target="centred", embed_std=1.)
    clf = in_eight_bits(Classifier(student, tok, HOSTILE, max_length=24), tmp_path / "exported")
    texts = [" ".join(random.Random(i).sample(words, 12)) for i in range(40)]
    export_web(tmp_path / "exported", tmp_path / "plain.html")
    export_web(tmp_path / "exported", tmp_path / "index.html", texts)
    added = (tmp_path / "index.html").stat().st_size - (tmp_path / "plain.html").stat().st_size
    page, expected = opened(browser, tmp_path / "index.html"), clf.audit(texts).profile(10)
    profile = page.locator("#profile")
    assert added < 3000 and profile.locator("dl").is_hidden() # until it is opened, here by keyboard
    profile.locator("summary").focus()
    page.keyboard.press("Enter")
    assert profile.locator("dl").is_visible() and profile.locator("dt").evaluate_all("all => all.map(o => o.textContent)") == HOSTILE
    for row, found in zip(profile.locator("dd").all(), expected.values(), strict=True):
        assert row.locator("bdi").evaluate_all("all => all.map(o => o.textContent)") == [o["word"] for o in found]
        pulls = [float(o) for o in re.findall(r"\u00a0\+(\d\.\d{3})", row.evaluate("o => o.textContent"))]
        np.testing.assert_allclose(pulls, [o["pull"] for o in found], atol=.0006)
    assert {o["word"] for rows in expected.values() for o in rows} & {*HOSTILE, "{{style}}", "\u202eevil"} # or it would show nothing
    assert page.locator("script").count() == 4 and page.locator("img").count() == 0 and "explains itself" in page.title()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.close()


def test_without_a_corpus_there_are_no_words_of_classes(page):
    page, _, folder = page
    assert page.locator("#profile").is_hidden() and page.evaluate("!('profile' in JSON.parse(document.getElementById('about').textContent))")


def refused(**changes):
    tok = MADE["unigram"] if "normalizer" in changes else MADE["byte_bpe"]
    parsed = json.loads(tok.to_str())
    parsed |= {k: v for k, v in changes.items() if k != "model"}
    parsed["model"] |= changes.get("model", {})
    return unreadable(parsed)


@pytest.mark.parametrize("why, changes", [
    ("a step Nmt", dict(normalizer=dict(type="Nmt"))),
    ("a step UnicodeScripts", dict(pre_tokenizer=dict(type="UnicodeScripts"))),
    ("a pattern of its own", dict(normalizer=dict(type="Sequence", normalizers=[dict(type="Replace", pattern=dict(Regex="a+"), content="")]))),
    ("does not join bytes", dict(pre_tokenizer=dict(type="Whitespace"))),
    ("a byte has no piece", dict(model=dict(vocab={"a": 0}))),
    ("marks the ends of words", dict(model=dict(end_of_word_suffix="</w>"))),
    ("drops rules", dict(model=dict(dropout=.1))),
    ("spelled in bytes", dict(model=dict(byte_fallback=True))),
    ("words of their own", dict(added_tokens=[dict(single_word=True)])),
])
def test_other_tokenizers_are_refused(why, changes):
    assert refused() is None and why in refused(**changes)


def test_a_refusal_is_one_line_and_leaves_nothing(tmp_path):
    tok = MADE["wordlevel"].from_str(MADE["wordlevel"].to_str())
    tok.pre_tokenizer = pre_tokenizers.UnicodeScripts()
    in_eight_bits(make_classifier(tokenizer=tok), tmp_path / "exported")
    with pytest.raises(InputError, match="the page does not read as this tokenizer does: it has a step UnicodeScripts; use the graph elsewhere"):
        export_web(tmp_path / "exported", tmp_path / "index.html")
    (tmp_path / "exported" / "model.int8.safetensors").unlink() # as an older version exported it
    with pytest.raises(InputError, match="no model.int8.safetensors: export the classifier again"):
        export_web(tmp_path / "exported", tmp_path / "index.html")
    assert not (tmp_path / "index.html").exists()

"""Classifiers that version 0.1 wrote, with what it answered."""
import json
from pathlib import Path

import numpy as np
import pytest

import lightx

FOLDERS = sorted((Path(__file__).parent / "written_by_0.1").iterdir())
TEXTS = ["cup goal today", "the bank says oil rates in new orbit", ""]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda f: f.name)
def test_a_folder_of_0_1_answers_as_it_did(folder):
    then = json.loads((folder / "answers.json").read_text(encoding="utf-8"))
    for old, new in zip(then, lightx.load(folder).explain(TEXTS), strict=True):
        assert old["label"] == new.label and [o["text"] for o in old["words"]] == [o.text for o in new.words]
        np.testing.assert_allclose(new.logits, list(old["logits"].values()), atol=1e-5)
        np.testing.assert_allclose(new.special, list(old["rest"].values()), atol=1e-5)
        for a, b in zip(old["words"], new.words):
            np.testing.assert_allclose(b.attributions, list(a["attributions"].values()), atol=1e-5)


def test_a_student_that_nobody_knows_is_named(tmp_path):
    folder = tmp_path / "model"
    lightx.Classifier.from_pretrained(FOLDERS[0]).save_pretrained(folder)
    about = json.loads((folder / "classifier.json").read_text())
    (folder / "classifier.json").write_text(json.dumps(about | {"student": "TreeStudent"}))
    for load in (lightx.load, lightx.Classifier.from_pretrained):
        with pytest.raises(ValueError, match="student 'TreeStudent' is unknown: take one of"):
            load(folder)


def test_others_can_read_what_was_saved(tmp_path):
    lightx.Classifier.from_pretrained(FOLDERS[0]).save_pretrained(tmp_path / "model")
    modes = {f.stat().st_mode & 0o777 for f in (tmp_path / "model").iterdir()}
    assert len(modes) == 1

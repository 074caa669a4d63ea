"""The scikit-learn estimator, with a small random teacher."""
import pickle

import numpy as np
import pytest
from conftest import FILLER, WORDS
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import estimator_checks as checks

from lightx import LightXClassifier
from lightx.runtime import InputError


@pytest.fixture(scope="module")
def texts():
    rng = np.random.default_rng(0)
    return [" ".join(rng.choice([*words, *FILLER], 6)) for _ in range(12) for words in WORDS.values()]


@pytest.fixture(scope="module")
def labels(texts):
    return [(7, 3, 5)[i % 3] for i in range(len(texts))] # three whole numbers, not in order, none of them 0


@pytest.fixture(scope="module")
def model(base_folder):
    return LightXClassifier(str(base_folder), recipe="lightx_matched", max_length=16, teacher_epochs=1, steps=60)


@pytest.fixture(scope="module")
def fitted(model, texts, labels):
    return clone(model).fit(texts, labels)


@pytest.mark.parametrize("check", [
    checks.check_estimator_cloneable, checks.check_no_attributes_set_in_init, checks.check_get_params_invariance, checks.check_set_params,
    checks.check_do_not_raise_errors_in_init_or_set_params, checks.check_estimator_repr, checks.check_valid_tag_types,
    checks.check_mixin_order, checks.check_parameters_default_constructible], ids=lambda o: o.__name__)
def test_checks_of_scikit_learn_that_need_no_numbers(check):
    check("LightXClassifier", LightXClassifier())


def test_labels_come_back_as_they_were_given(fitted, texts, labels):
    assert fitted.classes_.tolist() == [3, 5, 7] and fitted.predict(texts).dtype == fitted.classes_.dtype
    chances = fitted.predict_proba(texts)
    np.testing.assert_allclose(chances.sum(1), 1, atol=1e-6)
    assert (fitted.predict(texts) == fitted.classes_[chances.argmax(1)]).all()
    assert fitted.score(texts, labels) > 0.8 and fitted.explain(texts[:1])[0].label in ("3", "5", "7")


def test_a_label_may_have_a_comma(model, texts, labels):
    named = {7: "war, peace", 3: "sport", 5: "money"}
    fitted = clone(model).fit(texts, [named[o] for o in labels])
    assert fitted.classes_.tolist() == ["money", "sport", "war, peace"]
    assert set(fitted.predict(texts)) <= set(named.values())


def test_fit_changes_no_parameter_and_comes_out_the_same_twice(model, fitted, texts, labels):
    again = clone(model)
    before = again.get_params()
    again.fit(np.array(texts), np.array(labels))
    assert again.get_params() == before
    np.testing.assert_array_equal(again.predict_proba(texts), fitted.predict_proba(np.array(texts)))
    np.testing.assert_allclose(pickle.loads(pickle.dumps(again)).predict_proba(texts), fitted.predict_proba(texts), atol=1e-6)


def test_cross_validation_grid_search_pipeline_and_calibration(model, texts, labels):
    assert len(cross_val_score(model, texts, labels, cv=2, error_score="raise")) == 2
    grid = GridSearchCV(model, {"recipe": ["ce", "lightx_matched"]}, cv=2, error_score="raise").fit(texts, labels)
    assert grid.best_params_["recipe"] in ("ce", "lightx_matched")
    lower = FunctionTransformer(lambda o: [t.lower() for t in o])
    assert make_pipeline(lower, clone(model)).fit(texts, labels).predict(texts[:2]).shape == (2,)
    calibrated = CalibratedClassifierCV(clone(model), cv=2).fit(texts, labels)
    np.testing.assert_allclose(calibrated.predict_proba(texts).sum(1), 1, atol=1e-6)


@pytest.mark.parametrize("X, y, message", [
    (["a"], ["x", "y"], "1 texts with 2 labels"), (["a", "b"], ["x", "x"], "a classifier needs two classes"),
    (["a", 3], ["x", "y"], "one of the texts is 3"), ([["a"], ["b"]], ["x", "y"], "one of the texts is"),
    (["cup", ""], ["x", "y"], "row 2: text is empty"), (np.array([["cup"], ["oil"]]), ["x", "y"], "one text a row")])
def test_bad_input_is_named(X, y, message, model):
    with pytest.raises(InputError, match=message):
        clone(model).fit(X, y)


def test_before_fit_there_is_nothing_to_predict(model, texts):
    from sklearn.exceptions import NotFittedError
    with pytest.raises(NotFittedError):
        clone(model).predict(texts)

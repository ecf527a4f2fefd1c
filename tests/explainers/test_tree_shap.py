"""The exact tree engine against each library's own predictions, brute force and shap."""

import dataclasses

import numpy as np
import pytest

from core.errors import UserFacingError
from core.nouns import Target
from explainers.base import silent
from explainers.tree_shap import TreeShap, TreeShapLibrary
from explainers.trees import engine
from explainers.trees.engine import Tables, Walk, make_engine
from explainers.trees.read import as_seen, read_forest
from tests import oracles
from tests.explainers.tree_models import MODELS, Trees, lightgbm, model, query, rows_for, xgboost

EACH = pytest.mark.parametrize("name", MODELS)


def outputs(spec):
    return range(max(1, len(spec.classes)))


@EACH
def test_it_adds_up_to_the_librarys_own_prediction_on_a_thousand_rows(name):
    trees = model(name)
    rows, reference = rows_for(name, 1000), rows_for(name, 200, seed=3)
    for output in outputs(trees.spec):
        found = TreeShap().explain(trees, query(trees, rows, reference, output))
        assert np.ptp(found.output) > 0
        assert np.abs(found.residual).max() <= 1e-6 * np.ptp(found.output)
        assert found.complete


@EACH
def test_it_is_the_brute_force_shapley_value(name):
    trees = model(name)
    rows, reference = rows_for(name, 2), rows_for(name, 10, seed=3)
    column = trees.spec.columns - 1
    expected = oracles.brute_force_shapley(lambda x: trees.predict(x)[:, column], rows, reference)
    output = len(trees.spec.classes) - 1 if trees.spec.classes else 0
    found = TreeShap().explain(trees, query(trees, rows, reference, output))
    np.testing.assert_allclose(found.values, expected, atol=1e-6)
    assert (found.values[:, 5] == 0).all()


@EACH
def test_masks_that_occur_give_what_tables_give(name):
    trees = model(name)
    rows, reference = rows_for(name, 300), rows_for(name, 100, seed=3)
    columns = as_seen(trees.trees(), rows)
    walked = make_engine(trees.trees(), 0, reference, table_limit=0)
    tables = make_engine(trees.trees(), 0, reference, table_limit=2**30)
    assert isinstance(walked, Walk) and isinstance(tables, Tables)
    one, other = walked.values(columns, silent), tables.values(columns, silent)
    np.testing.assert_allclose(one, other, atol=1e-12)
    np.testing.assert_allclose(walked.values(columns[:, :1].copy(), silent), other[:, :1], atol=1e-12)


def untied(count, seed):
    """Complete rows of which no value all but equals a threshold: there shap, in single precision, may err."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(count, 6))
    rows[:, 1] = rng.uniform(0, 8, count)
    return rows


LIBRARY = {
    "xgboost": lambda: xgboost(missing=False, category=False),
    "xgboost-classes": lambda: xgboost(missing=False, category=False, classes=3),
    "lightgbm": lambda: model("lightgbm-complete"),
    **{name: lambda name=name: model(name) for name in ("tree", "forest", "extra-trees", "boosting", "boosting-value")},
}


@pytest.mark.parametrize("name", LIBRARY)
def test_shap_itself_agrees_on_every_class(name):
    trees = LIBRARY[name]()
    for output in outputs(trees.spec):
        asked = query(trees, untied(10, 6), untied(130, 7), output)
        ours, theirs = TreeShap().explain(trees, asked), TreeShapLibrary().explain(trees, asked)
        np.testing.assert_allclose(ours.values, theirs.values, atol=1e-6 * np.ptp(ours.output))
        assert theirs.complete


def deep_forest(depth):
    from sklearn.ensemble import ExtraTreesRegressor

    rng = np.random.default_rng(4)
    rows = rng.normal(size=(1500, 24))
    rows[:, 23] = 0.0
    label = np.sin(2 * rows[:, :20]) @ rng.normal(size=20)
    forest = ExtraTreesRegressor(2, max_depth=depth, max_features=1, random_state=0).fit(rows, label)
    return Trees(f"deep {depth}", forest, forest.predict, "value", 0, width=24), rows


def test_deep_trees_are_exact_and_say_how():
    trees, rows = deep_forest(None)
    asked = query(trees, rows[:25], rows[100:160])
    found, theirs = TreeShap().explain(trees, asked), TreeShapLibrary().explain(trees, asked)
    assert found.facts["engine"] == "masks that occur"
    assert found.complete
    np.testing.assert_allclose(found.values, theirs.values, atol=1e-6 * np.ptp(found.output))
    assert (found.values[:, 23] == 0).all()


def test_a_path_of_dozens_of_features_is_exact():
    from sklearn.tree import DecisionTreeRegressor

    rows = np.tril(np.ones((71, 70)))
    tree = DecisionTreeRegressor().fit(rows, 2.0 ** np.arange(71))
    assert tree.get_depth() > 32
    trees = Trees("chain", tree, tree.predict, "value", 0, width=70)
    mixed = np.random.default_rng(6).integers(0, 2, (40, 70)).astype(float)
    found = TreeShap().explain(trees, query(trees, np.vstack([rows, mixed]), mixed[:20]))
    assert found.complete


def test_a_feature_asked_again_and_again_on_a_path_counts_once():
    from sklearn.tree import DecisionTreeRegressor

    rows = np.random.default_rng(5).normal(size=(300, 2))
    tree = DecisionTreeRegressor().fit(rows[:, :1] * [1, 0], np.sin(9 * rows[:, 0]))
    assert tree.get_depth() > 8
    trees = Trees("one feature", tree, tree.predict, "value", 0, width=2)
    found = TreeShap().explain(trees, query(trees, rows[:50], rows[50:]))
    np.testing.assert_allclose(found.values[:, 0], found.output - found.base, atol=1e-12)
    assert (found.values[:, 1] == 0).all()


@pytest.mark.parametrize("name", ["xgboost", "lightgbm", "catboost", "catboost-depthwise", "forest-value", "histogram"])
def test_values_on_a_threshold_go_the_way_of_the_library(name):
    trees = model(name)
    forest = read_forest(trees.trees(), 0, 6)
    rows = rows_for(name, 1000)
    for feature in (0, 2, 3, 4):
        bars = forest.threshold[(forest.feature == feature) & (forest.kind != 2)]
        near = np.concatenate([bars, np.nextafter(bars, np.inf), np.nextafter(np.float32(bars), np.float32(np.inf))])
        rows[:, feature] = np.resize(near, 1000)
    found = TreeShap().explain(trees, query(trees, rows, rows_for(name, 50, seed=3)))
    assert np.abs(found.residual).max() <= 1e-6 * np.ptp(found.output)


@pytest.mark.parametrize("name", ["xgboost", "lightgbm", "histogram"])
def test_categories_never_seen_go_the_way_of_the_library(name):
    trees = model(name)
    rows = rows_for(name, 200)
    rows[:, 1] = np.resize([8, 9, 31, 32, 40, 63, 64, 200], 200)
    found = TreeShap().explain(trees, query(trees, rows, rows_for(name, 50, seed=3)))
    assert np.abs(found.residual).max() <= 1e-6 * found.spread


def test_class_0_of_a_margin_is_the_negative_of_class_1():
    trees = model("lightgbm")
    rows, reference = rows_for("lightgbm", 5), rows_for("lightgbm", 20, seed=3)
    no, yes = (TreeShap().explain(trees, query(trees, rows, reference, output)) for output in (0, 1))
    np.testing.assert_array_equal(no.values, -yes.values)


def test_a_tree_that_never_splits_gives_nothing():
    from sklearn.tree import DecisionTreeRegressor

    tree = DecisionTreeRegressor().fit(np.zeros((5, 2)), np.arange(5.0))
    trees = Trees("stump", tree, tree.predict, "value", 0, width=2)
    found = TreeShap().explain(trees, query(trees, np.ones((3, 2)), np.zeros((4, 2))))
    assert (found.values == 0).all() and found.complete


def test_the_same_bits_on_one_thread_and_on_many(monkeypatch):
    trees = model("forest")
    rows, reference = rows_for("forest", 400), rows_for("forest", 60, seed=3)

    def answers():
        made = [make_engine(trees.trees(), 0, reference, table_limit=limit) for limit in (0, 2**30)]
        return [each.values(as_seen(trees.trees(), rows), silent) for each in made]

    several = {}
    for threads in (1, 4):
        monkeypatch.setattr(engine, "_threads", lambda threads=threads: threads)
        several[threads] = answers()
    for one, many in zip(several[1], several[4], strict=True):
        np.testing.assert_array_equal(one, many)


def test_tables_are_made_once_for_a_model_reference_and_output(monkeypatch):
    made = []
    make = engine.make_engine
    monkeypatch.setattr(engine, "make_engine", lambda *asked: made.append(asked) or make(*asked))
    monkeypatch.setattr(engine, "_kept", type(engine._kept)())
    trees = model("xgboost-classes")
    rows, reference = rows_for("xgboost-classes", 4), rows_for("xgboost-classes", 30, seed=3)
    for row in range(4):
        TreeShap().explain(trees, query(trees, rows[row : row + 1], reference, 1))
    assert len(made) == 1
    TreeShap().explain(trees, query(trees, rows, reference, 2))
    TreeShap().explain(trees, query(trees, rows, reference[:20], 1))
    assert len(made) == 3
    monkeypatch.setattr(engine, "KEPT_LIMIT", 1)
    TreeShap().explain(trees, query(trees, rows, reference[:10], 1))
    assert len(engine._kept) == 1


# What is refused


def refused(trees, method=None, rows=None):
    rows = rows_for("boosting", 3) if rows is None else rows
    with pytest.raises(UserFacingError) as error:
        (method or TreeShap()).explain(trees, query(trees, rows, rows))
    return str(error.value)


def test_a_model_without_trees_is_sent_to_a_method_that_takes_it():
    trees = model("xgboost")
    spec = dataclasses.replace(trees.spec, capabilities=())
    for method in (TreeShap(), TreeShapLibrary()):
        assert "permutation_shap" in method.refusal(spec)
        assert method.refusal(trees.spec) is None


def test_only_the_scale_on_which_trees_add_up():
    trees = model("xgboost")
    rows = rows_for("xgboost", 3)
    asked = dataclasses.replace(query(trees, rows, rows), target=Target(1, "probability"))
    with pytest.raises(UserFacingError, match="cannot explain the probability scale"):
        TreeShap().explain(trees, asked)


def test_trees_of_an_unknown_kind_are_refused():
    assert "not made of trees" in refused(xgboost(booster="gblinear", max_depth=0, category=False, missing=False))
    assert "linear models" in refused(lightgbm(linear_tree=True, category=False, missing=False))
    assert "random forest" in refused(lightgbm(boosting="rf", bagging_fraction=0.5, bagging_freq=1))
    from sklearn.ensemble import IsolationForest

    forest = IsolationForest(n_estimators=2).fit(rows_for("boosting", 20))
    assert "IsolationForest" in refused(Trees("isolation", forest, forest.score_samples, "value", 0))


def test_the_library_is_not_asked_about_what_it_would_get_wrong():
    for name in ("xgboost", "xgboost-value", "lightgbm", "lightgbm-zero", "lightgbm-all-classes"):
        sentence = refused(model(name), TreeShapLibrary(), rows_for(name, 3))
        assert "Use tree_shap." in sentence


def test_a_path_too_wide_for_a_mask_is_refused(monkeypatch):
    monkeypatch.setattr(engine, "WIDEST", 3)
    trees = Trees("too wide", model("tree").trees(), model("tree").predict, "probability", 3)
    assert "tree_shap_library" in refused(trees)


def test_damaged_trees_are_refused_before_a_kernel_walks_them():
    from explainers.trees.forest import Tree, join

    inner, leaf = [0, -1, -1], np.zeros(3)
    sound = Tree(np.array(inner), leaf, np.array([1, -1, -1]), np.array([2, -1, -1]), leaf, leaf > 0)
    join([sound], 1)
    for change in (
        {"left": np.array([0, -1, -1])},
        {"right": np.array([7, -1, -1])},
        {"right": np.array([1, -1, -1])},
        {"feature": np.array([3, -1, -1])},
        {"value": np.array([0, np.nan, 0])},
    ):
        with pytest.raises(UserFacingError, match="cannot be read"):
            join([dataclasses.replace(sound, **change)], 1)


def test_the_warm_up_takes_every_way(monkeypatch):
    from explainers.trees import warm

    made = []
    make = warm.make_engine
    monkeypatch.setattr(warm, "make_engine", lambda *asked: made.append(make(*asked)) or made[-1])
    warm.main()
    assert {type(each) for each in made} == {Tables, Walk}

"""What a scikit-learn file may hold: our own list of classes and functions, and words for the rest.

A name that is not here is never imported, whatever the file says of it.
"""

TITLE = "scikit-learn"

# What Python code raises when it is given a file's nonsense.
FAILURES = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    ImportError,
    LookupError,
    MemoryError,
    RuntimeError,
    TypeError,
    ValueError,
)


def words(text: str) -> frozenset[str]:
    """The words of `text`."""
    return frozenset(text.split())


# The classes that a model is built from, by module.
CLASSES: dict[str, frozenset[str]] = {
    module: words(names)
    for module, names in {
        "sklearn._loss.link": "HalfLogitLink IdentityLink Interval LogitLink LogLink MultinomialLogit",
        "sklearn._loss.loss": "AbsoluteError ExponentialLoss HalfBinomialLoss HalfGammaLoss HalfMultinomialLoss "
        "HalfPoissonLoss HalfSquaredError HalfTweedieLoss HalfTweedieLossIdentity HuberLoss PinballLoss",
        "sklearn.calibration": "CalibratedClassifierCV _CalibratedClassifier _SigmoidCalibration _TemperatureScaling",
        "sklearn.compose._column_transformer": "ColumnTransformer make_column_selector",
        "sklearn.compose._target": "TransformedTargetRegressor",
        "sklearn.decomposition._factor_analysis": "FactorAnalysis",
        "sklearn.decomposition._fastica": "FastICA",
        "sklearn.decomposition._incremental_pca": "IncrementalPCA",
        "sklearn.decomposition._kernel_pca": "KernelPCA",
        "sklearn.decomposition._pca": "PCA",
        "sklearn.decomposition._truncated_svd": "TruncatedSVD",
        "sklearn.discriminant_analysis": "LinearDiscriminantAnalysis QuadraticDiscriminantAnalysis",
        "sklearn.dummy": "DummyClassifier DummyRegressor",
        "sklearn.ensemble._bagging": "BaggingClassifier BaggingRegressor",
        "sklearn.ensemble._forest": "ExtraTreesClassifier ExtraTreesRegressor RandomForestClassifier "
        "RandomForestRegressor",
        "sklearn.ensemble._gb": "GradientBoostingClassifier GradientBoostingRegressor",
        "sklearn.ensemble._hist_gradient_boosting.binning": "_BinMapper",
        "sklearn.ensemble._hist_gradient_boosting.gradient_boosting": "HistGradientBoostingClassifier "
        "HistGradientBoostingRegressor",
        "sklearn.ensemble._hist_gradient_boosting.predictor": "TreePredictor",
        "sklearn.ensemble._stacking": "StackingClassifier StackingRegressor",
        "sklearn.ensemble._voting": "VotingClassifier VotingRegressor",
        "sklearn.ensemble._weight_boosting": "AdaBoostClassifier AdaBoostRegressor",
        "sklearn.feature_selection._from_model": "SelectFromModel",
        "sklearn.feature_selection._rfe": "RFE RFECV",
        "sklearn.feature_selection._sequential": "SequentialFeatureSelector",
        "sklearn.feature_selection._univariate_selection": "GenericUnivariateSelect SelectFdr SelectFpr SelectFwe "
        "SelectKBest SelectPercentile",
        "sklearn.feature_selection._variance_threshold": "VarianceThreshold",
        "sklearn.impute._base": "MissingIndicator SimpleImputer",
        "sklearn.impute._iterative": "IterativeImputer",
        "sklearn.impute._knn": "KNNImputer",
        "sklearn.isotonic": "IsotonicRegression",
        "sklearn.kernel_approximation": "AdditiveChi2Sampler Nystroem PolynomialCountSketch RBFSampler "
        "SkewedChi2Sampler",
        "sklearn.kernel_ridge": "KernelRidge",
        "sklearn.linear_model._base": "LinearRegression",
        "sklearn.linear_model._bayes": "ARDRegression BayesianRidge",
        "sklearn.linear_model._coordinate_descent": "ElasticNet ElasticNetCV Lasso LassoCV",
        "sklearn.linear_model._glm.glm": "GammaRegressor PoissonRegressor TweedieRegressor",
        "sklearn.linear_model._huber": "HuberRegressor",
        "sklearn.linear_model._least_angle": "Lars LarsCV LassoLars LassoLarsCV LassoLarsIC",
        "sklearn.linear_model._logistic": "LogisticRegression LogisticRegressionCV",
        "sklearn.linear_model._omp": "OrthogonalMatchingPursuit OrthogonalMatchingPursuitCV",
        "sklearn.linear_model._passive_aggressive": "PassiveAggressiveClassifier PassiveAggressiveRegressor",
        "sklearn.linear_model._perceptron": "Perceptron",
        "sklearn.linear_model._quantile": "QuantileRegressor",
        "sklearn.linear_model._ridge": "Ridge RidgeCV RidgeClassifier RidgeClassifierCV",
        "sklearn.linear_model._stochastic_gradient": "SGDClassifier SGDRegressor",
        "sklearn.linear_model._theil_sen": "TheilSenRegressor",
        "sklearn.multiclass": "OneVsOneClassifier OneVsRestClassifier OutputCodeClassifier _ConstantPredictor",
        "sklearn.naive_bayes": "BernoulliNB CategoricalNB ComplementNB GaussianNB MultinomialNB",
        "sklearn.neighbors._classification": "KNeighborsClassifier",
        "sklearn.neighbors._nearest_centroid": "NearestCentroid",
        "sklearn.neighbors._regression": "KNeighborsRegressor",
        "sklearn.neural_network._multilayer_perceptron": "MLPClassifier MLPRegressor",
        "sklearn.pipeline": "FeatureUnion Pipeline",
        "sklearn.preprocessing._data": "Binarizer KernelCenterer MaxAbsScaler MinMaxScaler Normalizer "
        "PowerTransformer QuantileTransformer RobustScaler StandardScaler",
        "sklearn.preprocessing._discretization": "KBinsDiscretizer",
        "sklearn.preprocessing._encoders": "OneHotEncoder OrdinalEncoder",
        "sklearn.preprocessing._function_transformer": "FunctionTransformer",
        "sklearn.preprocessing._label": "LabelBinarizer LabelEncoder",
        "sklearn.preprocessing._polynomial": "PolynomialFeatures SplineTransformer",
        "sklearn.preprocessing._target_encoder": "TargetEncoder",
        "sklearn.random_projection": "GaussianRandomProjection SparseRandomProjection",
        "sklearn.svm._classes": "LinearSVC LinearSVR NuSVC NuSVR SVC SVR",
        "sklearn.tree._classes": "DecisionTreeClassifier DecisionTreeRegressor ExtraTreeClassifier ExtraTreeRegressor",
    }.items()
}

# What only training reads: never built, None in its place.
TRAINING: dict[str, frozenset[str]] = {
    "numpy.random._generator": words("Generator"),
    "numpy.random.mtrand": words("RandomState"),
    "sklearn._loss._loss": words(
        "CyAbsoluteError CyExponentialLoss CyHalfBinomialLoss CyHalfGammaLoss CyHalfMultinomialLoss CyHalfPoissonLoss "
        "CyHalfSquaredError CyHalfTweedieLoss CyHalfTweedieLossIdentity CyHuberLoss CyPinballLoss"
    ),
    "sklearn.linear_model._sgd_fast": words(
        "EpsilonInsensitive Hinge Huber Log ModifiedHuber SquaredEpsilonInsensitive SquaredHinge SquaredLoss"
    ),
    "sklearn.metrics._dist_metrics": frozenset(
        f"{name}Distance{bits}"
        for name in words("BrayCurtis Canberra Chebyshev Euclidean Hamming Manhattan Minkowski")
        for bits in (32, 64)
    ),
    # The neighbours' trees are built anew from the rows that they hold.
    "sklearn.neighbors._ball_tree": words("BallTree BallTree32 BallTree64"),
    "sklearn.neighbors._kd_tree": words("KDTree KDTree32 KDTree64"),
    "sklearn.neural_network._stochastic_optimizers": words("AdamOptimizer SGDOptimizer"),
}

# A search's own results hold scorers and tables; the model is its best estimator.
SEARCHES = frozenset(
    f"sklearn.model_selection.{name}"
    for name in (
        "_search.GridSearchCV",
        "_search.RandomizedSearchCV",
        "_search_successive_halving.HalvingGridSearchCV",
        "_search_successive_halving.HalvingRandomSearchCV",
    )
)

DICTIONARIES = words("builtins.dict collections.OrderedDict sklearn.utils._bunch.Bunch")
NUMBERS = words("bool bool_ int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64 str_")
TYPES = words("bool int float str object")
ABSTRACT = words("number integer floating object_")  # what a column selector chooses by
ELEMENTWISE = words(
    "abs absolute arcsinh cbrt cos exp exp2 expm1 fabs log log10 log1p log2 negative reciprocal sign sin sqrt square "
    "tanh"
)
SELECTION_SCORES = words("f_classif f_regression chi2 r_regression")

_CODE = "Only the classes and functions of scikit-learn's own classifiers, regressors and preprocessing are taken"

_REASONS: tuple[tuple[str, str, str], ...] = (
    (
        "sklearn.feature_extraction.",
        "It reads text, pictures or dictionaries, and rows are numbers and categories here",
        "Train it on a table",
    ),
    ("sklearn.cluster.", "It puts rows into groups and learns no label", "Bring a classifier or a regressor"),
    ("sklearn.mixture.", "It puts rows into groups and learns no label", "Bring a classifier or a regressor"),
    ("sklearn.ensemble._iforest.", "It looks for outliers and learns no label", "Bring a classifier or a regressor"),
    ("sklearn.covariance.", "It looks for outliers and learns no label", "Bring a classifier or a regressor"),
    ("sklearn.svm._classes.OneClassSVM", "It looks for outliers and learns no label", "Bring a classifier"),
    ("sklearn.neighbors._lof.", "It looks for outliers and learns no label", "Bring a classifier or a regressor"),
    ("sklearn.multioutput.", "It predicts several outputs at once", "Bring one model for each output"),
    ("joblib.", "It keeps its steps on disk (memory)", "Set memory=None and export it again"),
    (
        "xgboost.",
        "XGBoost's models are taken in XGBoost's own format",
        "Export it with model.get_booster().save_model('model.ubj')",
    ),
    (
        "lightgbm.",
        "LightGBM's models are taken in LightGBM's own format",
        "Export it with model.booster_.save_model('model.txt')",
    ),
    (
        "catboost.",
        "CatBoost's models are taken in CatBoost's own format",
        "Export it with model.save_model('model.cbm')",
    ),
)


def allowed(qualified: str, where: dict[str, frozenset[str]]) -> bool:
    """Whether `where` lists the class called `qualified`, "module.Class"."""
    module, _, name = qualified.rpartition(".")
    return name in where.get(module, ())


def why_not(qualified: str) -> tuple[str, str]:
    """Why the class or function called `qualified` is not taken, and what to do."""
    for start, why, remedy in _REASONS:
        if qualified.startswith(start):
            return f"It holds {qualified}. {why}", remedy
    return f"It holds {qualified}. {_CODE}", "Train the model without it, or export it as ONNX"

"""Chapter 4: a number, or a class, foretold from the other columns of a table.

    table  ->  split  ->  preprocessor, fitted on the training part (chapter 3's)  ->  estimators  ->  scores

A number is foretold by linear regression, a class by logistic regression, a support vector machine, a decision tree
and the nearest neighbours. All are the plain NumPy estimators of `plugins/`, whose files hold the derivations; beside
each stands scikit-learn's with the same settings and the same arrays. Nothing is tuned here: the test part is looked at
once, for the scores and the learning curves.

Embedded data by default: diabetes for a number, breast cancer and iris for a class. `--dataset housing` takes house
prices, `--data FILE --target COLUMN` a table of your own.

Source: G. James et al., "An Introduction to Statistical Learning", 2nd edition, 2021, chapters 2 to 4, 8 and 9.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from tinygrad_edu import plugins
from tinygrad_edu.data import Table, embedded, housing, read_csv
from tinygrad_edu.plugins.metrics import accuracy_score, mean_squared_error, r2_score
from tinygrad_edu.plugins.tree_drawing import tree_svg
from tinygrad_edu.run import Run
from tinygrad_edu.scripts import beside_sklearn
from tinygrad_edu.scripts import ch04_pictures as pictures
from tinygrad_edu.scripts.ch03_columns import Preprocessor, split
from tinygrad_edu.scripts.ch04_gain import first_question

MOST_CLASSES = 20  # of a target: numbers beyond that are measured, texts beyond that are names
DATASETS: dict[str, tuple[Callable[[], Table], str]] = {  # the table, and its column to be foretold
    "diabetes": (lambda: embedded("diabetes"), "progression"),
    "breast-cancer": (lambda: embedded("breast-cancer"), "diagnosis"),
    "iris": (lambda: embedded("iris"), "species"),
    "housing": (housing, "median_house_value"),
}
EMBEDDED = ("diabetes", "breast-cancer", "iris")


@dataclass
class Args:
    """Foretell a number by linear regression, a class in four ways (chapter 4)."""

    dataset: Literal["embedded", "diabetes", "breast-cancer", "iris", "housing"] = "embedded"
    """embedded: diabetes, breast-cancer and iris, one after the other; housing is downloaded once."""
    data: Path | None = None
    """A CSV file of your own, instead."""
    target: str | None = None
    """The column to foretell; of a file of your own it has to be named."""
    leave_out: tuple[str, ...] = ()
    """Columns not to learn from, such as names and numbers of rows."""
    task: Literal["auto", "number", "class"] = "auto"
    """What the target is; auto: texts, or at most 20 different whole numbers, are classes."""
    test_share: float = 0.2
    """Share of the rows to judge by, drawn by --seed."""
    neighbours: int = 5
    """k of the nearest neighbours."""
    depth: int = 3
    """Questions that the tree may ask, one after the other."""
    most_rows: int = 2000
    """Rows that classes are learnt from at most: the support vectors are sought among pairs of rows."""
    compare: beside_sklearn.Compare = "auto"
    """Fit scikit-learn's estimators too; auto: where it is installed."""


@dataclass
class Problem:
    """A table made ready: arrays of the training part and of the test part, and what their columns are."""

    name: str
    target: str
    X: np.ndarray  # (N, D) float64, standardised
    X_test: np.ndarray
    raw: np.ndarray  # (N, D): not scaled, for the tree, whose questions are then in the columns' own units
    raw_test: np.ndarray
    y: np.ndarray  # (N,): float64, or texts
    y_test: np.ndarray
    columns: tuple[str, ...]

    def inputs(self, model: Any) -> tuple[np.ndarray, np.ndarray]:
        """The training part's and the test part's, as an estimator wants them."""
        plain = isinstance(model, plugins.DecisionTreeClassifier)
        return (self.raw, self.raw_test) if plain else (self.X, self.X_test)


def main(args: Args, run: Run) -> None:
    """Each table in turn."""
    tables = [*load(args)]
    for name, table, target in tables:
        note = Notes(run, f"{name.replace('-', '_')}_" if len(tables) > 1 else "")
        problem = prepare(args, run, name, table, target)
        (classify if problem.y.dtype == object else regress)(args, note, problem)
    if not beside_sklearn.wanted(args.compare):
        run.verdict("Not compared with scikit-learn.")


def load(args: Args) -> Iterator[tuple[str, Table, str]]:
    """Name, table and target of what the flags ask for. ValueError for flags that do not go together."""
    if args.data is not None:
        table = read_csv(args.data)
        if args.target is None:
            raise ValueError(f"--data {args.data}: which --target? There are: {', '.join(table.names)}")
        yield args.data.stem, table, args.target
        return
    if args.target is not None and args.dataset == "embedded":
        raise ValueError("--target: of which table? Give --data FILE or --dataset NAME too")
    for name in EMBEDDED if args.dataset == "embedded" else (args.dataset,):
        make, target = DATASETS[name]
        yield name, make(), args.target or target


def prepare(args: Args, run: Run, name: str, table: Table, target: str) -> Problem:
    """Split, then fit the preprocessor on the training part. ValueError for what cannot be learnt from."""
    y = table[target]  # ValueError lists the columns
    known = y != "" if y.dtype == object else np.isfinite(y)
    table, y = table.take(known), y[known]
    for column in args.leave_out:
        table = table.drop(column)
    if is_class(args.task, target, y):
        table = Table({**table.columns, target: np.array([str(v).removesuffix(".0") for v in y.tolist()], object)})
    train, test = split(table, test_share=args.test_share, seed=run.seed)
    if train.columns[target].dtype == object:
        train = train.take(np.arange(min(len(train), args.most_rows)))
    scaled, plain = (Preprocessor(scale=scale).fit(train.drop(target)) for scale in ("standardise", "none"))
    X, X_test, raw, raw_test = (made.transform(part.drop(target)) for made in (scaled, plain) for part in (train, test))
    tell(run, name, target, len(train), len(test), scaled, int(np.sum(~known)))
    return Problem(name, target, X, X_test, raw, raw_test, train[target], test[target], scaled.names_)


def tell(run: Run, name: str, target: str, rows: int, test_rows: int, done: Preprocessor, dropped: int) -> None:
    """Say what there is to learn from, and what the preprocessor did to it."""
    missing = sum(column.missing for column in done.done_ if not column.categories)
    texts = sum(bool(column.categories) for column in done.done_)
    said = f"{name}: {target} from {len(done.done_)} columns; {rows} rows to learn from, {test_rows} to judge by. "
    said += "Columns of numbers were standardised"
    said += f", {missing} missing numbers filled by the column's mean" * bool(missing)
    said += f", {texts} of texts made columns of 0 and 1: {len(done.names_)} columns in all" * bool(texts)
    run.verdict(f"{said}." + f" {dropped} rows without {target} were left out." * bool(dropped))


def is_class(task: str, target: str, y: np.ndarray) -> bool:
    """Whether the target (N,) is a class. ValueError for a target that is none of what was asked for."""
    kinds = len(set(y.tolist()))
    texts = y.dtype == object
    found = texts or (kinds <= MOST_CLASSES and bool((y == np.floor(y)).all())) if task == "auto" else task == "class"
    if texts and not found:
        raise ValueError(f"--task number: column {target!r} holds texts, such as {y[0]!r}")
    if found and kinds > MOST_CLASSES:
        raise ValueError(f"--target {target}: {kinds} different values are too many classes, at most {MOST_CLASSES}")
    if kinds < 2:
        raise ValueError(f"--target {target}: all rows have the same, {y[0] if len(y) else 'none'}: nothing to learn")
    return found


class Notes:
    """The figures, pictures and verdicts of one table: under its name, where there are several."""

    def __init__(self, run: Run, prefix: str) -> None:
        self.run, self.prefix = run, prefix

    def result(self, library: str = "", **results: Any) -> None:
        """Figures; `library` is "sklearn_" for those of scikit-learn."""
        self.run.result(**{f"{library}{self.prefix}{name}": value for name, value in results.items()})

    def figure(self, name: str, figure: Any, caption: str) -> None:
        """A picture."""
        self.run.figure(self.prefix + name, figure, caption)


def regress(args: Args, note: Notes, problem: Problem) -> None:
    """Linear regression: errors, coefficients, learning curve."""
    model = plugins.LinearRegression().fit(problem.X, problem.y)
    predicted = model.predict(problem.X_test)
    mse = mean_squared_error(problem.y_test, predicted)
    train_mse = mean_squared_error(problem.y, model.predict(problem.X))
    mean_mse = mean_squared_error(problem.y_test, np.full(len(problem.y_test), problem.y.mean()))
    note.result(mse=mse, train_mse=train_mse, rmse=mse**0.5, r2=r2_score(problem.y_test, predicted), mean_mse=mean_mse)
    said = (
        f"{problem.name}, linear regression: mean squared error {mse:.6g} on the test part, its root {mse**0.5:.4g}; "
    )
    said += f"with the training part's mean for all of them {mean_mse:.6g}, {mean_mse**0.5:.4g}."
    if beside_sklearn.wanted(args.compare):
        theirs = beside_sklearn.twin(model).fit(problem.X, problem.y).predict(problem.X_test)
        their_mse = mean_squared_error(problem.y_test, theirs)
        note.result("sklearn_", mse=their_mse, r2=r2_score(problem.y_test, theirs))
        apart = float(np.abs(predicted - theirs).max() / np.ptp(problem.y))
        said += f" scikit-learn: {their_mse:.6g}; no prediction differs by more than {apart:.1g} of the target's range."
    note.run.verdict(said)
    caption = f"{problem.name}: each row of the test part; on the line the prediction is right."
    note.figure("predictions", pictures.predictions(problem.y_test, predicted, problem.target), caption)
    caption = (
        f"{problem.name}: what one standard deviation more of a column adds to {problem.target}, the others as they "
        "are. Columns that say nearly the same share an effect between them, at times with opposite signs."
    )
    note.figure("coefficients", pictures.coefficients(problem.columns, model.coef_), caption)
    curve = {"linear regression": learning_curve(model, problem, mean_squared_error)}
    caption = f"{problem.name}: the error on the rows learnt from, and on the test part, by how many were learnt from."
    note.figure("learning", pictures.learning(curve, "mean squared error"), caption)


def classify(args: Args, note: Notes, problem: Problem) -> None:
    """Four ways to a class: scores, confusion, the tree's first question, boundaries, learning curves."""
    models = {
        "logistic regression": plugins.LogisticRegression(),
        "svm": plugins.SVC(),
        "tree": plugins.DecisionTreeClassifier(criterion="entropy", max_depth=args.depth, random_state=note.run.seed),
        "neighbours": plugins.KNeighborsClassifier(args.neighbours),
    }
    predicted = {}
    for name, model in models.items():
        X, X_test = problem.inputs(model)
        predicted[name] = model.fit(X, problem.y).predict(X_test)
        score(args, note, problem, name, model, predicted[name])
    classes = sorted({*problem.y, *problem.y_test})
    caption = f"{problem.name}: how often each true class (row) was taken for each (column), on the test part."
    note.figure("confusion", pictures.confusions(problem.y_test, predicted, classes), caption)
    tree = models["tree"]
    explain(note, problem, tree)
    caption = (
        f"{problem.name}: the tree, as it was grown on the training part; yes goes to the left (a wide one: scroll)."
    )
    note.figure("tree", tree_svg(tree, feature_names=problem.columns), caption)
    if len(problem.columns) > 1:
        pair = np.sort(np.argsort(-tree.feature_importances_, kind="stable")[:2])
        caption = (
            f"{problem.name}: where each would see which class, learnt from two columns alone, those that the tree "
            "made most of. Dots: the training part; rings: what of it is on the wrong side."
        )
        note.figure("boundaries", boundaries(models, problem, pair), caption)
    wrong = lambda truth, answer: 1.0 - accuracy_score(truth, answer)
    curves = {name: learning_curve(model, problem, wrong) for name, model in models.items()}
    caption = (
        f"{problem.name}: the share that is wrong, of the rows learnt from (dashed) and of the test part, by how many "
        "were learnt from. Where they lie apart more rows may help; where they have met, another method."
    )
    note.figure("learning", pictures.learning(curves, "share that is wrong"), caption)


def score(args: Args, note: Notes, problem: Problem, name: str, model: Any, predicted: np.ndarray) -> None:
    """Say how many of the test part are right, and what scikit-learn's twin says."""
    key = "" if name == "logistic regression" else f"{name}_"  # `test_accuracy` is logistic regression's
    X, X_test = problem.inputs(model)
    accuracy = accuracy_score(problem.y_test, predicted)
    note.result(**{f"{key}test_accuracy": accuracy, f"{key}train_accuracy": model.score(X, problem.y)})
    said = f"{problem.name}, {name}: {accuracy:.2%} of {len(predicted)} right"
    if beside_sklearn.wanted(args.compare):
        theirs = beside_sklearn.twin(model).fit(X, problem.y).predict(X_test)
        note.result("sklearn_", **{f"{key}test_accuracy": accuracy_score(problem.y_test, theirs)})
        other = int((theirs != predicted).sum())
        said += f"; scikit-learn {accuracy_score(problem.y_test, theirs):.2%}, {other or 'no'} predictions differ"
    note.run.verdict(said + ".")


def explain(note: Notes, problem: Problem, model: Any) -> None:
    """The information gain of the tree's first question, in words."""
    tree = model.tree_
    if tree.feature[0] < 0:
        note.run.verdict(f"{problem.name}, tree: no question was worth asking.")
        return
    yes, no = (np.rint(tree.value[child] * tree.weight[child]).tolist() for child in tree.children[0])
    question = f"{problem.columns[tree.feature[0]]} <= {tree.threshold[0]:.4g}"
    words = first_question(question, model.classes_.tolist(), yes, no)
    note.run.verdict(f"{problem.name}, the tree's first question is {question}. " + " ".join(words))


def boundaries(models: dict[str, Any], problem: Problem, pair: np.ndarray) -> Any:
    """Each of the estimators, fitted anew on two columns, over the plane of these."""
    X = problem.X[:, pair]  # (N, 2)
    low, high = X.min(axis=0) - 0.3, X.max(axis=0) + 0.3
    axes = [np.linspace(low[i], high[i], 120) for i in (0, 1)]
    grid = np.stack(np.meshgrid(*axes), axis=-1)  # (120, 120, 2)
    classes = sorted({*problem.y})
    panels = {}
    for name, model in models.items():
        fitted = again(model).fit(X, problem.y)
        codes = np.searchsorted(classes, fitted.predict(grid.reshape(-1, 2))).reshape(grid.shape[:2])
        panels[name] = codes, fitted.predict(X) != problem.y
    names = [f"{problem.columns[i]} (standardised)" for i in pair]
    return pictures.boundaries(panels, axes, X, np.searchsorted(classes, problem.y), classes, names)


def learning_curve(model: Any, problem: Problem, error: Callable[[Any, Any], float]) -> pictures.Curve:
    """Errors on the rows learnt from and on the test part, for growing numbers of rows."""
    X, X_test = problem.inputs(model)
    curve: pictures.Curve = ([], [], [])
    fewest = min(max(20, getattr(model, "n_neighbors", 0)), len(X))
    for n in np.unique(np.geomspace(fewest, len(X), 8).round().astype(int)).tolist():
        if problem.y.dtype == object and len(set(problem.y[:n])) < 2:
            continue  # the first rows may be of one class
        fitted = again(model).fit(X[:n], problem.y[:n])
        errors = error(problem.y[:n], fitted.predict(X[:n])), error(problem.y_test, fitted.predict(X_test))
        for series, value in zip(curve, (n, *errors), strict=True):
            series.append(value)
    return curve


def again(model: Any) -> Any:
    """An estimator with the same settings, not yet fitted."""
    return type(model)(**model.get_params())

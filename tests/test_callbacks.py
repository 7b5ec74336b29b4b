"""What follows a fit is written where its readers find it: JSON, MLflow, TensorBoard."""

import json
import sys

import numpy as np
import pytest

import adabasis as ab
from adabasis.callbacks import AbstractTracker, JsonLines, MLflow, TensorBoard


def rows(n=60):
    x = np.random.default_rng(0).uniform(-1, 1, (n, 2))
    return x, np.sin(3 * x[:, 0]) + x[:, 1] ** 2


def fitted(*callbacks, **options):
    basis = ab.NeuralBasis(4, 1)
    return ab.fit(*rows(), basis, max_steps=12, n_restarts=2, callbacks=callbacks, **options)


class Seen(AbstractTracker):
    def __init__(self):
        super().__init__()
        self.checks, self.stages, self.models = [], [], []

    def check(self, step, progress, known):
        self.checks.append((step, self.run, progress, known))

    def staged(self, stage):
        self.stages.append(stage)

    def ended(self, model, about, results):
        self.models.append((model, about, results))


def test_steps_are_counted_through_all_runs():
    seen = Seen()
    model = fitted(seen)
    steps = [step for step, *_ in seen.checks]
    runs = [run for _, run, *_ in seen.checks]
    assert steps == sorted(set(steps))
    assert sorted(set(runs)) == [1, 2]
    assert seen.models[0][0].validation_error == model.validation_error
    assert seen.models[0][1]["function"] == "fit"
    assert seen.stages
    for _, _, progress, known in seen.checks:
        assert known["rms"] == pytest.approx(known["loss"] ** 0.5)
        assert known.get("held_out_rms") == progress.validation


def test_callbacks_change_no_number():
    alone, followed = fitted(), fitted(Seen())
    np.testing.assert_array_equal(alone.coefficients, followed.coefficients)


@pytest.mark.parametrize("call", ["solve", "classify"])
def test_other_public_functions_tell_too(call):
    x, y = rows()
    seen = Seen()
    if call == "solve":
        problem = ab.pde.catalog.problem("poisson-1d")
        ab.solve(problem, ab.FrozenFeatures(12, scale=1.0), callbacks=[seen])
    else:
        ab.classify(x, y > 0, max_steps=2, callbacks=[seen])
    assert [about["function"] for _, about, _ in seen.models] == [call]


def test_lines_of_json_are_read_by_anything(tmp_path):
    path = tmp_path / "run.jsonl"
    model = fitted(JsonLines(path))
    events = [json.loads(line) for line in path.read_text().splitlines()]
    assert {event["event"] for event in events} == {"stage", "check", "model"}
    assert events[-1]["validation_error"] == pytest.approx(model.validation_error)
    assert all(event["seconds"] >= 0 and event["time"] > 1.7e9 for event in events)
    fitted(JsonLines(path))
    assert len(path.read_text().splitlines()) >= 2 * len(events) - 2


def test_tensorboard_reads_the_scalars(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util import tensor_util

    seen = Seen()
    model = fitted(seen, TensorBoard(tmp_path / "runs"))
    found = EventAccumulator(str(tmp_path / "runs"), size_guidance={"tensors": 0})
    found.Reload()

    def read(tag):
        events = found.Tensors(tag)
        return {e.step: float(tensor_util.make_ndarray(e.tensor_proto)) for e in events}

    rms = {step: known["rms"] for step, _, _, known in seen.checks}
    assert read("training/rms") == pytest.approx(rms, rel=1e-6)
    assert read("model/validation_error")[0] == pytest.approx(model.validation_error, rel=1e-6)


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    return (tmp_path / "mlruns").as_uri()


def test_mlflow_reads_parameters_metrics_and_the_model(store, tmp_path):
    import mlflow

    seen = Seen()
    model = fitted(seen, MLflow(tracking_uri=store, experiment="trial"))
    client = mlflow.MlflowClient(tracking_uri=store)
    experiment = client.get_experiment_by_name("trial").experiment_id
    (run,) = client.search_runs([experiment])
    assert run.info.status == "FINISHED"
    assert run.data.params["function"] == "fit"
    assert run.data.metrics["validation_error"] == pytest.approx(model.validation_error)
    history = client.get_metric_history(run.info.run_id, "rms")
    rms = {step: known["rms"] for step, _, _, known in seen.checks}
    assert {m.step: m.value for m in history} == pytest.approx(rms)
    (artifact,) = client.list_artifacts(run.info.run_id)
    path = client.download_artifacts(run.info.run_id, artifact.path, str(tmp_path))
    np.testing.assert_array_equal(ab.load(path)(rows()[0]), seen.models[0][0](rows()[0]))


def test_mlflow_writes_into_a_run_that_is_given_and_leaves_it_open(store):
    import mlflow

    client = mlflow.MlflowClient(tracking_uri=store)
    run = client.create_run(client.create_experiment("mine")).info.run_id
    tracker = MLflow(run, tracking_uri=store, save_model=False)
    tracker.ended(fitted(), {"function": "fit"}, {"validation_error": 0.5})
    found = client.get_run(run)
    assert found.info.status == "RUNNING"
    assert found.data.metrics == {"validation_error": 0.5}
    assert not client.list_artifacts(run)


@pytest.mark.parametrize(("kind", "module"), [(MLflow, "mlflow"), (TensorBoard, "tensorboard")])
def test_what_is_not_installed_is_named_with_how_to_install_it(kind, module, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setitem(sys.modules, f"{module}.summary", None)
    with pytest.raises(ImportError, match=rf"pip install 'adabasis\[{module}\]'"):
        kind("somewhere")


class Tasks:
    """A callback of scikit-learn's protocol."""

    def __init__(self, most=None):
        self.begun, self.ended, self.most, self.torn = [], [], most, 0

    def setup(self, estimator, context):
        pass

    def teardown(self, estimator, context):
        self.torn += 1

    def on_fit_task_begin(self, estimator, context):
        self.begun.append(context.task_name)

    def on_fit_task_end(self, estimator, context, *, metadata):
        self.ended.append((context.task_name, metadata))
        return self.most is not None and metadata.get("step", 0) >= self.most


def estimator():
    return ab.AdaptiveBasisRegressor(4, 1, max_steps=40, method="lsgd", random_state=0)


def test_estimators_tell_the_callbacks_of_scikit_learn():
    x, y = rows()
    seen = Tasks()
    model = estimator().set_callbacks(seen).fit(x, y)
    assert seen.begun[0] == "fit"
    assert seen.begun.count("check") > 1
    assert seen.ended[-1][0] == "fit"
    assert {"step", "loss", "stage"} <= set(seen.ended[0][1])
    assert seen.torn == 1
    assert not [name for name in vars(model) if "callback_fit" in name]
    np.testing.assert_array_equal(model.predict(x), estimator().fit(x, y).predict(x))
    short = estimator().set_callbacks(Tasks(most=1)).fit(x, y)
    assert short.n_iter_ < model.n_iter_


def test_scikit_learns_own_callbacks_follow(capsys):
    from sklearn.callback import ProgressBar, ScoringMonitor

    x, y = rows()
    monitor = ScoringMonitor(scoring="r2")
    model = estimator().set_callbacks(monitor, ProgressBar()).fit(x, y)
    log = monitor.get_logs()
    log = log[0] if isinstance(log, list) else log
    assert log.data[-1]["r2"] == pytest.approx(model.score(x, y))


def test_classifiers_tell_them_too():
    x, y = rows()
    seen = Tasks()
    ab.AdaptiveBasisClassifier(4, 1, max_steps=2).set_callbacks(seen).fit(x[:, :1], y > 0)
    assert seen.ended[-1][0] == "fit"

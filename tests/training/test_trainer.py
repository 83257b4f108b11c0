"""Trainings that are stopped anywhere and go on, in one process or two, and end by themselves."""

import dataclasses
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from small import trainer

from ase_mlseqm import InputError
from ase_mlseqm.training import trainer as module
from ase_mlseqm.training.checkpoint import Log, load_state, read_log, save_state
from ase_mlseqm.training.config import OptimizerConfig
from ase_mlseqm.training.parallel import World
from ase_mlseqm.training.trainer import learning_rate

N_STEPS = 12  # of the whole training
SAME = 1e-6


def losses(folder, name="steps"):
    """The losses in the log, every step (or epoch) of which must be there once."""
    rows = read_log(folder / f"{name}.csv")
    key, first = ("step", 1) if name == "steps" else ("epoch", 0)
    assert [int(row[key]) for row in rows] == list(range(first, len(rows) + first))
    return np.array([float(row["loss"]) for row in rows])


def assert_same_curves(folder, reference, n_steps=N_STEPS):
    for name, count in (("steps", n_steps), ("epochs", n_steps // 3)):
        ours, theirs = losses(folder, name), losses(reference, name)
        assert len(ours) == len(theirs) == count
        np.testing.assert_allclose(ours, theirs, rtol=SAME)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder of a training that nothing disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    assert trainer(folder).run()
    return folder


def test_loss_falls(tmp_path):
    trainer(tmp_path, epochs=8).run()
    every, valid = losses(tmp_path).reshape(8, 3).mean(1), losses(tmp_path, "epochs")
    assert every[-3:].mean() < 0.7 * every[0] and valid[-1] < 0.8 * valid[0]


def test_learning_rate_in_the_log(whole):
    rates = [float(row["learning_rate"]) for row in read_log(whole / "steps.csv")]
    options = OptimizerConfig(learning_rate=5e-3, warm_up=3)
    expected = [learning_rate(options, step, N_STEPS) for step in range(N_STEPS)]
    np.testing.assert_allclose(rates, expected, rtol=1e-8)


def test_rows_of_an_earlier_version_stay(tmp_path):
    """It had fewer columns, and may be gone on with more than once; half a row goes."""
    path = tmp_path / "steps.csv"
    path.write_text("step,loss\n1,0.5\n2,0.25\n3,")
    for step in (3, 4):
        log = Log(path, ["step", "loss", "more"], "step", step - 1)
        log.write({"step": step, "loss": 0.125, "more": 1.0})
        log.close()
    assert [row["step"] for row in read_log(path)] == ["1", "2", "3", "4"]
    assert [row["more"] for row in read_log(path)] == ["nan", "nan", "1", "1"]


class TestGoingOn:
    @pytest.mark.parametrize("keep_densities", [True, False])
    @pytest.mark.parametrize("stops", [(5,), (1, 3, 7, 8)])
    def test_after_steps(self, stops, keep_densities, whole, tmp_path):
        for stop in stops:
            run = trainer(tmp_path, keep_densities=keep_densities)
            assert not run.run(max_steps=stop) and run.progress.step == stop
        assert trainer(tmp_path, keep_densities=keep_densities).run()
        assert_same_curves(tmp_path, whole)
        assert trainer(tmp_path, keep_densities=keep_densities).run()  # nothing left to do
        assert_same_curves(tmp_path, whole)

    def test_after_a_deadline(self, whole, tmp_path):
        assert not trainer(tmp_path).run(deadline=time.monotonic())
        assert len(losses(tmp_path)) == 1
        assert trainer(tmp_path).run()
        assert_same_curves(tmp_path, whole)

    def test_interrupted_validation(self, whole, tmp_path, monkeypatch):
        """When the weights are those of the moving average."""

        def interrupted(*_):
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(module, "evaluate_errors", interrupted)
            with pytest.raises(KeyboardInterrupt):
                trainer(tmp_path).run()
        assert trainer(tmp_path).run()
        assert_same_curves(tmp_path, whole)

    @pytest.mark.parametrize("calls", [1, 4])
    def test_interrupted_update(self, calls, whole, tmp_path):
        """Half of the weights are already new."""
        run = trainer(tmp_path, checkpoint_seconds=0.0)
        step, left = run.optimizer.parts[0].step, [calls]

        def interrupted():
            left[0] -= 1
            step()
            if not left[0]:
                raise KeyboardInterrupt

        run.optimizer.parts[0].step = interrupted
        with pytest.raises(KeyboardInterrupt):
            run.run()
        assert trainer(tmp_path).run()
        assert_same_curves(tmp_path, whole)

    def test_killed_after_the_last_step_of_an_epoch(self, whole, tmp_path):
        """The epoch was validated and logged, but not saved."""
        run = trainer(tmp_path, checkpoint_seconds=0.0)
        before = {}

        def keep(*_):
            before[run.progress.epoch] = run.checkpoint.read_bytes()

        run.keep = keep
        run.run(max_steps=6)
        (tmp_path / "checkpoint.pt").write_bytes(before[1])
        assert len(losses(tmp_path, "epochs")) == 2
        assert trainer(tmp_path).run()
        assert_same_curves(tmp_path, whole)

    def test_killed(self, whole, tmp_path):
        """With SIGKILL, between checkpoints."""
        process = start([sys.executable], tmp_path, checkpoint_seconds=0.3)
        try:
            while len(read_log(tmp_path / "steps.csv")) < 5:
                assert process.poll() is None
                time.sleep(0.02)
        finally:
            process.kill()
        assert process.wait() == -signal.SIGKILL
        assert len(read_log(tmp_path / "steps.csv")) < N_STEPS
        with open(tmp_path / "steps.csv", "a") as file:
            file.write("99,0,0.1")  # half a row
        assert trainer(tmp_path).run()
        assert_same_curves(tmp_path, whole)


SCRIPT = """
import sys
sys.path[:0] = sys.argv[3:]
import torch
torch.set_num_threads(1)
from pathlib import Path
from small import trainer
from ase_mlseqm.training.parallel import find_world
trainer(Path(sys.argv[1]), find_world(), checkpoint_seconds=float(sys.argv[2])).run()
"""


def start(command, folder, checkpoint_seconds=60.0):
    """The same training in another process."""
    script = folder / "train.py"
    script.write_text(SCRIPT)
    here = Path(__file__).parent
    arguments = [script, folder, checkpoint_seconds, here, here.parent]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen([*command, *map(str, arguments)], env=environment)


@dataclasses.dataclass(frozen=True)
class ThreadWorld(World):
    """Processes played by threads."""

    barrier: threading.Barrier | None = None
    desk: dict = dataclasses.field(default_factory=dict)

    def sum(self, values):
        self.desk[self.rank] = values.clone()
        self.barrier.wait(60)
        total = sum(self.desk[rank] for rank in range(self.size))
        self.barrier.wait(60)
        return total


def in_two_threads(folder, deadlines):
    """Both trainers, and whether each came to its end (None: by an exception)."""
    barrier, desk = threading.Barrier(2), {}
    runs = [trainer(folder, ThreadWorld(rank, 2, barrier, desk)) for rank in range(2)]
    ended = [None, None]

    def work(rank):
        ended[rank] = runs[rank].run(deadline=deadlines[rank])

    threads = [threading.Thread(target=work, args=(rank,)) for rank in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return runs, ended


class TestTwoProcesses:
    def test_played_by_threads(self, whole, tmp_path):
        runs, ended = in_two_threads(tmp_path, (None, None))
        assert ended == [True, True]
        assert_same_curves(tmp_path, whole)
        for one, two in zip(runs[0].weights, runs[1].weights, strict=True):
            assert torch.equal(one, two)

    @pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
    def test_stop_together(self, tmp_path):
        """Though only one of them thinks that it is late."""
        runs, ended = in_two_threads(tmp_path, (time.monotonic() + 1e6, time.monotonic()))
        assert ended == [False, False] and [r.progress.step for r in runs] == [1, 1]

    def test_share_the_work(self):
        parts = [World(rank, 3).share(list("abcde")) for rank in range(3)]
        assert parts == [["a", "d"], ["b", "e"], ["c"]]

    @pytest.mark.slow
    def test_torchrun(self, whole, tmp_path):
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
        assert start([*command, "--nproc-per-node", "2"], tmp_path).wait(280) == 0
        assert_same_curves(tmp_path, whole)


@pytest.mark.parametrize("patience", [1, 2])
def test_early_stopping(patience, tmp_path):
    nothing = OptimizerConfig(learning_rate=0.0, final_learning_rate=0.0, weight_decay=0.0)
    run = trainer(tmp_path, optimizer=nothing, patience=patience, epochs=9)
    assert run.run()
    assert len(losses(tmp_path, "epochs")) == 1 + patience
    assert trainer(tmp_path, optimizer=nothing, patience=patience, epochs=9).run()
    assert len(losses(tmp_path, "epochs")) == 1 + patience


def test_keeps_the_moving_average_of_the_best_epoch(tmp_path):
    kept = []

    def keep(model, errors, progress):
        weights = [w.detach().clone() for w in model.network.parameters() if w.requires_grad]
        kept.append((progress.epoch, errors.loss(run.config.loss), weights))

    run = trainer(tmp_path, keep=keep, epochs=2)
    state = []
    run.report = lambda row: state.append([w.detach().clone() for w in run.weights])
    run.run()
    values = losses(tmp_path, "epochs")
    best = [k for k in range(2) if values[k] < min(values[:k], default=np.inf)]
    assert [epoch for epoch, *_ in kept] == best == [0, 1], "the last epoch is the best"
    np.testing.assert_allclose([loss for _, loss, _ in kept], values[best], rtol=1e-8)
    average = run.average
    for mean, found in zip(average, kept[-1][2], strict=True):
        assert torch.equal(mean, found)
    # validation leaves the weights as they were: rows of steps 3 and of epoch 0
    assert all(torch.equal(a, b) for a, b in zip(state[2], state[3], strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(state[-1], average, strict=True))


def test_learning_rate():
    options = OptimizerConfig(learning_rate=2e-3, final_learning_rate=1e-5, warm_up=10)
    rates = np.array([learning_rate(options, step, 110) for step in range(130)])
    np.testing.assert_allclose(rates[:10], 2e-4 * np.arange(1, 11))
    assert rates[10] == 2e-3 and rates[60] == pytest.approx(0.5 * (2e-3 + 1e-5))
    assert (np.diff(rates[10:111]) < 0).all() and (rates[110:] == pytest.approx(1e-5))


class TestCheckpoint:
    def test_round_trip(self, tmp_path):
        state = {"weights": [torch.randn(3)], "progress": {"best": float("inf"), "step": 3}}
        save_state(tmp_path / "c.pt", state)
        found = load_state(tmp_path / "c.pt")
        assert torch.equal(found["weights"][0], state["weights"][0])
        assert found["progress"] == state["progress"]
        assert [p.name for p in tmp_path.iterdir()] == ["c.pt"]

    @pytest.mark.parametrize("damage", ["cut", "empty", "text", "numbers", "pickle"])
    def test_damaged(self, damage, tmp_path):
        run = trainer(tmp_path)
        run.run(max_steps=1)
        content = bytearray(run.checkpoint.read_bytes())
        if damage == "numbers":
            where = content.index(next(iter(run.average)).numpy().tobytes()[:24])
            content[where + 9] ^= 4
        other = {
            "cut": content[: len(content) // 2],
            "empty": b"",
            "text": b"hello",
            "numbers": content,
            "pickle": pickle.dumps({"weights": []}, protocol=2),
        }
        run.checkpoint.write_bytes(other[damage])
        with pytest.raises(InputError, match=r"checkpoint\.pt cannot be read .*: put a copy"):
            trainer(tmp_path)


def spoiled(trained, steps):
    """A training whose gradients are no numbers in some of its steps."""
    gradient = trained.gradient

    def of(batch):
        result, slopes = gradient(batch)
        if trained.progress.step in steps:
            slopes = [slope * float("nan") for slope in slopes]
        return result, slopes

    trained.gradient = of
    return trained


def test_a_gradient_that_is_no_number_makes_no_step(tmp_path):
    whole, spared = trainer(tmp_path / "whole"), spoiled(trainer(tmp_path / "spared"), {2})
    for one in (whole, spared):
        one.run(max_steps=2)
        before = [w.detach().clone() for w in one.weights]
        one.run(max_steps=3)
        one.same = all(torch.equal(a, b) for a, b in zip(before, one.weights, strict=True))
    assert spared.same and not whole.same
    assert spared.run()  # to its end, with numbers
    assert all(bool(torch.isfinite(w).all()) for w in (*spared.weights, *spared.average))
    norms = [float(row["gradient_norm"]) for row in read_log(tmp_path / "spared" / "steps.csv")]
    assert [not np.isfinite(n) for n in norms] == [k == 2 for k in range(N_STEPS)]


def test_a_training_without_gradients_fails(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MOST_LOST", 4)
    with pytest.raises(InputError, match="gradients of 4 batches in a row are not finite"):
        spoiled(trainer(tmp_path), set(range(3, 99))).run()

"""
What docs/training.md says of checkpoints and trackers. `make test-training` has what they need.

Elsewhere the tests are skipped by name. The programs of the page are run by test_docs.py.
"""

from __future__ import annotations

import re
import sys
import time
from signal import SIGTERM, SIGUSR1

import pytest
from serving import need

LATER = (0, 0.01, 0.05, 0.2)  # seconds after the first steps: so the signal comes at any moment


def test_all_ranks_of_torchrun_save_the_same_step(program, tmp_path):
    """Torchrun tells one after the other; all of them agree on a step, and each file is whole."""
    need("torch")
    import torch

    for number, later in enumerate(LATER):
        folder = tmp_path / str(number)
        folder.mkdir()
        running = program(
            *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"),
            *("scenarios/ranks.py", folder),
        )
        for _ in range(2):
            running.wait_for(re.compile("^trains "))
        time.sleep(later)
        running.send(SIGTERM)
        running.finish()
        saved = [torch.load(folder / f"{rank}.pt") for rank in (0, 1)]
        assert saved[0]["step"] == saved[1]["step"] >= 5
        for state in saved:
            weight = state["model"]["weight"]
            assert bool(
                (weight >= state["step"] - 0.51).all() and (weight <= state["step"] + 0.51).all()
            )


@pytest.mark.parametrize("signum", [SIGTERM, SIGUSR1])
def test_a_signal_of_a_scheduler_ends_training_at_a_whole_step(script, tmp_path, signum):
    """SIGUSR1 is what SLURM sends with `--signal=USR1@60`."""
    need("torch")
    import torch

    source = """
        import signal
        import sys
        import torch
        import graceexit

        graceexit.install(signals=(signal.SIGTERM, signal.SIGINT, signal.SIGUSR1))
        weights, step = torch.zeros(1_000_000), 0
        with graceexit.hold():
            while not graceexit.exiting.is_set():
                weights += 1
                step += 1
                torch.save({"step": step, "weights": weights}, sys.argv[1])
                if step == 3:
                    print("trains")
    """
    for later in LATER:
        running = script(source, tmp_path / "checkpoint.pt")
        running.wait_for("trains")
        time.sleep(later)
        running.send(signum)
        assert running.finish() == ([], -signum)
        saved = torch.load(tmp_path / "checkpoint.pt")
        assert bool((saved["weights"] == saved["step"]).all())


@pytest.mark.parametrize(
    ("how", "status"),
    [("plain", "RUNNING"), ("install", "FINISHED"), ("with", "FAILED"), ("finally", "KILLED")],
)
def test_the_status_that_mlflow_records(scenario, tmp_path, monkeypatch, how, status):
    """Without a handler the run stays open for ever; who ends it says what it was."""
    need("mlflow")
    from mlflow.tracking import MlflowClient

    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    store = f"file:{tmp_path / 'store'}"
    running = scenario("tracked", store, how)
    run = running.wait_for(re.compile("^run ")).split()[1]
    running.send(SIGTERM)
    assert running.finish()[1] == -SIGTERM
    assert MlflowClient(store).get_run(run).info.status == status

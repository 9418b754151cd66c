"""
What docs/training.md says of checkpoints, files and trackers.

`make test-training` has what they need. Elsewhere the tests are skipped by name. test_docs.py runs
the programs of the page.
"""

from __future__ import annotations

import json
import re
import struct
import sys
import time
from pathlib import Path
from signal import SIGINT, SIGTERM, SIGUSR1

import pytest
from serving import need

LATER = (0, 0.01, 0.05, 0.2)  # seconds after the first steps: so the signal comes at any moment
FEW = (0.01, 0.1)  # for what takes seconds to start


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


@pytest.mark.parametrize("how", ["plain", "install"])
def test_lightning_ends_at_a_whole_batch(scenario, tmp_path, how):
    """Its own handler, in front of graceexit's, sees to that; ModelCheckpoint saves then."""
    need("lightning")
    import torch

    for number, later in enumerate(FEW):
        folder = tmp_path / str(number)
        running = scenario("fits_lightning", folder, how)
        running.wait_for("trains")
        time.sleep(later)
        running.send(SIGTERM)
        lines, status = running.finish()
        closed = ["closed 15"] if how == "install" else []
        assert [line for line in lines if line.startswith("closed")] == closed
        assert status == 0
        (path,) = folder.glob("*.ckpt")
        saved = torch.load(path, weights_only=False)
        assert saved["global_step"] >= 3
        assert bool((saved["state_dict"]["weight"] == saved["global_step"]).all())


@pytest.mark.parametrize("signum", [SIGTERM, SIGINT])
def test_the_trainer_of_hugging_face_saves_a_whole_step(scenario, tmp_path, signum):
    """A callback asks `exiting` after each step, and has it save and stop."""
    need("transformers", "accelerate")
    from safetensors.torch import load_file

    for number, later in enumerate(FEW):
        running = scenario("trains_hf", tmp_path / str(number))
        running.wait_for("trains")
        time.sleep(later)
        running.send(signum)
        assert running.finish()[1] == -signum
        (folder,) = (tmp_path / str(number)).glob("checkpoint-*")
        step = json.loads((folder / "trainer_state.json").read_text())["global_step"]
        assert folder.name == f"checkpoint-{step}"
        assert bool((load_file(folder / "model.safetensors")["weight"] == step).all())


@pytest.mark.parametrize("signum", [SIGTERM, SIGINT])
def test_a_loop_of_jax_saves_a_whole_step(scenario, tmp_path, signum):
    """As with torch: the loop asks `exiting`, under `hold`."""
    need("jax")
    import numpy as np

    for number, later in enumerate(FEW):
        path = tmp_path / f"{number}.npz"
        running = scenario("trains_jax", path)
        running.wait_for("trains")
        time.sleep(later)
        running.send(signum)
        assert running.finish()[1] == -signum
        with np.load(path) as saved:
            assert saved["step"] >= 3
            assert bool((saved["weights"] == saved["step"]).all())


# What of sqlite3's transaction, and of zarr's file, is there afterwards.
STORED = {
    ("sqlite3", "plain"): False,
    ("sqlite3", "on_exit"): False,
    ("sqlite3", "any"): True,
    ("sqlite3", "finally"): True,
    ("zip", "plain"): False,
    ("zip", "on_exit"): True,
    ("zip", "finally"): True,
    ("local", "plain"): True,
    ("local", "on_exit"): True,
}


@pytest.mark.parametrize(("kind", "how"), STORED)
def test_what_is_written_is_there_if_its_file_is_closed(scenario, tmp_path, kind, how):
    """A connection of sqlite3 has to be one for any thread then, or is closed in `finally`."""
    need("sqlite3" if kind == "sqlite3" else "zarr")
    for number, later in enumerate(FEW):
        path = tmp_path / f"{number}.{kind}"
        running = scenario("stored", kind, how, path)
        running.wait_for("writes")
        time.sleep(later)
        running.send(SIGTERM)
        lines, status = running.finish()
        refused = (kind, how) == ("sqlite3", "on_exit")
        assert any("can only be used in that same thread" in line for line in lines) == refused
        assert status == -SIGTERM
        (line,), _ = scenario("stored", kind, "reads", path).finish()
        numbers = json.loads(line)
        assert numbers == list(range(len(numbers)))
        assert (len(numbers) > 5) == STORED[kind, how]


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


@pytest.mark.parametrize(
    ("how", "status"),
    [("plain", None), ("install", 0), ("on_exit", 0), ("with", 1), ("finally", 143)],
)
def test_the_exit_code_that_wandb_records(scenario, tmp_path, how, status):
    """Without a handler there is none, and rows may be lost; who finishes it says what it was."""
    need("wandb")
    running = scenario("tracked_wandb", tmp_path, how)
    path = Path(running.wait_for(re.compile("^run ")).split()[1])
    running.send(SIGTERM)
    assert running.finish()[1] == -SIGTERM
    found = list(records(path.read_bytes()))
    codes = [record.exit.exit_code for record in found if record.HasField("exit")]
    rows = sum(record.HasField("history") for record in found)
    assert codes == ([] if status is None else [status])
    assert rows == 100 or status is None


def records(data):
    """Yield the records of an offline run: a log as LevelDB's, with a header of 7 bytes."""
    from wandb.proto import wandb_internal_pb2

    block, head = 32768, struct.Struct("<IHB")
    at, whole = 7, b""
    while at + head.size <= len(data):
        if block - at % block < head.size:  # the rest of a block is left free
            at += block - at % block
            continue
        _, size, kind = head.unpack_from(data, at)
        at += head.size + size
        whole += data[at - size : at]
        if kind in {1, 4}:  # the whole of a record, or its last part
            yield wandb_internal_pb2.Record.FromString(whole)
            whole = b""

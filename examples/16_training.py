"""Train on some ranks: each checkpoint is whole, and all of them are of the same step."""

import json
import multiprocessing
import sys
from pathlib import Path

import graceexit


def train(rank, folder, votes, barrier):
    """Be one rank: if one of them is asked to stop, all stop at the step that they have in hand."""
    path = Path(folder, f"checkpoint-{rank}.json")
    state = json.loads(path.read_text()) if path.exists() else {"step": 0, "weights": [0] * 10_000}
    # SIGTERM and Ctrl-C are noted, and take effect when the block has ended: at the latest after
    # five seconds, or what install(linger=...) gives.
    with graceexit.hold():
        while not any(votes):
            barrier.wait()  # two of them around each step stand for torch's all_reduce of the votes
            state["step"] += 1
            state["weights"] = [weight + 1 for weight in state["weights"]]
            if rank == 0:
                print("computed", state["step"], flush=True)
            with path.open("w") as file:
                json.dump(state, file)  # in many pieces
            if rank == 0:
                print("saved", state["step"], flush=True)
            votes[rank] = graceexit.exiting.is_set()
            barrier.wait()


if __name__ == "__main__":
    ranks = int(sys.argv[2])
    context = multiprocessing.get_context("spawn")
    votes, barrier = context.Array("b", ranks, lock=False), context.Barrier(ranks)
    for rank in range(1, ranks):
        context.Process(target=train, args=(rank, sys.argv[1], votes, barrier)).start()
    train(0, sys.argv[1], votes, barrier)

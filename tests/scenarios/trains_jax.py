"""Train with JAX, under `hold`: `trains_jax.py PATH`. Each step adds 1."""

import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import graceexit

graceexit.install(linger=60)


@jax.jit
def train(weights):
    return weights - jax.grad(lambda some: -some.sum())(weights)


weights, step = jnp.zeros(1_000_000), 0
with graceexit.hold():
    while not graceexit.exiting.is_set():
        weights = train(weights)
        step += 1
        if step == 3:
            print("trains", flush=True)
    with Path(sys.argv[1]).open("wb") as file:
        np.savez(file, step=step, weights=weights)

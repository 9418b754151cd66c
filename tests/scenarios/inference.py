"""An application that has its requests answered by a model in a process of its own."""

import multiprocessing
import os
import threading

from fastapi import FastAPI
from inference_model import serve

import graceexit

context = multiprocessing.get_context("spawn")
requests, answers = context.SimpleQueue(), context.SimpleQueue()
model = context.Process(target=serve, args=(requests, answers))
model.start()
if "PLAIN" not in os.environ:
    graceexit.register(model, stop=lambda: requests.put(None), timeout=10)
one_at_a_time = threading.Lock()
app = FastAPI()


@app.get("/{number}")
def predict(number: int):
    with one_at_a_time:
        print("asked", flush=True)
        requests.put(number)
        return answers.get()

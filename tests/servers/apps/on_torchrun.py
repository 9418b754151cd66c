"""A training under torchrun, one rank of which is in the middle of a step."""

import os
import time

import service

if os.environ["RANK"] == "0":
    service.answer()
while True:
    time.sleep(0.05)

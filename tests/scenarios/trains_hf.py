"""Train with the Trainer of Hugging Face, under `hold`: `trains_hf.py FOLDER`. Each step adds 1."""

import sys

import torch
from transformers import Trainer, TrainerCallback, TrainingArguments

import graceexit

graceexit.install(linger=60)


class Count(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(100_000))

    def forward(self, x):
        return {"loss": -self.weight.sum()}


class Stop(TrainerCallback):
    def on_step_end(self, args, state, control, **_):
        if state.global_step == 3:
            print("trains", flush=True)
        if graceexit.exiting.is_set():
            control.should_save = control.should_training_stop = True


arguments = TrainingArguments(
    sys.argv[1],
    max_steps=1_000_000,
    learning_rate=1,
    lr_scheduler_type="constant",
    optim="sgd",
    max_grad_norm=0,
    per_device_train_batch_size=1,
    save_strategy="no",
    logging_strategy="no",
    report_to=[],
    use_cpu=True,
    disable_tqdm=True,
)
data = [{"x": torch.zeros(1)}] * 1000
with graceexit.hold():
    Trainer(Count(), arguments, train_dataset=data, callbacks=[Stop()]).train()

"""Train with Lightning: `fits_lightning.py FOLDER plain|install`. Each step adds 1."""

import sys
import warnings

import lightning
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint

import graceexit

warnings.simplefilter("ignore")
folder, how = sys.argv[1:]


class Count(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(100_000))

    def training_step(self, batch, number):
        return -self.weight.sum()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=1)


class Say(Callback):
    def on_train_batch_end(self, trainer, module, outputs, batch, number):
        if trainer.global_step == 3:
            print("trains", flush=True)


if how == "install":
    graceexit.on_exit(lambda: print("closed", graceexit.exiting.signum))
trainer = lightning.Trainer(
    accelerator="cpu",
    devices=1,
    max_steps=-1,
    max_epochs=-1,
    logger=False,
    enable_progress_bar=False,
    enable_model_summary=False,
    default_root_dir=folder,
    callbacks=[Say(), ModelCheckpoint(folder, save_on_exception=True)],
)
trainer.fit(Count(), torch.utils.data.DataLoader(torch.zeros(1_000_000, 1), batch_size=1))

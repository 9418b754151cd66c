"""torch's DataLoader with two workers: `on_dataloader.py fork` or `spawn`, and `persistent`."""

import sys
import time

from torch.utils.data import DataLoader, Dataset


class Pages(Dataset):
    """Two of them, one of which takes a while to be read."""

    def __len__(self):
        """Return how many there are."""
        return 2

    def __getitem__(self, number):
        """Read one."""
        if number == 0:
            sys.modules["service"].answer()
        return number


def begin(_):
    """Begin in a worker: a forked one has the application already."""
    if "service" in sys.modules:
        sys.modules["service"].begin()
    else:
        import service  # noqa: F401


if __name__ == "__main__":
    import service  # noqa: F401

    loader = DataLoader(
        Pages(),
        num_workers=2,
        multiprocessing_context=sys.argv[1],
        persistent_workers="persistent" in sys.argv,
        worker_init_fn=begin,
    )
    for _ in loader:
        pass
    while True:
        time.sleep(0.05)

"""What all tests share: one thread, and the data that some of them read."""

import os
from pathlib import Path

import pytest
import torch

DATA_VARIABLE = "SKCOLLAPSE_DATA"


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    """Give torch one thread.

    The tests work on a few hundred rows. Threads take longer to meet over such an
    operation than the operation takes, and where other processes are busy on the same
    cores each meeting can stall for milliseconds: a test of a second took a minute.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def data_folder():
    """Return the folder of the real data, or skip the test where there is none."""
    root = Path(__file__).resolve().parents[1]
    given = os.environ.get(DATA_VARIABLE)
    folder = Path(given) if given else root.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no folder {folder} with real data; set {DATA_VARIABLE}")
    return folder

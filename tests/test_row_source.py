"""Rows by index, wherever they lie."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import TensorDataset

from skcollapse.rows import (
    ArrayRows,
    DatasetRows,
    DeviceRows,
    StreamedRows,
    as_source,
    without_gradients,
)

CPU = torch.device("cpu")
DTYPES = [np.uint8, np.bool_, np.int32, np.int64, np.float16, np.float32, np.float64]


def array(dtype, n=23):
    numbers = np.random.default_rng(0).integers(0, 200, size=(n, 2, 3))
    return (numbers > 99 if dtype is np.bool_ else numbers).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", ["plain", "read_only", "reversed", "swapped"])
def test_batches_are_the_rows_in_the_order_asked_for(dtype, layout, tmp_path):
    data = array(dtype)
    if layout == "read_only":
        np.save(tmp_path / "rows.npy", data)
        given = np.load(tmp_path / "rows.npy", mmap_mode="r")
    else:
        given = {
            "plain": data,
            "reversed": data[::-1].copy()[::-1],
            "swapped": data.astype(data.dtype.newbyteorder()),
        }[layout]
    rows = ArrayRows(given).on(CPU, torch.float32)
    # Bytes have no order that could be swapped.
    is_plain = layout == "plain" or (layout == "swapped" and data.itemsize == 1)
    assert isinstance(rows, DeviceRows if is_plain else StreamedRows)
    order = torch.randperm(23, generator=torch.Generator().manual_seed(1))
    batches = list(rows.batches(order, [10, 13]))
    assert [len(batch) for batch in batches] == [10, 13]
    is_index = dtype in (np.int32, np.int64)
    expected = torch.int64 if is_index else torch.float32
    assert {batch.dtype for batch in batches} == {expected}
    got = torch.cat(batches).numpy()
    np.testing.assert_array_equal(got, data[order].astype(got.dtype))


@given(st.data())
def test_some_of_some_rows(draw):
    data = array(np.float32)
    pairs = TensorDataset(torch.from_numpy(data), torch.arange(len(data)))
    for rows in (ArrayRows(data), DatasetRows(pairs, 0)):
        expected = np.arange(len(data))
        for _ in range(2):
            n = len(expected)
            index = np.array(
                draw.draw(st.lists(st.integers(0, n - 1), min_size=1)), dtype=int
            )
            if draw.draw(st.booleans()):
                mask = np.zeros(n, bool)
                mask[index] = True
                index = mask
            rows, expected = rows[index], expected[index]
        assert len(rows) == len(expected)
        assert rows.shape == (2, 3)
        got = torch.cat(list(without_gradients(rows.on(CPU, torch.float32))))
        np.testing.assert_array_equal(got, data[expected])


def test_rows_on_the_device_are_not_copied():
    data = array(np.float32)
    assert ArrayRows(data).on(CPU, torch.float32).rows.data_ptr() == data.ctypes.data
    assert ArrayRows(data)[:5].data is data
    tensor = torch.from_numpy(data)
    assert as_source(tensor).rows is tensor


def test_large_rows_come_a_few_at_a_time():
    small = DeviceRows(torch.zeros(9000, 3000))
    assert [len(batch) for batch in without_gradients(small)] == [8192, 808]
    large = DeviceRows(torch.zeros(1, 1, 1).expand(100, 256, 256))
    assert [len(batch) for batch in without_gradients(large)] == [32, 32, 32, 4]

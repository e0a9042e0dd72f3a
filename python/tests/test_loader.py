"""`npyfeed.Loader`: every sample once an epoch, the same bytes for the same seed, memory with a bound."""

import contextlib
import gc
import hashlib
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

import npyfeed as nf
from npyfeed import transforms as T

SAMPLES = 1000


@pytest.fixture
def dataset(tmp_path: Path) -> nf.Dataset:
    random = np.random.default_rng(0)
    np.save(tmp_path / "image.npy", random.integers(0, 256, (SAMPLES, 9, 11, 3), np.uint8))
    np.save(tmp_path / "label.npy", np.arange(SAMPLES))
    columns = nf.Dataset(image=tmp_path / "image.npy", label=tmp_path / "label.npy")
    return columns.map(image=[T.ToTensor(), T.Normalize((0.4, 0.5, 0.6), (0.2, 0.3, 0.4))])


def digest(loader: nf.Loader) -> str:
    """A hash over every byte of an epoch."""
    sha = hashlib.sha256()
    for batch in loader:
        for column in batch:
            sha.update(column.tobytes())
    return sha.hexdigest()


@pytest.mark.parametrize("shuffle", [False, True])
def test_the_same_seed_gives_the_same_bytes_whatever_the_threads(
    dataset: nf.Dataset,
    shuffle: bool,  # noqa: FBT001
) -> None:
    ways = [(1, 1), (4, None), (2, 8), (5, 2)]
    digests = {
        tuple(digest(loader) for _ in range(3))
        for threads, prefetch in ways
        for loader in [nf.Loader(dataset, 32, shuffle=shuffle, seed=7, threads=threads, prefetch=prefetch)]
    }
    assert len(digests) == 1


def test_a_large_batch_shared_by_several_threads_has_the_same_bytes() -> None:
    rows = np.random.default_rng(0).integers(0, 256, (64, 128, 128, 3), np.uint8)  # 16 MB a batch: many parts
    dataset = nf.Dataset(x=rows).map(x=[T.ToTensor(), T.Normalize(0.5, 0.5)])
    digests = {digest(nf.Loader(dataset, 64, shuffle=True, threads=threads)) for threads in (1, 2, 5)}
    assert len(digests) == 1
    (batch,) = nf.Loader(dataset, 64)
    expected = (
        rows.transpose(0, 3, 1, 2).astype("float32") / np.float32(255) - np.float32(0.5)
    ) / np.float32(0.5)
    np.testing.assert_array_equal(batch.x, expected)


def test_three_epochs_differ_and_each_has_every_sample_once(dataset: nf.Dataset) -> None:
    loader = nf.Loader(dataset, 32, shuffle=True, seed=3)
    epochs = [np.concatenate([batch.label for batch in loader]) for _ in range(3)]
    for epoch in epochs:
        np.testing.assert_array_equal(np.sort(epoch), np.arange(SAMPLES))
    for one, other in [(0, 1), (0, 2), (1, 2)]:
        assert (epochs[one] == epochs[other]).mean() < 0.02
    assert not (epochs[0] == np.arange(SAMPLES)).mean() > 0.02


def test_seeds_differ_and_epochs_of_one_are_not_seeds_of_another(dataset: nf.Dataset) -> None:
    orders = {
        tuple(
            np.concatenate([batch.label for batch in nf.Loader(dataset, 100, shuffle=True, seed=s, epoch=e)])
        )
        for s in range(4)
        for e in range(4)
    }
    assert len(orders) == 16


def test_an_epoch_can_be_chosen(dataset: nf.Dataset) -> None:
    loader = nf.Loader(dataset, 32, shuffle=True)
    epochs = [digest(loader) for _ in range(4)]
    assert loader.epoch == 4
    loader.set_epoch(2)
    assert digest(loader) == epochs[2]
    assert digest(nf.Loader(dataset, 32, shuffle=True, epoch=3)) == epochs[3]


def test_without_shuffle_the_order_is_the_datasets(dataset: nf.Dataset) -> None:
    labels = np.concatenate([batch.label for batch in nf.Loader(dataset, 37)])
    np.testing.assert_array_equal(labels, np.arange(SAMPLES))


def test_samples_keep_their_labels(dataset: nf.Dataset) -> None:
    for batch in nf.Loader(dataset, 64, shuffle=True):
        expected = dataset[batch.label.tolist()]
        np.testing.assert_array_equal(batch.image, expected.image)


@pytest.mark.parametrize(("batch_size", "sizes"), [(1, [1] * 10), (3, [3, 3, 3, 1]), (5, [5, 5]), (99, [10])])
def test_batch_sizes_are_torchs(batch_size: int, sizes: list[int]) -> None:
    dataset = nf.Dataset(x=np.arange(10))
    kept = nf.Loader(dataset, batch_size)
    dropped = nf.Loader(dataset, batch_size, drop_last=True)
    whole = [size for size in sizes if size == batch_size]
    assert (len(kept), [len(batch.x) for batch in kept]) == (len(sizes), sizes)
    assert (len(dropped), [len(batch.x) for batch in dropped]) == (len(whole), whole)


def test_empty_and_one_sample_datasets() -> None:
    assert list(nf.Loader(nf.Dataset(x=np.zeros((0, 3))), 4, shuffle=True)) == []
    (batch,) = nf.Loader(nf.Dataset(x=np.ones((1, 0))), 4, shuffle=True)
    assert batch.x.shape == (1, 0)


def test_batches_are_namedtuples_or_dicts(dataset: nf.Dataset) -> None:
    batch = next(iter(nf.Loader(dataset, 4)))
    image, label = batch
    assert batch.image is image
    assert batch._fields == ("image", "label")
    assert label.tolist() == [0, 1, 2, 3]
    as_dict = next(iter(nf.Loader(dataset, 4, as_dict=True)))
    assert list(as_dict) == ["image", "label"]
    np.testing.assert_array_equal(as_dict["image"], image)


def test_batches_are_aligned_writable_and_contiguous(dataset: nf.Dataset) -> None:
    for batch in nf.Loader(dataset, 7):
        for column in batch:
            assert column.ctypes.data % 64 == 0
            assert column.flags.writeable
            assert column.flags.c_contiguous


def test_a_batch_that_is_kept_is_never_overwritten(dataset: nf.Dataset) -> None:
    loader = nf.Loader(dataset, 20, shuffle=True, prefetch=2)
    kept, copies = [], []
    for batch in loader:
        kept.append(batch)
        copies.append([column.copy() for column in batch])
    assert len(kept) == 50
    for _ in range(3):  # the pool goes round while the user still holds them
        for batch in loader:
            batch.image.fill(-1)
    for batch, copy in zip(kept, copies, strict=True):
        for found, expected in zip(batch, copy, strict=True):
            np.testing.assert_array_equal(found, expected)


def test_a_view_keeps_its_batch(dataset: nf.Dataset) -> None:
    loader = nf.Loader(dataset, 20, prefetch=1)
    views = [batch.image[3:5, 1] for batch in loader]
    for index, view in enumerate(views):
        np.testing.assert_array_equal(view, dataset[20 * index + 3 : 20 * index + 5].image[:, 1])


def test_memory_is_used_again() -> None:
    dataset = nf.Dataset(x=np.zeros((400, 100), "float32"))
    loader = nf.Loader(dataset, 4, prefetch=2)
    addresses = {batch.x.ctypes.data for _ in range(5) for batch in loader}
    assert len(addresses) <= 2 + 4  # being filled or ready, and the spare ones of the pool


def test_memory_stops_growing_when_the_pool_is_full() -> None:
    code = """
import numpy as np, psutil, npyfeed as nf
from npyfeed import transforms as T
rows = np.zeros((64, 256, 256, 3), np.uint8)
loader = nf.Loader(nf.Dataset(x=rows).map(x=T.ToTensor()), 8, prefetch=3)  # 6.3 MB a batch
process = psutil.Process()
grown, before = [], process.memory_full_info().uss
for _ in range(40):
    for batch in loader: pass
    grown.append(process.memory_full_info().uss - before)
print(max(grown))
"""
    batch_bytes = 8 * 256 * 256 * 3 * 4
    # As many as may be ahead, and the spare ones of the pool; one lost an epoch would be forty. The rows
    # were never written, so reading them maps pages of zeros, which are nobody's own.
    assert int(run_python(code).stdout) < (3 + 4) * batch_bytes + (8 << 20)


def test_the_number_of_batches_ahead_is_bounded() -> None:
    dataset = nf.Dataset(x=np.zeros((100, 1000), "uint8"))
    loader = nf.Loader(dataset, 1, prefetch=5, threads=2)
    epoch = iter(loader)
    next(epoch)
    until(lambda: loader.stats().bytes_written >= 5000)
    for _ in range(1000):  # the workers have every chance to run on
        os.sched_yield()
    assert loader.stats().bytes_written <= 6000  # the one taken, and five ahead


def test_memory_bounds_the_batches_ahead() -> None:
    dataset = nf.Dataset(x=np.zeros((100, 1000), "uint8"))
    assert "prefetch=3" in repr(nf.Loader(dataset, 10, memory=35_000))
    with pytest.raises(nf.MismatchError, match="memory of at least one batch, 10000 bytes, found 9999"):
        nf.Loader(dataset, 10, memory=9999)


def test_two_iterators_at_once_are_two_epochs(dataset: nf.Dataset) -> None:
    expected = nf.Loader(dataset, 32, shuffle=True)
    first, second = ([batch.label.tolist() for batch in expected] for _ in range(2))
    loader = nf.Loader(dataset, 32, shuffle=True)
    one, other = iter(loader), iter(loader)
    pairs = [(a.label.tolist(), b.label.tolist()) for a, b in zip(one, other, strict=True)]
    assert pairs == list(zip(first, second, strict=True))


def test_a_finished_epoch_stays_finished(dataset: nf.Dataset) -> None:
    epoch = iter(nf.Loader(dataset, 500))
    assert len(list(epoch)) == 2
    assert list(epoch) == []


def until(condition: Callable[[], bool]) -> None:
    """Waits for what other threads bring about."""
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        os.sched_yield()


def worker_count() -> int:
    count = 0
    for path in Path("/proc/self/task").glob("*/comm"):
        with contextlib.suppress(OSError):  # it ended between being listed and being read
            count += path.read_text().startswith("npyfeed-")
    return count


def test_no_thread_outlives_a_break_an_exception_or_an_end(dataset: nf.Dataset) -> None:
    loader = nf.Loader(dataset, 4, threads=3)
    for _ in loader:
        until(lambda: worker_count() == 3)
        break
    gc.collect()
    until(lambda: worker_count() == 0)

    def failing() -> None:
        for _ in loader:
            raise KeyError

    with pytest.raises(KeyError):
        failing()
    gc.collect()
    until(lambda: worker_count() == 0)
    assert len(list(loader)) == 250
    until(lambda: worker_count() == 0)


def test_a_thousand_epochs_begun_and_left_leave_nothing(dataset: nf.Dataset) -> None:
    process = psutil.Process()
    loader = nf.Loader(dataset, 32)
    next(iter(loader))
    descriptors, maps = process.num_fds(), len(process.memory_maps(grouped=False))
    for _ in range(1000):
        next(iter(loader))
    until(lambda: worker_count() == 0)
    assert process.num_fds() == descriptors
    assert len(process.memory_maps(grouped=False)) <= maps + 5  # the allocator's own arenas


def test_batches_may_die_on_any_thread(dataset: nf.Dataset) -> None:
    loader = nf.Loader(dataset, 10)
    expected = digest(loader)
    held = list(loader)

    def drop() -> None:
        while held:
            try:
                held.pop()
            except IndexError:
                return

    threads = [threading.Thread(target=drop) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert digest(loader) == expected  # out of the buffers that died


@pytest.mark.parametrize("option", ["batch_size", "threads", "prefetch"])
def test_an_option_of_zero_is_named(option: str) -> None:
    dataset = nf.Dataset(x=np.arange(10))
    options: dict[str, Any] = {option: 0}
    with pytest.raises(nf.MismatchError, match=f"expected {option} from 1 to .*, found 0"):
        nf.Loader(dataset, **options)


def test_denormal_numbers_come_out_whatever_torch_was_told() -> None:
    code = """
import numpy as np, torch, npyfeed as nf
from npyfeed import transforms as T
array = np.full((4, 3), 1e-40, "float32")
torch.set_flush_denormal(True)
dataset = nf.Dataset(x=array).map(x=T.ToDtype("float64"))
(batch,) = nf.Loader(dataset, 4, threads=2)
print((batch.x != 0).all(), (dataset[0].x != 0).all(), np.float32(1e-30) * np.float32(1e-10))
"""
    assert run_python(code).stdout.split() == ["True", "True", "0.0"]


@pytest.mark.slow
def test_memory_that_is_short_is_an_error_and_not_the_end() -> None:
    code = """
import resource, numpy as np, npyfeed as nf
dataset = nf.Dataset(x=np.zeros((64, ROW), "uint8"))
loader = nf.Loader(dataset, 8, threads=1, prefetch=8)
next(iter(nf.Loader(nf.Dataset(x=np.zeros(4)), 2)))
used = int(open("/proc/self/statm").read().split()[0]) * 4096
resource.setrlimit(resource.RLIMIT_AS, (used + (24 << 20), resource.RLIM_INFINITY))
held = []
try:
    for _ in range(64):
        for batch in loader: held.append(batch)
    print("no limit was met")
except OSError as error: print("OSError", error.errno, len(held) > 0)
held.clear()
resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print(len(list(loader)))
"""
    for row_bytes in (1 << 17, 1 << 19):  # batches of 1 MB and of 4 MB: two kinds of memory
        done = run_python(code.replace("ROW", str(row_bytes)))
        assert done.stdout.split() == ["OSError", "12", "True", "8"], done.stdout + done.stderr


WRONG_OPTIONS: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"batch_size": -1}, nf.MismatchError, r"expected batch_size from 0 to 2\*\*64 - 1, found -1"),
    ({"batch_size": 2.5}, nf.UnsupportedError, "expected batch_size to be an integer, found 2.5"),
    ({"batch_size": "3"}, nf.UnsupportedError, "expected batch_size to be an integer, found '3'"),
    ({"batch_size": None}, nf.UnsupportedError, "expected batch_size to be an integer, found None"),
    ({"batch_size": 2**64}, nf.MismatchError, "found 18446744073709551616"),
    ({"batch_size": 2**63}, nf.MismatchError, "found 9223372036854775808"),
    ({"shuffle": "no"}, nf.UnsupportedError, "expected shuffle to be True or False, found 'no'"),
    ({"drop_last": None}, nf.UnsupportedError, "expected drop_last to be True or False, found None"),
    ({"seed": -1}, nf.MismatchError, "expected seed from 0"),
    ({"prefetch": 10**14}, nf.MismatchError, "expected prefetch from 1 to 4096, found 100000000000000"),
    ({"prefetch": 2**63}, nf.MismatchError, "expected prefetch from 1 to 4096"),
    ({"threads": 10**9}, nf.MismatchError, "expected threads from 1 to 4096"),
]


@pytest.mark.parametrize(("options", "expected", "message"), WRONG_OPTIONS)
def test_an_option_out_of_its_range_is_named(
    options: dict[str, Any], expected: type[Exception], message: str
) -> None:
    with pytest.raises(expected, match=message):
        nf.Loader(nf.Dataset(x=np.arange(10)), **options)


def test_a_batch_larger_than_the_dataset_takes_memory_for_the_dataset_only() -> None:
    (batch,) = nf.Loader(nf.Dataset(x=np.arange(10)), 2**62)
    assert batch.x.tolist() == list(range(10))


def test_something_else_than_a_dataset_is_refused() -> None:
    with pytest.raises(nf.UnsupportedError, match=r"expected an npyfeed\.Dataset, found list"):
        nf.Loader([1, 2, 3], 4)  # type: ignore[arg-type]


def test_a_batch_is_pickled_by_value(dataset: nf.Dataset) -> None:
    batch = next(iter(nf.Loader(dataset, 4)))
    again = pickle.loads(pickle.dumps(batch))
    assert type(again) is type(batch)
    np.testing.assert_array_equal(again.image, batch.image)


def test_stats_count_what_was_done(dataset: nf.Dataset) -> None:
    loader = nf.Loader(dataset, 32)
    for _ in loader:
        pass
    stats = loader.stats()
    assert (stats.batches, stats.samples) == (32, SAMPLES)
    assert stats.bytes_read == SAMPLES * (9 * 11 * 3 + 8)
    assert stats.bytes_written == SAMPLES * (9 * 11 * 3 * 4 + 8)
    assert stats.fill_ns > 0


def run_python(code: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


ENDLESS = """
import sys, numpy as np, npyfeed as nf
loader = nf.Loader(nf.Dataset(x=np.zeros((1000, 1000), "uint8")), 4, threads=4)
"""


@pytest.mark.parametrize(
    "ending",
    [
        "epoch = iter(loader); next(epoch)",
        "epoch = iter(loader); sys.exit(0)",
        "for b in loader: sys.exit(0)",
    ],
)
def test_the_interpreter_exits_clean_in_the_middle_of_an_epoch(ending: str) -> None:
    done = run_python(ENDLESS + ending)
    assert (done.returncode, done.stderr) == (0, "")


def test_an_uncaught_exception_in_the_loop_ends_the_process() -> None:
    done = run_python(ENDLESS + "for b in loader: raise KeyError('mine')")
    assert done.returncode == 1
    assert "KeyError: 'mine'" in done.stderr


# A sample takes more than a second: forty times there and back between dtypes.
SLOW = """
import os, threading, time, numpy as np, npyfeed as nf
from npyfeed import transforms as T
x = np.zeros((4, 64 << 20), "float32")
casts = [T.ToDtype("float64"), T.ToDtype("float16")] * 40
loader = nf.Loader(nf.Dataset(x=x).map(x=casts), 1, threads=1, prefetch=2)
epoch = iter(loader)
"""


@pytest.mark.slow
def test_other_threads_run_while_the_consumer_waits() -> None:
    counting = """
ticks = []
def tick():
    while True: ticks.append(0); time.sleep(0.001)
threading.Thread(target=tick, daemon=True).start()
before = len(ticks); next(epoch); ran = len(ticks) - before
while len(ticks) < before + ran + 20: pass  # the worker has begun the next batch
before = len(ticks); del epoch; ran_while_dropping = len(ticks) - before
print(ran, ran_while_dropping, flush=True); os._exit(0)
"""
    ran, ran_while_dropping = map(int, run_python(SLOW + counting).stdout.split())
    assert ran >= 10
    assert ran_while_dropping >= 1  # a 64th of a sample is waited for


@pytest.mark.slow
def test_ctrl_c_is_answered_while_the_consumer_waits() -> None:
    waiting = """
def interrupt(): time.sleep(0.2); os.kill(os.getpid(), 2); told.append(time.monotonic())
told = []
threading.Thread(target=interrupt).start()
try: next(epoch)
except KeyboardInterrupt: print(time.monotonic() - told[0], flush=True); os._exit(0)
print("the batch came first", flush=True); os._exit(1)
"""
    done = run_python(SLOW + waiting)
    assert done.returncode == 0, done.stdout + done.stderr
    assert float(done.stdout) < 0.1


def test_ctrl_c_ends_a_busy_loop() -> None:
    code = ENDLESS + "print('ready', flush=True)\nwhile True:\n    for b in loader: pass"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        begin = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=30)
        assert b"KeyboardInterrupt" in stderr
        assert process.returncode == -signal.SIGINT
        assert time.monotonic() - begin < 5


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_in_a_forked_child_old_loaders_refuse_and_a_new_one_works(dataset: nf.Dataset) -> None:
    loader = nf.Loader(dataset, 100)
    epoch = iter(loader)
    held = next(epoch)
    child = os.fork()
    if child == 0:
        with pytest.raises(RuntimeError, match="fork"):
            next(epoch)
        with pytest.raises(RuntimeError, match="fork"):
            iter(loader)
        del held, epoch
        os._exit(0 if len(list(nf.Loader(dataset, 100))) == 10 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert len(list(epoch)) == 9

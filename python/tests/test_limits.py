"""What a process may use is kept to: memory, by `ulimit` and by cgroup, and processors."""

import contextlib
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import npyfeed as nf

GIGABYTE = 1 << 30
LIMIT_BYTES = 2 * GIGABYTE
SAMPLE_BYTES = 3 << 18
SAMPLES = 40_960  # 32 GB
CGROUP = Path("/sys/fs/cgroup/memory")

# Every sample says where it lies, in its first eight bytes; the rest was never written. Prints how many there
# were, whether each came once, and the most memory of its own that the process had.
EPOCH = """
import sys, numpy as np, npyfeed as nf
def own_bytes():
    with open("/proc/self/smaps_rollup") as file:
        rows = dict(line.split(":") for line in file if line.startswith("Private_Dirty"))
    return 1024 * int(rows["Private_Dirty"].split()[0])
def mapped_bytes():
    with open("/proc/self/status") as file:
        return 1024 * int(next(line for line in file if line.startswith("RssFile")).split()[1])
loader = nf.Loader(nf.Dataset(x=sys.argv[1]), 64, shuffle=True, seed=1, io=sys.argv[2])
before, most, mapped, seen = own_bytes(), 0, 0, []
for number, batch in enumerate(loader):
    seen.append(batch.x[:, :8].copy().view("<u8"))
    if number % 16 == 0:
        most, mapped = max(most, own_bytes() - before), max(mapped, mapped_bytes())
seen = np.concatenate(seen).ravel()
assert not batch.x[:, 8:].any()
print(len(seen), bool((np.sort(seen) == np.arange(len(seen))).all()), most, mapped)
print(loader.explain(), file=sys.stderr)
"""


@pytest.fixture(scope="module")
def sparse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A file of 32 GB of which 170 MB are on the disk: what was not written reads as zeros."""
    path = tmp_path_factory.mktemp("limits") / "x.npy"
    np.lib.format.open_memmap(path, "w+", np.uint8, (SAMPLES, SAMPLE_BYTES))
    with path.open("r+b") as file:
        for sample in range(SAMPLES):
            os.pwrite(file.fileno(), sample.to_bytes(8, "little"), 128 + sample * SAMPLE_BYTES)
    yield path
    path.unlink()


def run_epoch(
    path: Path, io: str, limit: "contextlib.AbstractContextManager[object]"
) -> tuple[str, int, int]:
    with limit:
        done = subprocess.run(
            [sys.executable, "-c", EPOCH, path, io], capture_output=True, text=True, timeout=300, check=False
        )
    assert done.returncode == 0, done.stderr[-3000:]
    *counted, most, mapped = done.stdout.split()
    return " ".join(counted), int(most), int(mapped)


@contextlib.contextmanager
def private_memory(limit_bytes: int) -> Iterator[None]:
    """Children get no more memory of their own than this: `ulimit -d`."""
    before = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (limit_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)


@contextlib.contextmanager
def cgroup(limit_bytes: int) -> Iterator[None]:
    """This process, and children, in a cgroup that has no more memory than this, the page cache counted."""
    group, before = CGROUP / f"npyfeed-{os.getpid()}", (CGROUP / "cgroup.procs")
    group.mkdir()
    try:
        (group / "memory.limit_in_bytes").write_text(str(limit_bytes))
        (group / "cgroup.procs").write_text(str(os.getpid()))
        yield
    finally:
        before.write_text(str(os.getpid()))
        group.rmdir()


# 48 MB a batch: two filled ahead, up to four more in the pool, and 64 MB for everything else.
BOUND_BYTES = 6 * 64 * SAMPLE_BYTES + (64 << 20)


@pytest.mark.slow
@pytest.mark.parametrize("io", ["auto", "map"])
def test_a_file_of_32_gb_is_shuffled_by_a_process_that_may_have_2_gb(sparse: Path, io: str) -> None:
    counted, most, mapped = run_epoch(sparse, io, private_memory(LIMIT_BYTES))
    assert counted == f"{SAMPLES} True"
    assert most < BOUND_BYTES
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert mapped < memory_bytes / 8 + GIGABYTE  # of the file, an eighth of the memory is resident at most


@pytest.mark.slow
def test_a_file_of_32_gb_is_shuffled_in_a_cgroup_of_2_gb(sparse: Path) -> None:
    if not os.access(CGROUP / "cgroup.procs", os.W_OK):
        pytest.skip(
            f"no cgroup of memory can be made: {CGROUP} is not ours to write (version 1 is looked for)"
        )
    counted, most, _ = run_epoch(sparse, "auto", cgroup(LIMIT_BYTES))
    assert counted == f"{SAMPLES} True"
    assert most < BOUND_BYTES


def test_there_is_a_thread_for_each_processor_that_may_be_used() -> None:
    allowed = os.sched_getaffinity(0)
    dataset = nf.Dataset(x=np.arange(10))
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert nf.Loader(dataset)._native.threads == 1
    finally:
        os.sched_setaffinity(0, allowed)
    assert nf.Loader(dataset)._native.threads == len(allowed)

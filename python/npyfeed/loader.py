"""Batches of a dataset, epoch after epoch, as NumPy arrays.

# Contract: the life of a loader

What the engine promises of one epoch is above its code, in `crates/npyfeed/src/run/mod.rs`. This is what a
Python program sees. Behind each clause: the test that holds it, in `python/tests`.

1. Normal end. After the last batch `StopIteration`, at every further call; its threads have ended.
   (`test_loader.py::test_no_thread_outlives_a_break_an_exception_or_an_end`)
2. Early break, or an exception in the loop. When the iterator dies, its workers finish the piece they are
   in (about 2 MB, or one sample) and end; meanwhile other Python threads run.
   (`test_no_thread_outlives_a_break_an_exception_or_an_end`,
   `test_other_threads_run_while_the_consumer_waits`)
3. Failure. An error while a batch is filled, or a panic of a worker, is raised in place of that batch,
   after the batches before it, and ends the epoch; the loader can begin another. (`test_changed_files.py`;
   the Rust tests of `run/` and `loader.rs` for panics)
4. Drop, at any moment. No thread, descriptor, mapping or buffer stays behind. Batches that are held stay
   valid, and hold their own memory only. (`test_life_cycle.py::test_ten_thousand_loaders_leave_nothing`)
5. Two iterators at once are two epochs, each with threads of its own; neither disturbs the other. The state
   of the loader is that of the one made last.
   (`test_life_cycle.py::test_two_iterators_at_once_do_not_disturb_each_other`)
6. Fork. In the child, loaders and iterators of the parent refuse (RuntimeError) and may be dropped;
   datasets work, and so do new loaders over them. Nothing waits for a thread that did not follow.
   (`test_loader.py::test_in_a_forked_child_old_loaders_refuse_and_a_new_one_works`,
   `test_life_cycle.py::test_a_forked_process_makes_a_loader_over_its_parents_dataset`)
7. Spawn, forkserver and pickling. A pickle carries paths, options and where the loop stands, never elements
   of a file; the loader made of it has threads of its own and gives the same bytes. A file that is another
   by then is an `OSError`; of columns of several files, another number or other names. (`test_pickle.py`)
8. The interpreter's exit, with epochs running and batches alive anywhere, neither hangs nor crashes, and
   the exit code is the program's. (`test_life_cycle.py::test_the_interpreter_ends_with_loaders_running`)
9. Ctrl-C is answered within 100 ms while a batch is waited for, a member inflated, an array copied or
   samples stacked; no batch is lost by it. Not so: a sample drawn without replacement from many millions
   (sorted at `iter`), `flush` to a slow disk, and a system call that hangs (a dead network disk).
   (`test_loader.py::test_ctrl_c_is_answered_while_the_consumer_waits`,
   `test_life_cycle.py::test_ctrl_c_is_answered_within_100_ms_whatever_is_being_done`)
10. Threads, with and without the interpreter's lock. A loader and its iterators may be shared: each batch
   goes to one thread, an error to one, the end to all. Arrays and archives may be used while another thread
   closes them: then they are open or closed, nothing between.
   (`test_life_cycle.py::test_threads_that_share_an_iterator_get_each_batch_once`,
   `test_an_error_in_a_shared_iterator_reaches_one_thread_and_ends_it_for_all`,
   `test_threads_use_arrays_archives_and_loaders_while_others_close_them`)
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, NamedTuple, TypeAlias

from npyfeed import _native
from npyfeed.dataset import Dataset
from npyfeed.errors import MismatchError, UnsupportedError
from npyfeed.samplers import Sampler, Sequential, Shuffle

__all__ = ["Io", "Loader", "Stats"]

Io: TypeAlias = Literal["auto", "map", "pread", "uring", "memory"]
"""Which way the bytes of files come."""


class Stats(NamedTuple):
    """What a loader has done since it was made. Times are nanoseconds."""

    batches: int
    """Batches handed out."""
    samples: int
    """Samples in them."""
    bytes_read: int
    """Bytes of samples read from their sources, for batches handed out or not."""
    bytes_written: int
    """Bytes written to batches, handed out or not."""
    read_ns: int
    """Time that all workers together spent waiting for the bytes of files. Bytes that are read through a map
    arrive while they are transformed: that time is in `fill_ns`."""
    fill_ns: int
    """Time that all workers together spent filling."""
    idle_ns: int
    """Time that all workers together slept because enough was filled ahead."""
    wait_ns: int
    """Time that the consumer spent waiting for a batch."""
    busy_ns: int
    """Time that the consumer spent with its batches, from one to the next."""
    verdict: str
    """What limits the loop, in a sentence: the network, the disk or the processors."""


class Loader:
    """Batches of a dataset, epoch after epoch. Each `iter(loader)` is one epoch.

    A batch is a namedtuple of arrays `[batch, ...]`, one for each column, in memory of its own: keep it
    as long as you like. With `as_dict=True` it is a dict.

    Args:
        dataset: what to go through.
        batch_size: samples in a batch.
        shuffle: whether each epoch is an exact shuffle of all samples, or the dataset's order.
        seed: what orders and random transforms are drawn from. The same seed gives the same bytes, whatever
            the threads.
        drop_last: whether a last batch with fewer samples is left out.
        threads: worker threads; `None`: one for each processor this process may use.
        prefetch: batches filled ahead; `None`: 4, and more if the loop has to wait for them, as many as fit
            `memory`, 64 at most.
        memory: bytes of batches filled ahead, at most; `None`: 64 MiB, or two batches if they are larger.
        io: which way the bytes of files come: "map", mapped pages; "pread", read through the page cache;
            "uring", many at once past the page cache, for what does not fit there; "memory", columns are read
            as a whole when the loader is made; "auto": chosen by what lies in the page cache, again and
            again. `explain()` says which and why. Batches do not depend on it.
        epoch: the number of the first epoch.
        as_dict: whether batches are dicts.
        sampler: in which order an epoch takes which samples, one of `npyfeed.samplers`; instead of `shuffle`.
        rank, world_size: the share of every epoch that this process takes, as number `rank` of `world_size`.
            All of them give the same dataset, order, seed and batch size, and get equally many batches of
            equal sizes. Joined, their batches are one of `world_size * batch_size` samples.
        uneven: what becomes of the last samples if they cannot be shared out evenly. "pad": the first of the
            epoch come once more. "drop": they are left out. As `drop_last` of PyTorch's `DistributedSampler`.

    Raises:
        MismatchError: an option is out of its range, `memory` is less than one batch, `rank` or `world_size`
            comes alone, or the sampler was made for another number of samples.
        UnsupportedError: the dataset is none of ours, an option no integer, or NumPy lacks the dtype.

    >>> import numpy as np, npyfeed as nf
    >>> loader = nf.Loader(nf.Dataset(x=np.arange(10)), batch_size=4)
    >>> [batch.x.tolist() for batch in loader]
    [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]

    A run that was stopped goes on where it was, also with another batch size or world size:

    >>> first = next(iter(loader))
    >>> later = nf.Loader(nf.Dataset(x=np.arange(10)), batch_size=3)
    >>> later.load_state_dict(loader.state_dict())
    >>> [batch.x.tolist() for batch in later]
    [[4, 5, 6], [7, 8, 9]]

    A pickle of a loader carries its dataset (paths), its options and where it stands, and becomes a loader
    with threads of its own that goes on from there.
    """

    def __init__(
        self,
        dataset: Dataset,
        batch_size: int = 1,
        *,
        shuffle: bool = False,
        seed: int = 0,
        drop_last: bool = False,
        threads: int | None = None,
        prefetch: int | None = None,
        memory: int | None = None,
        io: Io = "auto",
        epoch: int = 0,
        as_dict: bool = False,
        sampler: Sampler | None = None,
        rank: int | None = None,
        world_size: int | None = None,
        uneven: Literal["pad", "drop"] = "pad",
    ) -> None:
        if not isinstance(dataset, Dataset):
            raise UnsupportedError(
                f"cannot make a loader: expected an npyfeed.Dataset, found {type(dataset).__name__}; "
                "nf.Dataset(x=numpy.asarray(...)) makes one"
            )
        for name, flag in [("shuffle", shuffle), ("drop_last", drop_last)]:
            if flag not in (True, False):
                raise UnsupportedError(
                    f"cannot make a loader: expected {name} to be True or False, found {flag!r}"
                )
        if (rank is None) != (world_size is None):
            raise MismatchError(
                f"cannot make a loader: expected rank and world_size together, found rank={rank}, "
                f"world_size={world_size}"
            )
        self.dataset = dataset
        self.sampler = _chosen_sampler(sampler, shuffle=shuffle)
        options: _native.LoaderOptions = {
            "batch_size": batch_size,
            "order": self.sampler._order,  # noqa: SLF001, as below
            "seed": seed,
            "drop_last": drop_last,
            "threads": threads,
            "prefetch": prefetch,
            "memory": memory,
            "io": io,
            "epoch": epoch,
            "rank": rank,
            "world_size": world_size,
            "uneven": uneven,
        }
        self._build(options, as_dict=as_dict)

    def _build(self, options: "_native.LoaderOptions", *, as_dict: bool) -> None:
        """The engine's loader over `self.dataset`."""
        self.batch_size = options["batch_size"]
        self.drop_last = options["drop_last"]
        self._options = options
        self._as_dict = as_dict
        self._finish = self._finisher(as_dict=as_dict)
        self._native = _native.Loader(self.dataset._native, options)  # noqa: SLF001, the two are one house

    def __iter__(self) -> Iterator[Any]:
        """The next epoch. Its threads end with it, and with the iterator if that is dropped before."""
        return map(self._finish, iter(self._native))

    def __len__(self) -> int:
        """Batches in a whole epoch, the same for every rank."""
        return len(self._native)

    @property
    def epoch(self) -> int:
        """The epoch that the next `iter` begins."""
        return self._native.epoch

    @property
    def seed(self) -> int:
        """What orders and random transforms are drawn from."""
        return self._native.state()["seed"]

    def set_epoch(self, epoch: int) -> None:
        """Chooses the epoch that the next `iter` begins.

        If that is the epoch in whose midst a state was loaded, it is gone on with.
        """
        self._native.set_epoch(epoch)

    def state_dict(self) -> dict[str, int]:
        """Where the loop stands: a few integers, cheap after every batch.

        Behind the last batch handed out: what is being filled ahead does not count. After the last batch of
        an epoch it is the beginning of the next. All ranks have the same state after equally many batches,
        so that one may save it for all. Of several iterators, it is that of the one made last.
        """
        return self._native.state()

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Goes on from a state: the next `iter` gives the samples not yet handed out, in their order.

        Batch size, world size, threads and prefetch depth may differ from those of the loader that saved it.
        The seed is the state's from now on.

        Raises:
            MismatchError: the state is of a loader with another order or another number of samples, or
                damaged.
            UnsupportedError: it is no mapping, or holds something else than integers.
        """
        if not isinstance(state, Mapping):
            raise UnsupportedError(
                f"cannot load the state: expected what state_dict() gave, found {type(state).__name__}"
            )
        self._native.load_state(dict(state))
        self._options["seed"] = int(state["seed"])

    def stats(self) -> Stats:
        """What has been done so far, and what limits the loop."""
        return Stats(**self._native.stats(), verdict=self._native.verdict())

    def explain(self) -> str:
        """What was chosen and why, and what limits the loop, in a few lines for people to read.

        >>> import numpy as np, npyfeed as nf
        >>> print(nf.Loader(nf.Dataset(x=np.arange(10)), batch_size=4, threads=1).explain())
        batches   3 an epoch, of 4 samples in the order of the dataset
        threads   1: as asked for
        prefetch  4 batches by now, 64 at most if need be: as many as 67.11 MB hold, two at least
        column    x: int64 [] of 'memory' to int64 []
                  memory: it lies in memory, as a file of at most 16 KiB does
                  kernel 'move', 8 bytes in, 8 out
        verdict   nothing measured yet: no batch was taken
        """
        return self._native.explain()

    def __reduce__(self) -> tuple[Any, ...]:
        options = {**self._options, "order": None}  # the sampler has it
        made_of = (self.dataset, self.sampler, options, self._as_dict)
        return _made_again, (type(self), made_of, self.state_dict())

    def __repr__(self) -> str:
        chosen = {"threads": self._native.threads, "prefetch": self._native.prefetch}
        options = {**self._options, **chosen, "order": self.sampler}
        said = ", ".join(f"{name}={value}" for name, value in options.items())
        name = f"{type(self).__module__.removesuffix('.loader')}.{type(self).__name__}"
        return f"<{name} of {self.dataset!r}, {said}>"

    def _finisher(self, *, as_dict: bool) -> Callable[[tuple[Any, ...]], Any]:
        """What makes a batch of the engine's arrays."""
        self.dataset._refuse_what_numpy_lacks()  # noqa: SLF001, the two are one house
        if as_dict:
            columns = self.dataset.columns
            return lambda arrays: dict(zip(columns, arrays, strict=True))
        make: Callable[[tuple[Any, ...]], Any] = self.dataset.batch_type._make
        return make


def _made_again(
    loader_type: type[Loader],
    made_of: tuple[Dataset, Sampler, dict[str, Any], bool],
    state: dict[str, int],
) -> Loader:
    """A loader out of its pickle: it stands where the other one stood, and has threads of its own."""
    loader = loader_type.__new__(loader_type)
    loader.dataset, loader.sampler, options, as_dict = made_of
    chosen: Any = {**options, "order": loader.sampler._order}  # noqa: SLF001, the two are one house
    loader._build(chosen, as_dict=as_dict)  # noqa: SLF001, made here
    loader.load_state_dict(state)
    return loader


def _chosen_sampler(sampler: Sampler | None, *, shuffle: bool) -> Sampler:
    if sampler is None:
        return Shuffle() if shuffle else Sequential()
    if not isinstance(sampler, Sampler):
        raise UnsupportedError(
            "cannot make a loader: expected a sampler from npyfeed.samplers, found "
            f"{type(sampler).__name__}; Explicit(list(sampler)) takes one epoch of another, rank= and "
            "world_size= stand for a DistributedSampler"
        )
    if shuffle:
        raise MismatchError(
            "cannot make a loader: expected shuffle=True or a sampler, found both; leave out shuffle beside "
            f"{sampler!r}"
        )
    return sampler

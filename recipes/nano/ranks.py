"""Several processes that train one model together, and how they end: all of them, whichever fails or is told to."""

import os
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import get_context, parent_process, set_start_method
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from threading import Event, Thread

import torch.distributed as dist

from ossia.cli._display import said
from ossia.errors import OssiaError

__all__ = ["on_signals", "run_ranks"]


def run_ranks(work: Callable[[int], None], count: int) -> None:
    """Run `work` with the number of its rank in `count` processes of one group, and end them all when one fails.

    Raises OssiaError with what the one that failed said; so do they end when this process is interrupted or killed.
    """
    port, start_anew, ranks = _free_port(), get_context("spawn"), list[SpawnProcess]()
    told, tell = start_anew.Pipe(duplex=False)
    try:
        # They do not hear ctrl-c, which is for this process to heed.
        with on_signals(signal.SIG_IGN, signal.SIGINT):
            for rank in range(count):
                one = start_anew.Process(target=_rank, args=(work, rank, count, port, tell), daemon=True)
                one.start()
                ranks.append(one)
        _wait(ranks, told)
    finally:
        for one in ranks:
            one.kill()
            one.join()


@contextmanager
def on_signals(handler: Callable[..., object] | signal.Handlers, *numbers: int) -> Iterator[None]:
    """Handle signals in another way for a while."""
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


def _wait(ranks: Sequence[SpawnProcess], told: Connection) -> None:
    """Until all have ended. Raises OssiaError when one has failed."""
    while True:
        running = [one.sentinel for one in ranks if one.is_alive()]
        if told.poll():
            raise OssiaError(told.recv())
        if failed := [one.exitcode for one in ranks if one.exitcode]:
            raise OssiaError(f"a process ended with status {failed[0]}; the same command goes on from the checkpoint")
        if not running:
            return
        wait([told, *running])


def _rank(work: Callable[[int], None], rank: int, count: int, port: int, tell: Connection) -> None:
    """One of the processes. It tells its parent of an error, and waits to be ended, lest the others complain."""
    Thread(target=_end_with_parent, daemon=True).start()
    # Locks that libraries make are then without a name, of which Python would complain when this process is killed.
    set_start_method("fork", force=True)
    try:
        dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=count)
        work(rank)
        dist.destroy_process_group()
    except (OssiaError, OSError, MemoryError) as error:
        tell.send(said(error))
        Event().wait()


def _end_with_parent() -> None:
    """End this process as soon as its parent has ended, even by a signal that nothing can heed."""
    if (parent := parent_process()) is not None:
        parent.join()
        os._exit(1)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]

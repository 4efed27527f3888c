"""One training run on several processes, as ``torchrun`` starts them, one a GPU.

Every batch is the sampler's, shared out slot by slot: rank r of R learns from slots r, r + R, ...
Losses are divided by totals over all ranks, gradients averaged and batch norms told the statistics of
the whole batch, so all ranks hold the weights that one process would, but for dropout, which draws other masks
on each. One process is a group of one.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import uuid4

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed import PrefixStore  # type: ignore[attr-defined]
from torch.distributed.rendezvous import rendezvous

from e2espot.core.errors import ConfigurationError

_LOOK_S = 0.1
_LONGEST_WAIT = timedelta(hours=4)
"""Rank 0 may judge valid games for long while the others wait."""


@dataclass(frozen=True, kw_only=True)
class Ranks:
    """This process among those of the run."""

    rank: int = 0
    """Which one this is."""
    count: int = 1
    """How many there are."""
    local_rank: int = 0
    """Which one on this machine; its GPU."""

    @property
    def is_first(self) -> bool:
        """Whether this one writes, prints and judges."""
        return self.rank == 0

    def slots(self, batch_size: int) -> range:
        """Clips of each batch that are this process's.

        Raises:
            ConfigurationError: the batch cannot be shared out evenly.
        """
        if batch_size % self.count:
            raise ConfigurationError(
                f"--batch_size {batch_size} cannot be shared by {self.count} processes; make it a multiple"
            )
        return range(self.rank, batch_size, self.count)

    def indexes(self, own: Sequence[int]) -> range:
        """Indexes of all processes' clips in the (part of a) batch of which ``own`` are this one's."""
        first = own[0] - self.rank
        return range(first, first + self.count * len(own))

    def fetch(self, own_B: Tensor, source_G: np.ndarray) -> Tensor:
        """What lies in slot ``source_G[s]``, for each own slot ``s`` of a batch; all must ask together.

        Each process sends and receives no more than it holds, however many there are.

        Args:
            own_B: What lies in this process's slots.
            source_G: A permutation of all slots, the same on all processes.
        """
        if self.count == 1:
            return own_B[torch.from_numpy(source_G).to(own_B.device)]
        route = route_of(source_G, self.rank, self.count)
        sent = _bytes(own_B[torch.from_numpy(route.sent).to(own_B.device)])
        came = torch.empty_like(sent)
        dist.all_to_all_single(came, sent, route.num_from.tolist(), route.num_to.tolist())
        return came[torch.from_numpy(route.order).to(own_B.device)].view(own_B.dtype).view(own_B.shape)

    def average(self, tensors: Iterable[Tensor]) -> None:
        """Replace each tensor by its mean over all processes."""
        if self.count > 1:
            for tensor in tensors:
                dist.all_reduce(tensor)
                tensor /= self.count

    def share(self, total: Tensor, least: float) -> Tensor:
        """Total over all processes, at least ``least``, divided by their number: see ``losses.Share``."""
        if self.count == 1:
            return total.clamp_min(least)
        total = total.detach().to(torch.float64, copy=True)
        dist.all_reduce(total)
        return total.clamp_min(least) / self.count

    def any(self, flag: bool, device: torch.device) -> bool:
        """Whether ``flag`` is set on any process; all must ask together."""
        if self.count == 1:
            return flag
        told = torch.tensor(float(flag), device=device)
        dist.all_reduce(told)
        return bool(told > 0)

    def copy_first(self, tensors: Iterable[Tensor]) -> None:
        """Replace each tensor by rank 0's."""
        if self.count > 1:
            for tensor in tensors:
                dist.broadcast(tensor, 0)

    def wait(self) -> None:
        """Go on when all have come here."""
        if self.count > 1:
            dist.barrier()


@dataclass(frozen=True, kw_only=True, eq=False)
class Route:
    """How the slots of a batch change places, as one process sees it."""

    sent: np.ndarray
    """Own rows to send, those for rank 0 first."""
    num_to: np.ndarray
    """How many of them each rank gets."""
    num_from: np.ndarray
    """How many rows each rank sends here; they come in this order."""
    order: np.ndarray
    """Which of the rows that come belongs in each own slot."""


def route_of(source_G: np.ndarray, rank: int, count: int) -> Route:
    """Route of a permutation of all slots among ``count`` processes; see :meth:`Ranks.fetch`."""
    slot_RB = source_G.reshape(-1, count).T  # what each process wants, in the order of its own slots
    asked_RB = slot_RB % count == rank
    holder_B = slot_RB[rank] % count
    return Route(
        sent=slot_RB[asked_RB] // count,
        num_to=asked_RB.sum(1),
        num_from=np.bincount(holder_B, minlength=count),
        order=np.argsort(np.argsort(holder_B, kind="stable")),
    )


def _bytes(rows: Tensor) -> Tensor:
    """One row of bytes each: gloo does not know every kind of number."""
    return rows.contiguous().flatten(1).view(torch.uint8)


def join_ranks(device_type: str) -> Ranks:
    """Join the processes ``torchrun`` has started; a group of one without it.

    Raises:
        ConfigurationError: the environment speaks of several processes, but not of where they meet.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        return Ranks()
    missing = [name for name in ("RANK", "MASTER_ADDR", "MASTER_PORT") if name not in os.environ]
    if missing:
        raise ConfigurationError(
            f"WORLD_SIZE is {count}, but {', '.join(missing)} is not set; start with torchrun, or unset WORLD_SIZE"
        )
    ranks = Ranks(rank=int(os.environ["RANK"]), count=count, local_rank=int(os.environ.get("LOCAL_RANK", "0")))
    if not dist.is_initialized():
        if device_type == "cuda":
            torch.cuda.set_device(ranks.local_rank)
        _meet(ranks, "nccl" if device_type == "cuda" else "gloo")
    return ranks


def _meet(ranks: Ranks, backend: str) -> None:
    """Join the group through the store that torchrun keeps, in a room of its own for each time it has started us.

    torch 2.14 keeps one store over all restarts: without a room, those started again find the dead ones' addresses.
    Its count of restarts does not name one: each machine counts its own.
    """
    store = next(iter(rendezvous("env://", timeout=_LONGEST_WAIT)))[0]
    store.set_timeout(_LONGEST_WAIT)
    room = PrefixStore(common_room(store, ranks), store)
    dist.init_process_group(backend, store=room, rank=ranks.rank, world_size=ranks.count, timeout=_LONGEST_WAIT)


def common_room(store: Any, ranks: Ranks) -> str:
    """A name that all processes of this start agree on, and none of an earlier one knows.

    Rank 0 opens a room and calls the roll of those who come. Who comes to a room of dead ones is not on its roll, and
    waits for the next. All of an earlier start are dead by then: torchrun ends them before it starts others.
    """
    own = uuid4().hex
    if ranks.is_first:
        store.set("room", own)
        came = [store.get(f"{own}/{rank}").decode() for rank in range(1, ranks.count)]
        store.set(f"{own}/roll", " ".join(came))
        return own
    while True:
        room = store.get("room").decode()
        store.set(f"{room}/{ranks.rank}", own)
        while store.get("room").decode() == room:
            if store.check([f"{room}/roll"]) and own in store.get(f"{room}/roll").decode().split():
                return str(room)
            time.sleep(_LOOK_S)


def leave_ranks() -> None:
    """Leave the group, if there is one."""
    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()

"""One training run on several processes, started by ``torchrun``, one per GPU.

The sampler's batches are dealt out slot by slot: of R processes, rank r learns from slots r, r + R, ... ::

    # batch of 6 clips, 2 processes
    # slot   0 1 2 3 4 5
    # rank   0 1 0 1 0 1

Losses are divided by totals over all ranks, gradients are averaged, and batch norms use the statistics of the
whole batch. So all ranks hold the weights that a single process would have, except for dropout, which draws other
masks on each. A single process is a group of one.
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

_POLL_S = 0.1
_TIMEOUT = timedelta(hours=4)
"""Rank 0 may validate for a long time while the others wait."""


@dataclass(frozen=True, kw_only=True)
class ProcessGroup:
    """The processes of a run, as one of them sees them. Collective methods must be called by all."""

    rank: int = 0
    """Number of this process."""
    world_size: int = 1
    """Number of processes."""
    local_rank: int = 0
    """Number of this process on its machine, and of its GPU."""

    @property
    def is_main(self) -> bool:
        """Whether this is rank 0, which writes, prints and validates."""
        return self.rank == 0

    def local_slots(self, batch_size: int) -> range:
        """Slots of each batch that belong to this process.

        Raises:
            ConfigurationError: the batch cannot be divided evenly.
        """
        if batch_size % self.world_size:
            raise ConfigurationError(
                f"batch_size {batch_size} cannot be divided among {self.world_size} processes; make it a multiple",
                option="batch_size",
            )
        return range(self.rank, batch_size, self.world_size)

    def global_indexes(self, local: Sequence[int]) -> range:
        """Clip indexes of all processes in the (part of a) batch of which this process has ``local``.

        # rank 1 of 2, local (5, 7) -> range(4, 8)
        """
        first = local[0] - self.rank
        return range(first, first + self.world_size * len(local))

    def gather(self, local_B: Tensor) -> Tensor:
        """Values of all slots, from those of this process's slots; collective.

        # 2 processes: rank 0 has (a, c), rank 1 has (b, d) -> (a, b, c, d) on both
        """
        if self.world_size == 1:
            return local_B
        parts = [torch.empty_like(local_B) for _ in range(self.world_size)]
        dist.all_gather(parts, local_B.contiguous())
        return torch.stack(parts, dim=1).flatten(0, 1)

    def permute(self, local_B: Tensor, source_G: np.ndarray) -> Tensor:
        """For each local slot ``s``, the row of slot ``source_G[s]``, whichever process holds it; collective.

        Each process sends and receives no more than it holds, however many there are.

        Args:
            local_B: Rows of this process's slots.
            source_G: A permutation of all slots, the same on all processes.
        """
        if self.world_size == 1:
            return local_B[torch.from_numpy(source_G).to(local_B.device)]
        plan = plan_exchange(source_G, self.rank, self.world_size)
        sent = _as_bytes(local_B[torch.from_numpy(plan.send_rows).to(local_B.device)])
        received = torch.empty_like(sent)
        dist.all_to_all_single(received, sent, plan.num_from.tolist(), plan.num_to.tolist())
        return received[torch.from_numpy(plan.order).to(local_B.device)].view(local_B.dtype).view(local_B.shape)

    def average(self, tensors: Iterable[Tensor]) -> None:
        """Replace each tensor by its mean over all processes; collective."""
        if self.world_size > 1:
            for tensor in tensors:
                dist.all_reduce(tensor)
                tensor /= self.world_size

    def normalizer(self, total: Tensor, minimum: float) -> Tensor:
        """The total over all processes, at least ``minimum``, divided by their number; collective.

        A sum of losses divided by it is a share of the mean: see ``losses.Normalizer``.
        """
        if self.world_size == 1:
            return total.clamp_min(minimum)
        total = total.detach().to(torch.float64, copy=True)
        dist.all_reduce(total)
        return total.clamp_min(minimum) / self.world_size

    def any(self, flag: bool, device: torch.device) -> bool:
        """Whether ``flag`` is set on any process; collective."""
        if self.world_size == 1:
            return flag
        count = torch.tensor(float(flag), device=device)
        dist.all_reduce(count)
        return bool(count > 0)

    def broadcast(self, tensors: Iterable[Tensor]) -> None:
        """Replace each tensor by rank 0's; collective."""
        if self.world_size > 1:
            for tensor in tensors:
                dist.broadcast(tensor, 0)

    def barrier(self) -> None:
        """Wait until all processes have called this."""
        if self.world_size > 1:
            dist.barrier()


@dataclass(frozen=True, kw_only=True, eq=False)
class ExchangePlan:
    """How one process takes part in a permutation of the slots of a batch."""

    send_rows: np.ndarray
    """Local rows to send, those for rank 0 first."""
    num_to: np.ndarray
    """How many of them each rank gets."""
    num_from: np.ndarray
    """How many rows each rank sends here; they arrive in order of rank."""
    order: np.ndarray
    """Which of the received rows belongs in each local slot."""


def plan_exchange(source_G: np.ndarray, rank: int, world_size: int) -> ExchangePlan:
    """Plan of a permutation of all slots; see :meth:`ProcessGroup.permute`.

    # 2 processes, source_G = (3, 0, 1, 2): slot 0 wants the row of slot 3, slot 1 that of slot 0, ...
    #
    #              local slots   wants slots   held by
    #   rank 0     0  2          3  1          rank 1, rank 1
    #   rank 1     1  3          0  2          rank 0, rank 0
    #
    # rank 0 sends its rows (0, 1), which are slots (0, 2), to rank 1, and receives slots (3, 1) in that order.
    """
    wanted_RB = source_G.reshape(-1, world_size).T  # by rank, in the order of its local slots
    # A sender goes through the ranks and, for each, through its slots. So rows arrive by sender, then by local slot.
    held_here_RB = wanted_RB % world_size == rank
    sender_B = wanted_RB[rank] % world_size
    return ExchangePlan(
        send_rows=wanted_RB[held_here_RB] // world_size,
        num_to=held_here_RB.sum(1),
        num_from=np.bincount(sender_B, minlength=world_size),
        # senders (1, 0, 1) of slots 0, 1, 2: rows arrive for slots (1, 0, 2), so slot 0 takes row 1: (1, 0, 2)
        order=np.argsort(np.argsort(sender_B, kind="stable")),
    )


def _as_bytes(rows: Tensor) -> Tensor:
    """Each row as bytes, because gloo does not support every dtype."""
    return rows.contiguous().flatten(1).view(torch.uint8)


def init_process_group(device_type: str) -> ProcessGroup:
    """Join the processes that ``torchrun`` has started; a group of one without it.

    Raises:
        ConfigurationError: the environment names several processes, but not where they meet.
    """
    world_size = int(os.environ.get("WORLD_SIZE", "1"))
    if world_size == 1:
        return ProcessGroup()
    missing = [name for name in ("RANK", "MASTER_ADDR", "MASTER_PORT") if name not in os.environ]
    if missing:
        raise ConfigurationError(
            f"WORLD_SIZE is {world_size}, but {', '.join(missing)} is not set; start with torchrun, or unset WORLD_SIZE"
        )
    group = ProcessGroup(
        rank=int(os.environ["RANK"]), world_size=world_size, local_rank=int(os.environ.get("LOCAL_RANK", "0"))
    )
    if not dist.is_initialized():
        if device_type == "cuda":
            torch.cuda.set_device(group.local_rank)
        _connect(group, "nccl" if device_type == "cuda" else "gloo")
    return group


def _connect(group: ProcessGroup, backend: str) -> None:
    """Initialise torch's group through torchrun's store, under a key prefix of its own for each restart.

    torch 2.14 keeps one store over all restarts: without a prefix, restarted processes find the addresses of dead
    ones. torchrun's restart count cannot serve as the prefix, because each machine counts its own.
    """
    store = next(iter(rendezvous("env://", timeout=_TIMEOUT)))[0]
    store.set_timeout(_TIMEOUT)
    prefixed = PrefixStore(rendezvous_prefix(store, group), store)
    dist.init_process_group(backend, store=prefixed, rank=group.rank, world_size=group.world_size, timeout=_TIMEOUT)


def rendezvous_prefix(store: Any, group: ProcessGroup) -> str:
    """A key prefix that all processes of this start agree on and that no earlier start has used.

    Rank 0 publishes a prefix, waits until every other rank has registered a token under it, and then publishes the
    list of these tokens. A rank that finds the prefix of an earlier start is not on that list, and waits for the
    next prefix. All processes of an earlier start are dead by then: torchrun ends them before it starts others.

    ::

        room                 the current prefix
        <prefix>/<rank>      token of the process that registered as this rank
        <prefix>/roll        tokens of all ranks that are in
    """
    token = uuid4().hex
    if group.is_main:
        store.set("room", token)
        registered = [store.get(f"{token}/{rank}").decode() for rank in range(1, group.world_size)]
        store.set(f"{token}/roll", " ".join(registered))
        return token
    while True:
        prefix = store.get("room").decode()
        store.set(f"{prefix}/{group.rank}", token)
        while store.get("room").decode() == prefix:
            if store.check([f"{prefix}/roll"]) and token in store.get(f"{prefix}/roll").decode().split():
                return str(prefix)
            time.sleep(_POLL_S)


def destroy_process_group() -> None:
    """Leave the group, if there is one."""
    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()

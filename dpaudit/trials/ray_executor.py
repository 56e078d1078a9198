"""A `concurrent.futures.Executor` on a Ray cluster; Ray has none of its own."""

import logging
import os
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future, InvalidStateError
from dataclasses import dataclass
from typing import Any

from dpaudit.errors import UsageError
from dpaudit.trials.executors import ENVIRONMENT
from dpaudit.trials.shipping import Source

__all__ = ["RayExecutor"]

_REMEDY = (
    "`ray start --head` on the first machine and RAY_ADDRESS=<it>:6379, or ray.init() before the audit; "
    "for this machine alone executor=None does the same without Ray"
)


class RayExecutor(Executor):
    """Runs each task as one Ray task. Joins a cluster, and never starts one unless told to (``address="local"``).

    Ray repeats nothing: a task whose worker or node dies ends with Ray's error, and whoever sent it decides. What is
    not yet done when its future is cancelled is cancelled in the cluster as well. The package must be installed on
    all nodes, in the same versions; training function and data travel by themselves.

    Args:
        address: of the cluster; None: the one this process has joined, else $RAY_ADDRESS, else the one that runs on
            this machine; "local" starts one here.
        num_cpus: CPUs that one task takes.
        num_gpus: GPUs that one task takes; .25 puts four on one.
        resources: other resources that one task takes, by name.
        options: anything else for ``ray.remote``, such as ``scheduling_strategy`` or ``runtime_env``.

    Raises:
        UsageError: Ray is not installed, there is no cluster, or it has not the resources for one task.
    """

    def __init__(
        self,
        address: str | None = None,
        *,
        num_cpus: float = 1.0,
        num_gpus: float = 0.0,
        resources: Mapping[str, float] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self._ray, self._joined = _joined(address)
        needs = {"CPU": num_cpus, "GPU": num_gpus, **(resources or {})}
        given = dict(options or {})
        environment = dict(given.pop("runtime_env", {}))
        environment["env_vars"] = ENVIRONMENT | dict(environment.get("env_vars", {}))
        self._needs = {name: amount for name, amount in needs.items() if amount > 0}
        self._call = self._ray.remote(_run).options(
            **{
                "num_cpus": num_cpus,
                "num_gpus": num_gpus,
                "resources": dict(resources or {}),
                "runtime_env": environment,
                "max_retries": 0,
                "retry_exceptions": False,
            }
            | given
        )
        if not self.workers:
            has = {name: self._ray.cluster_resources().get(name, 0.0) for name in self._needs}
            self.shutdown()
            raise UsageError("the Ray cluster has no room for one task", allowed=f"{self._needs}", got=f"{has}")

    @property
    def workers(self) -> int:
        """Tasks that the whole cluster can run at a time."""
        there = self._ray.cluster_resources()
        return int(min((there.get(name, 0.0) / amount for name, amount in self._needs.items()), default=1.0))

    def keep(self, content: bytes) -> Source:
        """Put `content` into Ray's object store once; workers on one node share it."""
        return _RayObject((self._ray.put(content),))

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Start one task."""
        future: Future[Any] = Future()
        reference = self._call.remote(fn, args, kwargs)
        reference.future().add_done_callback(lambda done: _settle(future, done))
        future.add_done_callback(lambda made: self._ray.cancel(reference) if made.cancelled() else None)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Leave the cluster, if it was joined here; it goes on without us."""
        if self._joined:
            self._joined = False
            self._ray.shutdown()


@dataclass(frozen=True)
class _RayObject:
    """Bytes in the object store. The reference is in a tuple: alone, Ray would fetch it for every task."""

    reference: tuple[Any]

    def read(self) -> bytes:
        import ray

        try:
            content: bytes = ray.get(self.reference[0])
        except ray.exceptions.RayError as error:  # the node that held it is gone
            raise OSError(f"{type(error).__name__}: {error}") from None
        return content


@dataclass(frozen=True)
class _Raised:
    """What a task raised: Ray would wrap it, and lose the type of what is no Exception."""

    error: BaseException


def _run(fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    try:
        return fn(*args, **kwargs)
    except BaseException as error:
        return _Raised(error)


def _settle(future: "Future[Any]", done: "Future[Any]") -> None:
    """Hand on what Ray says, unless the future was cancelled meanwhile. Raises nothing: nobody would hear it."""
    try:
        made = done.result()
        error = made.error if isinstance(made, _Raised) else None
    except BaseException as raised:
        made, error = None, raised
    try:
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(made)
    except InvalidStateError:
        pass


def _joined(address: str | None) -> tuple[Any, bool]:
    """Ray, and whether it was joined just now."""
    try:
        import ray
    except ImportError:
        raise UsageError("Ray is not installed", remedy="pip install 'dpaudit[ray]'") from None
    if ray.is_initialized():
        return ray, False
    where = address or os.environ.get("RAY_ADDRESS") or "auto"
    try:
        ray.init(address=where, log_to_driver=False, logging_level=logging.WARNING)
    except Exception as error:  # nobody answers, no token, an address that is none
        told = " ".join(str(error).split())[:200]
        raise UsageError("no Ray cluster to run on", got=f"{where}: {told}", remedy=_REMEDY) from None
    return ray, True

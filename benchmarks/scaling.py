"""How trials scale from one local worker to two, and what a trial on Ray costs besides itself.

    python benchmarks/scaling.py                     # local workers
    python benchmarks/scaling.py --ray               # and a Ray of two CPUs on this machine

Rounds alternate, so that other work on the machine meets all of them; the ratio is that of the medians. On an idle
machine with two cores it should be at least 1.8. A trial is a fixed amount of arithmetic (or, with --sleep, of
waiting, which also scales where the cores are busy). Overhead a trial: wall x workers / trials - the trial itself.
"""

import argparse
import json
import os
import tempfile
import time
from contextlib import ExitStack

import numpy as np

from dpaudit.bench.machine import machine
from dpaudit.mechanisms.known import zero_or_one
from dpaudit.release import Release
from dpaudit.trials import Game, Payload, RayExecutor, Runner, Schedule


class Work:
    """A trial of about so many seconds, on an idle core."""

    def __init__(self, seconds, sleep):
        self.turns, self.seconds = max(1, round(seconds * 25_000)), seconds if sleep else 0.0

    def run(self, data, seed):
        values = np.random.default_rng(seed).standard_normal(50_000)
        if self.seconds:
            time.sleep(self.seconds)
        else:
            for _ in range(self.turns):
                values = values * 0.999 + 0.001
        return Release(float(values.sum()))


class Value:
    def statistics(self, release, neighbors):
        return {"value": release.value}


def one_round(runner, trials):
    """Wall seconds, and seconds of one trial as it measured itself."""
    began = time.perf_counter()
    took = [outcome.seconds for outcome in runner.run(trials)]
    return time.perf_counter() - began, float(np.mean(took))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=200, help="a round")
    parser.add_argument("--seconds", type=float, default=0.02, help="of one trial")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sleep", action="store_true", help="trials wait instead of computing")
    parser.add_argument("--ray", action="store_true")
    given = parser.parse_args()

    game = Game(Work(given.seconds, given.sleep), zero_or_one(), Value())
    trials = [Schedule(0).trial(i) for i in range(given.trials)]
    with ExitStack() as stack:
        payload = stack.enter_context(Payload(game))
        runners = {f"{n} local": stack.enter_context(Runner(payload, workers=n)) for n in (1, 2)}
        if given.ray:
            runners["2 ray"] = stack.enter_context(Runner(payload, executor=stack.enter_context(ray_here())))
        rounds = {name: [] for name in runners}
        for runner in runners.values():
            one_round(runner, trials[:20])  # workers start, and load the game
        for _ in range(given.rounds):
            for name, runner in runners.items():
                rounds[name].append(one_round(runner, trials))
    found = {"machine": machine(), "load": os.getloadavg()[0], "trials": given.trials}
    for name, runner in runners.items():
        wall, each = (float(np.median(column)) for column in zip(*rounds[name], strict=True))
        overhead = 1000 * (wall * runner.workers / given.trials - each)
        found[name] = {"seconds": wall, "trial_ms": 1000 * each, "overhead_ms": overhead}
    found["scaling"] = found["1 local"]["seconds"] / found["2 local"]["seconds"]
    print(json.dumps(found, indent=2))


def ray_here():
    """A Ray of this machine; it writes a token into HOME, here a temporary one."""
    os.environ |= {"HOME": tempfile.mkdtemp(), "RAY_USAGE_STATS_ENABLED": "0"}
    import ray

    ray.init(num_cpus=2, include_dashboard=False, object_store_memory=80 * 2**20, log_to_driver=False)
    return RayExecutor()


if __name__ == "__main__":
    main()

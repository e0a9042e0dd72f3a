"""Measures all contenders side by side: `python bench/run.py` (`make bench`).

For each workload: the data, the check that all do the same work, the memory of each, then rounds in turn of
the limits and all contenders, each measurement in a process of its own. The table goes to stdout, progress to
stderr, the record to `bench/record/`. README.md says what each figure means.
"""

from __future__ import annotations

import argparse
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import launch
from contenders import CONTENDERS
from equal_work import differences
from picture import draw
from report import Outcome, Run, table, write_record
from workloads import QUICK_DIVISOR, WORKLOADS, Workload
from written import prepare

BUSY_LOAD = 0.5


@dataclass(frozen=True)
class Plan:
    """What is measured, how often and how long."""

    workloads: list[str]
    contenders: list[str]
    threads: int
    rounds: int
    seconds: float
    divisor: int

    def options(self) -> list[str]:
        """For `measure.py`."""
        return [
            f"--threads={self.threads}",
            f"--seconds={self.seconds}",
            f"--divisor={self.divisor}",
        ]


def main() -> int:
    """Exit status 0; 1 if a measurement fails or the contenders do not do the same work."""
    arguments = _parse()
    missing = {name: packages for name in CONTENDERS if (packages := CONTENDERS[name].missing())}
    plan = _plan(arguments, missing)
    run = Run(sys.argv[1:], os.getloadavg()[0], [], {} if arguments.contender else missing)
    _warn(run)
    try:
        launch.build_limit()
        for name in plan.workloads:
            outcome = _measure(WORKLOADS[name](plan.divisor), plan)
            print(f"\n{outcome.workload}, batch {outcome.batch_size}\n\n{table(outcome)}\n", flush=True)
            run.outcomes.append(outcome)
    except launch.MeasurementError as error:
        _say(f"error: {error}")
        return 1
    if arguments.quick:
        _say("a quick run is a trial: it is not recorded")
    else:
        _record(run)
    return 0


def _record(run: Run) -> None:
    record = write_record(run)
    _say(f"recorded in bench/record/{record.name}")
    try:
        _say(f"drawn in bench/record/{draw(record.with_suffix('.json')).name}")
    except ModuleNotFoundError as error:
        _say(f"warning: no picture: {error}")


def _warn(run: Run) -> None:
    if run.load > BUSY_LOAD:
        _say(f"warning: the machine is busy (load {run.load:.1f}): figures will drift")
        _say("hint: end other programs, then repeat")
    for name, packages in run.missing.items():
        _say(f"warning: {name} is left out: {', '.join(packages)} not installed")
    if run.missing:
        _say("hint: `make bench` installs the peers, `make build` npyfeed itself")


def _measure(workload: Workload, plan: Plan) -> Outcome:
    _say(f"{workload.name}: data")
    prepare(workload)
    outcome = Outcome(workload.name, workload.batch_size, workload.sample_bytes_in, workload.sample_bytes_out)
    for name in plan.contenders:
        if reason := CONTENDERS[name].cannot.get(workload.kind):
            _say(f"{workload.name}: without {name}: {reason}")
            outcome.left_out[name] = reason
    plan = replace(plan, contenders=[name for name in plan.contenders if name not in outcome.left_out])
    _examine(workload, plan, outcome)
    for turn in range(plan.rounds):
        _round(workload, plan, outcome, turn)
    return outcome


def _examine(workload: Workload, plan: Plan, outcome: Outcome) -> None:
    """Fail before anything is timed if the contenders do not do the same work; note their memory.

    Two contenders at a time: no clock runs here, and a process's memory is its own.
    """

    def examine(name: str) -> None:
        _say(f"{workload.name}: equal work and memory, {name}")
        outcome.checks[name] = launch.measure("check", workload, name, plan.options())
        outcome.memory[name] = launch.measure_memory(workload, name, plan.options())

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(examine, plan.contenders))
    different = differences(workload, outcome.checks)
    if different:
        raise launch.MeasurementError("not the same work:\n  " + "\n  ".join(different))


def _round(workload: Workload, plan: Plan, outcome: Outcome, turn: int) -> None:
    """One measurement of everything in turn, so that a drift of the machine meets all alike."""
    for store in launch.STORES:
        _say(f"{workload.name}: round {turn + 1} of {plan.rounds}, limit, {store} stores")
        answer = launch.measure_limit(workload, store, plan.threads, plan.seconds)
        if answer is not None:
            outcome.rates.setdefault(f"limit-{store}", []).append(answer)
    for name in plan.contenders:
        _say(f"{workload.name}: round {turn + 1} of {plan.rounds}, {name}")
        answer = launch.measure("rate", workload, name, plan.options())
        outcome.rates.setdefault(name, []).append(answer)


def _parse() -> argparse.Namespace:
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=form)
    parser.add_argument("--workload", nargs="+", choices=WORKLOADS, default=list(WORKLOADS))
    parser.add_argument("--contender", nargs="+", choices=CONTENDERS, help="default: all that are installed")
    parser.add_argument("--rounds", type=_positive, default=3, help="measurements of each contender (3)")
    parser.add_argument("--threads", type=_positive, default=2, help="threads or workers of each (2)")
    parser.add_argument("--quick", action="store_true", help="a trial: 1/8 of the data, one round")
    arguments = parser.parse_args()
    for name in arguments.contender or []:
        if missing := CONTENDERS[name].missing():
            parser.error(f"{name} needs {', '.join(missing)}, not installed")
    return arguments


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected at least 1, found {value}")
    return value


def _plan(arguments: argparse.Namespace, missing: dict[str, list[str]]) -> Plan:
    return Plan(
        workloads=arguments.workload,
        contenders=arguments.contender or [name for name in CONTENDERS if name not in missing],
        threads=arguments.threads,
        rounds=1 if arguments.quick else arguments.rounds,
        seconds=1.0 if arguments.quick else 1.5,
        divisor=QUICK_DIVISOR if arguments.quick else 1,
    )


def _say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())

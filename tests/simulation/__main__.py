"""Run one seed, and show what happened.

python -m tests.simulation 17                      all of it
python -m tests.simulation 17 --faults 0,2         with some of its faults: `none`, or numbers
python -m tests.simulation 17 --clients 1          with some of its clients
"""

import argparse
import sys
from dataclasses import replace

from tests.simulation.plan import Plan
from tests.simulation.violation import Violation
from tests.simulation.world import World


def main() -> int:
    """Answers the exit code: 1 for a violation."""
    words = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    words.add_argument("seed", type=int)
    words.add_argument("--faults")
    words.add_argument("--clients")
    given = words.parse_args()
    plan = Plan.of(given.seed)
    if given.faults is not None:
        numbers = [] if given.faults == "none" else [int(n) for n in given.faults.split(",")]
        plan = replace(plan, faults=tuple(plan.faults[number] for number in numbers))
    if given.clients is not None:
        plan = replace(plan, clients=tuple(int(number) for number in given.clients.split(",")))
    world = World(plan, traces=True)
    try:
        world.run()
    except Violation as violation:
        world.trace.append(f"VIOLATION {violation}")
        return 1
    else:
        world.trace.append("all is well")
        return 0
    finally:
        sys.stdout.writelines(line + "\n" for line in world.trace)


if __name__ == "__main__":
    sys.exit(main())

"""Compare our server with a stock one over random sequences, and say what differs: `make differential`.

python -m tests.differential.run [--seeds 1] [--calls 20000] [--length 60] [--seed N] [--ours URL] [--stock URL]
"""

from __future__ import annotations

import argparse
import contextlib
from collections import Counter

from tests.differential.compare import Pair, searched
from tests.differential.deliberate import NAMES
from tests.mlflow.servers import greenroom_server, stock_server
from tests.races.kit import SEED

LONG = 20_000  # calls after which a row that explained nothing is said to be stale


def main() -> int:
    """Compare, print a report; 1 when something differs that is not listed, or a row of the list is stale."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("--seed", SEED), ("--seeds", 1), ("--calls", 20_000), ("--length", 60), ("--most", 20)):
        parser.add_argument(name, type=int, default=default)
    parser.add_argument("--ours")
    parser.add_argument("--stock")
    args = parser.parse_args()
    calls, kinds, used = 0, 0, Counter[str]()
    with contextlib.ExitStack() as stack:
        ours = args.ours or stack.enter_context(greenroom_server("mlflow"))
        stock = args.stock or stack.enter_context(stock_server())
        for seed in range(args.seed, args.seed + args.seeds):
            report = searched(Pair(ours, stock), seed, args.calls, args.length, most=args.most)
            print(report, flush=True)
            calls += report.tally.calls
            kinds += len(report.kinds)
            used += report.tally.listed
    stale = sorted(NAMES - set(used)) if calls >= LONG else []
    for name in stale:
        print(f"stale: the listed difference {name!r} never occurred")
    return 1 if kinds or stale else 0


if __name__ == "__main__":
    raise SystemExit(main())

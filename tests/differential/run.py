"""Send random requests to two servers and say where their answers differ: `make differential`.

    python -m tests.differential.run [--against stock] [--seeds 1] [--calls 20000] [--length 60] [--seed N]

Ours is compared with a stock MLflow server (`stock`), where the listed differences are meant, with another one of ours
(`self`), or with one of ours on PostgreSQL (`postgres`); or two stock servers with each other (`peers`). Of those three
not one difference is meant: what two servers of one make answer must not hang on chance, nor on the database.
"""

from __future__ import annotations

import argparse
import contextlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

from tests.differential.compare import Pair, searched
from tests.differential.deliberate import NAMES, listed, none_listed
from tests.mlflow.servers import greenroom_server, stock_server
from tests.postgres import database_with_language
from tests.races.kit import SEED

LONG = 20_000  # calls after which a row that explained nothing is said to be stale


def ours() -> AbstractContextManager[str]:
    """Our server under the lifecycle that behaves as MLflow does, on SQLite."""
    return greenroom_server("mlflow")


def on_postgres() -> AbstractContextManager[str]:
    """The same on PostgreSQL."""
    return greenroom_server("mlflow", "--database-url", database_with_language())


SERVERS: dict[str, tuple[Callable[[], AbstractContextManager[str]], Callable[[], AbstractContextManager[str]]]] = {
    "stock": (ours, stock_server),
    "self": (ours, ours),
    "postgres": (ours, on_postgres),
    "peers": (stock_server, stock_server),
}


@contextlib.contextmanager
def two_servers(against: str, *urls: str) -> Iterator[tuple[str, str]]:
    """Run the two servers that are compared and give their URLs; of `urls`, two that run already."""
    if urls:
        yield urls[0], urls[1]
        return
    one, other = SERVERS[against]
    with one() as first, other() as second:
        yield first, second


def main() -> int:
    """Compare, print a report; 1 when something differs that is not listed, or a row of the list is stale."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("--seed", SEED), ("--seeds", 1), ("--calls", 20_000), ("--length", 60), ("--most", 20)):
        parser.add_argument(name, type=int, default=default)
    parser.add_argument("--against", choices=SERVERS, default="stock")
    parser.add_argument("--urls", nargs=2, default=(), help="two servers that run already")
    args = parser.parse_args()
    rule = listed if args.against == "stock" else none_listed
    calls, kinds, used = 0, 0, Counter[str]()
    with two_servers(args.against, *args.urls) as (one, other):
        for seed in range(args.seed, args.seed + args.seeds):
            report = searched(Pair(one, other, rule), seed, args.calls, args.length, most=args.most)
            print(report, flush=True)
            calls += report.tally.calls
            kinds += len(report.kinds)
            used += report.tally.listed
    stale = sorted(NAMES - set(used)) if args.against == "stock" and calls >= LONG else []
    for name, count in used.most_common():
        print(f"{count:7} {name}")
    for name in stale:
        print(f"stale: the listed difference {name!r} never occurred")
    return 1 if kinds or stale else 0


if __name__ == "__main__":
    raise SystemExit(main())

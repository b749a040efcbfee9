"""Measure Greenroom side by side with a stock MLflow server: `make bench`, or `python benchmarks/run.py [--quick]`.

Both servers run on this machine, on fresh folders, warm, and take turns (A B A B) under the same load. Written to
`benchmarks/results/`: everything measured as JSON, and a table and a picture made from it. Ratios are what counts.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks import calls, footprint, logging_load, report, sealing  # noqa: E402
from benchmarks.servers import Greenroom, GreenroomOnPostgreSQL, MLflow, Server, mlflow_python  # noqa: E402

PARTS = ("P1", "P3", "P6", "P11", "P12", "A3")
RESULTS = ROOT / "benchmarks" / "results"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what the arguments ask for, write the results, print the table."""
    wanted = _parser().parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="greenroom-bench-") as folder:
        found = measure_all(Path(folder), wanted)
    wanted.out.mkdir(parents=True, exist_ok=True)
    name = "quick" if wanted.quick else "latest"
    (wanted.out / f"{name}.json").write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    table = report.table(found)
    (wanted.out / f"{name}.md").write_text(table, "utf-8")
    (wanted.out / f"{name}.svg").write_text(report.picture(found), "utf-8")
    print(table)
    print(f"Written to {wanted.out}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a short run, for a first look: not for the docs")
    parser.add_argument("--only", type=lambda text: text.split(","), default=list(PARTS), help="such as P1,P3")
    parser.add_argument("--clients", type=lambda text: [int(each) for each in text.split(",")], default=[1, 8, 32])
    parser.add_argument("--seconds", type=float, help="of load per measurement")
    parser.add_argument("--rounds", type=int, help="how often the two take turns")
    parser.add_argument("--no-mlflow", action="store_true", help="measure ours alone: no ratios to a peer")
    parser.add_argument("--out", type=Path, default=RESULTS, help="the folder for the results")
    return parser


def measure_all(folder: Path, wanted: argparse.Namespace) -> dict[str, Any]:
    """Start both servers, measure the parts that are wanted, and return everything."""
    seconds = wanted.seconds or (1.0 if wanted.quick else 4.0)
    rounds = wanted.rounds or (1 if wanted.quick else 3)
    parts = set(wanted.only)
    commits = 200 if wanted.quick else 5_000
    ours, stock = Greenroom(folder / "greenroom"), None if wanted.no_mlflow else MLflow(folder / "mlflow")
    servers = [each for each in (ours, stock) if each is not None]
    found: dict[str, Any] = {"machine": machine(), "seconds": seconds, "rounds": rounds, "quick": wanted.quick}
    try:
        found["first_start_s"] = {each.name: round(each.start(), 3) for each in servers}
        for each in servers:
            _say(f"{each.name} is ready after {found['first_start_s'][each.name]} s; making models")
            calls.seed(each, max(wanted.clients))
            each.settle()
        if "P11" in parts:
            found["P11"] = _footprint(servers, 1 if wanted.quick else 5)
        if "P1" in parts:
            found["P1"] = _compare(servers, calls.READS, wanted.clients, seconds, rounds)
            found["P1 own"] = _compare([ours], calls.NATIVE, wanted.clients, seconds, rounds)
        if "P3" in parts:
            found["P3"] = _compare(servers, calls.WRITES, wanted.clients, seconds, rounds)
        if "P6" in parts:
            shared = GreenroomOnPostgreSQL(folder / "postgresql")
            with shared:
                calls.seed(shared, 1)
                found["P6"] = _beside_logging([*servers, shared], seconds, rounds)
        if "A3" in parts:
            found["A3"] = sealing.measure(folder / "sealing", commits)
        if "P12" in parts:
            found["P12"] = _commands(ours, stock, 3 if wanted.quick else 15)
    finally:
        for each in servers:
            each.stop()
    return found | {"load_after": os.getloadavg()}


def _compare(
    servers: Sequence[Server],
    kinds: Mapping[str, calls.Requests],
    clients: Sequence[int],
    seconds: float,
    rounds: int,
) -> dict[str, Any]:
    """Return, per kind of call and number of clients, what each server did in each round. They take turns."""
    found: dict[str, Any] = {}
    for kind, requests in kinds.items():
        for count in clients:
            taken: dict[str, list[dict[str, Any]]] = {each.name: [] for each in servers}
            for _ in range(rounds):
                for each in servers:
                    once = calls.measure(each, requests, count, seconds)
                    taken[each.name].append(once | {"load": os.getloadavg()[0]})
            found.setdefault(kind, {})[str(count)] = {name: _middle(all_) for name, all_ in taken.items()}
            _say(f"{kind}, {count} clients: " + ", ".join(_brief(name, all_) for name, all_ in taken.items()))
    return found


def _beside_logging(servers: Sequence[Server], seconds: float, rounds: int) -> dict[str, Any]:
    """Return, per server, a holder look-up by one client: idle, and beside 64 runs that log. They take turns."""
    found: dict[str, Any] = {}
    runs = {each.name: logging_load.start_runs(each, logging_load.RUNS) for each in servers}
    for kind in ("idle", *logging_load.KINDS):
        taken: dict[str, list[dict[str, Any]]] = {each.name: [] for each in servers}
        for _ in range(rounds):
            for each in servers:
                if kind == "idle":
                    once = logging_load.look_up(each, seconds)
                else:
                    once = logging_load.beside_logging(each, runs[each.name], seconds, kind)
                taken[each.name].append(once | {"load": os.getloadavg()[0]})
        found[kind] = {name: _middle(all_, "logged_per_s", "logged_p99_ms") for name, all_ in taken.items()}
        _say(f"look-up beside runs, {kind}: " + ", ".join(_brief(name, all_) for name, all_ in taken.items()))
    return found


def _middle(rounds: Sequence[Mapping[str, Any]], *more: str) -> dict[str, Any]:
    """Return the medians over the rounds, and the rounds themselves; what a round did not measure is left out."""
    keys = [
        key
        for key in ("per_s", "p50_ms", "p90_ms", "p99_ms", "max_ms", "server_cpu_us", *more)
        if all(key in each for each in rounds)
    ]
    return {key: statistics.median(each[key] for each in rounds) for key in keys} | {"rounds": list(rounds)}


def _brief(name: str, rounds: Sequence[Mapping[str, Any]]) -> str:
    return f"{name} {statistics.median(each['per_s'] for each in rounds):.0f}/s"


def _footprint(servers: Sequence[Server], starts: int) -> dict[str, Any]:
    taken = {each.name: footprint.start_seconds(each, starts if each.name == "greenroom" else 1) for each in servers}
    found: dict[str, Any] = {
        "start_s": {name: {"median_s": statistics.median(all_), "all_s": all_} for name, all_ in taken.items()},
        "idle_bytes": {each.name: footprint.idle_bytes(each) for each in servers},
        "processes": {each.name: len(each.processes()) for each in servers},
    }
    _say(f"start {found['start_s']}, idle {found['idle_bytes']}")
    if mlflow_python().exists():
        ours = footprint.install_size("greenroom", "server")
        found["install"] = {
            "greenroom": ours | {"bytes": ours["bytes"] + footprint.source_bytes()},
            "mlflow": footprint.install_size("mlflow"),
        }
    return found


def _commands(ours: Server, stock: Server | None, times: int) -> dict[str, Any]:
    sides: list[tuple[str, Mapping[str, Sequence[Sequence[str]]], int]] = [
        ("greenroom", footprint.our_commands(ours), times)
    ]
    if stock is not None:
        sides.append(("mlflow", footprint.mlflow_commands(stock), max(1, times // 5)))
    found = {
        name: {what: footprint.seconds_of(each, count) for what, each in commands.items()}
        for name, commands, count in sides
    }
    for name, all_ in found.items():
        _say(f"{name}: " + ", ".join(f"{what} {each['median_s']} s" for what, each in all_.items()))
    return found


def machine() -> dict[str, Any]:
    """Return what the figures depend on: processors, memory, versions, load when it began."""
    return {
        "at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "cpus": os.cpu_count(),
        "cpu": _first(Path("/proc/cpuinfo"), lambda line: line.startswith("model name")),
        "memory": _first(Path("/proc/meminfo"), lambda line: line.startswith("MemTotal")),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load_before": os.getloadavg(),
    }


def _first(path: Path, wanted: Callable[[str], bool]) -> str | None:
    try:
        line = next((each for each in path.read_text().splitlines() if wanted(each)), None)
    except OSError:
        return None
    return None if line is None else line.partition(":")[2].strip()


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())

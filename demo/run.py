"""Greenroom's main job, told and checked: `make demo`, or `python demo/run.py`.

DEMO_DATA=DIR      the data folder (demo-data)
DEMO_PORT=N        the server's port (any free one)
DEMO_EXIT=1        end when the story ends; else the server stays up for exploring
"""

from __future__ import annotations

import io
import os
import signal
import sys
import tempfile
import urllib.request
from pathlib import Path
from types import FrameType

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from demo import proof, with_mlflow, with_ours  # noqa: E402
from demo.scene import MODELS, Scene, connect, fresh_names, now_ms  # noqa: E402
from demo.server import NotStarted, Server  # noqa: E402
from demo.shell import Shell  # noqa: E402
from demo.story import Story, Untrue  # noqa: E402
from demo.training import train_all  # noqa: E402
from greenroom import Registry  # noqa: E402
from greenroom.core.errors import GreenroomError  # noqa: E402

ACTOR = "dana"


def main() -> int:
    """Tell the story and return the exit code: 0, 1 when a claim does not hold, 130 when interrupted."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # whoever reads through a pipe reads along
    story = Story()
    signal.signal(signal.SIGTERM, _as_interrupt)
    data = Path(os.environ.get("DEMO_DATA") or ROOT / "demo-data").resolve()
    try:
        with tempfile.TemporaryDirectory(prefix="greenroom-demo-") as work:
            _tell(story, data, Path(work))
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # an impatient second one must not spoil the end
        story.line("\nInterrupted; the demo's server is stopped.", "yellow")
        return 130
    except Untrue as exc:
        story.line(f"\nThe story does not hold: {exc}", "bold red")
        return 1
    except NotStarted as exc:
        story.line(f"\nThe server did not start: {exc}\nSet DEMO_DATA to use another folder.", "bold red")
        return 1
    except GreenroomError as exc:
        story.line(f"\nThe story ends here: {exc}" + (f"\n{exc.hint}" if exc.hint else ""), "bold red")
        return 1
    return 0


def _tell(story: Story, data: Path, work: Path) -> None:
    story.line("Greenroom: going into production is a transaction", "bold")
    story.say(
        "Everything below happens: a real server, real models, real commands. Lines with $ and >>> can be typed. "
        "A check mark is a claim that was checked; the demo fails when one does not hold."
    )
    with Server(data, port=int(os.environ.get("DEMO_PORT") or 0)) as server:
        os.environ["GREENROOM_ACTOR"] = ACTOR
        with connect(server.url, ACTOR) as registry:
            scene = _open(story, server, Shell(story, work, _environment(server.url)), registry, data, work)
            client = with_mlflow.prepare(server.url)
            with_mlflow.register(scene, client)
            with_mlflow.conflict(scene, client)
            with_mlflow.swap(scene, client)
            with_ours.push(scene)
            with_ours.from_the_shell(scene)
            with_ours.guarded(scene)
            proof.roll_back(scene)
            proof.look_back(scene)
            proof.prove(scene)
            proof.harm(scene)
            _sum_up(scene)
        _explore(story, server)


def _environment(url: str) -> dict[str, str]:
    return {"GREENROOM_URL": url, "GREENROOM_ACTOR": ACTOR, "MLFLOW_TRACKING_URI": url,
            "MLFLOW_DISABLE_TELEMETRY": "true", "PYTHONWARNINGS": "ignore"}  # fmt: skip


def _open(story: Story, server: Server, shell: Shell, registry: Registry, data: Path, work: Path) -> Scene:
    story.chapter("A server")
    story.command(" ".join(["greenroom", "server", "--data", _short(data), "--port", server.words[-1]]))
    story.output(f"Greenroom is ready at {server.url}")
    story.check(
        bool(registry.info().get("version")),
        f"ready after {server.ready_s:.2f} s: one process, one folder, no account needed on loopback",
    )
    names = fresh_names(registry)
    if names["tumour"] != MODELS[0]:
        story.say(f"The folder holds an earlier run; this one calls its models {', '.join(names.values())}.")
    scene = Scene(story, server, shell, registry, data, work, {}, names)
    shell.run("greenroom info", says=[server.url], claim="the command line finds it by GREENROOM_URL")

    story.chapter("Models to choose from")
    story.say("Eleven small models on four data sets that ship with scikit-learn, trained now:")
    scene.candidates = train_all()
    rows = [
        (
            name,
            number,
            each.what,
            ", ".join(f"{key} {value:g}" for key, value in each.metrics.items()),
            f"{each.seconds * 1000:.0f} ms",
        )
        for name, candidates in scene.candidates.items()
        for number, each in enumerate(candidates, 1)
    ]
    story.table(
        ("data set", "version", "model", "on held-out data", "trained in"), rows, right=("version", "trained in")
    )
    story.check(len(rows) == 11, f"{len(rows)} models are trained")
    scene.facts["models trained"] = len(rows)
    scene.steps["began"] = now_ms()
    return scene


def _sum_up(scene: Scene) -> None:
    story, registry = scene.story, scene.registry
    story.chapter("The run in figures")
    names = list(scene.names.values())
    versions = [version for name in names for version in registry.versions(name)]
    promotions = [promotion for name in names for promotion in registry.promotions(name)]
    refused = sum(1 for each in promotions if each.refusals)
    size = sum(path.stat().st_size for path in (scene.data / "blobs").rglob("*") if path.is_file())
    facts = {
        "registered models": len(names),
        "versions": len(versions),
        "moves asked for": f"{len(promotions)}, of which {refused} refused, all recorded",
        "in production": ", ".join(f"{name} {scene.holder(name)}" for name in names),
        "audit entries": scene.facts["audit entries"],
        "blobs": f"{size / 1024:.0f} KiB",
        "claims checked": story.claims,
        "seconds": f"{story.seconds:.0f}",
    }
    story.table(("what", "how many"), list(facts.items()))


def _explore(story: Story, server: Server) -> None:
    with urllib.request.urlopen(f"{server.url}/docs", timeout=10) as page:
        story.check(page.status == 200, "the reference page is there")
    story.line("")
    story.line(f"The server is at     {server.url}", "bold")
    story.line(f"The API's reference  {server.url}/docs")
    story.line(
        f"Try                  export GREENROOM_URL={server.url}; {_short(Path(sys.executable).parent)}/greenroom list"
    )
    if os.environ.get("DEMO_EXIT") == "1":
        story.line("DEMO_EXIT=1: it stops now.")
        code = server.stop()
        story.check(code == 0, "the server ended cleanly", code)
        return
    story.line("Ctrl-C stops it.", "bold")
    server.wait()
    story.line("The server has ended.")


def _short(path: Path) -> str:
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def _as_interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())

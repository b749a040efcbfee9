"""Requests about files: of runs, of logged models, loose ones, and downloads for browsers. Part of `generate`."""

from __future__ import annotations

from tests.differential.calls import API, Call
from tests.differential.making import get_call
from tests.differential.words import Pool

ARTIFACTS = "/api/2.0/mlflow-artifacts"
_FILES = ("a.txt", "d/b.txt", "d/e/c.json", "ä b.txt", "d", "empty", "a%b.txt", "d/a+b&c.bin", "MLmodel")
_ODD_FILES = ("../x", "d/../x", "/x", "d//x", "..", "a#b", "d/./x", "a\\b", "%2e%2e/x", "x" * 300, "a.txt/b", "")
_DATA = (b"", b"hello", b"x" * 5000, b"\x00\xff")


def _tree(pool: Pool) -> str:
    """Return the folder of a run, of a logged model, or one that belongs to nobody."""
    if pool.models and pool.maybe(0.2):
        model = pool.rand.choice(pool.models)
        return f"{pool.exp_of[model]}/models/«model:{model}»/artifacts"
    run = pool.rand.choice(pool.runs)
    return f"{pool.exp_of[run]}/«run:{run}»/artifacts" if pool.maybe(0.8) else "«p»loose"


def _file(pool: Pool) -> str:
    return str(pool.rand.choice(_ODD_FILES if pool.wrong("path", 0.05) else _FILES))


def _place(pool: Pool) -> str:
    return f"{ARTIFACTS}/artifacts/{_tree(pool)}/{_file(pool).replace('%', '%25')}"


def put_file(pool: Pool) -> list[Call]:
    """Put a file; then, mostly, read what was put or list its folder."""
    kind = (("Content-Type", "application/octet-stream"),)
    put = Call("put_file", "PUT", _place(pool), body=pool.rand.choice(_DATA), headers=kind)
    return [put, Call("get_file", "GET", put.path)] if pool.maybe(0.4) else [put]


def get_file(pool: Pool) -> Call:
    """Read or delete a file, or a folder with all that is in it."""
    if pool.maybe(0.8):
        return Call("get_file", "GET", _place(pool))
    place = f"{ARTIFACTS}/artifacts/{_tree(pool)}" if pool.maybe(0.1) else _place(pool)
    return Call("delete_file", "DELETE", place)


def list_files(pool: Pool) -> Call:
    """List a folder, by its place or as that of a run or logged model."""
    roll = pool.rand.random()
    if roll < 0.4:
        folder = pool.rand.choice(("", "d", "d/e", "none", "a.txt"))
        return get_call("list_files", f"{ARTIFACTS}/artifacts", path=f"{_tree(pool)}/{folder}".rstrip("/"))
    folders = ("..", "/x", "d/../..", "#") if pool.wrong("path", 0.1) else ("d", "d/e", "", "a.txt")
    path = pool.rand.choice(folders)
    if pool.models and roll < 0.6:
        query = {"artifact_directory_path": path} if pool.maybe(0.5) else {}
        return get_call("list_model_files", f"{API}/logged-models/{pool.model()}/artifacts/directories", **query)
    return get_call(
        "list_artifacts", f"{API}/artifacts/list", run_id=pool.run(), **({"path": path} if pool.maybe(0.5) else {})
    )


def download(pool: Pool) -> Call:
    """Read a file as the pages of a browser do."""
    which = pool.rand.choice(("run_id", "run_id", "run_uuid"))
    return get_call("get_artifact", "/get-artifact", "", **{which: pool.run(), "path": _file(pool)})

"""Where a version was trained, as far as it can be seen from here; what cannot be seen stays None.

Nothing here fails: a machine without git, a folder without a repository, a git that hangs or a module without metadata
each just leave a field unknown. Git is asked with a time limit, without prompts and without the user's hooks or pagers.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from greenroom.core.model import Context
from greenroom.core.remotes import without_credentials

_BUDGET_S = 3.0  # for all questions to git together
_MAX_DIFF = 32 << 20
_MAX_PACKAGES = 500
_MAX_REQUIREMENTS = 256 << 10
_GIT_ENV = {"GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0", "GIT_PAGER": "cat", "LC_ALL": "C"}
_PINNED = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[[^\]]*\])?\s*===?\s*([A-Za-z0-9][A-Za-z0-9.!+_-]*)")


def collect(
    folder: str | os.PathLike[str] | None = None, *, cwd: Path | None = None, trained_here: bool = True
) -> Context:
    """Return what can be seen now: git in `cwd` (None: the process's folder), this Python, this platform, packages.

    Packages are the pinned ones of `folder`/requirements.txt when it is there (they are what the model asks for), else
    those whose modules this process has imported. `trained_here` False: this process only passes files on (the command
    line does), so that its script, Python, platform and modules say nothing about the training.
    """
    git = _Git(cwd or Path.cwd())
    commit = git.text("rev-parse", "--verify", "-q", "HEAD")
    inside = commit is not None
    return Context(
        git_commit=commit,
        git_branch=git.text("symbolic-ref", "--short", "-q", "HEAD") if inside else None,
        git_remote=without_credentials(git.text("remote", "get-url", "origin")) if inside else None,
        git_dirty_digest=git.dirty_digest() if inside else None,
        entry_point=_entry_point(cwd or Path.cwd()) if trained_here else None,
        python=platform.python_version() if trained_here else None,
        platform=f"{platform.system()}-{platform.release()}-{platform.machine()}" if trained_here else None,
        packages=_required(folder) or (_imported() if trained_here else {}),
    )


class _Git:
    """Questions to git, within one budget of seconds; the first that takes too long ends them all."""

    def __init__(self, cwd: Path) -> None:
        self._cwd = cwd
        self._end = time.monotonic() + _BUDGET_S

    def text(self, *args: str) -> str | None:
        """Return the one line that git answers, or None."""
        answer = self._ask(args)
        line = answer.decode("utf-8", "replace").strip() if answer is not None else ""
        return line or None

    def dirty_digest(self) -> str | None:
        """Return a digest of the changes to tracked files and of the names of untracked ones; None if clean.

        Also None when it could not be found out, or when the changes are over a bound. `--full-index` makes changed
        binary files count by their hash without their bytes being printed.
        """
        diff = self._ask(("diff", "HEAD", "--no-ext-diff", "--no-textconv", "--full-index"))
        untracked = self._ask(("ls-files", "--others", "--exclude-standard", "--full-name", "-z", ":/"))
        if diff is None or untracked is None or not (diff or untracked):
            return None
        digest = hashlib.sha256(b"%d\n" % len(diff) + diff)
        digest.update(untracked)
        return f"sha256:{digest.hexdigest()}"

    def _ask(self, args: Sequence[str]) -> bytes | None:
        left = self._end - time.monotonic()
        if left <= 0:
            return None
        try:
            done = subprocess.run(
                ["git", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", *args],
                cwd=self._cwd, env={**os.environ, **_GIT_ENV}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL, timeout=left, check=False,
            )  # fmt: skip
        except (OSError, ValueError, subprocess.SubprocessError):
            return None
        return done.stdout if done.returncode == 0 and len(done.stdout) <= _MAX_DIFF else None


def _entry_point(cwd: Path) -> str | None:
    """Return the script that runs, relative to `cwd` when it is below it; None in a console or a notebook."""
    main = sys.modules.get("__main__")
    script = getattr(main, "__file__", None)
    if not script:
        return None
    spec = getattr(main, "__spec__", None)
    if spec is not None and spec.name != "__main__":
        return f"-m {spec.name.removesuffix('.__main__')}"
    path = Path(script).resolve()
    return path.relative_to(cwd.resolve()).as_posix() if path.is_relative_to(cwd.resolve()) else path.name


def _required(folder: str | os.PathLike[str] | None) -> Mapping[str, str]:
    """Return the pinned packages of the folder's requirements.txt; empty when there is none that can be read."""
    if folder is None:
        return {}
    path = Path(folder) / "requirements.txt"
    try:
        if not path.is_file() or path.stat().st_size > _MAX_REQUIREMENTS:
            return {}
        lines = path.read_text("utf-8", "replace").splitlines()
    except OSError:
        return {}
    found = (_PINNED.match(line) for line in lines)
    return dict(sorted((each[1], each[2]) for each in found if each)[:_MAX_PACKAGES])


def _imported() -> Mapping[str, str]:
    """Return name and version of the installed packages whose modules this process has imported."""
    import importlib.metadata as metadata

    tops = {name.partition(".")[0] for name in sys.modules} - sys.stdlib_module_names
    versions: dict[str, str] = {}
    try:
        owners = metadata.packages_distributions()
        for name in sorted({owner for top in tops for owner in owners.get(top, ())})[:_MAX_PACKAGES]:
            versions[name] = metadata.version(name)
    except Exception:  # noqa: BLE001 - broken metadata of somebody else's package may raise anything
        return dict(versions)
    return versions

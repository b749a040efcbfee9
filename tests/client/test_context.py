"""What is collected about a training: only what can be seen, and nothing secret."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import time

import pytest

from greenroom.client import context as subject
from greenroom.client.context import collect
from greenroom.core.remotes import without_credentials

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="no git")


def git(folder, *args):
    who = ["-c", "user.name=t", "-c", "user.email=t@t", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *who, *args], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path):
    git(tmp_path, "init", "-q", "-b", "train")
    (tmp_path / "a.py").write_text("1")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "one")
    return tmp_path


@needs_git
def test_a_clean_repository(repository):
    git(repository, "remote", "add", "origin", "https://ana:secret@git.example.org/team/model.git")
    found = collect(cwd=repository)
    assert found.git_commit is not None
    assert len(found.git_commit) == 40
    assert found.git_branch == "train"
    assert found.git_remote == "https://git.example.org/team/model.git"
    assert found.git_dirty_digest is None
    assert found.python == platform.python_version()
    assert found.packages.get("pytest")


@needs_git
def test_uncommitted_changes_have_a_digest_of_their_own(repository):
    def changed() -> str:
        digest = collect(cwd=repository).git_dirty_digest
        assert digest is not None
        assert digest.startswith("sha256:")
        return digest

    (repository / "a.py").write_text("2")
    one = changed()
    assert changed() == one
    (repository / "a.py").write_text("3")
    two = changed()
    (repository / "new.py").write_text("")
    three = changed()
    assert len({one, two, three}) == 3


@needs_git
def test_a_changed_binary_file_counts(repository):
    (repository / "w.bin").write_bytes(b"\0\1")
    git(repository, "add", ".")
    git(repository, "commit", "-q", "-m", "two")
    (repository / "w.bin").write_bytes(b"\0\2")
    one = collect(cwd=repository).git_dirty_digest
    (repository / "w.bin").write_bytes(b"\0\3")
    assert None is not one != collect(cwd=repository).git_dirty_digest


@pytest.mark.parametrize(
    ("remote", "shown"),
    [
        ("https://t0ken@h/x.git", "https://h/x.git"),
        ("https://u:p@h:8443/x?t=s", "https://h:8443/x"),
        ("git@h:team/x.git", "git@h:team/x.git"),
        ("/srv/git/x", "/srv/git/x"),
        ("https://[bad", None),
        (None, None),
    ],
)
def test_a_remote_loses_its_secrets(remote, shown):
    assert without_credentials(remote) == shown


@needs_git
def test_outside_a_repository_git_is_unknown(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    found = collect(cwd=tmp_path)
    assert (found.git_commit, found.git_branch, found.git_dirty_digest) == (None, None, None)


def test_who_only_passes_files_on_says_nothing_about_the_training(tmp_path):
    (tmp_path / "requirements.txt").write_text("numpy==2.1.0")
    found = collect(tmp_path, cwd=tmp_path, trained_here=False)
    assert (found.python, found.platform, found.entry_point, dict(found.packages)) == (
        None,
        None,
        None,
        {"numpy": "2.1.0"},
    )


def test_without_git_nothing_fails(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    found = collect(cwd=tmp_path)
    assert found.git_commit is None
    assert found.python is not None


@pytest.mark.skipif(os.name == "nt", reason="a script in place of git")
def test_a_git_that_hangs_ends_with_the_budget(tmp_path, monkeypatch):
    fake = tmp_path / "git"
    fake.write_text("#!/bin/sh\nexec sleep 60\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(subject, "_BUDGET_S", 0.2)
    started = time.monotonic()
    assert collect(cwd=tmp_path).git_commit is None
    assert time.monotonic() - started < 3


@pytest.mark.parametrize(
    ("text", "packages"),
    [
        (
            "numpy==2.1.0\n# scipy==1\nScikit_Learn[all] == 1.5 ; python_version>'3'\nrequests>=2\n",
            {"Scikit_Learn": "1.5", "numpy": "2.1.0"},
        ),
        ("-e .\nhttps://h/x.whl\n\x00\xff", None),
    ],
)
def test_pinned_packages_of_the_folder(tmp_path, text, packages):
    (tmp_path / "requirements.txt").write_text(text, "latin-1")
    found = dict(collect(tmp_path, cwd=tmp_path).packages)
    assert found == packages if packages else "pytest" in found

"""No secret of a Git remote gets into the context of a version, whatever names it: the log would keep it for ever."""

from __future__ import annotations

import pytest

from greenroom.core.remotes import without_credentials
from greenroom.http.mlflow_bridge import facts_of_tags
from greenroom.services.tracking_origin import context_of


@pytest.mark.parametrize(
    ("remote", "kept"),
    [
        ("https://ana:s3cret@git.example.org/m.git", "https://git.example.org/m.git"),
        ("https://s3cret@git.example.org:8443/m.git", "https://git.example.org:8443/m.git"),
        ("https://git.example.org/m.git?token=s3cret#s3cret", "https://git.example.org/m.git"),
        ("ssh://git:s3cret@git.example.org/m.git", "ssh://git.example.org/m.git"),
        ("git@git.example.org:m.git", "git@git.example.org:m.git"),
        ("/srv/git/m.git", "/srv/git/m.git"),
        ("https://[broken/s3cret", None),
        ("", None),
        (None, None),
    ],
)
def test_what_is_kept_of_a_remote(remote: str | None, kept: str | None) -> None:
    assert (without_credentials(remote) or None) == kept
    tags = {} if remote is None else {"mlflow.source.git.repoURL": remote}
    assert context_of(tags).git_remote == kept
    assert facts_of_tags(tags)[2].git_remote == kept

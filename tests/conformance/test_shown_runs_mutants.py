"""The suite about shown runs sees a store that samples or sums up wrongly."""

from __future__ import annotations

from pathlib import Path

import pytest

from greenroom.store import read_runs
from greenroom.store.folder import FolderStore
from greenroom.testing.runs import ShownRuns

MUTANTS = [
    ("_SAMPLE", "s.n = 1 OR ", ""),
    ("_SAMPLE", "(s.n - 1)", "(s.n - 2)"),
    ("_SAMPLE", 'PARTITION BY p."key" ', ""),
    ("_SAMPLE", 'ORDER BY p."timestamp", p.step', 'ORDER BY p."value"'),
    ("_TALLY", "MIN(CASE WHEN is_nan = 0", "MIN(CASE WHEN is_nan >= 0"),
    ("_TALLY", "SUM(is_nan)", "MAX(is_nan)"),
]


@pytest.mark.parametrize(("name", "right", "wrong"), MUTANTS)
def test_a_wrong_statement_is_seen(
    name: str, right: str, wrong: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = getattr(read_runs, name)
    assert right in text
    monkeypatch.setattr(read_runs, name, text.replace(right, wrong))
    store = FolderStore(tmp_path / "data", create=True, serve=True)
    try:
        with pytest.raises(AssertionError):
            ShownRuns().test_histories_are_summed_up_and_sampled_as_a_plain_reading_says(store)
    finally:
        store.close()

"""The store on PostgreSQL keeps the contract of every store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from greenroom.store.database import DatabaseStore, wall_clock
from greenroom.store.keys import load_signer
from greenroom.store.shared import PostgresStore
from greenroom.testing.stores import Opened, StoreConformance
from tests.postgres import new_database


class TestPostgresStore(StoreConformance):
    @pytest.fixture
    def opened(self, tmp_path: Path) -> Iterator[Opened]:
        stores: list[DatabaseStore] = []
        url = new_database()
        signer = load_signer(tmp_path, create=True)

        def open_it(*, clock: Callable[[], int] | None = None) -> DatabaseStore:
            stores.append(PostgresStore(url, signer, clock=clock or wall_clock))
            return stores[-1]

        yield open_it
        for each in stores:
            each.close()

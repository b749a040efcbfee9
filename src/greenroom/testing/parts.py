"""What every blob store must do with uploads in parts; a part of `BlobStoreConformance`."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from greenroom.core.digest import digest_of
from greenroom.core.errors import InvalidInput, NotFound
from greenroom.services.ports import BlobStore

Reopen = Callable[[], BlobStore]
KEY = "0123456789abcdef" * 2


def sample(size: int, seed: int = 1) -> bytes:
    """Return `size` bytes that differ from place to place, the same every time."""
    block = bytes((index * 131 + (index >> 8) * seed + seed) & 0xFF for index in range(min(size, 65_537)))
    return (block * (size // max(len(block), 1) + 1))[:size]


def read(store: BlobStore, digest: str) -> bytes:
    """Return all bytes of a blob."""
    with store.open(digest) as file:
        return file.read()


def put_part(store: BlobStore, number: int, data: bytes, *, announced: bool = True) -> str:
    """Send one part of the upload KEY; returns its digest."""
    upload = store.part(KEY, number, len(data) if announced else 0)
    for start in range(0, len(data), 70_000):
        upload.write(data[start : start + 70_000])
    return upload.finish_as_part(KEY, number)


class PartsConformance:
    """The suite. Each test is one sentence of the port's contract."""

    @pytest.mark.parametrize("announced", [True, False])
    @pytest.mark.parametrize(
        "sizes",
        [
            [],
            [0],
            [5],
            [7, 7, 7, 0],
            [100_000, 70_000, 1],
            [1 << 20, 1 << 20, 3],
            [3, 3, 1 << 20],
            [9, 8, 9, 9],
            [0] * 3,
        ],
    )
    def test_parts_come_in_any_order_and_are_one_blob(
        self, store: BlobStore, reopened: Reopen, sizes: list[int], announced: bool
    ) -> None:
        data = [sample(size, seed) for seed, size in enumerate(sizes, 1)]
        store.begin_parts(KEY, len(data))
        stores = itertools.cycle((store, reopened()))
        digests = [
            put_part(each, number, data[number - 1], announced=announced)
            for each, number in zip(stores, range(len(data), 0, -1), strict=False)
        ][::-1]
        assert digests == [digest_of(each) for each in data]
        whole = b"".join(data)
        for _ in range(2):  # a joined upload may be joined again until it is ended
            assert reopened().join_parts(KEY, digests) == (digest_of(whole), len(whole))
        assert read(store, digest_of(whole)) == whole
        store.end_parts(KEY, joined=True)
        found = store.parts(KEY)
        assert (found is not None and found.done) is True
        assert store.sweep_staging(-1) == 1
        assert store.parts(KEY) is None

    def test_a_part_that_is_sent_again_replaces_the_first(self, store: BlobStore) -> None:
        store.begin_parts(KEY, 1)
        first, again = put_part(store, 1, b"old"), put_part(store, 1, b"new")
        with pytest.raises(InvalidInput, match=r"part 1 .* other bytes"):
            store.join_parts(KEY, [first])
        assert store.join_parts(KEY, [again]) == (digest_of(b"new"), 3)

    def test_parts_that_are_missing_are_named(self, store: BlobStore) -> None:
        store.begin_parts(KEY, 3)
        digest = put_part(store, 2, b"x")
        with pytest.raises(InvalidInput, match="3 parts 2 did not arrive, the first of them is part 1") as caught:
            store.join_parts(KEY, [digest] * 3)
        assert caught.value.details["missing"] == [1, 3]
        assert list(store.digests()) == []

    @pytest.mark.parametrize("joined", [False, True])
    def test_what_comes_after_the_end_is_not_kept(self, store: BlobStore, joined: bool) -> None:
        store.begin_parts(KEY, 1)
        late = store.part(KEY, 1)
        late.write(b"late")
        put_part(store, 1, b"x")
        store.end_parts(KEY, joined=joined)
        with pytest.raises(NotFound, match="no such upload"):
            late.finish_as_part(KEY, 1)
        with pytest.raises(NotFound, match="no such upload"):
            store.join_parts(KEY, [digest_of(b"x")])
        store.end_parts(KEY, joined=False)
        assert store.sweep_staging(-1) == int(joined)

    def test_nothing_of_an_upload_that_nobody_ended_stays(self, store: BlobStore) -> None:
        store.begin_parts(KEY, 2)
        put_part(store, 1, b"x")
        assert store.sweep_staging(3600) == 0
        assert store.stale_staging(0) == store.sweep_staging(0) == 0  # it goes on, whatever the grace
        assert store.stale_staging(-1, -1) == store.sweep_staging(-1, -1) > 1
        assert store.parts(KEY) is None
        assert store.sweep_staging(-1, -1) == 0

    @pytest.mark.parametrize("key", ["", "x", "A" * 32, "../" * 10 + "ab", "a" * 33])
    def test_what_is_no_upload_in_parts_is_refused(self, store: BlobStore, key: str) -> None:
        for ask in (
            lambda: store.begin_parts(key, 1),
            lambda: store.parts(key),
            lambda: store.join_parts(key, []),
            lambda: store.end_parts(key, joined=True),
        ):
            with pytest.raises(InvalidInput):
                ask()

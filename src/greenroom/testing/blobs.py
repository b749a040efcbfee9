"""What every blob store must do. Inherit from `BlobStoreConformance` in a test file and give it two fixtures.

class TestMyBlobs(BlobStoreConformance):
    @pytest.fixture
    def store(self, tmp_path): ...          # an empty store
    @pytest.fixture
    def reopened(self, store): ...          # a function: the same blobs as another process would open them
    @pytest.fixture
    def damage(self, store): ...            # a function (digest, position): flips one bit behind the store's back
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol

import pytest

from greenroom.core.digest import digest_of
from greenroom.core.errors import Conflict, IntegrityFailure, InvalidInput, NotFound
from greenroom.services.ports import BlobStore, BlobUpload
from greenroom.testing.parts import PartsConformance, Reopen, read, sample

Damage = Callable[[str, int], None]

__all__ = ["BlobStoreConformance", "Damage", "Reopen", "put", "read", "sample"]

ZEROS = "sha256:" + "0" * 64
_PIECE = 64 << 10
# One byte around every size at which an implementation may change its way: nothing, one, a piece, several.
SIZES = [0, 1, 2, _PIECE - 1, _PIECE, _PIECE + 1, 1 << 20, (1 << 20) + 1, 3 * (1 << 20) + 17]
BAD_DIGESTS = [
    "",
    "0" * 64,
    "sha256:",
    "sha256:" + "0" * 63,
    "sha256:" + "0" * 65,
    "sha256:" + "A" * 64,
    "sha256:" + "g" * 64,
    "sha256:" + "../" * 21 + "a",
    "sha256:" + "0" * 62 + "/0",
    "sha256:" + "0" * 64 + "\n",
    "md5:d41d8cd98f00b204e9800998ecf8427e",
    "SHA256:" + "0" * 64,
]
BAD_UPLOAD_IDS = ["", ".", "..", "a/b", "A", "a_b", "a b", "a\n", "\x00", "ä", "a" * 65, "../../x"]


class _Hashed(Protocol):
    def finish_as_hashed(self) -> tuple[str, int]: ...


def put(store: BlobStore, data: bytes, upload_id: str = "u", piece: int = 100_000) -> str:
    """Store `data` and return its digest."""
    upload = store.upload(upload_id)
    for start in range(0, len(data), piece):
        upload.write(memoryview(data)[start : start + piece])
    upload.finish(digest_of(data), len(data))
    return digest_of(data)


class BlobStoreConformance(PartsConformance):
    """The suite. Each test is one sentence of the port's contract."""

    @pytest.fixture
    def store(self) -> BlobStore:
        """An empty store."""
        raise NotImplementedError

    @pytest.fixture
    def reopened(self) -> Reopen:
        """Opens the same blobs as another process would."""
        raise NotImplementedError

    @pytest.fixture
    def damage(self) -> Damage:
        """Flips one bit of a blob behind the store's back."""
        raise NotImplementedError

    @pytest.mark.parametrize("size", SIZES)
    def test_what_is_put_comes_back(self, store: BlobStore, reopened: Reopen, size: int) -> None:
        data = sample(size)
        digest = put(store, data)
        for each in (store, reopened()):
            assert each.size(digest) == size
            assert read(each, digest) == data
            each.check(digest)
            assert list(each.digests()) == [(digest, size)]
            assert each.staged("u") == 0

    def test_a_blob_can_be_read_from_anywhere(self, store: BlobStore) -> None:
        data = sample(300_000)
        with store.open(put(store, data)) as file:
            file.seek(123_456)
            assert file.read(10) == data[123_456:123_466]
            file.seek(0)
            assert file.read(1) == data[:1]

    def test_a_blob_that_is_not_there(self, store: BlobStore) -> None:
        assert store.size(ZEROS) is None
        assert list(store.digests()) == []
        store.remove(ZEROS)
        with pytest.raises(NotFound, match="no blob sha256:0000"):
            store.open(ZEROS)
        with pytest.raises(NotFound):
            store.check(ZEROS)

    @pytest.mark.parametrize("digest", BAD_DIGESTS)
    def test_what_is_no_digest_is_refused(self, store: BlobStore, digest: str) -> None:
        for use in (store.size, store.open, store.check, store.remove):
            with pytest.raises(InvalidInput, match="is not a digest"):
                use(digest)
        upload = store.upload("u")
        with pytest.raises(InvalidInput, match="is not a digest"):
            upload.finish(digest, 0)
        upload.abort()

    @pytest.mark.parametrize("upload_id", BAD_UPLOAD_IDS)
    def test_what_is_no_upload_id_is_refused(self, store: BlobStore, upload_id: str) -> None:
        for use in (store.upload, store.staged):
            with pytest.raises(InvalidInput, match="is not an upload id"):
                use(upload_id)

    @pytest.mark.parametrize("cut", ["pause", "abort", "neither"])
    @pytest.mark.parametrize("size", [0, 1, 99_999, 100_000, 100_001])
    def test_a_torn_upload_is_invisible(self, store: BlobStore, reopened: Reopen, size: int, cut: str) -> None:
        data = sample(100_001)
        upload = store.upload("torn")
        upload.write(data[:size])
        if cut != "neither":
            getattr(upload, cut)()
        other = reopened()
        for each in (store, other):
            assert list(each.digests()) == []
            assert each.size(digest_of(data[:size])) is None
            assert each.staged("torn") == (0 if cut == "abort" else size)
        if cut == "neither":  # whoever has it alive keeps it: two writers would spoil it for both
            with pytest.raises(Conflict, match="is being received by another process"):
                other.upload("torn")
            upload.pause()
        again = other.upload("torn")
        assert again.received == (0 if cut == "abort" else size)
        again.write(data[again.received :])
        again.finish(digest_of(data), len(data))
        assert read(store, digest_of(data)) == data

    @pytest.mark.parametrize(
        ("sent", "claimed"),
        [
            (b"", b"x"),
            (b"x", b""),
            (b"abc", b"abd"),
            (b"abc", b"ab"),  # one byte too many
            (b"ab", b"abc"),  # one too few
            (sample(200_000), sample(199_999)),
        ],
    )
    def test_other_bytes_than_claimed_are_dropped(self, store: BlobStore, sent: bytes, claimed: bytes) -> None:
        upload = store.upload("u")
        upload.write(sent)
        with pytest.raises(InvalidInput, match="the bytes are not those of sha256:"):
            upload.finish(digest_of(claimed), len(claimed))
        assert list(store.digests()) == []
        assert store.staged("u") == 0

    def test_the_size_must_fit_as_well(self, store: BlobStore) -> None:
        upload = store.upload("u")
        upload.write(b"abc")
        with pytest.raises(InvalidInput, match=r"3 bytes arrived.*and 4 bytes were announced"):
            upload.finish(digest_of(b"abc"), 4)
        assert store.size(digest_of(b"abc")) is None

    def test_a_digest_can_be_taken_as_it_comes(self, store: BlobStore) -> None:
        upload: BlobUpload = store.upload("u")
        upload.write(b"ab")
        upload.write(b"c")
        hashed: _Hashed = upload
        assert hashed.finish_as_hashed() == (digest_of(b"abc"), 3)
        assert read(store, digest_of(b"abc")) == b"abc"

    def test_the_same_blob_twice_is_one(self, store: BlobStore) -> None:
        data = sample(70_000)
        first, second = store.upload("one"), store.upload("two")
        for upload in (first, second):
            upload.write(data)
        for upload in (first, second):
            upload.finish(digest_of(data), len(data))
        assert list(store.digests()) == [(digest_of(data), len(data))]
        assert read(store, digest_of(data)) == data

    def test_many_at_once(self, store: BlobStore) -> None:
        """Eight threads, four blobs, two uploads each: every blob is whole and there once."""
        datas = [sample(150_000 + index, seed=index + 1) for index in range(4)]
        errors: list[BaseException] = []

        def work(index: int) -> None:
            try:
                put(store, datas[index % 4], f"u{index}", piece=10_000)
            except BaseException as exc:
                errors.append(exc)
                raise

        threads = [threading.Thread(target=work, args=(index,)) for index in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []
        assert sorted(store.digests()) == sorted((digest_of(data), len(data)) for data in datas)
        for data in datas:
            assert read(store, digest_of(data)) == data

    def test_a_later_request_takes_an_upload_over(self, store: BlobStore) -> None:
        lost = store.upload("u")
        lost.write(b"abc")
        again = store.upload("u")
        assert again.received == 3
        with pytest.raises(Exception, match="taken over"):
            lost.write(b"X")
        lost.abort()  # must not touch what is not its own any more
        lost.pause()
        again.write(b"def")
        again.finish(digest_of(b"abcdef"), 6)
        assert read(store, digest_of(b"abcdef")) == b"abcdef"

    def test_a_closed_upload_takes_nothing(self, store: BlobStore) -> None:
        for close in ("pause", "abort"):
            upload = store.upload(close)
            getattr(upload, close)()
            with pytest.raises(Exception, match=r"the upload .* was"):
                upload.write(b"x")
            with pytest.raises(Exception, match=r"the upload .* was"):
                upload.finish(digest_of(b""), 0)

    def test_removing(self, store: BlobStore) -> None:
        digest, other = put(store, b"abc"), put(store, b"def")
        store.remove(digest)
        store.remove(digest)
        assert store.size(digest) is None
        assert list(store.digests()) == [(other, 3)]
        assert put(store, b"abc") == digest
        assert read(store, digest) == b"abc"

    def test_all_blobs_are_listed_once_with_their_sizes(self, store: BlobStore) -> None:
        wanted = {put(store, sample(size), f"u{size}"): size for size in range(40)}
        assert dict(store.digests()) == wanted
        assert len(list(store.digests())) == 40

    def test_blobs_are_listed_from_anywhere(self, store: BlobStore) -> None:
        found = sorted(put(store, sample(size), f"u{size}") for size in range(1, 12))
        for at, digest in enumerate(found):
            assert [each for each, _ in store.digests(digest)] == found[at + 1 :]
        assert [each for each, _ in store.digests("")] == found
        assert list(store.digests("sha256:" + "f" * 64)) == []

    def test_the_age_of_a_blob_begins_when_it_is_published(self, store: BlobStore) -> None:
        age = store.age_s(put(store, b"abc"))
        assert age is not None
        assert -1 < age < 60
        assert store.age_s(ZEROS) is None

    def test_one_collector_at_a_time(self, store: BlobStore, reopened: Reopen) -> None:
        other = reopened()
        with store.collecting():
            for each in (store, other):
                with pytest.raises(Conflict, match="collecting or repairing"), each.collecting():
                    pass
        with other.collecting():
            pass

    def test_what_is_set_aside_is_no_blob_any_more(self, store: BlobStore, damage: Damage) -> None:
        digest, other = put(store, b"abc"), put(store, b"def")
        damage(digest, 1)
        assert store.set_aside(ZEROS) is None
        first = store.set_aside(digest)
        assert store.size(digest) is None
        assert list(store.digests()) == [(other, 3)]
        put(store, b"abc")
        assert store.set_aside(digest) not in (None, first)  # nothing that was set aside is replaced

    def test_damage_is_healed_by_the_same_bytes(self, store: BlobStore, damage: Damage) -> None:
        """Whatever lies under a digest, a finished upload is what lies there afterwards."""
        digest = put(store, sample(5_000))
        damage(digest, 4_000)
        with store.open(digest) as reader:
            put(store, sample(5_000))
            store.check(digest)
            assert len(reader.read()) == 5_000

    def test_a_tidy_store_has_no_oddities(self, store: BlobStore) -> None:
        put(store, b"abc")
        store.upload("fresh").pause()
        assert list(store.oddities(60)) == []
        assert [each.kind for each in store.oddities(-1)] == ["staging"]
        assert store.stale_staging(-1) == 1

    @pytest.mark.parametrize("size", [1, 2, 1 << 20, (1 << 20) + 1])
    def test_a_flipped_bit_is_found(self, store: BlobStore, damage: Damage, size: int) -> None:
        for seed, position in enumerate((0, size // 2, size - 1)):
            digest = put(store, sample(size, seed=seed + 2), f"u{seed}")
            damage(digest, position)
            with pytest.raises(IntegrityFailure, match=f"the blob {digest} holds other bytes") as caught:
                store.check(digest)
            assert caught.value.details["digest"] == digest
            store.remove(digest)

    def test_sweeping_leaves_what_is_fresh_or_being_written(self, store: BlobStore) -> None:
        running, paused = store.upload("running"), store.upload("paused")
        running.write(b"ab")
        paused.write(b"ab")
        paused.pause()
        assert store.sweep_staging(3_600) == 0
        assert (store.staged("running"), store.staged("paused")) == (2, 2)
        assert store.sweep_staging(-1) == 1
        assert (store.staged("running"), store.staged("paused")) == (2, 0)
        running.write(b"c")
        running.finish(digest_of(b"abc"), 3)
        assert store.sweep_staging(-1) == 0
        assert read(store, digest_of(b"abc")) == b"abc"

"""The part of the store suite about sizes: what the limits allow, a store must hold.

A database may have narrower limits of its own, on the rows of an index for example; random text finds them, because it
cannot be compressed.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from greenroom.core.names import LIMITS
from greenroom.services import catalog, versions
from greenroom.services import commands as c
from greenroom.store.database import DatabaseStore
from greenroom.testing.writing import begin, check_replay, write

_LETTERS = [chr(each) for each in range(0x4E00, 0x9F00)]  # three bytes each in UTF-8


def longest(limit: str) -> str:
    """Return a text as long as `LIMITS[limit]` allows, of characters that take many bytes."""
    return "".join(random.Random(7).choices(_LETTERS, k=LIMITS[limit].value))  # noqa: S311 - test data


class LargestValues:
    """Tests that `StoreConformance` inherits."""

    @pytest.fixture
    def opened(self) -> Callable[..., DatabaseStore]:
        """Open the store under test."""
        raise NotImplementedError

    def test_the_longest_texts_are_held(self, opened: Callable[..., DatabaseStore]) -> None:
        """Descriptions, tags, parameters and sources of the greatest size that is allowed come back whole."""
        store = opened()
        begin(store)
        value, param, about = longest("tag_value"), longest("param_value"), longest("description")
        model = write(store, catalog.set_model_tag, c.SetModelTag("m0", longest("tag_key"), value))
        assert model.tags[longest("tag_key")] == value
        assert write(store, catalog.update_model, c.UpdateModel("m0", about)).description == about
        source = "s3://b/" + longest("source")[:-7]
        version = write(
            store,
            versions.register_version,
            c.RegisterVersion(
                "m0", source=source, tags={"k": value}, params={longest("param_key"): param}, description=about
            ),
        )
        assert (version.source, version.tags, version.params) == (
            source,
            {"k": value},
            {longest("param_key"): param},
        )
        check_replay(store)

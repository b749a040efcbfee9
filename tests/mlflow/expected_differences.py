"""Where our answers differ from a stock server's on purpose: path -> what we answer. Each block says why.

A text is what ours begins with: the advice that follows it belongs to the rules, and is tested there. Anything else
that differs fails a test, and so does anything listed here that does not.
"""

from __future__ import annotations

from typing import Any

INVALID = "INVALID_PARAMETER_VALUE"
STAGES = "None, Staging, Production, Archived"


def _clients(answers: dict[str, Any]) -> dict[str, Any]:
    return {f"{client}/{path}": answer for client in ("mlflow3", "mlflow2") for path, answer in answers.items()}


def _refused(path: str, text: str) -> dict[str, Any]:
    return {f"{path}/0": 400, f"{path}/1/error_code": INVALID, f"{path}/1/message": text}


def _cannot_archive(stage: str) -> str:
    return (
        f"{INVALID}: Model version transition cannot archive existing model versions because '{stage}' is not an "
        "Active stage. Valid stages are ['Staging', 'Production']"
    )


def _taken(number: str, source: str) -> dict[str, Any]:
    name = "P-sources_that_are_taken"
    version = {"name": name, "version": number, "stage": "None", "source": source, "status": "READY"}
    return version | {"run_id": "", "run_link": "", "tags": {}, "aliases": []}


# A stock server answers 500: its clients then repeat the call for minutes.
_STOCK_BREAKS = _clients(
    {
        "archive_with_an_inactive_stage/0": _cannot_archive("None"),
        "archive_with_an_inactive_stage/1": _cannot_archive("Archived"),
        "search_models/refused/tags.k IS NULL": INVALID,
        "search_versions/refused/tags.k IS NULL": INVALID,
    }
) | {
    "raw/bodies/10/0": 400,
    "raw/bodies/10/1": {"error_code": INVALID, "message": "the request body must be a JSON object, got [1]."},
    "raw/bodies/11/0": 400,
    "raw/bodies/11/1": {"error_code": INVALID, "message": "the request body must be a JSON object, got 5."},
}

# A stock server says yes to a question that nobody can have meant.
_STOCK_GUESSES = (
    _clients({"search_models/refused/name = 'a' name = 'b'": INVALID})
    # An empty page with a token for the same place: whoever turns pages turns them for ever.
    | _refused("raw/page sizes/2", "Invalid value for max_results. It must be a positive integer, but got 0")
    | _refused("raw/page sizes/3", "Invalid value for max_results. It must be a positive integer, but got -1")
    | {"raw/page sizes/2/1/next_page_token": None, "raw/page sizes/3/1/next_page_token": None}
)

# The same refusal in better words.
_WORDS = (
    _clients(
        {
            f"create_model_with_a_bad_name/{at}/1": (
                f"{INVALID}: Invalid model name '{name}'. Names cannot read as a relative path. "
                "Begin with a letter or a digit."
            )
            for at, name in ((3, ".."), (4, "."))
        }
    )
    | {
        "raw/page sizes/1/1/message": (
            "Invalid value for request parameter max_results. It must be at most 1000, but got value 1001"
        ),
        "raw/page sizes/5/1/message": (
            "Invalid value for request parameter max_results. It must be at most 200000, but got value 200001"
        ),
        "raw/prompts/1/1/message": (
            "Registered Model (name=P-8) already exists. Models and prompts share their names: choose another one."
        ),
        "raw/prompts/4/1/message": (
            "Prompt (name=P-8-p) already exists. Models and prompts share their names: choose another one."
        ),
    }
    | {
        f"raw/page sizes/{at}/1/message": (
            "Invalid page token, it was not made by this server for this search. "
            "Start again from the first page, without a token."
        )
        for at in (8, 9)
    }
)

# Sources on other hosts are kept as given, unpinned: this server never connects to them, so there is nothing to fear.
_SOURCES = _clients(
    {
        "sources_that_are_taken/3": _taken("4", "https://example.org/model"),
        "sources_that_are_taken/4": _taken("5", "abfss://c@h/p"),
        "sources_that_are_taken/5": _taken("6", "hdfs://h:1/p"),
    }
)

_MORE = {
    # Both spellings of a required field are read; stock reads the second one, then says that the field is missing.
    "raw/bodies/9/0": 200,
    "raw/bodies/9/1/error_code": None,
    "raw/bodies/9/1/message": None,
    "raw/bodies/9/1/registered_model": {
        "name": "P-4-d",
        "creation_timestamp": "a time",
        "last_updated_timestamp": "a time",
    },
    # Searches show the aliases of a version, which stock leaves out there and clients read everywhere.
    "raw/a version from birth to death/10/1/model_versions/0/aliases": ["champion"],
}

# Which rows of `tests/differential/deliberate.py`, from which the docs are made, each block above is an instance of.
ROWS: dict[str, tuple[str, ...]] = {
    "_STOCK_BREAKS": ("stock-5xx",),
    "_STOCK_GUESSES": ("filters", "page-size"),
    "_WORDS": ("words", "advice"),
    "_SOURCES": ("other-hosts",),
    "_MORE": ("camel", "search-aliases"),
}
EVERYWHERE: dict[str, Any] = _STOCK_BREAKS | _STOCK_GUESSES | _WORDS | _SOURCES | _MORE


def _protected(model: str) -> list[str]:
    return [
        "RESOURCE_CONFLICT",
        f"RESOURCE_CONFLICT: version 1 of '{model}' holds Production, which the lifecycle 'standard' protects. "
        "Take it out first: greenroom archive",
    ]


def _no_stage(name: str) -> str:
    return f"{INVALID}: Stage '{name}' does not exist. Known stages: {STAGES}."


# Design, sections 2 and 4.
UNDER_STANDARD: dict[str, Any] = _clients(
    {
        # A version number is never used again, not even after its model was deleted.
        "create_a_model_again_after_deleting_it/1/version": "3",
        # The holder of a protected stage is not deleted.
        "delete_a_model_in_production": _protected("P-delete_a_model_in_production"),
        "delete_a_version_in_production": _protected("P-delete_a_version_in_production"),
        # Stages are the user's own, so the text names those that there are and how to make one.
        "latest_versions/5/1": _no_stage("Nonsense"),
        "transition_errors/0/1": _no_stage("Nonsense"),
        "transition_errors/1/1": _no_stage("@champion"),
        "transition_errors/2/1": _no_stage("Deleted_Internal"),
        # Production has one holder, and the refusal names both ways out.
        "two_versions_in_production/1": [
            "RESOURCE_CONFLICT",
            "RESOURCE_CONFLICT: Production refused version 2 of 'P-two_versions_in_production'. "
            "Production of 'P-two_versions_in_production' is held by version 1. Ways out: "
            "archive version 1 first: greenroom archive",
        ],
        "two_versions_in_production/2/2": "None",
    }
)

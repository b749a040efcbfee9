"""For people who write adapters: conformance suites that any back end must pass (they need pytest)."""

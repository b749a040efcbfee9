"""Use cases: one function is one use case and one transaction, `f(tx, command, actor)`."""

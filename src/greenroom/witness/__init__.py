"""A witness: keeps the last checkpoint it cosigned of each log, and cosigns only what continues it.

It stands alone: a folder, a key of its own, no registry. `folder` keeps the promise, `follow` asks logs, `listen` is
asked.
"""

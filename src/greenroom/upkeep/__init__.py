"""What is done to a registry from outside, by whoever looks after it: back up, restore, move, check, upgrade.

It puts adapters together as `greenroom.app` does, but runs no registry; `greenroom db` is its edge.
"""

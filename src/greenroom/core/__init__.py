"""The rules of the registry: pure functions over plain values.

Nothing in this package reads a clock, a file, the network or a random number; it imports the standard library only.
"""

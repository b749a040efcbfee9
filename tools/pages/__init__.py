"""The parts of docs/ that are made from the code: one module per kind of page, one function per block of text."""

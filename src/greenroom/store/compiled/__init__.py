"""Generated SQL, one module per dialect."""

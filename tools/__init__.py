"""Scripts that keep the repository; nothing of this is installed."""

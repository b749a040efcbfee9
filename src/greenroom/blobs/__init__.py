"""Where bytes live: one file per kind of storage, each an adapter of `services.ports.BlobStore`."""

"""The command line: manifests in, problems, snapshots or a running gateway out."""

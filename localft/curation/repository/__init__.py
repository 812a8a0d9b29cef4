"""From a repository, its docs and its history to rows: SOURCE → documents → secrets out → chunks → JSON lines."""

"""What is watched: one small port, its adapters beside it. Lists and reads, never writes."""

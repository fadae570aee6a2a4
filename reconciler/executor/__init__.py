"""Where runs run: one small port, its adapters beside it."""

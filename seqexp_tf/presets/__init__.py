"""Run configurations that ship with the package, one TOML each."""

"""One file per question; each prints a table and writes build/bench/NAME.json."""

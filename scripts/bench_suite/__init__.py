"""What things cost, each beside a baseline in the same run: `python -m bench_suite [PART ...]`, or `scripts/bench`."""

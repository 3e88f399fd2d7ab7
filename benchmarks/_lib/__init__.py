"""What the benchmarks share: bars and tables, results, child processes, services, charts, peers."""

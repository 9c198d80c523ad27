"""What the pipeline costs: each module measures one part and writes its table into docs/benchmarks.md."""

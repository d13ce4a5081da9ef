//! Benchmarks beside peers: load generators, fair peers' settings, tables of ratios.

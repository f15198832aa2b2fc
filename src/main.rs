//! Parses what was typed, starts logging, runs the role and maps its failure to an exit code.

fn main() {}

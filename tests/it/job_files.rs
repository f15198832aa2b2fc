//! The shipped job files: what they have in common stays common, for no job file can include another.

const BUILDER: &str = include_str!("../../hcl/builder.hcl");
const NIX: &str = include_str!("../../hcl/nixcache.hcl");

/// A block from its first line to the brace that closes it, at the same depth.
fn block<'a>(file: &'a str, head: &str) -> &'a str {
    let start = file.find(head).unwrap_or_else(|| panic!("no {head}"));
    let depth = head.len() - head.trim_start().len();
    let close = format!("\n{}}}\n", " ".repeat(depth));
    let end = file[start..].find(&close).unwrap() + start;
    &file[start..end]
}

#[test]
fn the_builder_with_a_nix_store_has_the_builders_own_tasks() {
    for task in ["controller", "sidecar", "prepare"] {
        let head = format!("    task \"{task}\" {{\n");
        assert_eq!(block(NIX, &head), block(BUILDER, &head), "copy the task {task} of builder.hcl to nixcache.hcl");
    }
}

#[test]
fn the_builder_with_a_nix_store_takes_every_variable_of_the_builder() {
    for line in BUILDER.lines().filter(|line| line.starts_with("variable \"")) {
        assert!(NIX.lines().any(|other| other == line), "nixcache.hcl has no {line}");
    }
}

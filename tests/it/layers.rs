//! `main → cli → role → {engine, registry, api} → domain`: who may use whom.

use std::path::{Path, PathBuf};

/// A layer and what of ours it may name. `bench` and tests are free.
const MAY_USE: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("listen", &[]),
    ("api", &["domain"]),
    ("engine", &["api", "domain"]),
    ("registry", &["api", "domain"]),
    ("dispatcher", &["listen", "engine", "registry", "api", "domain"]),
    ("controller", &["listen", "api", "domain"]),
    ("sidecar", &["engine", "registry", "api", "domain"]),
    // Puts the same pieces together on one machine: the one role that may start another.
    ("dev", &["dispatcher", "sidecar", "engine", "registry", "api", "domain"]),
    ("cli", &["dispatcher", "controller", "sidecar", "dev", "engine", "registry", "api", "domain"]),
];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|it| it == "rs") {
            found.push(path);
        }
    }
}

/// The layers that a file names as `crate::<layer>`, in a path or in a braced `use crate::{…}`.
fn named(text: &str) -> Vec<String> {
    let code = text.lines().map(|line| line.split("//").next().unwrap_or_default());
    let code: String = code.collect::<Vec<_>>().join("\n");
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        let end = if rest.starts_with('{') { rest.find(';').unwrap_or(rest.len()) } else { rest.len() };
        let mut depth = 0;
        for part in rest[..end].split_inclusive(['{', '}', ',', ';', '\n', ' ', '(', ')', '<', '>']) {
            let word: String = part.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            if !word.is_empty() && depth <= 1 {
                found.push(word);
            }
            depth +=
                i32::try_from(part.matches('{').count()).unwrap() - i32::try_from(part.matches('}').count()).unwrap();
            if depth == 0 {
                break;
            }
        }
    }
    found
}

#[test]
fn layers_use_only_what_lies_below_them() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = Vec::new();
    for entry in std::fs::read_dir(&source).unwrap() {
        let path = entry.unwrap().path();
        let layer = path.file_name().unwrap().to_str().unwrap().to_owned();
        if !path.is_dir() {
            assert!(["lib.rs", "main.rs"].contains(&layer.as_str()), "src/{layer} belongs to no layer");
            continue;
        }
        let Some((_, allowed)) = MAY_USE.iter().find(|(name, _)| *name == layer) else {
            panic!("src/{layer} is no layer that this test knows");
        };
        let mut files = Vec::new();
        sources(&path, &mut files);
        for file in files {
            let text = std::fs::read_to_string(&file).unwrap();
            for used in named(&text) {
                let ours = MAY_USE.iter().any(|(name, _)| *name == used);
                if ours && used != layer && !allowed.contains(&used.as_str()) {
                    wrong.push(format!("{} uses crate::{used}", file.strip_prefix(&source).unwrap().display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_use_is_found_in_every_way_it_can_be_written() {
    let text = "use crate::{domain::id, engine};\nlet x = crate::api::nomad::f(); // crate::dev\nuse crate::{\n    cli,\n    registry::{Index, engine_like},\n};";
    let found = named(text);
    for layer in ["domain", "engine", "api", "cli", "registry"] {
        assert!(found.contains(&layer.to_owned()), "{layer} in {found:?}");
    }
    assert!(!found.contains(&"dev".to_owned()) && !found.contains(&"Index".to_owned()), "{found:?}");
}

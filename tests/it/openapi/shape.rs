//! A description by itself: valid, whole, and of exactly the routes that there are.

use std::collections::BTreeSet;

use serde_json::Value;

use super::HOW;
use super::checked::operations;
use crate::fake::http::Reply;

/// Everything that a client's generator stumbles over.
pub(crate) fn is_sound(document: &Value) {
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    let text = document.to_string();
    assert!(!text.contains("[`"), "a link of rustdoc leads nowhere: {:?}", text.split("[`").nth(1).map(|it| &it[..60]));
    refs(document, document);
    let tags: Vec<&Value> = document["tags"].as_array().unwrap().iter().map(|tag| &tag["name"]).collect();
    for (id, operation) in operations(document) {
        let (path, described) = (operation.path, operation.described);
        assert!(described["summary"].as_str().is_some_and(|it| it.len() > 5), "{id} has no summary");
        assert!(described["tags"].as_array().unwrap().iter().all(|tag| tags.contains(&tag)), "{id}: its tag");
        let parameters = described["parameters"].as_array().cloned().unwrap_or_default();
        let mut names = BTreeSet::new();
        for parameter in &parameters {
            let name = (parameter["in"].as_str().unwrap(), parameter["name"].as_str().unwrap());
            assert!(names.insert(name), "{id}: {name:?} twice");
            assert!(parameter["in"] != "path" || parameter["required"] == true, "{id}: {name:?}");
        }
        let declared: BTreeSet<&str> = names.iter().filter(|(at, _)| *at == "path").map(|(_, name)| *name).collect();
        let in_path = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')).collect();
        assert_eq!(declared, in_path, "{id}: parameters of {path}");
        assert!(!described["responses"].as_object().unwrap().is_empty(), "{id} answers nothing");
        for one in described["security"].as_array().into_iter().flatten() {
            for scheme in one.as_object().unwrap().keys() {
                assert!(document["components"]["securitySchemes"][scheme].is_object(), "{id}: no scheme {scheme}");
            }
        }
    }
}

/// Every reference leads somewhere, and no bytes are told as a list of numbers.
fn refs(at: &Value, document: &Value) {
    match at {
        Value::Object(object) => {
            assert_ne!(object.get("items").map(|items| &items["format"]), Some(&"int32".into()), "{object:?}");
            if let Some(to) = object.get("$ref").and_then(Value::as_str) {
                let pointer = to.strip_prefix('#').unwrap_or_else(|| panic!("{to} leads out"));
                assert!(document.pointer(pointer).is_some(), "{to} leads nowhere: name it in components(schemas(…))");
            }
            object.values().for_each(|value| refs(value, document));
        }
        Value::Array(list) => list.iter().for_each(|value| refs(value, document)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The paths of a file of routes.
pub(crate) fn routes(file: &str) -> BTreeSet<String> {
    let text = std::fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<String>();
    let paths = code.split(".route(").skip(1).map(|rest| rest.split('"').nth(1).unwrap().replace("{*", "{"));
    paths.collect()
}

/// That these routes are described, and no others.
pub(crate) fn all_described(document: &Value, routes: &BTreeSet<String>) {
    let described: BTreeSet<String> = document["paths"].as_object().unwrap().keys().cloned().collect();
    let missing: Vec<_> = routes.difference(&described).collect();
    assert!(missing.is_empty(), "these routes are not described: {missing:?}\n{HOW}");
    let gone: Vec<_> = described.difference(routes).collect();
    assert!(gone.is_empty(), "there are no such routes: {gone:?}\n{HOW}");
}

/// That a path takes the methods that are described, by what it says to one that nothing takes.
pub(crate) fn takes_what_is_described(document: &Value, path: &str, refused: &Reply) {
    assert_eq!(refused.status, 405, "{path}: {}", refused.text);
    let allowed = refused.headers["allow"].to_str().unwrap().to_lowercase();
    let described: BTreeSet<&str> = document["paths"][path].as_object().unwrap().keys().map(String::as_str).collect();
    // Whatever is got may be asked about too.
    let is_implied = |method: &str| method == "head" && !described.contains("head");
    let allowed: BTreeSet<&str> = allowed.split(',').map(str::trim).filter(|method| !is_implied(method)).collect();
    assert_eq!(allowed, described, "the methods of {path}\n{HOW}");
}

//! Recorded exchanges: what a real service was asked and what it answered.

use std::path::PathBuf;

use serde_json::Value;

/// The recorded file `tests/fixture/<name>.json`.
pub(crate) fn read(name: &str) -> Value {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixture").join(format!("{name}.json"));
    let text = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Method, path, body as sent, status and body of a recorded exchange.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) sent: Option<String>,
    pub(crate) status: u16,
    pub(crate) answer: Value,
}

/// The exchange recorded in `tests/fixture/<name>.json`.
pub(crate) fn exchange(name: &str) -> Exchange {
    let file = read(name);
    let request = &file["request"];
    let sent = match &request["body"] {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        json => Some(json.to_string()),
    };
    Exchange {
        method: request["method"].as_str().unwrap().to_owned(),
        path: request["path"].as_str().unwrap().to_owned(),
        sent,
        status: u16::try_from(file["status"].as_u64().unwrap()).unwrap(),
        answer: file["body"].clone(),
    }
}

/// A value with all that differs from run to run (ids, indexes, times) reduced to its type.
pub(crate) fn shape(value: &Value) -> Value {
    match value {
        Value::Null => Value::Null,
        Value::Bool(_) => "bool".into(),
        Value::Number(_) => "number".into(),
        Value::String(_) => "string".into(),
        Value::Array(items) => {
            items.first().map_or_else(|| Value::Array(Vec::new()), |one| Value::Array(vec![shape(one)]))
        }
        Value::Object(fields) => {
            let mut names: Vec<_> = fields.iter().collect();
            names.sort_by_key(|(name, _)| name.as_str());
            Value::Object(names.into_iter().map(|(name, one)| (name.clone(), shape(one))).collect())
        }
    }
}

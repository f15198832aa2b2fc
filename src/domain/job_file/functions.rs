//! The functions of HCL that job files use most; the others are worked out by Nomad alone.

use serde_json::{Map, Value};

use super::eval::{Known, number_of, text_of};

pub(super) fn call(name: &str, arguments: &[Value]) -> Known {
    let known = match (name, arguments) {
        ("lookup", [map, key]) => text_of(key).and_then(|key| map.get(&key)).cloned(),
        ("lookup", [map, key, default]) => {
            text_of(key).map(|key| map.get(&key).cloned().unwrap_or_else(|| default.clone()))
        }
        ("length", [Value::Array(items)]) => Some(items.len().into()),
        ("length", [Value::Object(map)]) => Some(map.len().into()),
        ("length", [Value::String(text)]) => Some(text.chars().count().into()),
        ("concat", lists) => concat(lists),
        ("merge", maps) => merge(maps),
        ("join", [Value::String(between), Value::Array(items)]) => join(between, items),
        ("split", [Value::String(between), Value::String(text)]) if !between.is_empty() => {
            Some(text.split(between.as_str()).map(Value::from).collect())
        }
        ("replace", [Value::String(text), Value::String(from), Value::String(to)]) if !from.starts_with('/') => {
            Some(text.replace(from.as_str(), to).into())
        }
        ("lower", [Value::String(text)]) => Some(text.to_lowercase().into()),
        ("upper", [Value::String(text)]) => Some(text.to_uppercase().into()),
        ("trimspace", [Value::String(text)]) => Some(text.trim().into()),
        ("contains", [Value::Array(items), item]) => Some(items.contains(item).into()),
        ("keys", [Value::Object(map)]) => Some(map.keys().map(|key| Value::from(key.as_str())).collect()),
        ("values", [Value::Object(map)]) => Some(map.values().cloned().collect()),
        ("tostring", [value]) => text_of(value).map(Value::from),
        ("tonumber", [value]) => text_of(value).and_then(|text| text.parse().ok()).map(number_of),
        ("toset" | "tolist" | "try" | "nonsensitive", [value, ..]) => Some(value.clone()),
        ("coalesce", values) => values.iter().find(|value| !value.is_null() && *value != &Value::from("")).cloned(),
        ("min", values) => numbers(values).and_then(|all| all.into_iter().reduce(f64::min)).map(number_of),
        ("max", values) => numbers(values).and_then(|all| all.into_iter().reduce(f64::max)).map(number_of),
        ("jsonencode", [value]) => Some(value.to_string().into()),
        _ => None,
    };
    known.ok_or_else(|| format!("{name}(…) is worked out by Nomad alone"))
}

fn concat(lists: &[Value]) -> Option<Value> {
    let mut all = Vec::new();
    for list in lists {
        all.extend(list.as_array()?.iter().cloned());
    }
    Some(all.into())
}

fn merge(maps: &[Value]) -> Option<Value> {
    let mut all = Map::new();
    for map in maps.iter().filter(|map| !map.is_null()) {
        all.extend(map.as_object()?.iter().map(|(key, value)| (key.clone(), value.clone())));
    }
    Some(all.into())
}

fn join(between: &str, items: &[Value]) -> Option<Value> {
    let items: Option<Vec<String>> = items.iter().map(text_of).collect();
    Some(items?.join(between).into())
}

fn numbers(values: &[Value]) -> Option<Vec<f64>> {
    values.iter().map(Value::as_f64).collect()
}

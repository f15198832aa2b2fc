//! Which part of a job file is which part of Nomad's JSON, as far as checks look at it.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::eval::{text_of, truth};
use super::expand::{Attribute, Block};
use super::{Doubt, Sketch};

/// What stands behind a name.
enum Kind {
    Text,
    Number,
    Switch,
    /// `12h`; nanoseconds in JSON.
    Time,
    /// A list of texts.
    Words,
    /// As it is: a list, an object.
    Whole,
    /// A block there is one of.
    One(&'static [Field]),
    /// A block there may be several of: told apart by `#0`, `#1`.
    Many(&'static [Field]),
    /// The same by its label, which is the JSON's `Name`.
    Labelled(&'static [Field]),
    /// The same by its attribute `name`.
    Named(&'static [Field]),
    /// A block of any attributes and blocks.
    Free,
}

/// A name in HCL, the name in JSON.
struct Field(&'static str, &'static str, Kind);

const JOB: &[Field] = &[
    Field("id", "ID", Kind::Text),
    Field("name", "Name", Kind::Text),
    Field("namespace", "Namespace", Kind::Text),
    Field("type", "Type", Kind::Text),
    Field("meta", "Meta", Kind::Free),
    Field(
        "parameterized",
        "ParameterizedJob",
        Kind::One(&[
            Field("payload", "Payload", Kind::Text),
            Field("meta_required", "MetaRequired", Kind::Words),
            Field("meta_optional", "MetaOptional", Kind::Words),
        ]),
    ),
    Field("periodic", "Periodic", Kind::One(&[])),
    Field("vault", "Vault", Kind::One(&[])),
    Field("group", "TaskGroups", Kind::Labelled(GROUP)),
];

const GROUP: &[Field] = &[
    Field("count", "Count", Kind::Number),
    Field("restart", "RestartPolicy", Kind::One(RESTART)),
    Field(
        "reschedule",
        "ReschedulePolicy",
        Kind::One(&[Field("attempts", "Attempts", Kind::Number), Field("unlimited", "Unlimited", Kind::Switch)]),
    ),
    Field(
        "disconnect",
        "Disconnect",
        Kind::One(&[Field("lost_after", "LostAfter", Kind::Time), Field("replace", "Replace", Kind::Switch)]),
    ),
    Field("max_run_duration", "MaxRunDuration", Kind::Time),
    Field("ephemeral_disk", "EphemeralDisk", Kind::One(&[Field("size", "SizeMB", Kind::Number)])),
    Field("network", "Networks", Kind::Many(&[Field("mode", "Mode", Kind::Text)])),
    Field("vault", "Vault", Kind::One(&[])),
    Field("task", "Tasks", Kind::Labelled(TASK)),
];

const RESTART: &[Field] = &[Field("attempts", "Attempts", Kind::Number), Field("mode", "Mode", Kind::Text)];

const TASK: &[Field] = &[
    Field("driver", "Driver", Kind::Text),
    Field("user", "User", Kind::Text),
    Field("config", "Config", Kind::Free),
    Field("env", "Env", Kind::Free),
    Field("restart", "RestartPolicy", Kind::One(RESTART)),
    Field(
        "identity",
        "Identities",
        Kind::Named(&[
            Field("name", "Name", Kind::Text),
            Field("aud", "Audience", Kind::Words),
            Field("env", "Env", Kind::Switch),
            Field("file", "File", Kind::Switch),
            Field("ttl", "TTL", Kind::Time),
        ]),
    ),
    Field("vault", "Vault", Kind::One(&[])),
    Field("consul", "Consul", Kind::One(&[])),
    Field("secret", "Secrets", Kind::Labelled(&[])),
    Field(
        "template",
        "Templates",
        Kind::Many(&[
            Field("data", "EmbeddedTmpl", Kind::Text),
            Field("source", "SourcePath", Kind::Text),
            Field("destination", "DestPath", Kind::Text),
        ]),
    ),
    Field(
        "lifecycle",
        "Lifecycle",
        Kind::One(&[Field("hook", "Hook", Kind::Text), Field("sidecar", "Sidecar", Kind::Switch)]),
    ),
    Field(
        "logs",
        "LogConfig",
        Kind::One(&[
            Field("max_files", "MaxFiles", Kind::Number),
            Field("max_file_size", "MaxFileSizeMB", Kind::Number),
            Field("disabled", "Disabled", Kind::Switch),
        ]),
    ),
];

/// The job with its lines and doubts.
pub(super) fn sketch(job: &Block) -> Sketch {
    let mut writer = Writer::default();
    writer.lines.insert(String::new(), job.line);
    let mut json = writer.block(job, JOB, "");
    let label = job.labels.first().cloned().unwrap_or_default();
    if let Some(json) = json.as_object_mut() {
        json.entry("ID").or_insert_with(|| label.clone().into());
        json.entry("Name").or_insert_with(|| label.into());
    }
    Sketch { job: Some(json), lines: writer.lines, doubts: writer.doubts }
}

#[derive(Default)]
struct Writer {
    lines: BTreeMap<String, u32>,
    doubts: Vec<Doubt>,
}

impl Writer {
    fn block(&mut self, block: &Block, fields: &[Field], place: &str) -> Value {
        let mut json = Map::new();
        for attribute in &block.attributes {
            if let Some(Field(name, to, kind)) = fields.iter().find(|field| field.0 == attribute.name) {
                let place = within(place, name);
                if let Some(value) = self.attribute(attribute, kind, &place) {
                    json.insert((*to).to_owned(), value);
                }
            }
        }
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for inner in &block.blocks {
            let Some(Field(name, to, kind)) = fields.iter().find(|field| field.0 == inner.kind) else {
                continue;
            };
            let count = counts.entry(*name).or_default();
            let place = match kind {
                Kind::Many(_) => format!("{}#{count}", within(place, name)),
                Kind::Labelled(_) => format!("{} {}", within(place, name), label(inner)),
                Kind::Named(_) => format!("{} {}", within(place, name), named(inner)),
                _ => within(place, name),
            };
            *count += 1;
            self.lines.insert(place.clone(), inner.line);
            match kind {
                Kind::One(fields) => {
                    let value = self.block(inner, fields, &place);
                    json.insert((*to).to_owned(), value);
                }
                Kind::Free => {
                    let value = self.free(inner, &place);
                    merge(&mut json, to, value);
                }
                Kind::Many(fields) | Kind::Named(fields) | Kind::Labelled(fields) => {
                    let mut value = self.block(inner, fields, &place);
                    if let (Kind::Labelled(_), Some(value)) = (kind, value.as_object_mut()) {
                        value.insert("Name".to_owned(), label(inner).into());
                    }
                    append(&mut json, to, value);
                }
                Kind::Text | Kind::Number | Kind::Switch | Kind::Time | Kind::Words | Kind::Whole => {}
            }
        }
        for (kind, line, why) in &block.doubtful {
            if fields.iter().any(|field| field.0 == kind) {
                self.doubt(&within(place, kind), *line, why);
            }
        }
        json.into()
    }

    fn attribute(&mut self, attribute: &Attribute, kind: &Kind, place: &str) -> Option<Value> {
        self.lines.insert(place.to_owned(), attribute.line);
        let value = match &attribute.value {
            Ok(Value::Null) => return None,
            Ok(value) => value,
            Err(why) => {
                self.doubt(place, attribute.line, why);
                return None;
            }
        };
        let fits = match kind {
            Kind::Text => text_of(value).map(Value::from),
            Kind::Number if value.is_number() => Some(value.clone()),
            Kind::Number => text_of(value).and_then(|text| text.parse::<i64>().ok()).map(Value::from),
            Kind::Switch => truth(value).map(Value::from),
            Kind::Time => nanoseconds(value).map(Value::from),
            Kind::Words => {
                let words = value.as_array().map(|all| all.iter().map(text_of).collect::<Option<Vec<_>>>());
                words.flatten().map(Value::from)
            }
            // `meta = { … }` is an old way of writing it.
            Kind::Free => value.is_object().then(|| value.clone()),
            Kind::Whole => Some(value.clone()),
            Kind::One(_) | Kind::Many(_) | Kind::Labelled(_) | Kind::Named(_) => None,
        };
        if fits.is_none() {
            self.doubt(place, attribute.line, "it is the wrong kind of value");
        }
        fits
    }

    /// A block that a driver reads.
    fn free(&mut self, block: &Block, place: &str) -> Value {
        let mut json = Map::new();
        for attribute in &block.attributes {
            let place = within(place, &attribute.name);
            if let Some(value) = self.attribute(attribute, &Kind::Whole, &place) {
                json.insert(attribute.name.clone(), value);
            }
        }
        for inner in &block.blocks {
            let place = within(place, &inner.kind);
            self.lines.entry(place.clone()).or_insert(inner.line);
            let value = self.free(inner, &place);
            append(&mut json, &inner.kind, value);
        }
        for (kind, line, why) in &block.doubtful {
            self.doubt(&within(place, kind), *line, why);
        }
        json.into()
    }

    fn doubt(&mut self, place: &str, line: u32, why: &str) {
        self.doubts.push(Doubt { place: place.to_owned(), line, why: why.to_owned() });
    }
}

fn within(place: &str, name: &str) -> String {
    if place.is_empty() { name.to_owned() } else { format!("{place}/{name}") }
}

fn label(block: &Block) -> &str {
    block.labels.first().map_or("", String::as_str)
}

/// What a block calls itself; identities without a name are the default one.
fn named(block: &Block) -> String {
    let name = block.attributes.iter().find(|attribute| attribute.name == "name");
    let name = name.and_then(|name| name.value.as_ref().ok()).and_then(text_of);
    name.unwrap_or_else(|| "default".to_owned())
}

fn append(json: &mut Map<String, Value>, to: &str, value: Value) {
    match json.get_mut(to) {
        Some(Value::Array(items)) => items.push(value),
        _ => {
            json.insert(to.to_owned(), vec![value].into());
        }
    }
}

fn merge(json: &mut Map<String, Value>, to: &str, value: Value) {
    match (json.get_mut(to), value) {
        (Some(Value::Object(there)), Value::Object(more)) => there.extend(more),
        (_, value) => {
            json.insert(to.to_owned(), value);
        }
    }
}

/// `1h30m`, as Go writes durations; a bare number is nanoseconds.
fn nanoseconds(value: &Value) -> Option<i64> {
    let Value::String(text) = value else {
        return value.as_i64();
    };
    if text == "0" {
        return Some(0);
    }
    let mut rest = text.as_str();
    let mut sum = 0.0;
    while !rest.is_empty() {
        let number = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (amount, behind) = rest.split_at(number);
        let unit = behind.find(|c: char| c.is_ascii_digit()).unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(unit);
        let each = match unit {
            "ns" => 1.0,
            "us" | "µs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 60e9,
            "h" => 3_600e9,
            _ => return None,
        };
        sum += amount.parse::<f64>().ok()? * each;
        rest = behind;
    }
    #[expect(clippy::cast_possible_truncation, reason = "longer than 292 years is as long")]
    (!text.is_empty()).then_some(sum as i64)
}

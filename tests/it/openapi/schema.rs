//! Schemas as strict as a test wants them: nothing may be there that they do not know.

use serde_json::{Map, Value, json};

const PLACE: &str = "#/components/schemas/";

/// A description's schemas, each closed, and a validator for one more that may point to them.
pub(super) struct Schemas {
    components: Value,
}

impl Schemas {
    pub(super) fn of(document: &Value) -> Self {
        let all = document["components"]["schemas"].as_object().unwrap();
        let closed: Map<String, Value> = all.iter().map(|(name, schema)| (name.clone(), closed(schema, all))).collect();
        Self { components: json!({ "schemas": closed }) }
    }

    /// What is wrong with a value.
    pub(super) fn faults(&self, schema: &Value, value: &Value) -> Vec<String> {
        let all = self.components["schemas"].as_object().unwrap();
        let whole = json!({"allOf": [closed(schema, all)], "components": self.components});
        let validator = jsonschema::draft202012::options().should_validate_formats(true).build(&whole).unwrap();
        validator.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect()
    }
}

/// The schema, refusing properties that it does not name.
fn closed(schema: &Value, all: &Map<String, Value>) -> Value {
    let mut schema = deep(schema, all);
    let Some(object) = schema.as_object_mut() else { return schema };
    if object.contains_key("allOf") {
        object.insert("unevaluatedProperties".to_owned(), false.into());
    } else if object.contains_key("properties") && !object.contains_key("additionalProperties") {
        object.insert("additionalProperties".to_owned(), false.into());
    }
    schema
}

/// The same for all that is in it. A part of `allOf` stays open, as the others' properties stand beside its own.
fn deep(schema: &Value, all: &Map<String, Value>) -> Value {
    let Some(object) = schema.as_object() else { return schema.clone() };
    let each = |(key, value): (&String, &Value)| {
        let list = |make: &dyn Fn(&Value) -> Value| {
            Value::from(value.as_array().unwrap().iter().map(make).collect::<Vec<_>>())
        };
        let value = match key.as_str() {
            "properties" => {
                let fields = value.as_object().unwrap().iter();
                Value::Object(fields.map(|(name, field)| (name.clone(), closed(field, all))).collect())
            }
            "items" | "additionalProperties" => closed(value, all),
            "oneOf" | "anyOf" => list(&|one| closed(one, all)),
            "allOf" => list(&|one| deep(resolved(one, all), all)),
            _ => value.clone(),
        };
        (key.clone(), value)
    };
    Value::Object(object.iter().map(each).collect())
}

fn resolved<'a>(schema: &'a Value, all: &'a Map<String, Value>) -> &'a Value {
    schema["$ref"].as_str().and_then(|to| to.strip_prefix(PLACE)).map_or(schema, |name| &all[name])
}

#[test]
fn what_a_schema_does_not_know_is_a_fault() {
    let document = json!({"components": {"schemas": {
        "A": {"type": "object", "properties": {"a": {"type": "integer"}}},
        "B": {"allOf": [{"$ref": "#/components/schemas/A"}, {"type": "object", "properties": {"b": {}}}]},
        "C": {"type": "object", "required": ["list"], "properties":
            {"list": {"type": "array", "items": {"$ref": "#/components/schemas/A"}}}},
    }}});
    let schemas = Schemas::of(&document);
    let faults = |name: &str, value: Value| schemas.faults(&json!({"$ref": format!("{PLACE}{name}")}), &value).len();
    for (name, good) in [("A", json!({"a": 1})), ("B", json!({"a": 1, "b": 2})), ("C", json!({"list": [{"a": 1}]}))] {
        assert_eq!(faults(name, good), 0, "{name}");
    }
    for (name, bad) in [
        ("A", json!({"a": "1"})),
        ("A", json!({"a": 1, "b": 2})),
        ("B", json!({"a": 1, "c": 2})),
        ("C", json!({})),
        ("C", json!({"list": [{"a": 1, "x": 1}]})),
    ] {
        assert_ne!(faults(name, bad.clone()), 0, "{name}: {bad}");
    }
}

/// Whether the pattern of a name takes a text, and whether its parser does.
fn both<T: utoipa::PartialSchema + std::str::FromStr>(text: &str) -> (bool, bool) {
    let schema = serde_json::to_value(T::schema()).unwrap();
    (jsonschema::draft202012::is_valid(&schema, &text.into()), text.parse::<T>().is_ok())
}

#[test]
fn the_pattern_of_a_name_takes_what_its_parser_takes() {
    use albatros::domain::id::{BlobId, BuildId, BuilderName, ClaimId, CommitSha, Flavor, JobName, UploadId};
    let (digits, letters) = ("0123456789abcdef".repeat(4), "x".repeat(64));
    let texts = ["", "a", "a b", "a/b", "-a", ".", "a\n", "é", "a.b_c-D", &digits, &letters, "big/dispatch-1-0a"];
    let forty =
        [digits[..40].to_uppercase(), format!("a{}", &digits[..31]), format!("{digits}0"), format!("{letters}x")];
    for text in texts.into_iter().chain(forty.iter().map(String::as_str)) {
        for (name, (pattern, parser)) in [
            ("commit", both::<CommitSha>(text)),
            ("claim", both::<ClaimId>(text)),
            ("flavor", both::<Flavor>(text)),
            ("job", both::<JobName>(text)),
            ("blob", both::<BlobId>(text)),
            ("upload", both::<UploadId>(text)),
        ] {
            assert_eq!(pattern, parser, "{name}: {text:?}");
        }
        // These have rules beside it: their length, and no part that is `..`.
        for (name, (pattern, parser)) in [("build", both::<BuildId>(text)), ("builder", both::<BuilderName>(text))] {
            assert!(pattern || !parser, "{name}: {text:?}");
        }
    }
}

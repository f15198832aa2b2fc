//! Job files, as Nomad reads them.

use albatros::domain::job_file::{Given, JobFile};
use serde_json::Value;

use crate::fake::fixture;

/// What is read of `ours` stands so in `theirs`, which may hold more.
fn within(ours: &Value, theirs: &Value, at: &str) {
    match (ours, theirs) {
        (Value::Object(ours), Value::Object(theirs)) => {
            for (name, value) in ours {
                let other = theirs.get(name).unwrap_or_else(|| panic!("{at}/{name}: Nomad has none"));
                within(value, other, &format!("{at}/{name}"));
            }
        }
        (Value::Array(ours), Value::Array(theirs)) => {
            assert_eq!(ours.len(), theirs.len(), "{at}");
            for (n, (one, other)) in ours.iter().zip(theirs).enumerate() {
                within(one, other, &format!("{at}/{n}"));
            }
        }
        _ => assert_eq!(ours, theirs, "{at}"),
    }
}

#[test]
fn job_files_are_read_as_nomad_was_seen_to_read_them() {
    for name in ["builder", "exec", "nixcache", "plain"] {
        let recorded = fixture::read(&format!("nomad/parse/{name}"));
        let sent = &recorded["request"]["body"];
        let file = JobFile::parse(sent["JobHCL"].as_str().unwrap().to_owned()).unwrap();
        let mut given = Given::default();
        given.file(sent["Variables"].as_str().unwrap()).unwrap();
        let sketch = file.sketch(&given);
        assert_eq!(sketch.doubts, [], "{name}");
        within(&sketch.job.unwrap(), &recorded["body"], name);
    }
}

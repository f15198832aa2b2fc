use proptest::prelude::*;
use serde_json::json;

use super::*;

fn sketch(text: &str) -> Sketch {
    JobFile::parse(text.to_owned()).unwrap().sketch(&Given::default())
}

const FILE: &str = r#"variable "size" {
  type    = number
  default = 10
}
variable "who" {
  type = string
}
locals {
  tools = var.size > 5 ? ["all"] : null
}
job "b" {
  type = "batch"
  group "runner" {
    restart {
      attempts = "0"
    }
    max_run_duration = "1h30m"
    task "executor" {
      driver = "docker"
      config {
        cap_drop = local.tools
        image    = "${NOMAD_META_IMAGE}"
        args     = ["x", var.who]
        mount {
          source = "/run"
        }
      }
      dynamic "template" {
        for_each = ["one", "two"]
        content {
          data = "${template.value}-${template.key}"
        }
      }
      dynamic "identity" {
        for_each = var.who == "" ? [] : [1]
        content {
          name = "x"
        }
      }
    }
  }
}
"#;

#[test]
fn a_file_is_read_with_its_defaults_its_lines_and_what_is_not_known() {
    let read = sketch(FILE);
    let expected = json!({
        "ID": "b", "Name": "b", "Type": "batch",
        "TaskGroups": [{
            "Name": "runner", "RestartPolicy": {"Attempts": 0}, "MaxRunDuration": 5_400_000_000_000_i64,
            "Tasks": [{
                "Name": "executor", "Driver": "docker",
                "Config": {"cap_drop": ["all"], "image": "${NOMAD_META_IMAGE}", "mount": [{"source": "/run"}]},
                "Templates": [{"EmbeddedTmpl": "one-0"}, {"EmbeddedTmpl": "two-1"}],
            }],
        }],
    });
    assert_eq!(read.job, Some(expected));
    let task = "group runner/task executor";
    for (place, line) in [
        ("", 11),
        ("type", 12),
        ("group runner/restart/attempts", 15),
        ("group runner/task executor/config/image", 22),
        ("group runner/task executor/config/privileged", 20),
        ("group nobody", 11),
    ] {
        assert_eq!(read.line(place), Some(line), "{place}");
    }
    let doubts: Vec<_> = read.doubts.iter().map(|doubt| (doubt.place.as_str(), doubt.line)).collect();
    let (args, identity) = (format!("{task}/config/args"), format!("{task}/identity"));
    assert_eq!(doubts, [(args.as_str(), 23), (identity.as_str(), 34)]);
    assert!(read.doubts[0].why.contains("-var who="), "{:?}", read.doubts);
    assert!(read.doubts(&format!("{task}/config/args")) && !read.doubts(&format!("{task}/config/image")));
}

#[test]
fn a_value_that_is_given_counts_as_its_variables_type_says() {
    let file = JobFile::parse(FILE.to_owned()).unwrap();
    let mut given = Given::default();
    given.file("size = 4\nwho = \"file\"\n").unwrap();
    given.typed("who=a\"${b}\\").unwrap();
    given.environment("size", "99".to_owned());
    let read = file.sketch(&given);
    assert!(read.doubts.is_empty(), "{:?}", read.doubts);
    let config = &read.job.unwrap()["TaskGroups"][0]["Tasks"][0]["Config"];
    assert_eq!(config["args"], json!(["x", "a\"${b}\\"]));
    assert_eq!(config.get("cap_drop"), None, "size is 4");
    assert_eq!(given.for_nomad(&file.variables()), "size = 4\nwho = \"a\\\"$${b}\\\\\"\n");
    assert!(!format!("{given:?}").contains("${b}"), "values may be secret");
    assert_eq!(Given::default().typed("no value"), Err(GivenError::NoName));
    assert!(Given::default().file("job \"x\" {}").is_err());
}

#[test]
fn what_is_no_hcl_is_told_with_its_line() {
    let error = JobFile::parse("job \"x\" {\n  a = \n}\n".to_owned()).unwrap_err();
    assert!(matches!(error, JobFileError::Syntax { line: 2.., .. }), "{error:?}");
    assert_eq!(JobFile::parse(" ".repeat(LARGEST + 1)).unwrap_err(), JobFileError::TooLarge);
    assert_eq!(sketch("# nothing\n"), Sketch::default());
}

#[test]
fn a_file_that_is_made_to_burst_does_not() {
    let mut text = "locals {\n  a0 = \"xxxxxxxxxxxxxxxx\"\n".to_owned();
    for n in 1..64 {
        text.push_str(&format!("  a{n} = \"${{local.a{}}}${{local.a{}}}\"\n", n - 1, n - 1));
    }
    text.push_str("  c = local.d\n  d = local.c\n}\njob \"x\" {\n  type = local.a63\n  namespace = local.c\n}\n");
    let read = sketch(&text);
    assert_eq!(read.doubts.len(), 2, "{:?}", read.doubts);
    let nested = "dynamic \"group\" {\n for_each = split(\",\", \",,,,,,,,,,,,,,,\")\n content {\n".repeat(20);
    let text = format!("job \"x\" {{\n{nested}{}}}\n", "}\n}\n".repeat(20));
    assert!(!sketch(&text).doubts.is_empty());
}

#[test]
fn our_own_builders_hold_nothing_that_is_not_known() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("hcl");
    let mut read = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|it| it != "hcl") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let sketch = sketch(&text);
        assert!(sketch.job.is_some(), "{path:?}");
        if text.contains("\n  parameterized {") {
            assert_eq!(sketch.doubts, [], "{path:?}");
            read += 1;
        }
    }
    assert!(read >= 4);
}

proptest! {
    #[test]
    fn any_text_is_refused_or_read(text in "[a-z\"{}=\\[\\]$%.\n ]{0,80}") {
        if let Ok(file) = JobFile::parse(text) {
            drop(file.sketch(&Given::default()));
        }
    }

    #[test]
    fn a_typed_text_arrives_as_it_was_typed(text in "[ -~\n\t]{0,40}") {
        let file = JobFile::parse("variable \"a\" {\n type = string\n}\njob \"x\" {\n type = var.a\n}\n".to_owned()).unwrap();
        let mut given = Given::default();
        given.typed(&format!("a={text}")).unwrap();
        prop_assert_eq!(&file.sketch(&given).job.unwrap()["Type"], &json!(text));
    }
}

//! What a plan of Nomad's says would change, a line a change.

use serde_json::Value;

/// Lines at most.
const MOST: usize = 100;
/// The longest value that is shown whole.
const LONGEST: usize = 60;
/// Trees within trees at most: Nomad's own have five.
const DEEPEST: usize = 16;

/// `group runner / EphemeralDisk: SizeMB 4000 → 5000`, a line each. Values of variables of the environment are not shown:
/// they may be secret.
#[must_use]
pub fn changes(diff: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    walk(diff, &mut Vec::new(), &mut lines);
    let more = lines.len().saturating_sub(MOST);
    lines.truncate(MOST);
    if more > 0 {
        lines.push(format!("and {more} more"));
    }
    lines
}

fn walk(tree: &Value, path: &mut Vec<String>, lines: &mut Vec<String>) {
    if path.len() > DEEPEST || lines.len() > MOST * 10 {
        return;
    }
    let of = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let list = |name: &str| tree.get(name).and_then(Value::as_array).into_iter().flatten();
    for field in list("Fields") {
        let (kind, name) = (of(field, "Type"), of(field, "Name"));
        let secret = name.starts_with("Env[");
        let shown = |value: String| if secret { "…".to_owned() } else { short(&value) };
        let (old, new) = (shown(of(field, "Old")), shown(of(field, "New")));
        let change = match kind.as_str() {
            "Added" => format!("+ {name} {new}"),
            "Deleted" => format!("- {name} {old}"),
            "Edited" => format!("~ {name} {old} → {new}"),
            _ => continue,
        };
        let at = path.join(" / ");
        lines.push(if at.is_empty() { change } else { format!("{at}: {change}") });
    }
    for (name, word) in [("Objects", ""), ("TaskGroups", "group "), ("Tasks", "task ")] {
        for inner in list(name).filter(|inner| of(inner, "Type") != "None") {
            path.push(format!("{word}{}", of(inner, "Name")));
            walk(inner, path, lines);
            path.pop();
        }
    }
}

fn short(value: &str) -> String {
    let line = value.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= LONGEST {
        return line;
    }
    let start: String = line.chars().take(LONGEST).collect();
    format!("{start}…")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_change_is_a_line_and_the_environment_keeps_its_values() {
        let diff = json!({
            "Fields": null, "Type": "Edited",
            "TaskGroups": [{
                "Name": "runner", "Type": "Edited",
                "Objects": [{"Name": "EphemeralDisk", "Type": "Edited", "Objects": null, "Fields": [
                    {"Name": "SizeMB", "Type": "Edited", "Old": "4000", "New": "5000"},
                    {"Name": "Sticky", "Type": "None", "Old": "false", "New": "false"},
                ]}],
                "Tasks": [{"Name": "executor", "Type": "Edited", "Fields": [
                    {"Name": "Env[TOKEN]", "Type": "Edited", "Old": "hunter1", "New": "hunter2"},
                    {"Name": "User", "Type": "Added", "Old": "", "New": "nobody"},
                    {"Name": "Driver", "Type": "Deleted", "Old": "exec", "New": ""},
                ]}],
            }],
        });
        let expected = [
            "group runner / EphemeralDisk: ~ SizeMB 4000 → 5000",
            "group runner / task executor: ~ Env[TOKEN] … → …",
            "group runner / task executor: + User nobody",
            "group runner / task executor: - Driver exec",
        ];
        assert_eq!(changes(&diff), expected);
        assert!(changes(&json!(null)).is_empty() && changes(&json!({"Type": "None"})).is_empty());
        let many: Vec<_> = (0..300).map(|n| json!({"Name": n.to_string(), "Type": "Added", "New": "x"})).collect();
        assert_eq!(changes(&json!({"Fields": many})).len(), MOST + 1);
    }
}

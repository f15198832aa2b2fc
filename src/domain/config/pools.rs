//! `runners`: which jobs of the forge's own workflows get a runner, and where it runs.

use super::field::Field;
use super::{ConfigError, ForgeConfig, ForgeKind};
use crate::domain::duration::Span;
use crate::domain::runners::{Label, Pool};

/// The most pools of an entry.
const MOST_POOLS: usize = 32;
/// The most labels of a pool.
const MOST_LABELS: usize = 32;
/// The most runners of a pool at a time.
const MOST_RUNNERS: u64 = 1_000;
/// The longest name and the longest group.
const LONGEST: (usize, usize) = (32, 128);
/// What a pool is made of.
const FIELDS: [&str; 6] = ["labels", "builder", "max", "timeout", "group", "name"];
const DEFAULT_MAX: u32 = 4;
const DEFAULT_TIMEOUT: Span = Span::seconds(3_600);
const DEFAULT_NAME: &str = "albatros";
const DEFAULT_BUILDER: &str = "runner";

pub(super) fn pools(field: &Field<'_>, forge: Option<&ForgeConfig>) -> Result<Vec<Pool>, ConfigError> {
    let wrong = r#"expected a list such as [{"labels": ["ubuntu-latest"]}]"#;
    let entries = field.list().map_err(|_no_list| field.error(wrong))?;
    if entries.len() > MOST_POOLS {
        return Err(field.error(format!("more than {MOST_POOLS} entries")));
    }
    let Some(forge) = forge.filter(|_| !entries.is_empty()) else {
        let why = "needs a forge whose token may register runners: add gitea, forgejo or github";
        return if entries.is_empty() { Ok(Vec::new()) } else { Err(field.error(why)) };
    };
    let mut pools: Vec<Pool> = Vec::with_capacity(entries.len());
    for entry in &entries {
        let new = pool(entry, forge.kind)?;
        apart(entry, &pools, (&new, forge.kind))?;
        pools.push(new);
    }
    Ok(pools)
}

/// That a pool gets jobs at all: the first one that has all labels of a job takes it.
fn apart(entry: &Field<'_>, before: &[Pool], (new, kind): (&Pool, ForgeKind)) -> Result<(), ConfigError> {
    let Some(at) = before.iter().position(|pool| pool.covers(new, kind)) else { return Ok(()) };
    let same = before.get(at).is_some_and(|pool| new.covers(pool, kind));
    let labels = entry.object(&FIELDS)?.need("labels")?;
    Err(labels.error(if same {
        format!("the same as runners[{at}]")
    } else {
        format!("runners[{at}] has all of them and comes first, so it gets all of their jobs: put this entry before it")
    }))
}

fn pool(field: &Field<'_>, kind: ForgeKind) -> Result<Pool, ConfigError> {
    let entry = field.object(&FIELDS)?;
    let labels = entry.need("labels")?;
    let all =
        labels.list().map_err(|_no_list| labels.error("expected a list of labels such as [\"ubuntu-latest\"]"))?;
    if all.is_empty() || all.len() > MOST_LABELS {
        return Err(labels.error(format!("expected 1 to {MOST_LABELS} labels")));
    }
    let labels = all.iter().map(Field::parsed::<Label>).collect::<Result<Vec<_>, _>>()?;
    let group = entry.get("group").map(|field| group(&field, kind)).transpose()?;
    let builder = match entry.get("builder") {
        Some(field) => field.parsed()?,
        None => DEFAULT_BUILDER.parse().map_err(|why| field.error(why))?,
    };
    Ok(Pool {
        labels,
        builder,
        max: entry.get("max").map_or(Ok(DEFAULT_MAX), |field| most(&field))?,
        timeout: entry.get("timeout").map_or(Ok(DEFAULT_TIMEOUT), |field| field.parsed())?,
        group,
        name: entry.get("name").map_or_else(|| Ok(DEFAULT_NAME.to_owned()), |field| name(&field))?,
    })
}

fn most(field: &Field<'_>) -> Result<u32, ConfigError> {
    let max = u32::try_from(field.number()?).ok().filter(|max| (1..=MOST_RUNNERS).contains(&u64::from(*max)));
    max.ok_or_else(|| field.error(format!("expected a number of runners from 1 to {MOST_RUNNERS}")))
}

fn group(field: &Field<'_>, kind: ForgeKind) -> Result<String, ConfigError> {
    let group = field.filled_text()?;
    if kind == ForgeKind::Gitea {
        return Err(field.error("only GitHub has groups of runners"));
    }
    if group.len() > LONGEST.1 || group.chars().any(char::is_control) {
        return Err(field.error(format!("expected a name of at most {} bytes", LONGEST.1)));
    }
    Ok(group.to_owned())
}

fn name(field: &Field<'_>) -> Result<String, ConfigError> {
    let name = field.filled_text()?;
    let usual = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if name.len() > LONGEST.0 || !name.bytes().all(usual) {
        return Err(field.error(format!("expected at most {} of the characters A-Z a-z 0-9 . _ -", LONGEST.0)));
    }
    Ok(name.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::domain::config::RepoConfig;

    fn parsed(runners: &Value, forge: &str) -> Result<RepoConfig, String> {
        let entry =
            json!({"hook": {"secret": "s"}, "runners": runners, forge: {"url": "https://g.example", "token": "t"}});
        RepoConfig::parse(entry.to_string().as_bytes()).map_err(|why| why.to_string())
    }

    #[test]
    fn a_pool_needs_labels_and_has_defaults_for_the_rest() {
        let config = parsed(&json!([{"labels": ["ubuntu-latest:host", "big"]}]), "gitea").unwrap();
        let pool = &config.runners[0];
        assert_eq!((pool.builder.as_str(), pool.max, pool.name.as_str()), ("runner", 4, "albatros"));
        assert_eq!((pool.timeout.to_string().as_str(), pool.group.as_deref()), ("1h", None));
        assert_eq!(pool.labels[0].name(), "ubuntu-latest");
        let all = json!([{"labels": ["x"], "builder": "r", "max": 9, "timeout": "5m", "group": "g", "name": "n"}]);
        let config = parsed(&all, "github").unwrap();
        let pool = &config.runners[0];
        assert_eq!((pool.builder.as_str(), pool.max, pool.group.as_deref()), ("r", 9, Some("g")));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (runners, field) in [
            (json!({}), "runners:"),
            (json!([{}]), "runners[0].labels: is missing"),
            (json!([{"labels": []}]), "runners[0].labels:"),
            (json!([{"labels": ["a", "b c"]}]), "runners[0].labels[1]:"),
            (json!([{"labels": ["a"], "max": 0}]), "runners[0].max:"),
            (json!([{"labels": ["a"], "max": 1_001}]), "runners[0].max:"),
            (json!([{"labels": ["a"], "timeout": "x"}]), "runners[0].timeout:"),
            (json!([{"labels": ["a"], "name": "a b"}]), "runners[0].name:"),
            (json!([{"labels": ["a"], "group": "g"}]), "runners[0].group: only GitHub"),
            (json!([{"labels": ["a"], "builder": "/"}]), "runners[0].builder:"),
            (json!([{"labels": ["a"], "image": "x"}]), "runners[0].image: unknown field"),
            (json!([{"labels": ["a", "b:host"]}, {"labels": ["b", "a"]}]), "runners[1].labels: the same as runners[0]"),
            (
                json!([{"labels": ["x"]}, {"labels": ["a", "b"]}, {"labels": ["b"]}]),
                "runners[2].labels: runners[1] has all",
            ),
        ] {
            let why = parsed(&runners, "gitea").unwrap_err();
            assert!(why.contains(field), "{why}");
        }
        // What one has less than another may come first; and at GitHub some labels go without saying.
        assert_eq!(
            parsed(&json!([{"labels": ["a"]}, {"labels": ["a", "b"]}, {"labels": ["A"]}]), "gitea")
                .unwrap()
                .runners
                .len(),
            3
        );
        let why = parsed(&json!([{"labels": ["gpu"]}, {"labels": ["GPU", "self-hosted"]}]), "github").unwrap_err();
        assert!(why.contains("runners[1].labels: the same as runners[0]"), "{why}");
        let forgeless = RepoConfig::parse(br#"{"hook":{"secret":"s"},"runners":[{"labels":["a"]}]}"#).unwrap_err();
        assert!(forgeless.to_string().contains("runners: needs a forge"), "{forgeless}");
    }
}

//! What a person gives along with `trigger`: parameters, which are no secrets, and a flavor that may be mistyped.

use std::collections::BTreeMap;

use super::builder::{ALWAYS, BuilderShape};
use super::config::RepoConfig;
use super::id::Flavor;
use super::near::nearest;
use super::params::{self, Params};
use super::plan;
use super::secret::Secret;

/// The most parameters.
pub const PARAMS_MOST: usize = 64;
/// The longest value, bytes.
pub const VALUE_MOST: usize = 4096;
/// The most bytes of all names and values.
pub const TOGETHER_MOST: usize = 16 * 1024;

/// What builds are told beside [`ALWAYS`]: nobody else says it.
const OWN: &[&str] = &["REF", "EVENT", "SENDER", "PULL_REQUEST", "TRUSTED", "IMAGE"];

/// Why parameters are refused. Names one, and never a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GivenError {
    /// Too many.
    #[error("params: at most {PARAMS_MOST} can be given")]
    Many,
    /// Too much.
    #[error("params: all of them together are longer than {TOGETHER_MOST} bytes")]
    Much,
    /// No name of a variable.
    #[error("params: `{0}` is no name: letters, digits and _, no digit first")]
    Name(String),
    /// It would change a loader, a shell or Nomad.
    #[error("params: {0} would change a loader, a shell or Nomad")]
    Forbidden(String),
    /// It is ours to say.
    #[error("params: {0} is what Albatros tells every build")]
    Own(String),
    /// The configuration has one of the same name, maybe a secret one.
    #[error("params: {0} is set by the repository's configuration, and cannot be given another value here")]
    Configured(String),
    /// The value's sentence.
    #[error("params: {0}")]
    Value(String),
}

/// Whether these may be given to a build of this repository.
///
/// # Errors
/// See [`GivenError`].
pub fn check(given: &BTreeMap<String, String>, config: &RepoConfig) -> Result<(), GivenError> {
    if given.len() > PARAMS_MOST {
        return Err(GivenError::Many);
    }
    if given.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() > TOGETHER_MOST {
        return Err(GivenError::Much);
    }
    // What cannot be read by names is given as it stands, and has none to hide.
    let own = config.inject.as_ref().and_then(|text| Params::parse(text.expose()).ok()).unwrap_or_default();
    for (name, value) in given {
        if Params::parse(&params::line(name, "")).ok().and_then(|read| read.get(name).map(str::len)) != Some(0) {
            return Err(GivenError::Name(name.chars().filter(|c| !c.is_control()).take(64).collect()));
        }
        if params::forbidden(name) {
            return Err(GivenError::Forbidden(name.clone()));
        }
        if ALWAYS.contains(&name.as_str()) || OWN.contains(&name.as_str()) {
            return Err(GivenError::Own(name.clone()));
        }
        if own.get(name).is_some() {
            return Err(GivenError::Configured(name.clone()));
        }
        if let Some(why) = plan::unfit(name, value) {
            return Err(GivenError::Value(why));
        }
    }
    Ok(())
}

/// Why a builder cannot hand parameters on: it has no controller that a script could ask, and does not declare them.
#[must_use]
pub fn undeliverable(given: &BTreeMap<String, String>, shape: &BuilderShape) -> Option<String> {
    let unknown = |name: &&String| !shape.has_controller && !shape.takes(name);
    let names: Vec<&str> = given.keys().filter(unknown).map(String::as_str).collect();
    (!names.is_empty()).then(|| {
        format!(
            "params: the builder has no controller to give them out, and does not take {}: declare it under \
             meta_optional in the job's parameterized block",
            names.join(", ")
        )
    })
}

/// As lines of an env file; none where nothing is given.
#[must_use]
pub fn lines(given: &BTreeMap<String, String>) -> Option<Secret> {
    let lines: String = given.iter().map(|(name, value)| params::line(name, value)).collect();
    (!lines.is_empty()).then(|| Secret::new(lines))
}

/// The configured flavor that one which is not configured was probably meant to be.
#[must_use]
pub fn meant<'a>(flavor: &Flavor, config: &'a RepoConfig) -> Option<&'a str> {
    if flavor.as_str() == "default" {
        return None;
    }
    nearest(flavor.as_str(), config.flavors.keys().map(Flavor::as_str).chain(["default"]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn config(fields: &str) -> RepoConfig {
        RepoConfig::parse(format!(r#"{{"hook":{{"secret":"s"}}{fields}}}"#).as_bytes()).unwrap()
    }

    fn one(name: &str, value: &str) -> BTreeMap<String, String> {
        BTreeMap::from([(name.to_owned(), value.to_owned())])
    }

    #[test]
    fn what_a_build_must_not_be_given_is_refused_by_name() {
        let config = config(r#","inject":"DEPLOY_KEY=s3cr3t""#);
        assert_eq!(check(&one("VERSION", "1.2 \"$x\""), &config), Ok(()));
        let refused = |name: &str, value: &str| check(&one(name, value), &config).unwrap_err();
        for name in ["", "1A", "A B", "A=B", "A\nB", "#", "export A"] {
            assert!(matches!(refused(name, "x"), GivenError::Name(_)), "{name:?}");
        }
        for name in ["LD_PRELOAD", "PATH", "NOMAD_TOKEN", "ALBATROS_CLAIM", "SECRET_PATH"] {
            assert_eq!(refused(name, "x"), GivenError::Forbidden(name.to_owned()));
        }
        for name in ["COMMIT", "TRUSTED", "IMAGE"] {
            assert_eq!(refused(name, "x"), GivenError::Own(name.to_owned()));
        }
        assert_eq!(refused("DEPLOY_KEY", "mine"), GivenError::Configured("DEPLOY_KEY".to_owned()));
        for value in ["${NOMAD_TOKEN}", "a\nb", "\0", &"x".repeat(VALUE_MOST + 1)] {
            assert!(matches!(refused("A", value), GivenError::Value(_)));
        }
    }

    #[test]
    fn there_is_a_limit_to_all_of_them() {
        let many = (0..=PARAMS_MOST).map(|n| (format!("A{n}"), String::new())).collect();
        assert_eq!(check(&many, &config("")), Err(GivenError::Many));
        let much = (0..5).map(|n| (format!("A{n}"), "x".repeat(VALUE_MOST))).collect();
        assert_eq!(check(&much, &config("")), Err(GivenError::Much));
    }

    #[test]
    fn a_builder_without_a_controller_takes_only_what_it_declares() {
        let mut shape = BuilderShape { meta_optional: vec!["A".to_owned()], ..BuilderShape::default() };
        assert_eq!(undeliverable(&one("A", "x"), &shape), None);
        assert!(undeliverable(&one("B", "x"), &shape).unwrap().contains("does not take B"));
        shape.has_controller = true;
        assert_eq!(undeliverable(&one("B", "x"), &shape), None);
    }

    #[test]
    fn a_flavor_that_is_nearly_a_configured_one_is_told() {
        let config = config(r#","builders":{"flavors":{"rust":"b","nightly":"b"}}"#);
        let meant = |flavor: &str| meant(&flavor.parse().unwrap(), &config);
        assert_eq!((meant("rsut"), meant("rust"), meant("default")), (Some("rust"), None, None));
        assert_eq!((meant("defalt"), meant("lint")), (Some("default"), None));
    }

    proptest! {
        #[test]
        fn what_is_taken_survives_as_lines(name in "[A-Z_][A-Z0-9_]{0,8}", value in "[^\\x00-\\x1f\\x7f-\\x9f]{0,40}") {
            let given = one(&name, &value);
            if check(&given, &config("")).is_ok() {
                let read = Params::parse(lines(&given).unwrap().expose()).unwrap();
                prop_assert_eq!(read.get(&name), Some(value.as_str()));
            }
        }
    }
}

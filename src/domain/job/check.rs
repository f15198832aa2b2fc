//! Whether what a job asks for can be given to it at all: said before anything is started.

use sha2::{Digest as _, Sha256};

use super::JobSpec;

/// Bytes of a job as JSON: it is kept in the registry, whose values end at 512 KiB.
pub const SPEC_MOST: usize = 64 * 1024;
/// Bytes of an image's name.
const IMAGE_MOST: usize = 512;
/// Beginnings of environment names that are Albatros's and Nomad's own.
const TAKEN: [&str; 2] = ["ALBATROS_", "NOMAD_"];

/// Why a job cannot be started as it stands. For the person who wrote it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// It does not fit into its record.
    #[error("the job is {0} bytes of JSON, and {SPEC_MOST} are the most: put a long script into the repository")]
    TooLong(usize),
    /// Nomad and docker would make something else of it.
    #[error(
        "image: expected a name such as `docker.io/library/rust:1`, of at most {IMAGE_MOST} of A-Z a-z 0-9 . _ - / : @ + \
         and beginning with a letter or digit"
    )]
    Image,
    /// Two things to do.
    #[error("give either `command` or `script`")]
    Both,
    /// Nothing to do.
    #[error("command: its first word is empty")]
    NoProgram,
    /// No process can be given it.
    #[error("{0}: holds NUL")]
    Nul(&'static str),
    /// A name that no environment has.
    #[error("env: a name is A-Z a-z 0-9 _, without a digit first, and `{0}` is none")]
    EnvName(String),
    /// What it says to the job is not the job's to say.
    #[error("env: {0} is not yours to set")]
    EnvTaken(String),
    /// A service that serves nowhere.
    #[error("a service needs `port`, the port that it listens on, from 1 to 65535")]
    NoPort,
    /// A port of what is no service.
    #[error("port: only a service has one; add `service: true`")]
    NoService,
}

impl JobSpec {
    /// Whether it can be started, by itself.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn check(&self) -> Result<(), SpecError> {
        let length = self.length();
        if length > SPEC_MOST {
            return Err(SpecError::TooLong(length));
        }
        if self.image.as_deref().is_some_and(|image| !is_image(image)) {
            return Err(SpecError::Image);
        }
        if self.script.is_some() && !self.command.is_empty() {
            return Err(SpecError::Both);
        }
        if self.command.first().is_some_and(String::is_empty) {
            return Err(SpecError::NoProgram);
        }
        if self.command.iter().any(|word| word.contains('\0')) {
            return Err(SpecError::Nul("command"));
        }
        if self.script.as_deref().is_some_and(|script| script.contains('\0')) {
            return Err(SpecError::Nul("script"));
        }
        self.env.iter().try_for_each(|(name, value)| check_env(name, value))?;
        match (self.service, self.port) {
            (true, None | Some(0)) => Err(SpecError::NoPort),
            (false, Some(_)) => Err(SpecError::NoService),
            (true, Some(_)) | (false, None) => Ok(()),
        }
    }

    /// Bytes of it as JSON.
    #[must_use]
    pub fn length(&self) -> usize {
        serde_json::to_vec(self).map_or(usize::MAX, |bytes| bytes.len())
    }

    /// SHA-256 (hex) of it: the same for the same job, in whatever order its fields were written.
    #[must_use]
    pub fn hash(&self) -> String {
        hex::encode(Sha256::digest(serde_json::to_vec(self).unwrap_or_default()))
    }
}

fn check_env(name: &str, value: &str) -> Result<(), SpecError> {
    let begins = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if !begins || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        return Err(SpecError::EnvName(name.chars().take(64).flat_map(char::escape_debug).collect()));
    }
    if TAKEN.iter().any(|beginning| name.starts_with(beginning)) {
        return Err(SpecError::EnvTaken(name.to_owned()));
    }
    if value.contains('\0') { Err(SpecError::Nul("env")) } else { Ok(()) }
}

/// What is expanded nowhere and read as a path or an option by nobody.
fn is_image(image: &str) -> bool {
    (1..=IMAGE_MOST).contains(&image.len())
        && image.starts_with(|c: char| c.is_ascii_alphanumeric())
        && image.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-/:@+".contains(&b))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn check(fields: Value) -> Result<(), SpecError> {
        let mut job = json!({"name": "j"});
        job.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        serde_json::from_value::<JobSpec>(job).unwrap().check()
    }

    #[test]
    fn what_can_be_started_is() {
        for fields in [
            json!({}),
            json!({"image": "registry.example:5000/team/rust@sha256:abc", "command": ["cargo", "test", ""]}),
            json!({"script": "#!/bin/sh\necho ${HOME}\n", "env": {"_A1": "${x}\n", "PATH": "/bin"}}),
            json!({"service": true, "port": 5432, "image": "postgres:16"}),
        ] {
            assert_eq!(check(fields.clone()), Ok(()), "{fields}");
        }
    }

    #[test]
    fn an_image_is_nothing_that_nomad_expands_or_docker_reads_otherwise() {
        for image in ["", "${NOMAD_TOKEN}", "a b", "a\n", "-v", "/etc", "a$b", "é", &"a".repeat(513)] {
            assert_eq!(check(json!({"image": image})), Err(SpecError::Image), "{image:?}");
        }
    }

    #[test]
    fn what_no_process_can_be_given_is_refused_by_its_field() {
        assert_eq!(check(json!({"script": "a", "command": ["b"]})), Err(SpecError::Both));
        assert_eq!(check(json!({"command": ["", "b"]})), Err(SpecError::NoProgram));
        assert_eq!(check(json!({"command": ["a\u{0}"]})), Err(SpecError::Nul("command")));
        assert_eq!(check(json!({"script": "\u{0}"})), Err(SpecError::Nul("script")));
        assert_eq!(check(json!({"env": {"A": "\u{0}"}})), Err(SpecError::Nul("env")));
        for name in ["", "1A", "A-B", "A=B", "É"] {
            assert!(matches!(check(json!({"env": {name: "x"}})), Err(SpecError::EnvName(_))), "{name:?}");
        }
        for name in ["ALBATROS_TOKEN", "NOMAD_TOKEN"] {
            assert_eq!(check(json!({"env": {name: "x"}})), Err(SpecError::EnvTaken(name.to_owned())));
        }
        let long = "x".repeat(SPEC_MOST);
        assert!(matches!(check(json!({"script": long})), Err(SpecError::TooLong(_))));
    }

    #[test]
    fn a_service_has_a_port_and_nothing_else_has() {
        assert_eq!(check(json!({"service": true})), Err(SpecError::NoPort));
        assert_eq!(check(json!({"service": true, "port": 0})), Err(SpecError::NoPort));
        assert_eq!(check(json!({"port": 80})), Err(SpecError::NoService));
    }

    #[test]
    fn the_same_job_has_the_same_hash_and_another_has_another() {
        let job = |text: &str| serde_json::from_str::<JobSpec>(text).unwrap().hash();
        let one = job(r#"{"name": "j", "image": "a", "hold": false}"#);
        assert_eq!(one, job(r#"{"image": "a", "name": "j"}"#));
        assert_ne!(one, job(r#"{"image": "b", "name": "j"}"#));
    }
}

//! How the script of a job is run in a container of this machine: told by the engine, done by `exec`, cleared up by the
//! supervisor between them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The variable of the executor that holds a [`Container`] as JSON.
pub const VARIABLE: &str = "ALBATROS_LOCAL_CONTAINER";
/// The variable that says why there is none, in words for the job's log.
pub const MISSING: &str = "ALBATROS_LOCAL_NO_CONTAINER";

/// A container that is yet to be started, by a program that takes docker's command line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Container {
    /// docker or podman.
    pub program: PathBuf,
    /// What that program needs to know of its user: never given to the script.
    pub vars: BTreeMap<String, String>,
    /// The container's name; nobody else's.
    pub name: String,
    /// The image.
    pub image: String,
    /// More of `run`'s options, such as labels.
    pub options: Vec<String>,
    /// It serves, and is as its image has it: user, home and working directory too. What a job leaves must be its
    /// user's to remove; a service leaves nothing.
    pub as_image: bool,
}

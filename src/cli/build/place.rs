//! Where a verb was typed: files are named as seen from there.

use std::path::{Path, PathBuf};

use super::super::settings::Environment;
use super::BuildError;

/// The current directory.
pub(super) fn here() -> Result<PathBuf, BuildError> {
    std::env::current_dir().map_err(|error| BuildError::Usage(format!("the current directory cannot be used: {error}")))
}

/// The current directory as seen from the workspace, and `paths` as seen from it.
pub(super) fn in_workspace(
    environment: Environment<'_>,
    paths: &[PathBuf],
) -> Result<(String, Vec<String>), BuildError> {
    let usage = |text: String| BuildError::Usage(text);
    let missing = || usage("ALBATROS_WORKSPACE is not set: this works in the script of a build".to_owned());
    let workspace = environment("ALBATROS_WORKSPACE").filter(|text| !text.is_empty()).ok_or_else(missing)?;
    let outside = || usage(format!("what is kept at the end must lie in the workspace, {workspace}"));
    let here = here()?;
    let workspace = Path::new(&workspace).canonicalize().map_err(|_none| outside())?;
    let dir = here.strip_prefix(&workspace).map_err(|_outside| outside())?;
    let text = |path: &Path| {
        let text = path.to_str().map(ToOwned::to_owned);
        text.ok_or_else(|| usage(format!("{}: is not UTF-8", path.display())))
    };
    let paths = paths.iter().map(|path| text(path.strip_prefix(&here).unwrap_or(path))).collect::<Result<_, _>>()?;
    Ok((text(dir)?, paths))
}

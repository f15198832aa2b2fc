//! Submodules, each a repository of its own in its directory, made like COMMIT's.
//!
//! `git submodule` is not used: it keeps repositories under names that a hostile `.gitmodules` chooses, and runs what a
//! configuration says. Here a name is never a path, a path is walked without following a link, and an address is http
//! or https.

mod gitmodules;

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, mkdirat, openat, statat};

use super::repository::Repository;
use super::{CheckoutError, Plan, credential};
use crate::domain::repo_url::RepoUrl;
use gitmodules::Named;

/// The most submodules of one build, those of submodules included.
const MOST: usize = 500;
/// How deeply submodules may lie in submodules.
const DEEPEST: usize = 20;

/// Adds the submodules of the first of `all`, and theirs.
pub(super) async fn add(plan: &Plan, all: &mut Vec<Repository>) -> Result<(), CheckoutError> {
    let mut depths = vec![0];
    let mut next = 0;
    while let (Some(above), Some(depth)) = (all.get(next), depths.get(next).copied()) {
        let mut found = Vec::new();
        for named in gitmodules::of(above).await? {
            let refuse = |why| Err(CheckoutError::Submodule { path: named.path.clone(), why });
            if depth >= DEEPEST {
                return refuse("lies too deeply in other submodules");
            }
            if all.len() + found.len() > MOST {
                return refuse("is one submodule too many");
            }
            found.push(one(plan, above, named).await?);
        }
        depths.resize(depths.len() + found.len(), depth + 1);
        all.extend(found);
        next += 1;
    }
    Ok(())
}

async fn one(plan: &Plan, above: &Repository, named: Named) -> Result<Repository, CheckoutError> {
    let refuse = |why| CheckoutError::Submodule { path: named.path.clone(), why };
    let url = resolve(&above.url, &named.url).ok_or_else(|| refuse("has an address above its forge"))?;
    let wrong = |source| CheckoutError::SubmoduleUrl { path: named.path.clone(), source };
    url.parse::<RepoUrl>().map_err(wrong)?;
    let dir = directory(&above.dir, &named.path).map_err(refuse)?;
    let repository = Repository {
        git: above.git.within(&dir),
        dir,
        credential: credential::for_url(plan.checkout.credential.as_ref(), &url).cloned(),
        foreign: !credential::same_host(&plan.repo_url, &url),
        url,
        commit: named.commit.clone(),
        deadline: above.deadline,
    };
    repository.write(None, Some(&repository.url)).map_err(CheckoutError::Workspace)?;
    // What the script's own git goes by to take the submodule for one.
    let key = format!("submodule.{}.url", named.name);
    let known = above.git.run(&["config", "--file", ".git/config", &key, &repository.url]).await;
    known.map_err(|source| CheckoutError::Submodules { commit: above.commit.to_string(), source })?;
    let fetched = match repository.fetch(&["refs/heads/*".to_owned()]).await {
        Ok(()) => repository.check_out().await,
        Err(error) => Err(error),
    };
    let failed = |source| CheckoutError::SubmoduleFetch { path: named.path.clone(), source: Box::new(source) };
    fetched.map_err(failed)?;
    Ok(repository)
}

/// An address as `.gitmodules` spells it, by that of the repository above: `./` and `../` lead from there.
fn resolve(above: &str, url: &str) -> Option<String> {
    if !url.starts_with("./") && !url.starts_with("../") {
        return Some(url.to_owned());
    }
    let (scheme, rest) = above.trim_end_matches('/').split_once("://")?;
    let mut parts: Vec<&str> = rest.split('/').collect();
    let mut tail = url;
    loop {
        if let Some(next) = tail.strip_prefix("./") {
            tail = next;
        } else if let Some(next) = tail.strip_prefix("../") {
            tail = next;
            parts.pop();
        } else {
            break;
        }
    }
    // The host stays.
    let stays = !parts.is_empty() && !tail.is_empty();
    stays.then(|| format!("{scheme}://{}/{}", parts.join("/"), tail.trim_end_matches('/')))
}

/// The submodule's directory, made where git has not, and empty of any repository.
fn directory(above: &Path, path: &str) -> Result<PathBuf, &'static str> {
    const LINK: &str = "does not lie in a directory of its repository";
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut at: OwnedFd = openat(CWD, above, flags, Mode::empty()).map_err(|_error| LINK)?;
    for part in path.split('/') {
        if part.is_empty() || part == "." || part == ".." || part.eq_ignore_ascii_case(".git") {
            return Err("has a path that no submodule may have");
        }
        // Who makes it is asked by the open behind it.
        let _ = mkdirat(&at, part, Mode::from_raw_mode(0o777));
        at = openat(&at, OsStr::new(part), flags, Mode::empty()).map_err(|_error| LINK)?;
    }
    match statat(&at, ".git", AtFlags::SYMLINK_NOFOLLOW) {
        Err(rustix::io::Errno::NOENT) => Ok(above.join(path)),
        Ok(_) | Err(_) => Err("has a repository already"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_led_on_from_the_repository_above() {
        let above = "https://git.example/o/r.git";
        for (url, led) in [
            ("../x.git", Some("https://git.example/o/x.git")),
            ("../../p/x", Some("https://git.example/p/x")),
            ("./sub", Some("https://git.example/o/r.git/sub")),
            ("https://other.example/a", Some("https://other.example/a")),
            ("../../../x", None),
            ("../", None),
        ] {
            assert_eq!(resolve(above, url).as_deref(), led, "{url}");
        }
    }

    #[test]
    fn a_submodule_lies_in_a_directory_of_its_own_and_behind_no_link() {
        let room = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(room.path().join("taken/.git")).unwrap();
        std::os::unix::fs::symlink("/tmp", room.path().join("link")).unwrap();
        for path in ["", "/x", "../x", "a/../b", "a/.GIT/b", ".git", "link", "link/x", "taken", "."] {
            assert!(directory(room.path(), path).is_err(), "{path}");
        }
        assert_eq!(directory(room.path(), "a/b").unwrap(), room.path().join("a/b"));
    }
}

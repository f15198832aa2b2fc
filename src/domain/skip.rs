//! What is not built: by words in a commit's message, by branch, by the files that a change touches.
//!
//! In doubt a change is built: what is not known to be unwanted is wanted.

use super::config::RepoConfig;
use super::event::{Change, EventKind};
use super::record::Undecided;

/// In a head commit's message, anywhere and in any case: do not build this.
pub const WORDS: [&str; 3] = ["[skip ci]", "[ci skip]", "[no ci]"];

/// Why a change is not built, as far as its delivery alone tells.
#[must_use]
pub fn at_once(change: &Change, config: &RepoConfig) -> Option<String> {
    let said = change.message.as_deref().and_then(by_message);
    let branch = || (change.kind == EventKind::Push).then(|| by_branch(&change.branch, config)).flatten();
    said.or_else(branch)
}

/// Why a commit with this message is not built.
#[must_use]
pub fn by_message(message: &str) -> Option<String> {
    let is_in = |word: &&str| {
        let mut windows = message.as_bytes().windows(word.len());
        windows.any(|window| window.eq_ignore_ascii_case(word.as_bytes()))
    };
    WORDS.iter().find(|word| is_in(word)).map(|word| format!("{word} in the commit's message"))
}

/// Why pushes to a branch are not built.
fn by_branch(branch: &str, config: &RepoConfig) -> Option<String> {
    let taken = config.branches.as_ref().is_none_or(|branches| branches.take(branch));
    (!taken).then(|| "`branches` of the configuration leaves this one out".to_owned())
}

/// Why a change that touches these files, and no others, is not built. One that touches none is: somebody made a branch
/// or an empty commit to have it built.
#[must_use]
pub fn by_files(files: &[String], config: &RepoConfig) -> Option<String> {
    if files.is_empty() {
        return None;
    }
    if let Some(paths) = &config.paths
        && !files.iter().any(|file| paths.take(file))
    {
        return Some("no file of `paths` was changed".to_owned());
    }
    let ignored = config.paths_ignore.as_ref()?;
    files.iter().all(|file| ignored.take(file)).then(|| "only files of `paths_ignore` were changed".to_owned())
}

/// What the forge is to be asked before it is known; none where nothing hangs on it, or there is no forge (a
/// configuration with `paths` always has one).
#[must_use]
pub fn undecided(change: &Change, config: &RepoConfig) -> Option<Undecided> {
    config.forge.as_ref()?;
    let asked = Undecided {
        // A push brings its message along, a pull request does not.
        message: change.kind == EventKind::PullRequest && change.message.is_none(),
        files: change.kind != EventKind::Tag && has_paths(config),
    };
    (asked.message || asked.files).then_some(asked)
}

/// Whether it matters which files a change touches.
#[must_use]
pub fn has_paths(config: &RepoConfig) -> bool {
    config.paths.is_some() || config.paths_ignore.is_some()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::domain::event::Sender;

    fn config(more: &Value) -> RepoConfig {
        let mut config = json!({"hook": {"token": "t"}, "gitea": {"url": "https://git.example", "token": "c"}});
        for (key, value) in more.as_object().unwrap() {
            config[key] = value.clone();
        }
        RepoConfig::parse(config.to_string().as_bytes()).unwrap()
    }

    fn change(kind: EventKind, branch: &str, message: Option<&str>) -> Change {
        Change {
            kind,
            git_ref: format!("refs/heads/{branch}"),
            branch: branch.to_owned(),
            before: String::new(),
            commit: "b".repeat(40).parse().unwrap(),
            sender: Sender { login: "quentin".to_owned(), id: None },
            repository_id: None,
            private: false,
            message: message.map(Box::from),
            pull: None,
        }
    }

    fn files(files: &[&str], more: &Value) -> Option<String> {
        let files: Vec<String> = files.iter().map(|&file| file.to_owned()).collect();
        by_files(&files, &config(more))
    }

    #[test]
    fn the_three_words_count_anywhere_and_in_any_case() {
        for message in ["[skip ci] x", "x\n\nlong\n[CI Skip]\n", "x [no ci]", "ö[No CI]ö", "[skip [skip ci]"] {
            assert!(by_message(message).is_some(), "{message}");
        }
        for message in ["", "skip ci", "[skip  ci]", "[skip ci", "[skip actions]", "[actions skip]", "[skip\nci]"] {
            assert_eq!(by_message(message), None, "{message}");
        }
        assert_eq!(by_message("[CI SKIP]").unwrap(), "[ci skip] in the commit's message");
    }

    #[test]
    fn branches_are_of_pushes_alone() {
        let config = config(&json!({"branches": ["main", "release/**", "!release/old/**"]}));
        let skipped = |kind, branch| at_once(&change(kind, branch, Some("x")), &config);
        for (branch, built) in [("main", true), ("release/1/x", true), ("release/old/1", false), ("topic", false)] {
            assert_eq!(skipped(EventKind::Push, branch).is_none(), built, "{branch}");
        }
        assert_eq!(skipped(EventKind::Tag, "topic"), None);
        assert_eq!(skipped(EventKind::PullRequest, "topic"), None);
    }

    #[test]
    fn a_tags_commit_may_say_so_too() {
        let said = at_once(&change(EventKind::Tag, "v1", Some("[skip ci]")), &config(&json!({})));
        assert!(said.is_some());
    }

    #[test]
    fn one_file_that_is_wanted_is_enough() {
        let paths = json!({"paths": ["src/**", "Cargo.*", "!src/doc/**"]});
        assert_eq!(files(&["README.md", "src/a/b.rs"], &paths), None);
        assert!(files(&["README.md", "src/doc/x.md"], &paths).unwrap().contains("`paths`"));
        let ignore = json!({"paths_ignore": ["**/*.md", "docs/**"]});
        assert!(files(&["README.md", "docs/a.png"], &ignore).unwrap().contains("`paths_ignore`"));
        assert_eq!(files(&["README.md", "docs.rs"], &ignore), None);
        let both = json!({"paths": ["src/**"], "paths_ignore": ["**/*.md"]});
        assert!(files(&["src/a.md"], &both).is_some());
        assert!(files(&["a.rs"], &both).is_some());
        assert_eq!(files(&["src/a.md", "b.rs"], &both), None);
    }

    #[test]
    fn a_change_without_files_is_built() {
        for more in [json!({"paths": ["src/**"]}), json!({"paths_ignore": ["**"]}), json!({})] {
            assert_eq!(files(&[], &more), None, "{more}");
        }
    }

    #[test]
    fn only_what_hangs_on_an_answer_is_asked() {
        let (none, paths) = (config(&json!({})), config(&json!({"paths": ["a"]})));
        let of = |kind, config: &RepoConfig| undecided(&change(kind, "main", None), config);
        assert_eq!(of(EventKind::Push, &none), None);
        assert_eq!(of(EventKind::Tag, &paths), None);
        assert_eq!(of(EventKind::Push, &paths), Some(Undecided { message: false, files: true }));
        assert_eq!(of(EventKind::PullRequest, &none), Some(Undecided { message: true, files: false }));
        assert_eq!(of(EventKind::PullRequest, &paths), Some(Undecided { message: true, files: true }));
        let forgeless = RepoConfig::parse(br#"{"hook": {"token": "t"}}"#).unwrap();
        assert_eq!(of(EventKind::PullRequest, &forgeless), None);
    }

    proptest! {
        #[test]
        fn any_message_with_a_word_in_it_is_found(before in any::<String>(), after in any::<String>(), n in 0..3_usize) {
            let said = format!("{before}{}{after}", WORDS[n]);
            prop_assert!(by_message(&said).is_some());
        }
    }
}

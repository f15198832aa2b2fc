//! A repository that is served over plain HTTP.

use std::path::PathBuf;
use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;

use crate::commands::shell;
use crate::fake::wire::{Call, Service, Wire, text};

/// `<url>/quentin/hello.git` with a commit on each of its branches, which has this `.albatros`.
#[derive(Debug)]
pub(crate) struct Git {
    wire: Wire,
    /// The commit of the first branch.
    pub(crate) commit: String,
    commits: Vec<(String, String)>,
    _folder: tempfile::TempDir,
}

#[derive(Debug)]
struct Files(PathBuf);

impl Git {
    /// One branch, `main`.
    pub(crate) async fn with(script: &str) -> Self {
        Self::with_branches(&[("main", script)]).await
    }

    /// Branches with the script of each.
    pub(crate) async fn with_branches(scripts: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (branch, script) in scripts {
            std::fs::write(folder.path().join(format!("script-{branch}")), script).unwrap();
        }
        let environment = ["AUTHOR", "COMMITTER"].into_iter().flat_map(|who| {
            [(format!("GIT_{who}_NAME"), "q".to_owned()), (format!("GIT_{who}_EMAIL"), "q@example.invalid".to_owned())]
        });
        let names: Vec<&str> = scripts.iter().map(|(branch, _)| *branch).collect();
        let more = [
            ("WHERE".to_owned(), folder.path().to_str().unwrap().to_owned()),
            ("BRANCHES".to_owned(), names.join(" ")),
        ];
        let environment: Vec<_> = environment.chain(more).collect();
        let lines = r#"
            git init -q "$WHERE/work"; cd "$WHERE/work"
            for branch in $BRANCHES; do
                git checkout -q --orphan "$branch"
                cp "../script-$branch" .albatros; git add .albatros; git commit -qm "$branch"
            done
            mkdir ../served ../served/quentin; git clone -q --bare . ../served/quentin/hello.git
            git -C ../served/quentin/hello.git update-server-info
            for branch in $BRANCHES; do git rev-parse "$branch"; done
        "#;
        let printed = shell(lines, &environment).await;
        let commits = names.iter().zip(printed.split_whitespace());
        let commits: Vec<_> = commits.map(|(name, sha)| ((*name).to_owned(), sha.to_owned())).collect();
        let wire = Wire::start(Arc::new(Files(folder.path().join("served")))).await;
        Self { wire, commit: commits[0].1.clone(), commits, _folder: folder }
    }

    /// The commit of a branch.
    pub(crate) fn commit_of(&self, branch: &str) -> String {
        self.commits.iter().find(|(name, _)| name == branch).unwrap().1.clone()
    }

    /// The repository's address.
    pub(crate) fn url(&self) -> String {
        format!("{}/quentin/hello.git", self.wire.url())
    }
}

impl Service for Files {
    async fn answer(self: Arc<Self>, call: Call) -> Response {
        let path = self.0.join(call.path.trim_start_matches('/'));
        match std::fs::read(path) {
            Ok(bytes) => Response::new(Body::from(bytes)),
            Err(_) => text(404, "not found\n"),
        }
    }
}

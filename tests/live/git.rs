//! A repository that is served over plain HTTP.

use std::path::PathBuf;
use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;

use crate::commands::shell;
use crate::fake::wire::{Call, Service, Wire, text};

/// `<url>/quentin/hello.git` with one commit that has this `.albatros`.
#[derive(Debug)]
pub(crate) struct Git {
    wire: Wire,
    /// The commit.
    pub(crate) commit: String,
    _folder: tempfile::TempDir,
}

#[derive(Debug)]
struct Files(PathBuf);

impl Git {
    pub(crate) async fn with(script: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("script"), script).unwrap();
        let environment = ["AUTHOR", "COMMITTER"].into_iter().flat_map(|who| {
            [(format!("GIT_{who}_NAME"), "q".to_owned()), (format!("GIT_{who}_EMAIL"), "q@example.invalid".to_owned())]
        });
        let environment: Vec<_> =
            environment.chain([("WHERE".to_owned(), folder.path().to_str().unwrap().to_owned())]).collect();
        let lines = r#"
            git init -q -b main "$WHERE/work"; cd "$WHERE/work"
            cp ../script .albatros; git add .albatros; git commit -qm one
            mkdir ../served ../served/quentin; git clone -q --bare . ../served/quentin/hello.git
            git -C ../served/quentin/hello.git update-server-info
            git rev-parse HEAD
        "#;
        let commit = shell(lines, &environment).await.trim().to_owned();
        Self { wire: Wire::start(Arc::new(Files(folder.path().join("served")))).await, commit, _folder: folder }
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

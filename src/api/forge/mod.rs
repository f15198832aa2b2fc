//! Gitea, Forgejo and GitHub: commit statuses and what a ref holds.

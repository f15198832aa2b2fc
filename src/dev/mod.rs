//! Roles `dev` and `run`.

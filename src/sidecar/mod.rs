//! Role `exec`: in a build's executor task, runs `.albatros` and hands its exit code on.

pub mod exec;

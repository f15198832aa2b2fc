//! The task's process: one run of a machine.

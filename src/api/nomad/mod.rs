//! Nomad's HTTP API, as far as a dispatcher needs it.

//! Behaviour, on stateful fakes of Nomad, Consul and Gitea.

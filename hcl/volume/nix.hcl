# /nix for hcl/nixcache.hcl. Each time it is run one more node gets one; Nomad 1.10 or newer:
#
#   nomad volume create -namespace ci hcl/volume/nix.hcl
#
# It lies below `host_volumes_dir` of the node's agent: on a file system of its own, if what builds add to the store must
# not fill the node's. For an older Nomad, in the agent's own configuration, host_volume "nix" { path = "/srv/nix" }.
name      = "nix"
type      = "host"
plugin_id = "mkdir"

parameters {
  mode = "0755"
}

capability {
  access_mode     = "single-node-writer"
  attachment_mode = "file-system"
}

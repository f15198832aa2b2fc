# Where Albatros keeps artifacts, caches and logs, if not in a bucket. Nomad 1.10 or newer:
#
#   nomad volume create -namespace default hcl/volume/store.hcl
#
# It lies below `host_volumes_dir` of one node's agent, and the job that uses it runs on that node. For an older Nomad, in
# the agent's own configuration, host_volume "albatros" { path = "/srv/albatros" }, a folder that belongs to nobody.
name      = "albatros"
type      = "host"
plugin_id = "mkdir"

# Albatros runs as nobody.
parameters {
  mode = "0700"
  uid  = 65534
  gid  = 65534
}

capability {
  access_mode     = "single-node-writer"
  attachment_mode = "file-system"
}

# What `albatros repo` may do in Consul, for people who register repositories:
#
#   consul acl policy create -name albatros-operator -rules @hcl/policy/consul-operator.hcl
key_prefix "albatros/" {
  policy = "write"
}
# What goes with a repository that is removed: its last test delivery, and who is approved always.
key_prefix "albatros-builds/tests/" {
  policy = "write"
}
key_prefix "albatros-builds/approved/" {
  policy = "write"
}

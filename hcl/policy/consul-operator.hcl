# What `albatros repo` may do in Consul, for people who register repositories:
#
#   consul acl policy create -name albatros-operator -rules @hcl/policy/consul-operator.hcl
key_prefix "albatros/" {
  policy = "write"
}
key_prefix "albatros-builds/tests/" {
  policy = "read"
}

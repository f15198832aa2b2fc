# What Albatros may do in Consul:
#
#   consul acl policy create -name albatros -rules @hcl/policy/consul.hcl
#   consul acl token create -description albatros -policy-name albatros
key_prefix "albatros/" {
  policy = "read"
}
key_prefix "albatros-builds/" {
  policy = "write"
}
session_prefix "" {
  policy = "write"
}

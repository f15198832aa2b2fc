# What Albatros may do in the namespace of the builds. Bind it to the job that runs it:
#
#   nomad acl policy apply -namespace default -job albatros albatros hcl/policy/nomad.hcl
namespace "ci" {
  capabilities = ["list-jobs", "read-job", "dispatch-job", "read-logs", "deregister-job"]
}

# What Albatros may do in the namespace of the builds. Bind it to the job that runs it:
#
#   nomad acl policy apply -namespace default -job albatros albatros hcl/policy/nomad.hcl
# read-job is also what the allocation of a build that asks for its session is read with. The keys that identities are
# signed with need no right.
namespace "ci" {
  capabilities = ["list-jobs", "read-job", "dispatch-job", "read-logs", "deregister-job"]
}

# The only roles that infra/ may assign: `terraform plan` checks its role assignments against this list, and
# infra/bootstrap/ restricts Terraform's identity to it.
output "roles" {
  description = "The ids of Azure's built-in roles by name."
  value = {
    "AcrPull"                                          = "7f951dda-4ed3-4680-a7ca-43fe172d538d"
    "AcrPush"                                          = "8311e382-0749-4cb8-b61a-304f252e45ec"
    "Azure Container Instances Contributor Role"       = "5d977122-f97e-4b4d-a52f-6b43003ddb4d"
    "AzureML Compute Operator"                         = "e503ece1-11d0-4e8e-8e2c-7a6c3bf38815"
    "AzureML Data Scientist"                           = "f6c7c914-8db3-469d-8ca1-694a8f32e121"
    "Container Registry Data Importer and Data Reader" = "577a9874-89fd-4f24-9dbd-b5034d0ad23a"
    "Container Registry Tasks Contributor"             = "fb382eab-e894-4461-af04-94435c366c3f"
    "Managed Identity Operator"                        = "f1a07417-d97a-45cb-824c-7a7467783830"
    "Network Contributor"                              = "4d97b98b-1d4f-4787-a291-c67834d212e7"
    "Storage Blob Data Contributor"                    = "ba92f5b4-2d11-453d-a403-e96b0029c9fe"
    "Storage Blob Data Reader"                         = "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1"
    "Web Plan Contributor"                             = "2cc479cb-7b4d-49a8-b449-8c00fd0f0a4b"
  }
}

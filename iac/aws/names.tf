# Every name and tag is made here, and nowhere else. ARNs are made from names, so that rights are known, and can be
# judged by the policies, before anything exists.

locals {
  name   = "${var.project}-${var.environment}"
  prefix = "${local.name}-"

  tags = {
    project     = var.project
    environment = var.environment
    owner       = var.owner
    cost-center = var.cost_center
    managed-by  = "terraform"
  }

  arn = {
    table    = "arn:aws:dynamodb:${var.region}:${var.account_id}:table/${local.prefix}"
    queue    = "arn:aws:sqs:${var.region}:${var.account_id}:${local.prefix}"
    bucket   = "arn:aws:s3:::${local.prefix}"
    secret   = "arn:aws:secretsmanager:${var.region}:${var.account_id}:secret:${local.prefix}"
    identity = "arn:aws:ses:${var.region}:${var.account_id}:identity/"
    # The third part is MSK's own id of the cluster, which is known only once it exists; names are unique without it.
    cluster     = "arn:aws:kafka:${var.region}:${var.account_id}:cluster/${local.name}/*"
    topic       = "arn:aws:kafka:${var.region}:${var.account_id}:topic/${local.name}/*/"
    transaction = "arn:aws:kafka:${var.region}:${var.account_id}:transactional-id/${local.name}/*/"
    group       = "arn:aws:kafka:${var.region}:${var.account_id}:group/${local.name}/*/"
    key         = "arn:aws:kms:${var.region}:${var.account_id}:key/*"
  }
}

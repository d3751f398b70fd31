# One customer managed key for one purpose, so that access to it can be told apart and withdrawn alone.

data "aws_iam_policy_document" "this" {
  #checkov:skip=CKV_AWS_109:the policy of a key: its only resource is the key itself, and without the account as administrator nobody could mend it
  #checkov:skip=CKV_AWS_111:the policy of a key: its only resource is the key itself, and without the account as administrator nobody could mend it
  #checkov:skip=CKV_AWS_356:the policy of a key: its only resource is the key itself, and without the account as administrator nobody could mend it

  # Without it, a key whose policy has a mistake can be mended by nobody, AWS included.
  statement {
    sid       = "AccountAdministers"
    actions   = ["kms:*"]
    resources = ["*"]

    principals {
      type        = "AWS"
      identifiers = ["arn:aws:iam::${var.account_id}:root"]
    }
  }

  dynamic "statement" {
    for_each = length(var.services) > 0 ? [1] : []

    content {
      sid       = "ServicesEncrypt"
      actions   = ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey", "kms:ReEncryptFrom", "kms:ReEncryptTo"]
      resources = ["*"]

      principals {
        type        = "Service"
        identifiers = var.services
      }

      condition {
        test     = "StringEquals"
        variable = "aws:SourceAccount"
        values   = [var.account_id]
      }
    }
  }
}

resource "aws_kms_key" "this" {
  description             = var.description
  enable_key_rotation     = true
  deletion_window_in_days = var.allow_data_loss ? 7 : 30
  policy                  = data.aws_iam_policy_document.this.json
}

resource "aws_kms_alias" "this" {
  name          = "alias/${var.name}"
  target_key_id = aws_kms_key.this.key_id
}

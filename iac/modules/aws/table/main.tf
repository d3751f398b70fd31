# A DynamoDB table as corelib declares it: string keys, global indexes with every attribute, expiry, a stream.

resource "aws_dynamodb_table" "this" {
  name                        = var.name
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = var.key
  range_key                   = var.sort
  deletion_protection_enabled = !var.allow_data_loss
  stream_enabled              = var.stream
  stream_view_type            = var.stream ? "NEW_IMAGE" : null

  dynamic "attribute" {
    for_each = toset(compact(concat([var.key, var.sort], flatten([for index in var.indexes : [index.key, index.sort]]))))

    content {
      name = attribute.value
      type = "S"
    }
  }

  dynamic "global_secondary_index" {
    for_each = var.indexes

    content {
      name            = global_secondary_index.key
      hash_key        = global_secondary_index.value.key
      range_key       = global_secondary_index.value.sort
      projection_type = "ALL"
    }
  }

  dynamic "ttl" {
    for_each = var.ttl == null ? [] : [var.ttl]

    content {
      enabled        = true
      attribute_name = ttl.value
    }
  }

  point_in_time_recovery {
    enabled = true
  }

  server_side_encryption {
    enabled     = true
    kms_key_arn = var.key_arn
  }
}

"""Every change of a DynamoDB table becomes reliable work for any number of consumers."""

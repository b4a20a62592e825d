"""Adapters of the ports to AWS; the only home of boto3 and botocore."""

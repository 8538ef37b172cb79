"""Makes the wrapping key of the profile `localstack`, and the alias that config/localstack.toml names.

LocalStack runs this file each time that it is ready (/etc/localstack/init/ready.d). By hand, with any Python
that has boto3:

    python docker/localstack/ready.d/oubliette_key.py
    AWS_ENDPOINT_URL=http://127.0.0.1:5566 python docker/localstack/ready.d/oubliette_key.py

LocalStack (community) forgets every key when it stops. A new key with a new id would open nothing that the old
one wrapped: every user in the database would be forgotten. So this key always has the same id and the same
bytes, by two tags that only LocalStack understands, and the data keys in PostgreSQL outlive LocalStack.

The bytes stand below, for everybody to read. So this key protects nothing. For development only.

What is not made again: other keys, aliases that were moved, and key material from `rotate-key-on-demand`. Data
keys that were wrapped by those are lost with LocalStack's next stop.

It may run any number of times, also at the same time. It changes nothing that is there already.
"""

import base64
import os

import boto3
from botocore.config import Config

ALIAS = "alias/oubliette"
KEY_ID = "0b1e77e0-0000-4000-8000-000000000001"
KEY_BYTES = b"public key, for development only"

# LocalStack takes these for its account 000000000000. AWS does not: run against AWS, this fails.
kms = boto3.client(
    "kms",
    endpoint_url=os.environ.get("AWS_ENDPOINT_URL") or "http://127.0.0.1:4566",
    region_name="us-east-1",
    aws_access_key_id="test",
    aws_secret_access_key="test",
    config=Config(proxies={}),
)


def make_key():
    try:
        kms.describe_key(KeyId=KEY_ID)
    except kms.exceptions.NotFoundException:
        kms.create_key(
            Description="Oubliette, for development",
            Tags=[
                {"TagKey": "_custom_id_", "TagValue": KEY_ID},
                {"TagKey": "_custom_key_material_", "TagValue": base64.b64encode(KEY_BYTES).decode()},
            ],
        )


def make_alias():
    try:
        kms.create_alias(AliasName=ALIAS, TargetKeyId=KEY_ID)
    except kms.exceptions.AlreadyExistsException:
        pass


# No `if __name__ == "__main__"`: LocalStack runs this file by exec, where the name is another one. And no
# sys.exit, which would end LocalStack: it reports an exception, and goes on.
make_key()
make_alias()
key = kms.describe_key(KeyId=ALIAS)["KeyMetadata"]
print(f"{ALIAS} is {key['Arn']}", flush=True)

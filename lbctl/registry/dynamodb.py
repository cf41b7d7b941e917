"""
Cells in DynamoDB: one item each, replaced by a conditional put.

The one module that imports boto3, which is slow to load: it is loaded where it is wanted alone.
All tables of the registry are in one table of DynamoDB, with ``kind`` as partition key and ``name``
as sort key; it is made where it is missing and may be made.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Final, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    ReadTimeoutError,
)

from lbctl.errors import ProviderError, ProviderReplyError, ProviderTimeout
from lbctl.registry.apart import Apart
from lbctl.registry.store import Cell, Kind

#: An item may have 400 KB, with the names of its attributes.
VALUE_MAX_BYTES: Final = 390_000
#: So long a question may take, seconds, and so often it is asked.
CONNECT_S: Final = 2.0
ANSWER_S: Final = 5.0
ATTEMPTS: Final = 2

_KEYS: Final = (("kind", "HASH"), ("name", "RANGE"))
#: Words of its own, which expressions may not have as they are.
_NAMES: Final = {"#kind": "kind", "#name": "name", "#version": "version"}
_MISSING: Final = "ResourceNotFoundException"
_THERE: Final = "ResourceInUseException"

T = TypeVar("T")


class DynamoCells:
    """
    Args:
        table: DynamoDB's.
        region: None: as AWS's own variables and files say; credentials are found by them too.
        endpoint: None: AWS's.

    Raises:
        ProviderError: no region is known.
    """

    is_shared = True

    def __init__(
        self,
        table: str,
        region: str | None,
        endpoint: str | None,
        *,
        most_bytes: int = VALUE_MAX_BYTES,
    ) -> None:
        self.most_bytes = most_bytes
        self._table = table
        self._thread = Apart("dynamodb")
        config = Config(
            connect_timeout=CONNECT_S,
            read_timeout=ANSWER_S,
            retries={"total_max_attempts": ATTEMPTS, "mode": "standard"},
        )
        try:
            session = boto3.session.Session(region_name=region)
            self._client: Any = session.client("dynamodb", endpoint_url=endpoint, config=config)
        except (BotoCoreError, ValueError) as error:
            message = f"dynamodb: {error}; set registry.dynamodb_region, or AWS_DEFAULT_REGION"
            raise ProviderError(message) from error
        self._target = f"dynamodb {endpoint or session.region_name}, table {table}"

    @property
    def target(self) -> str:
        return self._target

    async def names(self, kind: Kind) -> tuple[str, ...]:
        def found() -> tuple[str, ...]:
            pages = self._client.get_paginator("query").paginate(
                TableName=self._table,
                KeyConditionExpression="#kind = :kind",
                ProjectionExpression="#name",
                ExpressionAttributeNames={name: _NAMES[name] for name in ("#kind", "#name")},
                ExpressionAttributeValues={":kind": {"S": kind}},
                ConsistentRead=True,
            )
            return tuple(item["name"]["S"] for page in pages for item in page["Items"])

        return await self._asked(found, ())

    async def get(self, kind: Kind, name: str) -> Cell | None:
        def found() -> Cell | None:
            item = self._client.get_item(
                TableName=self._table, Key=_key(kind, name), ConsistentRead=True
            ).get("Item")
            if item is None:
                return None
            return Cell(bytes(item["value"]["B"]), int(item["version"]["N"]))

        return await self._asked(found, None)

    async def put(self, kind: Kind, name: str, value: bytes, version: int) -> bool:
        if version:
            condition: dict[str, Any] = {
                "ConditionExpression": "#version = :version",
                "ExpressionAttributeNames": {"#version": "version"},
                "ExpressionAttributeValues": {":version": {"N": str(version)}},
            }
        else:
            condition = {
                "ConditionExpression": "attribute_not_exists(#kind)",
                "ExpressionAttributeNames": {"#kind": "kind"},
            }
        content = {"version": {"N": str(version + 1)}, "value": {"B": value}}
        item = {**_key(kind, name), **content}

        def did_put() -> bool:
            put = functools.partial(
                self._client.put_item, TableName=self._table, Item=item, **condition
            )
            try:
                try:
                    put()
                except self._client.exceptions.ResourceNotFoundException:
                    self._make()
                    put()
            except self._client.exceptions.ConditionalCheckFailedException:
                return False
            return True

        return await self._asked(did_put, False)

    async def delete(self, kind: Kind, name: str) -> None:
        key = _key(kind, name)
        await self._asked(
            lambda: bool(self._client.delete_item(TableName=self._table, Key=key)), False
        )

    async def close(self) -> None:
        await self._thread.run(self._client.close)
        self._thread.close()

    async def _asked(self, action: Callable[[], T], missing: T) -> T:
        """*missing*: the answer where there is no table."""
        try:
            return await self._thread.run(action)
        except (ConnectTimeoutError, ReadTimeoutError) as error:
            message = f"{self.target}: no answer in {ANSWER_S:.0f} s"
            raise ProviderTimeout(message) from error
        except ClientError as error:
            if _code(error) == _MISSING:
                return missing
            message = f"{self.target}: {error}"
            raise ProviderReplyError(message) from error
        except BotoCoreError as error:
            message = f"{self.target}: {error}"
            raise ProviderError(message) from error
        except (LookupError, TypeError, ValueError) as error:
            message = f"{self.target}: an item that is not of our form: {error!r}"
            raise ProviderReplyError(message) from error

    def _make(self) -> None:
        """The table; whoever is second waits for the first."""
        try:
            self._client.create_table(
                TableName=self._table,
                AttributeDefinitions=[
                    {"AttributeName": name, "AttributeType": "S"} for name, _ in _KEYS
                ],
                KeySchema=[{"AttributeName": name, "KeyType": kind} for name, kind in _KEYS],
                BillingMode="PAY_PER_REQUEST",
            )
        except ClientError as error:
            if _code(error) != _THERE:
                raise
        waiter = self._client.get_waiter("table_exists")
        waiter.wait(TableName=self._table, WaiterConfig={"Delay": 1, "MaxAttempts": 30})


def _key(kind: Kind, name: str) -> dict[str, dict[str, str]]:
    return {"kind": {"S": kind}, "name": {"S": name}}


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))

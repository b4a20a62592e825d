"""
Service models: what an AWS API looks like on the wire and what it refuses, as botocore ships it.

A server reads them the other way round: the same description that a client serializes requests by
tells a server how to read them. Error texts and state changes are in no model.
"""

from __future__ import annotations

from functools import cache
from typing import cast

from botocore.loaders import Loader
from botocore.model import (
    ListShape,
    MapShape,
    OperationModel,
    ServiceModel,
    Shape,
    StringShape,
    StructureShape,
)

__all__ = [
    "ListShape",
    "MapShape",
    "OperationModel",
    "ServiceModel",
    "Shape",
    "StringShape",
    "StructureShape",
    "service_model",
]


@cache
def service_model(name: str) -> ServiceModel:
    """
    Return the model of a service, as in `lambda` or `logs`.

    Args:
        name: botocore's name of the service.
    """
    return ServiceModel(
        cast("dict[str, object]", Loader().load_service_model(name, "service-2")), name
    )

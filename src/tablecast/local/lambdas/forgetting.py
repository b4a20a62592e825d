"""What is forgotten together with a function: settings that are kept apart from it."""

from __future__ import annotations

from typing import Final

from tablecast.local.documents import Documents
from tablecast.local.lambdas.account_settings import RECURSION_KIND, RUNTIME_KIND
from tablecast.local.lambdas.asynchronous import CONCURRENCY_KIND, EVENT_INVOKE_KIND
from tablecast.local.lambdas.code_signing import SIGNED_KIND
from tablecast.local.lambdas.concurrency import PROVISIONED_KIND
from tablecast.local.lambdas.function_urls import URL_KIND
from tablecast.local.lambdas.mapping_lifecycle import TAGS_KIND
from tablecast.local.lambdas.permissions import POLICY_KIND
from tablecast.local.lambdas.ports import Target
from tablecast.local.model import function_arn

_BY_QUALIFIER: Final = (EVENT_INVOKE_KIND, POLICY_KIND, PROVISIONED_KIND, RUNTIME_KIND, URL_KIND)


def forget(documents: Documents, target: Target) -> None:
    """
    Forget the settings of a function that was deleted, or of one of its versions or aliases.

    Args:
        documents: Where they are kept.
        target: What was deleted; the whole function when it has no qualifier.
    """
    whole = target.qualifier is None
    for kind in _BY_QUALIFIER:
        for key, _ in list(documents.items(kind, (target.region, target.name))):
            if whole or key[2] == target.qualifier:
                documents.delete(kind, key)
    if whole:
        for kind in (CONCURRENCY_KIND, RECURSION_KIND, SIGNED_KIND):
            documents.delete(kind, (target.region, target.name))
        documents.delete(TAGS_KIND, (function_arn(target.name, target.region),))

"""Bundles of arrays, tables and JSON that are written once and checked before they are read."""

from recsys.artifacts.bundle import Bundle, read_bundle, write_bundle
from recsys.artifacts.digests import digest_table
from recsys.artifacts.manifest import BundleManifest

__all__ = ["Bundle", "BundleManifest", "digest_table", "read_bundle", "write_bundle"]

# Which version the tree is. Sourced.
# shellcheck shell=bash

version_of_tree() { cargo metadata --locked --no-deps --format-version 1 | python3 -c 'import json, sys
print(next(package["version"] for package in json.load(sys.stdin)["packages"] if package["name"] == "list_sync_cli"))'; }

"""Prints the bill of materials of the published binary as CycloneDX 1.5: each crate with its licence, its checksum and what it is linked from.

Written from `cargo metadata` and Cargo.lock: equal trees give equal bytes, and the libraries in C that are built in stand in it through the crates
that carry them, with their version behind the + (openssl-src, rdkafka-sys, zstd-sys)."""

import datetime
import json
import os
import sys
import tomllib

import built_in


def purl(package):
    return f"pkg:cargo/{package['name']}@{package['version'].replace('+', '%2B')}"


def component(package, kind, checksums):
    made = {"type": kind, "bom-ref": purl(package), "name": package["name"], "version": package["version"]}
    if package["description"]:
        made["description"] = " ".join(package["description"].split())
    checksum = checksums.get((package["name"], package["version"]))
    if checksum:
        made["hashes"] = [{"alg": "SHA-256", "content": checksum}]
    if package["license"]:
        made["licenses"] = [{"expression": package["license"].replace("/", " OR ")}]  # the old way of cargo to write it
    elif package["license_file"]:
        made["licenses"] = [{"license": {"name": package["license_file"]}}]
    made["purl"] = purl(package)
    return made


def main():
    root, packages, linked = built_in.graph()
    with open("Cargo.lock", "rb") as lock:
        checksums = {(entry["name"], entry["version"]): entry.get("checksum") for entry in tomllib.load(lock)["package"]}
    # deny.toml lets in no registry but the default one.
    unknown = [package["name"] for package in packages.values() if not (package["source"] or "registry+").startswith("registry+")]
    if unknown:
        sys.exit(f"bill.py: {unknown} come from no registry; say in purl() from where")
    moment = datetime.datetime.fromtimestamp(int(os.environ["SOURCE_DATE_EPOCH"]), datetime.timezone.utc)
    others = sorted((package for package in packages.values() if package is not root), key=purl)
    json.dump({
        "bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1,
        "metadata": {"timestamp": moment.strftime("%Y-%m-%dT%H:%M:%SZ"), "component": component(root, "application", checksums)},
        "components": [component(package, "library", checksums) for package in others],
        "dependencies": [{"ref": purl(package), "dependsOn": sorted(purl(packages[one]) for one in linked[package["id"]])} for package in [root, *others]],
    }, sys.stdout, indent=1, ensure_ascii=False)
    print()


main()

"""Prints the licences of all that is built into the binary: each crate's own texts, and those of the C libraries inside a crate."""

import pathlib

import built_in

NAMES = ("license", "licence", "copying", "notice", "copyright")


def texts(folder):
    """Files of the crate and of folders directly in it: librdkafka's, zlib's, zstd's and OpenSSL's lie there."""
    files = [path for depth in ("*", "*/*", "src/*/*") for path in folder.glob(depth) if path.is_file()]
    return sorted(path for path in files if path.name.lower().startswith(NAMES) and path.suffix not in (".rs", ".c", ".h", ".py", ".sh"))


def main():
    _, packages, _ = built_in.graph()
    packages = sorted((package for package in packages.values() if package["source"]), key=lambda one: (one["name"], one["version"]))
    print("list_sync is under the Apache License 2.0, see LICENSE. These are built into the binary:\n")
    for package in packages:
        print(f"  {package['name']} {package['version']}: {package['license'] or 'see its text below'}")
    bearers = {}  # many crates bear the same text: it is printed once
    for package in packages:
        folder = pathlib.Path(package["manifest_path"]).parent
        for path in texts(folder):
            bearer = f"{package['name']} {package['version']}: {path.relative_to(folder)}"
            bearers.setdefault(path.read_text(errors="replace").strip(), []).append(bearer)
    for text, names in bearers.items():
        print("\n" + "=" * 100, *names, "=" * 100, "", text, sep="\n")


main()

"""Adds to an SBOM in CycloneDX what the distribution has installed, and prints it: `distribution.py SBOM`."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

# What each package database is asked: name, epoch (0 for none; Debian's is part of the version), version, architecture.
ASK = {
    "rpm": [
        "rpm",
        "--query",
        "--all",
        "--queryformat",
        "%{NAME}\t%{EPOCHNUM}\t%{VERSION}-%{RELEASE}\t%{ARCH}\n",
    ],
    "deb": ["dpkg-query", "--show", "--showformat", "${Package}\t0\t${Version}\t${Architecture}\n"],
}


def release() -> dict[str, str]:
    """The distribution's words about itself."""
    lines = (line.partition("=") for line in Path("/etc/os-release").read_text().splitlines())
    return {name: text.strip("\"'") for name, _, text in lines}


def components() -> list[dict[str, str]]:
    """One component for each installed package, sorted; a key of a repository is no package."""
    kind = next((kind for kind, command in ASK.items() if shutil.which(command[0])), None)
    if kind is None:
        sys.exit("distribution.py: neither rpm nor dpkg-query is there: whose packages are these?")
    about = release()
    distro = f"{about['ID']}-{about.get('VERSION_ID', about.get('VERSION_CODENAME', 'rolling'))}"
    reply = subprocess.run(ASK[kind], capture_output=True, text=True, check=True)
    found = []
    for line in sorted(reply.stdout.splitlines()):
        name, epoch, version, arch = line.split("\t")
        if name == "gpg-pubkey":
            continue
        more = {"arch": arch, **({"epoch": epoch} if epoch != "0" else {}), "distro": distro}
        words = "&".join(f"{key}={quote(text)}" for key, text in more.items())
        purl = f"pkg:{kind}/{about['ID']}/{quote(name)}@{quote(version)}?{words}"
        shown = f"{epoch}:{version}" if epoch != "0" else version
        found.append({"bom-ref": purl, "name": name, "purl": purl, "type": "library", "version": shown})
    return found


def main() -> None:
    """The SBOM named on the command line, completed."""
    bom = json.loads(Path(sys.argv[1]).read_text())
    bom["components"] += components()
    json.dump(bom, sys.stdout, indent=2, sort_keys=True)
    print()


if __name__ == "__main__":
    main()

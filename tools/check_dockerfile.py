"""Builds and runs an image of the Dockerfile where there is no Docker engine.

`build` carries out the instructions of a target and of every stage it copies from:
each stage in a chroot of its own, fresh from Debian's packages, or, where this user or
this machine cannot make one, the pip lines alone in a fresh virtual environment. Then
it runs the health check and the entry point. `run` does what `docker run` would do.

\b
Example:
  python tools/check_dockerfile.py build --target cpu --out /var/tmp/images
  python tools/check_dockerfile.py run /var/tmp/images/cpu -v "$PWD:/workspace" -- \\
      fit --list-presets
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click
from _dockerfile import Image, Stage, needed, read_stages, settle, split_flags
from docker.utils.build import exclude_paths

REPOSITORY = Path(__file__).resolve().parents[1]
IMAGE = "image.json"
VENV = "/opt/venv"

_STAND_IN = ("python3", "python3-venv", "python3-dev")
_MIRROR = "http://deb.debian.org/debian"
# What a build on this machine needs to reach the package registries.
_REGISTRY = re.compile(r"PIP_.*|https?_proxy|no_proxy", re.IGNORECASE)
_CERTIFICATES = "/run/certificates.crt"


class Chroot:
    """A root folder for every stage, made by debootstrap."""

    form = "chroot"

    def __init__(self, out: Path) -> None:
        self.out = out

    def begin(self, stage: Stage) -> None:
        """Lays what the stage is based on."""
        root = self.out / stage.name
        if (self.out / stage.base).is_dir():
            subprocess.run(["cp", "-a", self.out / stage.base, root], check=True)
            return
        python, suite = re.fullmatch(r"python:([\d.]+)-slim-(\w+)", stage.base).groups()
        include = f"--include={','.join(_STAND_IN)}"
        command = ["debootstrap", "--variant=minbase", include, suite, root, _MIRROR]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        version = "import sys; print('%d.%d' % sys.version_info[:2])"
        command = ["chroot", root, "python3", "-c", version]
        found = subprocess.run(command, capture_output=True, text=True).stdout.strip()
        if found != python:
            raise click.ClickException(f"{suite} has Python {found}, not {python}")

    def place(self, stage: str, path: str) -> Path:
        return self.out / stage / path.lstrip("/")

    def run(self, stage: str, image: Image, command: str) -> None:
        shutil.copy("/etc/resolv.conf", self.place(stage, "/etc/resolv.conf"))
        env = {n: v for n, v in os.environ.items() if _REGISTRY.fullmatch(n)}
        env.pop("PIP_FIND_LINKS", None)
        volumes = []
        if certificates := os.environ.get("SSL_CERT_FILE"):
            volumes = [(certificates, _CERTIFICATES)]
            env |= dict.fromkeys(("PIP_CERT", "SSL_CERT_FILE"), _CERTIFICATES)
        image = replace(image, env={**image.env, **env})
        words = ["/bin/sh", "-ec", command]
        done = run_in_chroot(self.out / stage, image, words, volumes=volumes)
        if done:
            raise click.ClickException(f"{stage}: RUN {command}: exit code {done}")

    def start(self, stage: str, image: Image, words: Sequence[str]) -> int:
        return run_in_chroot(self.out / stage, image, words)


class VirtualEnvironment:
    """The pip lines alone, in one folder of which the user is the owner."""

    form = "virtual environment"

    def __init__(self, out: Path) -> None:
        self.out = out

    def begin(self, stage: Stage) -> None:
        (self.out / "tmp").mkdir(parents=True, exist_ok=True)

    def place(self, stage: str, path: str) -> Path:
        return self.out / path.lstrip("/")

    def run(self, stage: str, image: Image, command: str) -> None:
        for line in (part.strip() for part in command.split("&&")):
            if not line.startswith(("python3 -m venv", "pip ")):
                click.echo(f"  left out: {line}")
                continue
            line = re.sub(r"(?<![\w.])/(?=opt/|wheels)", f"{self.out}/", line)
            folder = self.place(stage, image.folder)
            folder.mkdir(parents=True, exist_ok=True)
            env = {**os.environ, "PATH": f"{self.out}{VENV}/bin:{os.environ['PATH']}"}
            if subprocess.run(["/bin/sh", "-ec", line], cwd=folder, env=env).returncode:
                raise click.ClickException(f"{stage}: RUN {line}: it failed")

    def start(self, stage: str, image: Image, words: Sequence[str]) -> int:
        words = [word for word in words if word not in ("tini", "--")]
        env = {**os.environ, "PATH": f"{self.out}{VENV}/bin:{os.environ['PATH']}"}
        return subprocess.run(words, cwd=self.out, env=env).returncode


def run_in_chroot(
    root: Path,
    image: Image,
    words: Sequence[str],
    *,
    volumes: Sequence[tuple[str, str]] = (),
) -> int:
    """Runs a program in a root folder and returns its exit code.

    The program is process 1 of namespaces of its own for processes and mounts (/proc,
    /dev, /sys and ``volumes``, pairs of source and place), which end with it.
    """
    binds = [("/dev", "/dev"), ("/sys", "/sys")]
    script = ["set -e", f"mount -t proc proc {shlex.quote(str(root / 'proc'))}"]
    for source, place in (*binds, *volumes):
        inside = root / place.lstrip("/")
        if not inside.exists():
            if Path(source).is_dir():
                inside.mkdir(parents=True)
            else:
                inside.parent.mkdir(parents=True, exist_ok=True)
                inside.touch()
        script.append(f"mount --rbind {shlex.quote(source)} {shlex.quote(str(inside))}")
    variables = [f"{name}={value}" for name, value in image.env.items()]
    change = f"cd {shlex.quote(image.folder)} && exec {shlex.join(words)}"
    user = image.user if ":" in image.user else f"{image.user}:{image.user}"
    started = ["chroot", f"--userspec={user}", str(root), "/usr/bin/env", "-i"]
    script.append("exec " + shlex.join([*started, *variables, "/bin/sh", "-c", change]))
    command = ["unshare", "--mount", "--propagation", "private", "--pid", "--fork"]
    words = [*command, "--kill-child", "/bin/sh", "-c", "\n".join(script)]
    return subprocess.run(words).returncode


def _copy(form, stage: str, image: Image, value: str, context: list[str]) -> None:
    """COPY: out of another stage, or of what .dockerignore lets through."""
    flags, rest = split_flags(value)
    *sources, to = shlex.split(rest)
    place = form.place(stage, str(Path(image.folder, to)))
    for source in sources:
        if "from" in flags:
            origin = form.place(flags["from"][0], source)
            if origin != place:
                place.parent.mkdir(parents=True, exist_ok=True)
                subprocess.run(["cp", "-a", origin, place], check=True)
            continue
        files = [p for p in context if p == source or p.startswith(f"{source}/")]
        if not files:
            raise click.ClickException(f"COPY {source}: not in the build context")
        for name in files:
            # The content of a folder is copied, not the folder.
            inner = Path(name).relative_to(source) if name != source else Path(name)
            single = name == source and not to.endswith("/")
            aim = place if single else place / inner
            if (REPOSITORY / name).is_dir():
                continue
            aim.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(REPOSITORY / name, aim)


def _run(form, stage: str, image: Image, value: str) -> None:
    flags, command = split_flags(value)
    bound = []
    for mount in flags.get("mount", ()):
        options = dict(part.split("=", 1) for part in mount.split(","))
        if options["type"] == "bind":
            origin = form.place(options["from"], options["source"])
            place = form.place(stage, options["target"])
            if origin != place:
                shutil.copytree(origin, place)
                bound.append(place)
    form.run(stage, image, command)
    for place in bound:
        shutil.rmtree(place)


@click.group(help=__doc__)
def command() -> None: ...


@command.command()
@click.option("--target", default="cpu", show_default=True, help="Stage to build.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="New.")
@click.option("--form", type=click.Choice(["chroot", "venv"]), help="Best one here.")
def build(target: str, out: Path, form: str | None) -> None:
    """Build a target into OUT/STAGE folders, then run health check and entry point."""
    if out.exists() and any(out.iterdir()):
        raise click.ClickException(f"{out}: not empty; give a new folder")
    able = os.geteuid() == 0 and shutil.which("debootstrap") is not None
    chosen = form or ("chroot" if able else "venv")
    out = out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    builder = (Chroot if chosen == "chroot" else VirtualEnvironment)(out)
    click.echo(f"form: {builder.form}, Python of this tool {sys.version.split()[0]}")
    ignored = (REPOSITORY / ".dockerignore").read_text().splitlines()
    context = sorted(exclude_paths(str(REPOSITORY), ignored))
    stages = read_stages(REPOSITORY / "Dockerfile")
    images: dict[str, Image] = {}
    for name in needed(stages, target):
        stage = stages[name]
        click.echo(f"FROM {stage.base} AS {name}")
        builder.begin(stage)
        image = images.get(stage.base, Image())
        for word, value in stage.steps:
            click.echo(f"  {word} {value}")
            if word == "RUN":
                _run(builder, name, image, value)
            elif word == "COPY":
                _copy(builder, name, image, value, context)
            else:
                image = settle(image, word, value)
            if word == "WORKDIR":
                builder.place(name, value).mkdir(parents=True, exist_ok=True)
        images[name] = image
    image = images[target]
    (out / target).mkdir(exist_ok=True)
    (out / f"{target}.{IMAGE}").write_text(json.dumps(vars(image), indent=1))
    for words in (image.health, [*image.entrypoint, "--version"]):
        click.echo(f"$ {shlex.join(words)}")
        if code := builder.start(target, image, words):
            raise click.ClickException(f"{shlex.join(words)}: exit code {code}")
    click.echo(f"{target}: in a {builder.form} it builds, is healthy and runs")


@command.command()
@click.argument("root", type=click.Path(path_type=Path, exists=True))
@click.option("-v", "--volume", "volumes", multiple=True, metavar="SOURCE:PLACE")
@click.option("-u", "--user", help="UID:GID; that of the image by default.")
@click.argument("arguments", nargs=-1)
def run(root: Path, volumes: tuple[str, ...], user: str | None, arguments) -> None:
    """Run the entry point of a chroot of `build`, as `docker run` would."""
    image = Image(**json.loads(Path(f"{root.resolve()}.{IMAGE}").read_text()))
    image = replace(image, user=user or image.user)
    words = [*image.entrypoint, *(arguments or image.command)]
    pairs = [tuple(volume.rsplit(":", 1)) for volume in volumes]
    sys.exit(run_in_chroot(root.resolve(), image, words, volumes=pairs))


if __name__ == "__main__":
    command()

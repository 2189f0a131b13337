"""OpenSSH at both ends: a server that this user runs on a free port, and a client that gets there as it is told."""

import os
import pwd
import select
import subprocess
import time
from pathlib import Path

from .processes import Process, answers, free_port, run
from .waiting import until

#: The name by which the client knows the server, whatever way leads there. Nobody looks it up in DNS.
NAME = "desktop"

#: Seconds that one answer may take.
PATIENCE = 30


class SSHServer(Process):
    """Debian's sshd with keys, configuration and log in `folder`; lets this user in by the key there, without PAM."""

    def __init__(self, folder, address="127.0.0.1"):
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.address = address
        self.key = _key(folder / "user")
        self.host_key = _key(folder / "host")
        self.transfers = folder / "transfers"
        self.transfers.mkdir()
        (folder / "authorized_keys").write_text(self.key.with_suffix(".pub").read_text())
        (folder / "sshd_config").write_text(f"""
ListenAddress {address}:{self.port}
HostKey {self.host_key}
AuthorizedKeysFile {folder}/authorized_keys
PidFile none
UsePAM no
# The folder is below one that everybody may write to, as temporary folders are.
StrictModes no
AuthenticationMethods publickey
PermitRootLogin prohibit-password
AllowTcpForwarding yes
MaxStartups 200
MaxSessions 200
PrintMotd no
Subsystem sftp internal-sftp
LogLevel VERBOSE
""")
        if os.geteuid() == 0:
            # Debian's own start makes it; there is no other way to tell an sshd that runs as root.
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        super().__init__("sshd", ["/usr/sbin/sshd", "-D", "-e", "-f", folder / "sshd_config"], folder)
        until(lambda: self.exit_code is not None or answers(self.port, address), "sshd to listen")
        assert self.exit_code is None, self.tail()


class SSHClient:
    """Debian's ssh, scp and sftp, which connect by `proxy_command` and trust nothing but the server's own key.

    `%h` in the command is `desktop`, `%p` is 22, as a user would have them who wrote `ssh desktop`.
    """

    def __init__(self, folder, server, proxy_command, environment=None):
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self.environment = environment
        self.config = folder / "ssh_config"
        known = folder / "known_hosts"
        words = server.host_key.with_suffix(".pub").read_text().split()
        known.write_text(f"{NAME} {words[0]} {words[1]}\n")
        self.config.write_text(f"""
Host {NAME}
    User {pwd.getpwuid(os.getuid()).pw_name}
    Port 22
    ProxyCommand {proxy_command}
    IdentityFile {server.key}
    IdentitiesOnly yes
    UserKnownHostsFile {known}
    GlobalKnownHostsFile none
    StrictHostKeyChecking yes
    BatchMode yes
    LogLevel ERROR
""")

    def command(self, *words):
        """What to run for `ssh desktop words…`, where the words are the remote shell's."""
        return ["ssh", "-F", str(self.config), NAME, *map(str, words)]

    def run(self, *words, given=None, seconds=60):
        """Runs a command there to its end, with the bytes or the open file `given` to read; output is bytes."""
        source = {"input": given} if isinstance(given, bytes) else {"stdin": given or subprocess.DEVNULL}
        return subprocess.run(
            self.command(*words), capture_output=True, timeout=seconds, env=self.environment, **source)

    def start(self, *words):
        """The same, running; use it in a `with`."""
        return Conversation(self.command(*words), self.environment)

    def copy(self, source, target, legacy=False, seconds=120):
        """scp, by the SFTP protocol or by its old one. One of the two is a path there: `there(path)`."""
        run(["scp", "-q", *(["-O"] if legacy else []), "-F", self.config, source, target],
            seconds=seconds, environment=self.environment)

    def sftp(self, *lines, seconds=120):
        """Runs the lines as a batch of sftp; the first that fails ends it."""
        return run(["sftp", "-q", "-b", "-", "-F", self.config, NAME],
                   seconds=seconds, environment=self.environment, text="".join(f"{line}\n" for line in lines))


class Conversation:
    """A command with a pipe to its input and one from its output. Whoever waits for what never comes is told so."""

    def __init__(self, command, environment=None):
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, env=environment)
        self._unread = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()

    def say(self, data):
        self._process.stdin.write(data)

    def say_no_more(self):
        self._process.stdin.close()

    def hear(self, end, seconds=PATIENCE):
        """Reads up to and including `end`."""
        deadline = time.monotonic() + seconds
        while end not in self._unread:
            left = max(0, deadline - time.monotonic())
            block = select.select([self._process.stdout], [], [], left)[0] and self._process.stdout.read(65536)
            assert block, f"never came: {end!r}; this did: {self._unread!r}"
            self._unread += block
        heard, _, self._unread = self._unread.partition(end)
        return heard + end

    def wait(self, seconds=PATIENCE):
        """The exit status."""
        return self._process.wait(seconds)


def there(path):
    return f"{NAME}:{path}"


def _key(path):
    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", path.name, "-f", path])
    return path

#!/usr/bin/env python3
"""Times transfers of ours and of other programs in turn, over loopback, and prints medians and ratios.

    cargo build --profile dist -p wormhole-cli
    python3 tests/benches/transfer.py --peers DIR [--size MiB] [--runs N] [--text] [--bare PROGRAM]

DIR/bin holds Python's `wormhole` and `twist` (with its mailbox server and its relay). Both programs use these
servers, the direct path and the same file. A figure is the median of all runs; behind it stand the least and the
greatest. MB/s is 10^6 bytes of content by the time from the receiver's start to its end; CPU is user and system
time of both sides; memory is the peak of each side as GNU time tells it.

--text times one line of text instead: from the receiver's start until the text is on its standard output.
--also NAME=SENDER::RECEIVER adds a program: words with {code} {path} {text} {mailbox} {relay}.
--bare PROGRAM runs a bare data path (a program that takes FILE and OUT and prints its MB/s) in the same turns.
"""
import argparse
import json
import os
import re
import select
import shlex
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

GNU_TIME = "/usr/bin/time"
LIMIT_S = 300


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def start_server(twist, plugin, work, *extra):
    port = free_port()
    log = open(os.path.join(work, plugin + ".log"), "wb")
    proc = subprocess.Popen([twist, plugin, f"--port=tcp:{port}:interface=127.0.0.1", *extra], cwd=work,
                            stdout=log, stderr=log)
    for _ in range(400):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return proc, port
        except OSError:
            if proc.poll() is not None:
                break
            time.sleep(0.05)
    sys.exit(f"{plugin} did not start: see {log.name}")


class Side:
    """One program, wrapped in GNU time so that its peak of memory is its own."""

    def __init__(self, words, cwd, report):
        self.report = report
        self.wrapped = os.path.exists(GNU_TIME)
        wrap = [GNU_TIME, "-q", "-f", "%M", "-o", report] if self.wrapped else []
        self.started = time.monotonic()
        self.proc = subprocess.Popen(wrap + words, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                     stderr=subprocess.STDOUT)
        os.set_blocking(self.proc.stdout.fileno(), False)
        self.said, self.ended = b"", None

    def hear(self):
        try:
            while chunk := self.proc.stdout.read(65536):
                self.said += chunk
        except BlockingIOError:
            pass

    def done(self):
        self.hear()
        if self.ended is None:
            pid, status, usage = os.wait4(self.proc.pid, os.WNOHANG)
            if pid:
                self.ended, self.usage = time.monotonic(), usage
                self.proc.returncode = os.waitstatus_to_exitcode(status)
                self.hear()
        return self.ended is not None

    def cpu(self):
        return self.usage.ru_utime + self.usage.ru_stime

    def peak_mib(self):
        if self.wrapped:
            with open(self.report) as f:
                return int(f.read().split()[-1]) / 1024
        return self.usage.ru_maxrss / 1024


def wait_until(sides, what):
    end = time.monotonic() + LIMIT_S
    while not what():
        if time.monotonic() > end:
            sys.exit("out of time: " + repr([s.said[-300:] for s in sides]))
        select.select([s.proc.stdout for s in sides if s.ended is None], [], [], 0.002)


def words(template, fields):
    return [w for w in (word.format(**fields) for word in shlex.split(template)) if w]


def one_run(templates, fields, work, text):
    out = tempfile.mkdtemp(dir=work)
    sender = Side(words(templates[0], fields), work, os.path.join(work, "sender.time"))
    wait_until([sender], lambda: fields["code"].encode() in sender.said or sender.done())
    time.sleep(0.3)  # the sender has claimed and waits
    receiver = Side(words(templates[1], fields), out, os.path.join(work, "receiver.time"))
    shown = None
    if text:
        wait_until([receiver], lambda: receiver.done() or text.encode() in receiver.said)
        shown = time.monotonic() - receiver.started
    wait_until([sender, receiver], lambda: all([sender.done(), receiver.done()]))
    if sender.proc.returncode or receiver.proc.returncode:
        sys.exit(f"failed: {sender.said.decode(errors='replace')}\n{receiver.said.decode(errors='replace')}")
    wall = receiver.ended - receiver.started
    row = {"wall_s": wall, "cpu_s": sender.cpu() + receiver.cpu(), "sender_MiB": sender.peak_mib(),
           "receiver_MiB": receiver.peak_mib()}
    if text:
        row["shown_ms"] = shown * 1000
    else:
        size = os.path.getsize(fields["path"])
        got = os.path.join(out, os.path.basename(fields["path"]))
        if subprocess.run(["cmp", "-s", fields["path"], got]).returncode:
            sys.exit("the copy differs")
        row["MB_per_s"] = size / wall / 1e6
    shutil.rmtree(out)
    return row


def bare_run(program, path, work):
    out = os.path.join(work, "bare.out")
    said = subprocess.run(shlex.split(program.format(path=path, out=out)), check=True, stdout=subprocess.PIPE,
                          text=True).stdout
    if os.path.exists(out):
        os.remove(out)
    return {"MB_per_s": float(re.search(r"([0-9.]+) MB/s", said)[1])}


def summary(rows):
    return {key: {"median": round(statistics.median(r[key] for r in rows), 3),
                  "min": round(min(r[key] for r in rows), 3), "max": round(max(r[key] for r in rows), 3)}
            for key in rows[0]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", required=True)
    parser.add_argument("--ours", default="target/dist/wormhole")
    parser.add_argument("--size", type=int, default=1024, help="MiB")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--text", action="store_true")
    parser.add_argument("--also", action="append", default=[])
    parser.add_argument("--bare")
    args = parser.parse_args()
    bin_dir = os.path.join(os.path.abspath(args.peers), "bin")
    python, ours = os.path.join(bin_dir, "wormhole"), os.path.abspath(args.ours)
    python_options = "--relay-url {mailbox} --transit-helper {relay}"
    what = "--text {text}" if args.text else "{path}"
    programs = {
        "ours": (f"{ours} {python_options} send --hide-progress --code {{code}} {what}",
                 f"{ours} {python_options} receive --hide-progress --accept-file {{code}}"),
        "python": (f"{python} {python_options} send --no-qr --hide-progress --code {{code}} {what}",
                   f"{python} {python_options} receive --hide-progress --accept-file {{code}}"),
    }
    for extra in args.also:
        name, templates = extra.split("=", 1)
        programs[name] = tuple(templates.split("::"))
    work = tempfile.mkdtemp(prefix="wormhole-bench-")
    servers = []
    try:
        twist = os.path.join(bin_dir, "twist")
        mailbox, mailbox_port = start_server(twist, "wormhole-mailbox", work, "--channel-db=:memory:")
        servers.append(mailbox)
        relay, relay_port = start_server(twist, "transitrelay", work)
        servers.append(relay)
        path = os.path.join(work, "content")
        with open(path, "wb") as f:
            for _ in range(args.size if not args.text else 1):
                f.write(os.urandom(1 << 20))
        rows, number = {name: [] for name in programs}, 1
        if args.bare:
            rows["bare"] = []
        for turn in range(-1, args.runs):  # the first warms up and does not count
            for name in rows:
                number += 1
                text = f"line-{os.urandom(6).hex()}" if args.text else ""
                fields = dict(code=f"{number}-bench-{os.urandom(5).hex()}", path=path, text=text,
                              mailbox=f"ws://127.0.0.1:{mailbox_port}/v1", relay=f"tcp:127.0.0.1:{relay_port}")
                row = bare_run(args.bare, path, work) if name == "bare" else \
                    one_run(programs[name], fields, work, text)
                print(turn, name, {k: round(v, 3) for k, v in row.items()}, file=sys.stderr, flush=True)
                if turn >= 0:
                    rows[name].append(row)
        result = {name: summary(r) for name, r in rows.items()}
        result["ratios_ours_to"] = {
            name: {key: round(statistics.median(a[key] / b[key] for a, b in zip(rows["ours"], rows[name])), 3)
                   for key in rows[name][0] if key in rows["ours"][0]}
            for name in rows if name != "ours"}
        print(json.dumps(result, indent=1))
    finally:
        for proc in servers:
            proc.terminate()
            proc.wait()
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
